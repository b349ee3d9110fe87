"""Priors side by side: one model, one data set, one budget; only the prior changes.

    python experiments/compare_priors.py
    python experiments/compare_priors.py seeds=[0] priors=[gaussian,student_t] train.updates=200
    gram-pyro compare_priors +own.mine._target_=my_prior.Mine '+own.mine.dim=${dim}'

Every entry is trained from every seed in a folder of its own and measured on unseen puzzles with several solutions (see
gram_pyro/harness/compare.py). What is finished is not run again, so entries and seeds can be added. The run folder
receives comparison.csv (mean and standard error over seeds), comparison.json, comparison.png and runs.csv.
"""

from functools import partial

import hydra
from omegaconf import DictConfig

from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.compare import run
from gram_pyro.harness.trial import run_trial


@hydra.main(version_base=None, config_path="conf", config_name="compare_priors")
def main(config: DictConfig) -> None:
    run_trial(config, "compare_priors", partial(run, group="prior"))


if __name__ == "__main__":
    plain_arguments()
    main()
