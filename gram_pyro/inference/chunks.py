"""Rows a chunk at a time, segments one after the other, and a bar where that takes long."""

from collections.abc import Iterable
from typing import TypeVar

from torch import Tensor
from tqdm import tqdm

PATIENCE = 3.0  # seconds without a bar; what ends sooner shows none

T = TypeVar("T")


def in_chunks(rows: Tensor, size: int) -> Iterable[Tensor]:
    """The parts of rows [R, ...], `size` rows each, the last as many as are left."""
    parts = rows.split(size)
    return _with_bar(parts, len(parts), "chunk")


def in_segments(segments: Iterable[T], total: int) -> Iterable[T]:
    """The same of `total` segments, which may be told one by one, so that memory does not grow with depth."""
    return _with_bar(segments, total, "segment")


def _with_bar(parts: Iterable[T], total: int, unit: str) -> Iterable[T]:
    how = {"delay": PATIENCE, "mininterval": 1, "leave": False, "dynamic_ncols": True}
    return tqdm(parts, desc="sampling", total=total, unit=unit, **how)
