"""Rows as scalars for TensorBoard, in the folder tensorboard/PROGRAM of the run: tensorboard --logdir runs.

Source: ours.
"""

from collections.abc import Callable
from pathlib import Path


def open_writer(folder: Path, program: str, config: dict) -> Callable[[dict[str, float]], None]:
    """A writer of rows. A resumed run replaces old rows from the first update that it repeats.

    Raises: ImportError if tensorboard is not installed.
    """
    from torch.utils.tensorboard import SummaryWriter

    writer = None

    def write(row: dict[str, float]) -> None:
        nonlocal writer
        if writer is None:
            writer = SummaryWriter(folder / "tensorboard" / program, purge_step=row["updates"])
        for name, value in row.items():
            if name != "updates":
                writer.add_scalar(name, value, row["updates"])
        writer.flush()

    return write
