"""Train one GRAM on puzzles of every kind: their rules are read from the puzzle, not learnt from a training set.

    python experiments/svi_constraints.py                                      Sudoku, Latin squares, queens, graphs, ..
    python experiments/svi_constraints.py '~task.parts.sudoku_9'               without one of them

The run folder is that of svi_sudoku.py.
"""

import hydra
from omegaconf import DictConfig

from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.trial import run_trial


@hydra.main(version_base=None, config_path="conf", config_name="svi_constraints")
def main(config: DictConfig) -> None:
    run_trial(config, "svi_constraints")


if __name__ == "__main__":
    plain_arguments()
    main()
