"""K trajectories for each of B puzzles: the result of every sampler."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor


class History(NamedTuple):
    """Weights and ancestors of a particle filter, segment by segment.

    log_weights [N, K, B]: nats, after segment n and before any resampling. ancestors [N, K, B] int64: the particle
    that particle k continued from after segment n; k itself where nothing was resampled.
    """

    log_weights: Tensor
    ancestors: Tensor


class Trajectories(NamedTuple):
    """Sampled trajectories without their states, so that memory does not grow with D.

    answers         [K, B, L]  int64, the most probable answer of each
    log_weights     [K, B]     nats; zeros where all have equal weight
    log_evidence    [B]        log of the estimate of E_prior[G(h_N)], nats; zeros without a potential G
    log_likelihood  [K, B]     log p(answer | h_N), nats
    depth           [K, B]     int64, segments run
    change          [K, B]     rms of h_N - h_{N-1}
    halt, value     [K, B]     probabilities by the heads; None where sampling ran without heads
    history         of resampling; None where there was none
    """

    answers: Tensor
    log_weights: Tensor
    log_evidence: Tensor
    log_likelihood: Tensor
    depth: Tensor
    change: Tensor
    halt: Tensor | None = None
    value: Tensor | None = None
    history: History | None = None

    @property
    def num_particles(self) -> int:
        return self.answers.shape[0]

    def per_particle(self, function: Callable[[Tensor], Tensor]) -> "Trajectories":
        """The same with `function` applied to every field [K, B, ...]. The history is dropped: it belongs to the old
        particles."""
        fields = self._asdict() | {"history": None}
        kept = ("log_evidence", "history")
        return Trajectories(**{n: f if f is None or n in kept else function(f) for n, f in fields.items()})

    def select(self, ancestors: Tensor) -> "Trajectories":
        """The particles at `ancestors` [K', B], with equal weights."""

        def pick(field: Tensor) -> Tensor:
            return field.gather(
                0, ancestors[..., None].expand(-1, -1, field.shape[-1]) if field.ndim == 3 else ancestors
            )

        chosen = self.per_particle(pick)
        return chosen._replace(log_weights=torch.zeros_like(chosen.log_weights))

    def to(self, device: torch.device | str) -> "Trajectories":
        history = self.history and History(*(t.to(device) for t in self.history))
        moved = self.per_particle(lambda field: field.to(device))
        return moved._replace(log_evidence=self.log_evidence.to(device), history=history)


def concatenate(parts: Sequence[Trajectories]) -> Trajectories:
    """The trajectories of several groups of puzzles as one."""

    def cat(name: str) -> Tensor | History | None:
        fields = [getattr(part, name) for part in parts]
        if fields[0] is None:
            return None
        if name == "history":
            return History(*(torch.cat(same, -1) for same in zip(*fields, strict=True)))
        return torch.cat(fields, 0 if name == "log_evidence" else 1)

    return Trajectories(*(cat(name) for name in Trajectories._fields))


def equally_long(parts: Sequence[Trajectories]) -> list[Trajectories]:
    """The same with histories of equal length: a shorter history repeats its last segment."""
    longest = max(len(part.history.ancestors) for part in parts)

    def lengthened(history: History) -> History:
        missing = longest - len(history.ancestors)
        weights, parents = (field[-1:].expand(missing, -1, -1) for field in history)
        own = torch.arange(parents.shape[1], device=parents.device)[:, None].expand_as(parents)
        return History(torch.cat([history.log_weights, weights]), torch.cat([history.ancestors, own]))

    return [part._replace(history=lengthened(part.history)) for part in parts]


def stack(parts: Sequence[Trajectories]) -> Trajectories:
    """More particles of the same puzzles, without history."""
    if len(parts) == 1:
        return parts[0]
    fields = {name: [getattr(part, name) for part in parts] for name in Trajectories._fields}
    kept = ("log_evidence", "history")
    return Trajectories(**{n: f[0] if n in kept or f[0] is None else torch.cat(f) for n, f in fields.items()})


def in_one_piece(parts: Iterable[Trajectories], num_rows: int) -> Trajectories:
    """Parts joined as the trajectories of `num_rows` puzzles, without history.

    Every part is copied into its final place at once. If small results were kept between the large intermediates of the
    next part, a CPU's allocator could not use that memory again, and 10,000 rows would take 1.5 times the memory of
    1000.
    Raises: StopIteration if there is no part.
    """
    parts = iter(parts)
    first = next(parts)
    whole = first.per_particle(lambda field: field.new_empty(len(field), num_rows, *field.shape[2:]))
    whole = whole._replace(log_evidence=first.log_evidence.new_empty(num_rows))
    start = 0
    for part in chain([first], parts):
        end = start + part.answers.shape[1]
        for field, piece in zip(whole, part, strict=True):
            if field is not None:
                field.narrow(int(field.ndim > 1), start, end - start).copy_(piece)
        start = end
    return whole
