"""Compare guides: same model, data set and budget; only the guide differs.

    python experiments/compare_guides.py
    python experiments/compare_guides.py seeds=[0] guides=[concat,residual] train.updates=200
    gram-pyro compare_guides +own.mine._target_=my_guide.Mine '+own.mine.dim=${dim}'

Every entry is trained from every seed in its own folder and measured on unseen puzzles with several solutions (see
gram_pyro/harness/compare.py). Finished runs are not repeated, so you can add entries and seeds. The run folder receives
comparison.csv (mean and standard error over seeds), comparison.json, comparison.png and runs.csv.
"""

from omegaconf import DictConfig

from gram_pyro.harness.compare import run
from gram_pyro.harness.trial import trial


@trial
def main(config: DictConfig) -> None:
    run(config, "guide")


if __name__ == "__main__":
    main()
