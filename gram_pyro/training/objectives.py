"""Training objectives: negative bounds on log p(y | x), as Pyro ELBOs. Pyro's own ELBOs work too.

    balanced:   -E_q[log p(y | z)] + sum_t alpha KL(sg q_t || p_t) + (1 - alpha) KL(q_t || sg p_t)

The two KL terms have the same value and different gradients: a share alpha moves the prior towards the guide.
"""

from typing import Any

from pyro import poutine
from pyro.distributions import TorchDistribution
from pyro.distributions.util import scale_and_mask
from pyro.infer import ELBO, TraceMeanField_ELBO
from pyro.infer.util import is_validation_enabled, torch_item
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import Message
from pyro.poutine.trace_struct import Trace
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor
from torch.distributions import kl_divergence

from gram_pyro.distributions.gradient import scale_gradient
from gram_pyro.guide import Guide, divergence, family
from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.training.arguments import check_model, check_reparameterised


class MeanField_ELBO(TraceMeanField_ELBO):
    """The negative ELBO in nats, summed over puzzles: value and gradient of Pyro's TraceMeanField_ELBO.

    Pyro's version checks for NaN on every call, which forces a GPU sync; `Learner` checks once per trajectory. A KL
    without closed form is estimated at the draw.

    Args: as pyro.infer.ELBO.  Raises: ValueError if a latent is not reparameterised.
    """

    name = "mean_field"

    def loss(self, model: GRAM, guide: Guide, *args: object, **kwargs: object) -> float:
        return torch_item(super().loss(model, guide, *args, **kwargs))

    def loss_and_grads(self, model: GRAM, guide: Guide, *args: object, **kwargs: object) -> float:
        return torch_item(super().loss_and_grads(model, guide, *args, **kwargs))

    def differentiable_loss(self, model: GRAM, guide: Guide, *args: object, **kwargs: object) -> Tensor:
        traces = self._get_traces(model, guide, args, kwargs)
        return sum(self._differentiable_loss_particle(*pair)[1] for pair in traces) / self.num_particles

    def _get_trace(self, model: GRAM, guide: Guide, args: tuple, kwargs: dict) -> tuple[Trace, Trace]:
        runs = poutine.unwrap(guide)  # if particles are vectorised, Pyro wraps the guide in a plate
        if is_validation_enabled() or not isinstance(runs, Guide):
            return super()._get_trace(model, guide, args, kwargs)  # which validates every site
        guide(*args, **kwargs)
        model_trace, guide_trace = map(prune_subsample_sites, runs.get_traces())
        model_trace.compute_log_prob(lambda name, site: site["is_observed"])  # latents need the KL only
        return model_trace, guide_trace

    def _differentiable_loss_particle(self, model_trace: Trace, guide_trace: Trace) -> tuple[Tensor, Tensor]:
        check_reparameterised(self.name, guide_trace)
        loss = 0.0
        for name, site in model_trace.nodes.items():
            if site["type"] != "sample":
                continue
            if site["is_observed"]:
                loss = loss - site["log_prob_sum"]
            else:
                latent = guide_trace.nodes[name]
                kl = self.kl(name, latent["fn"], site["fn"], site["value"])
                latent["infer"]["kl"] = kl.detach()  # for `Guide.kl`
                loss = loss + scale_and_mask(kl, site["scale"], site["mask"]).sum()
        return loss.detach(), loss

    def kl(self, name: str, q: TorchDistribution, p: TorchDistribution, z: Tensor) -> Tensor:
        """KL(q || p) of the latent `name`, or an estimate of it at the draw z.  Shapes: batch [...] -> [...]."""
        return divergence(q, p, z)


