"""Potentials: how good a state is, log G(h) in nats. SMC and SIR weigh trajectories by them.

    potential(x [R, L], state, answers [R, L]) -> log G [R]

A builder takes (task, heads) and options, and returns a potential. A configuration names a builder:
``sampler=smc sampler.potential._target_=my_module.my_potential``. With finite values no trajectory gets weight zero.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from gram_pyro.networks.core import State
from gram_pyro.networks.heads import Heads
from gram_pyro.tasks.base import Task

Potential = Callable[[Tensor, State, Tensor], Tensor]


def value(task: Task, heads: Heads | None, strength: float = 1.0) -> Potential:
    """log P(right in the end | h), by the value head. At strength 1 the target is the prior given success."""
    check_heads(heads, "value")
    return lambda x, state, answers: strength * F.logsigmoid(heads(state).value)


def halt(task: Task, heads: Heads | None, strength: float = 1.0) -> Potential:
    """log P(the answer is right now | h), by the halt head.  Source: Guided reasoning (arXiv:2605.25230)."""
    check_heads(heads, "halt")
    return lambda x, state, answers: strength * F.logsigmoid(heads(state).halt)


def violation(task: Task, heads: Heads | None, strength: float = 0.5) -> Potential:
    """-strength times the number of rules the decoded answer breaks. Uses the rules, never a solution."""
    return lambda x, state, answers: -strength * task.violations(x, answers).to(state.h.dtype)


def check_heads(heads: Heads | None, name: str) -> None:
    """Raises: ValueError if there are no heads."""
    if heads is None:
        raise ValueError(
            f"got no heads; expected trained ones, which the potential {name!r} reads; write potential=violation"
        )
