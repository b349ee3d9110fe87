"""GRAM as a Pyro program: one segment of a stochastic recursion, chained into trajectories through its state.

    e = embed(x);  for t = 1..T:  u_t = f_H(f_L^K(e, state)),  z_t ~ p(z_t | u_t),  h_t = u_t + z_t;  y ~ p(y | h_T)

Source: paper Eqs. 1-9. One call is one segment (the paper's supervision step).
"""

import pyro
import torch
from pyro.nn import PyroModule, pyro_method
from torch import Tensor, nn

from gram_pyro.networks.core import Core, State
from gram_pyro.networks.readout import Readout
from gram_pyro.priors.base import Prior


class GRAM(PyroModule):
    """The generative program.

    Args: embed [..., L] -> [..., L, D]; core, prior, readout; num_transitions T per segment; num_grad_steps: the number
    of transitions, counted from the last, that carry a gradient through the core (paper: 1).

    Sites: u_0 .. u_{T-1} (deterministic), z_0 .. z_{T-1} (latent), h and l (deterministic; the final state), y.
    poutine.do may replace the value of any of them by a tensor that broadcasts to [..., L, D]; the program goes on with
    that value.

    Gradients are truncated in the core only: the transitions before the last `num_grad_steps` run it without a graph.
    Prior and guide get their gradient at every transition. Truncation does not change the value of the bound.

    Raises: ValueError unless 1 <= num_grad_steps <= num_transitions.
    """

    def __init__(
        self,
        embed: nn.Module,
        core: Core,
        prior: Prior,
        readout: Readout,
        num_transitions: int,
        num_grad_steps: int = 1,
    ) -> None:
        super().__init__()
        if not 1 <= num_grad_steps <= num_transitions:
            raise ValueError(
                f"got num_grad_steps={num_grad_steps}; expected a number from 1 to num_transitions={num_transitions}: "
                "the last transition always carries a gradient"
            )
        self.embed, self.core, self.prior, self.readout = embed, core, prior, readout
        self.num_transitions, self.num_grad_steps = num_transitions, num_grad_steps

    @property
    def is_deterministic(self) -> bool:
        """Whether all trajectories of a puzzle are the same and end in the same answer."""
        return self.has_one_path and not self.readout.answers_at_random

    @property
    def has_one_path(self) -> bool:
        """Whether all trajectories of a puzzle pass through the same states."""
        return self.prior.is_point_mass and not self.core.starts_at_random

    def forward(self, x: Tensor, y: Tensor | None = None, state: State | None = None, segment: int = 0) -> State:
        """Run one segment from `state` (None: the initial state) and return the final state.

        Args: segment, its index in the trajectory. Guides may use it; the model is the same in every segment.
        Shapes: x, y [B, L]; state and result [..., B, L, D], any leading particle dims.
        """
        with pyro.plate("puzzles", x.shape[0], dim=-1):
            state = self._transitions(x, state)
            pyro.sample("y", self.readout.trained(state, x), obs=y)
        return state

    @pyro_method
    def reason(self, x: Tensor, state: State | None = None) -> State:
        """Run one segment without drawing an answer. Prior rollouts use this."""
        with pyro.plate("puzzles", x.shape[0], dim=-1):
            return self._transitions(x, state)

    def start(self, x: Tensor) -> State:
        """The initial state of puzzles x [B, L], as a copy that may be written to."""
        h, l = self.core.init(self.embed(x))  # noqa: E741
        return State(h.clone(), l.clone())

    def _transitions(self, x: Tensor, state: State | None) -> State:
        core, prior = self.core, self.prior  # one registration per call, not one per transition
        e = self.embed(x)
        state = core.init(e) if state is None else state
        for t in range(self.num_transitions):
            carries_gradient = t >= self.num_transitions - self.num_grad_steps
            with torch.set_grad_enabled(torch.is_grad_enabled() and carries_gradient):
                state = core.predict(e, state)
            u = recorded(f"u_{t}", state.h)
            z = pyro.sample(f"z_{t}", prior(u, t))
            state = core.perturb(state._replace(h=u), z)
        return State(recorded("h", state.h), recorded("l", state.l))


def recorded(name: str, value: Tensor) -> Tensor:
    """Record `value` as a site.  Returns: `value`, or its replacement by a handler such as poutine.do; [..., L, D]."""
    found = pyro.deterministic(name, value, event_dim=2)
    return value if found is value else torch.broadcast_tensors(found.to(value), value)[0]
