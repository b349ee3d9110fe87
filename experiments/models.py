"""The weights that are shipped; of one, all that is known.

    python experiments/models.py
    python experiments/models.py name=sudoku_6x6
"""

import hydra
from omegaconf import DictConfig

from gram_pyro.app.models import card, table
from gram_pyro.harness.check_config import check_settings
from gram_pyro.harness.command import plain_arguments, plain_errors


@hydra.main(version_base=None, config_path="conf", config_name="models")
def main(config: DictConfig) -> None:
    with plain_errors():
        check_settings(config)
        print(table() if config.name is None else card(config.name))


if __name__ == "__main__":
    plain_arguments()
    main()
