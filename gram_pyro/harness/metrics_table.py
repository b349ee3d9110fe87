"""The metrics table of a run: a .csv with one row of means per interval, which goes on where a checkpoint left it."""

import csv
from io import StringIO
from pathlib import Path

import torch
from torch import Tensor

from gram_pyro.harness.atomic import write_atomically


class MetricsTable:
    """The rows that are written, and the sums of what is not in one yet.

    The file is written whole, row by row, before the checkpoint that counts them: after a crash it may hold one more
    row than the checkpoint knows, never one less.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []  # the header first
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, record: dict[str, Tensor]) -> None:
        """Take the metrics of one trajectory into the next row."""
        self.sums = {name: self.sums[name] + value if self.sums else value for name, value in record.items()}
        self.count += 1

    def means(self) -> dict[str, Tensor]:
        """Of what is not in a row yet; afterwards everything is."""
        means = {name: total / self.count for name, total in self.sums.items()}
        self.sums, self.count = {}, 0
        return means

    def write(self, row: dict[str, object]) -> None:
        """Add a row.  Raises: OSError, as `write_atomically`."""
        new = [list(row), list(row.values())] if not self.lines else [list(row.values())]
        text = StringIO(newline="")
        csv.writer(text).writerows(new)
        self.lines += text.getvalue().splitlines(keepends=True)
        write_atomically(self.path, "".join(self.lines).encode())

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold for the table to go on."""
        sums = {f"sum.{name}": value for name, value in self.sums.items()}
        return {"lines": torch.tensor(len(self.lines)), "count": torch.tensor(self.count)} | sums

    def restore(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Go on from `state`: rows beyond it are forgotten.  Raises: ValueError if rows of it are missing."""
        self.count, wanted = int(state["count"]), int(state["lines"])
        self.sums = {n.removeprefix("sum."): v.to(device) for n, v in state.items() if n.startswith("sum.")}
        text = self.path.read_bytes().decode() if self.path.is_file() else ""
        self.lines = text.splitlines(keepends=True)[:wanted]
        if len(self.lines) < wanted:
            raise ValueError(
                f"{self.path} has {len(self.lines)} lines, and the checkpoint beside it goes on from {wanted}; put the "
                "table back, or delete the checkpoint to train anew"
            )
