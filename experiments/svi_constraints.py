"""Train one GRAM on puzzles of every kind: it reads the rules from the puzzle.

    python experiments/svi_constraints.py                                      Sudoku, Latin squares, queens, graphs, ..
    python experiments/svi_constraints.py '~task.parts.sudoku_9'               without one of them

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
