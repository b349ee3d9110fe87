"""List the shipped weights, or show the card of one.

    python experiments/models.py
    python experiments/models.py name=sudoku_6x6
"""

from omegaconf import DictConfig

from gram_pyro.app.models import card, table
from gram_pyro.harness.command import experiment


@experiment
def main(config: DictConfig) -> None:
    print(table() if config.name is None else card(config.name))


if __name__ == "__main__":
    main()
