"""Train GRAM on N-Queens completion, where most of the difficulty is having several solutions, and try its claim.

    python experiments/svi_nqueens.py                          8x8, CPU
    python experiments/svi_nqueens.py task.split=input         the paper's split
    python experiments/svi_nqueens.py task=nqueens_10          up to 93 solutions

The run folder is that of svi_sudoku.py.
"""

import hydra
from omegaconf import DictConfig

from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.trial import run_trial


@hydra.main(version_base=None, config_path="conf", config_name="svi_nqueens")
def main(config: DictConfig) -> None:
    run_trial(config, "svi_nqueens")


if __name__ == "__main__":
    plain_arguments()
    main()
