"""The metrics table of a run: a .csv with one row of means per interval. It continues from a checkpoint."""

import csv
from io import StringIO
from pathlib import Path

import torch
from torch import Tensor

from gram_pyro.storage.atomic import write_atomically


class MetricsTable:
    """The written rows, and the sums of metrics that are not in a row yet.

    The whole file is written for every row, before the checkpoint that counts it. So after a crash it may have one row
    more than the checkpoint knows, but never one less.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []  # the header first
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, record: dict[str, Tensor]) -> None:
        """Add the metrics of one trajectory to the next row."""
        self.sums = {name: self.sums[name] + value if self.sums else value for name, value in record.items()}
        self.count += 1

    def means(self) -> dict[str, Tensor]:
        """The means since the last row. The sums start again at zero."""
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
        """What a checkpoint must contain to continue the table."""
        sums = {f"sum.{name}": value for name, value in self.sums.items()}
        return {"lines": torch.tensor(len(self.lines)), "count": torch.tensor(self.count)} | sums

    def restore(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Continue from `state` and drop later rows.  Raises: ValueError if earlier rows are missing."""
        self.count, wanted = int(state["count"]), int(state["lines"])
        self.sums = {n.removeprefix("sum."): v.to(device) for n, v in state.items() if n.startswith("sum.")}
        text = self.path.read_bytes().decode() if self.path.is_file() else ""
        self.lines = text.splitlines(keepends=True)[:wanted]
        if len(self.lines) < wanted:
            raise ValueError(
                f"got {len(self.lines)} lines in {self.path}; expected the {wanted} from which the checkpoint goes on; "
                "put the table back, or delete the checkpoint to train again"
            )
