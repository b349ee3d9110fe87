"""The guide q(z_t | u_t, y): a separate network that answers the model's latent sites while the model runs.

Model and guide run interleaved (pyro.poutine.guide.GuideMessenger), so the recursion is computed once. What an
objective takes beside a guide is checked in `gram_pyro.training.arguments`.
"""

from abc import abstractmethod

import pyro.distributions as dist
import torch
from pyro.infer.autoguide.effect import AutoMessenger
from pyro.poutine.runtime import _PYRO_STACK, Message
from pyro.poutine.trace_messenger import TraceMessenger
from torch import Tensor
from torch.distributions import kl_divergence

import gram_pyro.training.arguments  # noqa: F401 - from here on Pyro's objectives check what they are given beside a guide
from gram_pyro.model import GRAM
from gram_pyro.networks.core import State

PROGRAM = ("x", "y", "state", "segment")  # what a call of model or guide is given, in this order


class Guide(AutoMessenger):
    """Base of all guides; one abstract method, `posterior`. `gram_pyro.contract.check_guide` names what is wrong.

    Attributes of a guide must not be named like attributes of the model (embed, core, prior, readout): Pyro's global
    store keys parameters by name, and a shared name would silently leave one of the two untrained. Use ``q_...``.

    A call is guide(x, y, state, segment), as of the model.
    """

    def __init__(self, model: GRAM) -> None:
        super().__init__(model)

    @abstractmethod
    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        """q(z_t | u_t, y).  Shapes: u [..., B, L, D], y [B, L] -> batch [..., B], event [L, D]."""

    def posterior_in(
        self, segment: int, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int
    ) -> dist.TorchDistribution:
        """The same in a segment of the trajectory, `segment` others before it; here in all alike."""
        return self.posterior(u, y, prior, t)

    @property
    def depends_on_segment(self) -> bool:
        """Whether segments are not all alike, so that one cannot be recorded in place of another."""
        return type(self).posterior_in is not Guide.posterior_in

    def get_posterior(self, name: str, prior: dist.TorchDistribution) -> dist.TorchDistribution:
        """Called by Pyro at every latent site.

        Raises: ValueError if the model was run without a solution y, or if one of prior and posterior is discrete.
        """
        if not name.startswith("z_"):
            return prior  # the answer itself, where it is not observed
        given = arguments(*self.args_kwargs)
        if given["y"] is None:
            raise ValueError(
                "the guide q(z_t | u_t, y) needs a solution and got none: call it as guide(x, y) or guide(x, y, state)"
            )
        t = int(name.removeprefix("z_"))
        law = self.posterior_in(given["segment"], self.upstream_value(f"u_{t}"), given["y"], prior, t)
        if law.support.is_discrete != prior.support.is_discrete:
            kinds = ["discrete" if part.support.is_discrete else "continuous" for part in (prior, law)]
            raise ValueError(
                f"the latents of the prior are {kinds[0]} and those of the guide {type(self).__name__} {kinds[1]}, so "
                "no draw of one is possible under the other; use guide=bootstrap, or a guide of the prior's family"
            )
        return law

    def _pyro_sample(self, msg: Message) -> None:
        if msg.get("_intervener_id") is not None:
            raise ValueError(
                f"got poutine.do of {msg['name']!r} around the guide {type(self).__name__}, which would go on from the "
                "state as it was; expected the model alone; write poutine.do(model, data=...)(x)"
            )
        super()._pyro_sample(msg)

    def _pyro_post_sample(self, msg: Message) -> None:
        """What the model observes is the model's: whoever traces the guide sees its latents alone. A latent that is
        conditioned on is observed too, and scored by the prior."""
        if msg["is_observed"] and "prior" in msg["infer"]:
            msg["fn"] = msg["infer"].pop("prior").expand(msg["fn"].batch_shape)
        super()._pyro_post_sample(msg)
        if msg["is_observed"]:
            for outer in _PYRO_STACK[: _PYRO_STACK.index(self)]:
                if isinstance(outer, TraceMessenger) and msg["name"] in outer.trace:
                    outer.trace.remove_node(msg["name"])

    def final_state(self) -> State:
        """The state the last call ended in, cut from the graph: where the next segment starts."""
        return State(self.upstream_value("h"), self.upstream_value("l")).detach()

    @torch.no_grad()
    def kl(self) -> Tensor:
        """KL(q || p) of every transition of the last call, [T], nats per puzzle; where it has no closed form, the
        one-sample estimate log q(z) - log p(z). Latents that were conditioned on have none and are left out. An
        objective that came to it leaves it in ``site["infer"]["kl"]``."""
        found = []
        for site in self.trace.nodes.values():
            if site["type"] == "sample" and "prior" in (infer := site["infer"]):
                kl = infer["kl"] if "kl" in infer else divergence(site["fn"], infer["prior"], site["value"])
                found.append(kl.mean())
        return torch.stack(found)


def arguments(args: tuple, kwargs: dict[str, object]) -> dict[str, object]:
    """What a call of the program is given, by name."""
    return {"y": None, "state": None, "segment": 0} | dict(zip(PROGRAM, args, strict=False)) | kwargs


def family(law: dist.TorchDistribution) -> str:
    """What a law is called: Normal for Independent(Normal(...), 2)."""
    return family(law.base_dist) if isinstance(law, dist.Independent) else type(law).__name__


def divergence(q: dist.TorchDistribution, p: dist.TorchDistribution, z: Tensor) -> Tensor:
    """KL(q || p) in closed form, or its estimate at one draw z ~ q.  Shapes: batch [...] -> [...], nats."""
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return q.log_prob(z) - p.log_prob(z)
