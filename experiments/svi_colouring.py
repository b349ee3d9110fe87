"""Train GRAM on graph colouring, where a graph has many colourings, and test its claim.

    python experiments/svi_colouring.py                        8 vertices, 3 colours
    python experiments/svi_colouring.py task=colouring_10      10 vertices
    python experiments/svi_colouring.py task=colouring_8_canonical method=trm   without noise: one name per answer

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
