"""Compare priors: same model, data set and budget; only the prior differs.

    python experiments/compare_priors.py
    python experiments/compare_priors.py seeds=[0] priors=[gaussian,student_t] train.updates=200
    gram-pyro compare_priors +own.mine._target_=my_prior.Mine '+own.mine.dim=${dim}'

Every entry is trained from every seed in its own folder and measured on unseen puzzles with several solutions (see
gram_pyro/harness/compare.py). Finished runs are not repeated, so you can add entries and seeds. The run folder receives
comparison.csv (mean and standard error over seeds), comparison.json, comparison.png and runs.csv.
"""

from omegaconf import DictConfig

from gram_pyro.harness.compare import run
from gram_pyro.harness.trial import trial


@trial
def main(config: DictConfig) -> None:
    run(config, "prior")


if __name__ == "__main__":
    main()
