"""Train GRAM on Sudoku by stochastic variational inference, and put its claim on trial.

    python experiments/svi_sudoku.py                                  6x6, CPU, about 12 minutes
    python experiments/svi_sudoku.py experiment=sudoku_4x4            seconds
    python experiments/svi_sudoku.py prior._target_=my_prior.MyPrior  a prior of your own

The run folder receives config.yaml, and per program (GRAM and its deterministic rival) a checkpoint and a metrics
table; then results.md, results.json, results.csv and figures. A run that is interrupted continues with resume=FOLDER.
"""

import hydra
from omegaconf import DictConfig

from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.trial import run_trial


@hydra.main(version_base=None, config_path="conf", config_name="svi_sudoku")
def main(config: DictConfig) -> None:
    run_trial(config, "svi_sudoku")


if __name__ == "__main__":
    plain_arguments()
    main()
