"""Rows a chunk at a time, and a bar where that takes long."""

from collections.abc import Iterable

from torch import Tensor
from tqdm import tqdm

PATIENCE = 3.0  # seconds without a bar; what ends sooner shows none


def in_chunks(rows: Tensor, size: int) -> Iterable[Tensor]:
    """The parts of rows [R, ...], `size` rows each, the last as many as are left."""
    parts = rows.split(size)
    return tqdm(parts, desc="sampling", unit="chunk", delay=PATIENCE, mininterval=1, leave=False, dynamic_ncols=True)
