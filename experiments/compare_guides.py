"""Guides side by side: one model, one data set, one budget; only the guide changes.

    python experiments/compare_guides.py
    python experiments/compare_guides.py seeds=[0] guides=[concat,residual] train.updates=200
    gram-pyro compare_guides +own.mine._target_=my_guide.Mine '+own.mine.dim=${dim}'

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


@hydra.main(version_base=None, config_path="conf", config_name="compare_guides")
def main(config: DictConfig) -> None:
    run_trial(config, "compare_guides", partial(run, group="guide"))


if __name__ == "__main__":
    plain_arguments()
    main()
