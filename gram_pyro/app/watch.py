"""Watching trajectories think: a Pyro handler that reads the state at the end of every segment.

Any sampler can be watched, for all run the same program:

    with Watch(program, x) as watch:
        found = sampler(program.model, x[None], num_particles, num_segments, chunk=num_particles)
    thoughts = watch.replay(found)

Source: ours.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor

from gram_pyro.harness.load import Program
from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.networks.core import State


class Thoughts(NamedTuple):
    """K trajectories of one puzzle after every segment.

    Shapes: answers [N, K, L] int64, what each would answer; halt [N, K], the halt head's probability that it is right.
    """

    answers: Tensor
    halt: Tensor


class Watch(Messenger):
    """Sees answers and halt probabilities of the rows in flight, all of one puzzle x [L]; sites h, l end a segment, and
    `note` is called with the number of those that have ended."""

    def __init__(self, program: Program, x: Tensor, note: Callable[[int], None] = lambda _: None) -> None:
        super().__init__()
        self.program, self.x, self.note = program, x, note
        self.answers: list[Tensor] = []
        self.halt: list[Tensor] = []

    def _pyro_post_sample(self, message: dict) -> None:
        if message["name"] == "h":
            self._h = message["value"]
        elif message["name"] == "l":
            state = State(self._h, message["value"])
            self.answers.append(self.program.model.readout.answer(state, self.x))
            self.halt.append(self.program.heads(state).halt.sigmoid())
            self.note(len(self.halt))

    def replay(self, found: Trajectories) -> Thoughts:
        """What was seen, as the past of the K trajectories that came out; N is the longest of them.

        Raises: ValueError if the sampler resampled and halted, which hides who continued from whom.
        """
        follow = halted if found.history is None else resampled
        return Thoughts(*(follow(seen, found) for seen in (self.answers, self.halt)))


def halted(seen: Sequence[Tensor], found: Trajectories) -> Tensor:
    """A trajectory that halts leaves the rows in flight, and stays as it was.  Returns: [N, K, ...].

    Of a deterministic recursion there is one row, which stands for all.
    """
    depth = found.depth[:, 0]
    frame = seen[0].expand(len(depth), *seen[0].shape[1:])
    frames = []
    for segment, rows in enumerate(seen, 1):
        frame = frame.clone()
        frame[depth >= segment] = rows
        frames.append(frame)
    return torch.stack(frames)


def resampled(seen: Sequence[Tensor], found: Trajectories) -> Tensor:
    """A trajectory that was resampled has the past of the one it continued from.  Returns: [N, K, ...]."""
    ancestors = found.history.ancestors[:, :, 0]
    if [len(rows) for rows in seen] != [ancestors.shape[1]] * len(ancestors):
        raise ValueError("a sampler that resamples cannot be watched while it halts; leave out halt_at")
    lineage = torch.arange(ancestors.shape[1], device=ancestors.device)
    frames = []
    for rows, parents in zip(reversed(seen), reversed(ancestors), strict=True):
        lineage = parents[lineage]
        frames.append(rows[lineage])
    return torch.stack(frames[::-1])
