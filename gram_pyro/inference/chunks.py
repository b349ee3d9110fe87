"""Iterate over rows in chunks, or over segments, with a progress bar if it takes more than PATIENCE seconds."""

from collections.abc import Iterable
from typing import TypeVar

from torch import Tensor
from tqdm import tqdm

PATIENCE = 3.0  # seconds before a bar is shown

T = TypeVar("T")


def in_chunks(rows: Tensor, size: int) -> Iterable[Tensor]:
    """Rows [R, ...] in parts of `size` rows; the last part may be smaller."""
    parts = rows.split(size)
    return _with_bar(parts, len(parts), "chunk")


def in_segments(segments: Iterable[T], total: int) -> Iterable[T]:
    """`total` segments, one by one. They may be a generator, so that memory does not grow with depth."""
    return _with_bar(segments, total, "segment")


def _with_bar(parts: Iterable[T], total: int, unit: str) -> Iterable[T]:
    how = {"delay": PATIENCE, "mininterval": 1, "leave": False, "dynamic_ncols": True}
    return tqdm(parts, desc="sampling", total=total, unit=unit, **how)
