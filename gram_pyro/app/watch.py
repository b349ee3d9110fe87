"""Watch trajectories: a Pyro handler that reads the state at the end of every segment.

It works with every sampler, for all run the same program:

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

    Shapes: answers [N, K, L] int64, of each state; halt [N, K], the halt head's probability that the answer is right.
    """

    answers: Tensor
    halt: Tensor


class Watch(Messenger):
    """Records answers and halt probabilities of the running rows, all of one puzzle x [L]. The sites h, l end a
    segment; then `note` is called with the number of finished segments."""

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
        """The recorded values as the history of the K final trajectories; N is the length of the longest.

        Raises: ValueError if the sampler both resampled and halted, which hides the ancestors.
        """
        follow = halted if found.history is None else resampled
        return Thoughts(*(follow(seen, found) for seen in (self.answers, self.halt)))


def halted(seen: Sequence[Tensor], found: Trajectories) -> Tensor:
    """A halted trajectory leaves the running rows and keeps its values.  Returns: [N, K, ...].

    A deterministic recursion has one row, which is copied for all.
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
    """A resampled trajectory has the history of its ancestor.  Returns: [N, K, ...]."""
    ancestors = found.history.ancestors[:, :, 0]
    if [len(rows) for rows in seen] != [ancestors.shape[1]] * len(ancestors):
        raise ValueError("a sampler that resamples cannot be watched while it halts; leave out halt_at")
    lineage = torch.arange(ancestors.shape[1], device=ancestors.device)
    frames = []
    for rows, parents in zip(reversed(seen), reversed(ancestors), strict=True):
        lineage = parents[lineage]
        frames.append(rows[lineage])
    return torch.stack(frames[::-1])
