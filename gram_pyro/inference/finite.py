"""Sampling stops at a number that is not finite, and the error says where it arose.

Otherwise it would end in an answer like any other, and be counted as wrong. The final state h, l of every segment is
checked. If it is not finite, the sites of the segment are searched for the first that is not.  Source: ours.
"""

from types import TracebackType

import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import Message
from torch import Tensor, nn

MAKERS = {"u": "core", "z": "prior or guide", "h": "core", "l": "core", "y": "readout"}


class Finite(Messenger):
    """A context around segment `segment` (counted from 1) of rows; row r belongs to puzzle `puzzles[r]`.

    Raises: FloatingPointError at its end if h or l is not finite, with the first site that is not.
    """

    def __init__(self, segment: int, puzzles: Tensor) -> None:
        super().__init__()
        self.segment, self.puzzles = segment, puzzles
        self.sites: dict[str, tuple[Tensor, int]] = {}  # value and number of event dims, in order

    def _pyro_post_sample(self, msg: Message) -> None:
        value, given = msg["value"], msg["is_observed"] and not msg["infer"].get("_deterministic")
        if value.is_floating_point() and not given and any(frame.dim == -1 for frame in msg["cond_indep_stack"]):
            self.sites[msg["name"]] = value, msg["fn"].event_dim

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        handed_on = [finite_rows(*self.sites[name]).all() for name in ("h", "l") if name in self.sites]
        if kind is None and handed_on and not torch.stack(handed_on).all():
            found = {name: finite_rows(*site) for name, site in self.sites.items()}
            name, rows = next((name, rows) for name, rows in found.items() if not rows.all())
            puzzle = int(self.puzzles[(~rows).int().argmax()])
            refuse(name, f"segment {self.segment} of puzzle {puzzle}, counted from 0")


def finite_rows(value: Tensor, event_dim: int) -> Tensor:
    """Whether all values of a row are finite: then their sum is.  Shapes: [..., r, event] -> [r] bool."""
    rows = value.flatten(value.ndim - event_dim).sum(-1) if event_dim else value
    return rows.isfinite().flatten(0, -2).all(0) if rows.ndim > 1 else rows.isfinite()


def check_landed(values: dict[str, Tensor], depth: Tensor, puzzles: Tensor) -> None:
    """Check values of rows after a segment, named by their origin.  Shapes: each [R], depth, puzzles [R].

    Raises: FloatingPointError if one is NaN or +inf.
    """
    for name, value in values.items():
        if (bad := torch.isnan(value) | (value == torch.inf)).any():
            row = bad.int().argmax()
            refuse(name, f"segment {int(depth[row])} of puzzle {int(puzzles[row])}, counted from 0")


def check_weights(module: nn.Module) -> None:
    """For programs without sites.  Raises: FloatingPointError if a weight is not finite."""
    sums = {name: weight.detach().sum() for name, weight in module.named_parameters()}
    if sums and not torch.stack(list(sums.values())).isfinite().all():
        name = next(name for name, total in sums.items() if not total.isfinite())
        raise FloatingPointError(
            f"got a number that is not finite in the weight {name!r} of {type(module).__name__}; expected finite "
            "numbers; train it again with a lower learning_rate"
        )


def refuse(site: str, place: str) -> None:
    """Raises: FloatingPointError that names the site, its place, and the part that made it."""
    maker = MAKERS.get(site.partition("_")[0], site)
    raise FloatingPointError(
        f"got a number that is not finite at site {site!r} of {place}; expected finite numbers; look for it in the "
        f"weights, or in what the {maker} returns"
    )
