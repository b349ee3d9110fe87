"""The guide q(z_t | u_t, y): a separate network that gives the posterior of every latent while the model runs.

Model and guide run interleaved (pyro.poutine.guide.GuideMessenger), so the recursion is computed once. The other
arguments of an objective are checked in `gram_pyro.training.arguments`.
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

PROGRAM = ("x", "y", "state", "segment")  # the arguments of model and guide, in this order


class Guide(AutoMessenger):
    """Base of all guides. Subclasses implement `posterior`; `gram_pyro.contract.check_guide` tests them.

    Attributes of a guide must not have names of attributes of the model (embed, core, prior, readout): Pyro's global
    store keys parameters by name, and a shared name would silently leave one of the two untrained. Use ``q_...``.

    Call it as the model: guide(x, y, state, segment).
    """

    def __init__(self, model: GRAM) -> None:
        super().__init__(model)

    @abstractmethod
    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        """q(z_t | u_t, y).  Shapes: u [..., B, L, D], y [B, L] -> batch [..., B], event [L, D]."""

    def posterior_in(
        self, segment: int, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int
    ) -> dist.TorchDistribution:
        """`posterior` in the segment with this index in its trajectory. By default all segments are alike."""
        return self.posterior(u, y, prior, t)

    def start(self, x: Tensor, y: Tensor) -> State | None:
        """The state from which training begins the trajectory of a guided row; None: the initial one. A guide that
        knows the law of later states may begin in the middle.  Shapes: x, y [B, L].
        """
        return None

    @property
    def depends_on_segment(self) -> bool:
        """Whether the posterior differs between segments. A CUDA graph then needs one recording per segment."""
        return type(self).posterior_in is not Guide.posterior_in

    def get_posterior(self, name: str, prior: dist.TorchDistribution) -> dist.TorchDistribution:
        """Called by Pyro at every latent site.

        Raises: ValueError if the model was run without a solution y, or if one of prior and posterior is discrete.
        """
        if not name.startswith("z_"):
            return prior  # an answer that is not observed
        given = arguments(*self.args_kwargs)
        if given["y"] is None:
            raise ValueError(
                "got no solution y; expected one, for the guide is q(z_t | u_t, y); write guide(x, y) or "
                "guide(x, y, state)"
            )
        t = int(name.removeprefix("z_"))
        law = self.posterior_in(given["segment"], self.upstream_value(f"u_{t}"), given["y"], prior, t)
        if law.support.is_discrete != prior.support.is_discrete:
            kinds = ["discrete" if part.support.is_discrete else "continuous" for part in (prior, law)]
            raise ValueError(
                f"got a prior with {kinds[0]} latents and the guide {type(self).__name__} with {kinds[1]} ones; "
                "expected one kind; write guide=bootstrap, or a guide of the prior's family"
            )
        return law

    def _pyro_sample(self, msg: Message) -> None:
        if msg.get("_intervener_id") is not None:
            raise ValueError(
                f"got poutine.do of {msg['name']!r} around the guide {type(self).__name__}, which would ignore the new "
                "value; expected the model alone; write poutine.do(model, data=...)(x)"
            )
        super()._pyro_sample(msg)

    def _pyro_post_sample(self, msg: Message) -> None:
        """Hide observed sites from a trace of the guide: they belong to the model. A latent that is conditioned on is
        observed too, and the prior scores it."""
        if msg["is_observed"] and "prior" in msg["infer"]:
            msg["fn"] = msg["infer"].pop("prior").expand(msg["fn"].batch_shape)
        super()._pyro_post_sample(msg)
        if msg["is_observed"]:
            for outer in _PYRO_STACK[: _PYRO_STACK.index(self)]:
                if isinstance(outer, TraceMessenger) and msg["name"] in outer.trace:
                    outer.trace.remove_node(msg["name"])

    def final_state(self) -> State:
        """The final state of the last call, detached from the graph. The next segment starts from it."""
        return State(self.upstream_value("h"), self.upstream_value("l")).detach()

    @torch.no_grad()
    def kl(self) -> Tensor:
        """KL(q || p) of every transition of the last call, [T], nats per puzzle.

        Where there is no closed form it is the one-sample estimate log q(z) - log p(z). Latents that were conditioned
        on have no KL and are left out. An objective that computed the KL stores it in ``site["infer"]["kl"]``.
        """
        found = []
        for site in self.trace.nodes.values():
            if site["type"] == "sample" and "prior" in (infer := site["infer"]):
                kl = infer["kl"] if "kl" in infer else divergence(site["fn"], infer["prior"], site["value"])
                found.append(kl.mean())
        return torch.stack(found)


def arguments(args: tuple, kwargs: dict[str, object]) -> dict[str, object]:
    """The arguments of a call of model or guide, by name."""
    return {"y": None, "state": None, "segment": 0} | dict(zip(PROGRAM, args, strict=False)) | kwargs


def family(law: dist.TorchDistribution) -> str:
    """The name of a law: Normal for Independent(Normal(...), 2)."""
    return family(law.base_dist) if isinstance(law, dist.Independent) else type(law).__name__


def divergence(q: dist.TorchDistribution, p: dist.TorchDistribution, z: Tensor) -> Tensor:
    """KL(q || p) in closed form, or its estimate at one draw z ~ q.  Shapes: batch [...] -> [...], nats."""
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return q.log_prob(z) - p.log_prob(z)