class Balanced_ELBO(MeanField_ELBO):
    """MeanField_ELBO with balanced KL gradients. It needs a reparameterised guide and a KL in closed form.

    Args: balance alpha; the others as pyro.infer.ELBO.  Raises: ValueError unless 0 <= balance <= 1, if the KL has no
    closed form, and as MeanField_ELBO.
    Source: paper B.2 (alpha = 0.8, no formula), orientation as in DreamerV2.
    """

    name = "balanced"

    def __init__(self, *, balance: float = 0.8, **kwargs: object) -> None:
        if not 0 <= balance <= 1:
            raise ValueError(f"got balance={balance}; expected a number from 0 to 1; the paper uses 0.8")
        super().__init__(**kwargs)
        self.balance = balance

    def kl(self, name: str, q: TorchDistribution, p: TorchDistribution, z: Tensor) -> Tensor:
        try:  # the gradient is the sum of the gradients for q and for p, so one KL gives both
            return kl_divergence(scale_gradient(q, 1 - self.balance), scale_gradient(p, self.balance))
        except NotImplementedError:
            raise ValueError(
                f"got {family(q)} and {family(p)} at {name!r}, whose KL has no closed form; expected one, which "
                "objective balanced needs; write objective=mean_field, which estimates the KL, or objective=trace_elbo"
            ) from None


class ScaleLatents(Messenger):
    """Multiply the log-probability of every latent site by beta: the bound becomes E log p(y | z) - beta KL.

    beta = 1 is the ELBO; any other value is a penalty, not a bound.  Source: paper B.2.
    """

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def _pyro_sample(self, msg: Message) -> None:
        if msg["name"].startswith("z_"):
            msg["scale"] = msg["scale"] * self.beta


class ChargeOnly(Messenger):
    """Counts the KL of the named latent only; the others are masked out."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def _pyro_sample(self, msg: Message) -> None:
        if msg["name"].startswith("z_") and msg["name"] != self.name:
            msg["mask"] = False


class Surrogate(ELBO):
    """The paper's objective (its Eq. 14): an ELBO that counts only the KL of the last latent of a segment.

    The earlier latents then encode the target for free, and the prior does not learn to do so. It is an ablation, not a
    bound.  Args: inner, the ELBO to wrap.
    """

    def __init__(self, inner: ELBO) -> None:
        super().__init__(num_particles=inner.num_particles, max_plate_nesting=inner.max_plate_nesting)
        self.inner = inner

    def _delegate(self, method: str, model: GRAM, guide: Guide, args: tuple, kwargs: dict) -> Any:
        check_model(model, guide)
        with ChargeOnly(f"z_{model.num_transitions - 1}"):
            return getattr(self.inner, method)(model, guide, *args, **kwargs)

    def _get_trace(self, model: GRAM, guide: Guide, args: tuple, kwargs: dict) -> tuple[Trace, Trace]:
        with ChargeOnly(f"z_{model.num_transitions - 1}"):
            return self.inner._get_trace(model, guide, args, kwargs)

    def loss(self, model: GRAM, guide: Guide, *args: object, **kwargs: object) -> float:
        return self._delegate("loss", model, guide, args, kwargs)

    def loss_and_grads(self, model: GRAM, guide: Guide, *args: object, **kwargs: object) -> float:
        return self._delegate("loss_and_grads", model, guide, args, kwargs)

    def differentiable_loss(self, model: GRAM, guide: Guide, *args: object, **kwargs: object) -> Tensor:
        return self._delegate("differentiable_loss", model, guide, args, kwargs)


def segment_loss(
    objective: ELBO,
    model: GRAM,
    guide: Guide,
    x: Tensor,
    y: Tensor,
    state: State | None,
    segment: int = 0,
    beta: float = 1.0,
) -> tuple[Tensor, State]:
    """Run one guided segment: the negative bound on log p(y | x, state), and the final state.

    Args: segment, its index in the trajectory; beta, the weight of the KL.
    Returns: loss, a scalar in nats per puzzle; the final state, detached.
    """
    with ScaleLatents(beta):
        loss = objective.differentiable_loss(model, guide, x, y, state, segment)
    return loss / len(x), guide.final_state()
