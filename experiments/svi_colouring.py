"""Train GRAM on graph colouring, where one graph has many colourings, and try its claim.

    python experiments/svi_colouring.py                        8 vertices, 3 colours
    python experiments/svi_colouring.py task=colouring_10      10 vertices
    python experiments/svi_colouring.py task=colouring_8_canonical method=trm   without noise: one name per answer

The run folder is that of svi_sudoku.py.
"""

import hydra
from omegaconf import DictConfig

from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.trial import run_trial


@hydra.main(version_base=None, config_path="conf", config_name="svi_colouring")
def main(config: DictConfig) -> None:
    run_trial(config, "svi_colouring")


if __name__ == "__main__":
    plain_arguments()
    main()
