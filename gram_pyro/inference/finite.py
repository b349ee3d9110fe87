"""A number that is not finite stops sampling, with a sentence that says where it came from.

Unstopped it would end in an answer like any other, and be counted as wrong. A row's sum at a site is finite only if all
its values are: one pass over memory, and one look per segment.  Source: ours.
"""

from types import TracebackType

import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import Message
from torch import Tensor, nn

MAKERS = {"u": "core", "z": "prior or guide", "h": "core", "l": "core", "y": "readout"}


class Finite(Messenger):
    """A context around segment `segment` (from 1) of rows, row r of puzzle `puzzles[r]`.

    Raises: FloatingPointError at its end, with the first site inside the plate of puzzles that was not finite.
    """

    def __init__(self, segment: int, puzzles: Tensor) -> None:
        super().__init__()
        self.segment, self.puzzles = segment, puzzles
        self.sites: dict[str, Tensor] = {}  # of every row, whether its values are finite, [r] bool

    def _pyro_post_sample(self, msg: Message) -> None:
        value, given = msg["value"], msg["is_observed"] and not msg["infer"].get("_deterministic")
        if value.is_floating_point() and not given and any(frame.dim == -1 for frame in msg["cond_indep_stack"]):
            rows = value.flatten(value.ndim - msg["fn"].event_dim).sum(-1) if msg["fn"].event_dim else value
            self.sites[msg["name"]] = rows.isfinite().flatten(0, -2).all(0) if rows.ndim > 1 else rows.isfinite()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        if kind is None and self.sites:
            finite = torch.stack(list(self.sites.values()))
            if not finite.all():
                site = int((~finite).any(1).int().argmax())
                puzzle = int(self.puzzles[(~finite[site]).int().argmax()])
                refuse(list(self.sites)[site], f"segment {self.segment} of puzzle {puzzle}, counted from 0")


def check_landed(values: dict[str, Tensor | None], depth: Tensor, puzzles: Tensor) -> None:
    """Values of rows at their end, by what made them.  Shapes: each [R] or None, depth, puzzles [R].

    Raises: FloatingPointError if one is NaN or +inf.
    """
    for name, value in values.items():
        if value is not None and (bad := torch.isnan(value) | (value == torch.inf)).any():
            row = bad.int().argmax()
            refuse(name, f"segment {int(depth[row])} of puzzle {int(puzzles[row])}, counted from 0")


def check_weights(module: nn.Module) -> None:
    """Where there are no sites to look at.  Raises: FloatingPointError if a weight is not finite."""
    sums = {name: weight.detach().sum() for name, weight in module.named_parameters()}
    if sums and not torch.stack(list(sums.values())).isfinite().all():
        name = next(name for name, total in sums.items() if not total.isfinite())
        raise FloatingPointError(
            f"got a number that is not finite in the weight {name!r} of {type(module).__name__}; expected finite "
            "numbers; train it anew with a lower learning_rate"
        )


def refuse(site: str, place: str) -> None:
    maker = MAKERS.get(site.partition("_")[0], site)
    raise FloatingPointError(
        f"got a number that is not finite at site {site!r} of {place}; expected finite numbers; look for it in the "
        f"weights, or in what the {maker} returns"
    )
