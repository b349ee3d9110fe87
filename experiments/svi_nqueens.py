"""Train GRAM on N-Queens completion, whose main difficulty is that there are several solutions, and test its claim.

    python experiments/svi_nqueens.py                          8x8, CPU
    python experiments/svi_nqueens.py task.split=input         the paper's split
    python experiments/svi_nqueens.py task=nqueens_10          up to 93 solutions

The run folder is that of svi_sudoku.py.
"""

from omegaconf import DictConfig

from gram_pyro.harness.claim import Claim
from gram_pyro.harness.trial import run, trial


@trial
def main(config: DictConfig) -> None:
    run(config, Claim)


if __name__ == "__main__":
    main()
