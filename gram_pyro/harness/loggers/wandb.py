"""Rows as metrics of a run of Weights & Biases; `WANDB_MODE=offline` sends nothing.

Source: ours.
"""

from collections.abc import Callable
from pathlib import Path


def open_writer(
    folder: Path, program: str, config: dict, project: str = "gram_pyro"
) -> Callable[[dict[str, float]], None]:
    """A writer of rows to the run of this program and folder, which continues if it exists.

    Raises: ImportError if wandb is not installed.
    """
    import wandb

    place = f"{folder.name}-{program}"
    run = wandb.init(
        project=project, name=place, id=place, resume="allow", dir=str(folder), config=config, reinit="create_new"
    )

    def write(row: dict[str, float]) -> None:
        run.log(row, step=row["updates"])

    return write
