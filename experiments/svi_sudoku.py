"""Train GRAM on Sudoku by stochastic variational inference, and test its claim.

    python experiments/svi_sudoku.py                                  6x6, CPU, about 12 minutes
    python experiments/svi_sudoku.py experiment=sudoku_4x4            seconds
    python experiments/svi_sudoku.py prior._target_=my_prior.MyPrior  a prior of your own

The run folder receives config.yaml, and per program (GRAM and its deterministic baseline) a checkpoint and a metrics
table; then results.md, results.json, results.csv and figures. An interrupted run continues with resume=FOLDER.
"""

from omegaconf import DictConfig

from gram_pyro.harness.claim import Claim
from gram_pyro.harness.trial import run, trial


@trial
def main(config: DictConfig) -> None:
    run(config, Claim)


if __name__ == "__main__":
    main()
