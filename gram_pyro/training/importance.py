"""Training with K importance-weighted trajectories per puzzle: IWAE, its low-variance gradient, reweighted wake-sleep.

    w_k = p(y | h_T) prod_t p(z_t | u_t) / q(z_t | u_t, y),  z ~ q              log-weights [K, B]

    iwae   log 1/K sum_k w_k <= log p(y | x, state), increasing in K            Burda et al. 2016
    dreg   the same value; the guide's gradient without its score term          Tucker et al. 2019
    rws    the same value; model and guide each fit the weighted trajectories   Bornschein & Bengio 2015

The K trajectories of a puzzle run in parallel through all segments. Only the bound combines them.
"""

from abc import abstractmethod
from typing import Any

import pyro
import torch
from pyro.infer import ELBO
from pyro.infer.enum import get_importance_trace
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import Message
from pyro.poutine.trace_struct import Trace
from torch import Tensor
from torch.distributions import Distribution

from gram_pyro.distributions.gradient import stop_gradient
from gram_pyro.guide import Guide, arguments
from gram_pyro.inference.weights import log_mean_exp
from gram_pyro.model import GRAM
from gram_pyro.training.arguments import check_model, check_names, check_reparameterised, warn_of_truncation


class Weighed:
    """One guided run of a program, as traces and log-probabilities per trajectory.

    Attributes: latents, log p(z) - log q(z) summed over latent sites; answer, log p(y | h); shapes [..., B], nats.
    Raises: ValueError on a site outside the plate of puzzles (all puzzles would share its weight), on a scaled or
    masked site (the weights would be those of another model), and on a model that is not the guide's.
    """

    def __init__(self, model: GRAM, guide: Guide, *args: object, **kwargs: object) -> None:
        check_model(model, guide)
        self.model_trace, self.guide_trace = get_importance_trace("flat", 2, model, guide, args, kwargs)
        check_names(model, guide)
        latents, answer = [], []
        for name, site in self.model_trace.nodes.items():
            if site["type"] != "sample" or site["infer"].get("_deterministic"):
                continue
            check_site(name, site)
            if site["is_observed"]:
                answer.append(site["log_prob"])
            else:
                latents.append(site["log_prob"] - self.guide_trace.nodes[name]["log_prob"])
        self.latents, self.answer = sum(latents), sum(answer)

    @property
    def log_weights(self) -> Tensor:
        return self.latents + self.answer


def check_site(name: str, site: dict[str, Any]) -> None:
    """Raises: ValueError unless the site is inside the plate of puzzles, unscaled and unmasked."""
    if not any(frame.dim == -1 for frame in site["cond_indep_stack"]):
        raise ValueError(
            f"got site {name!r} outside the plate 'puzzles', so that the whole batch would share its weight; expected "
            "it inside; write it under pyro.plate('puzzles', ..., dim=-1)"
        )
    if not isinstance(site["scale"], float | int) or site["scale"] != 1 or site["mask"] is not None:
        raise ValueError(
            f"got site {name!r} scaled by {site['scale']} (mask: {site['mask']}); expected sites without scale and "
            "mask, for with beta != 1 there is no bound; write train.beta=1, or objective=balanced"
        )


class Importance_ELBO(ELBO):
    """Base of the objectives on K log-weights per puzzle: value -sum_b log 1/K sum_k w_kb, nats.

    Args: num_particles K. Subclasses implement `surrogate`.  Raises: ValueError unless K >= 1.
    """

    def __init__(self, *, num_particles: int = 8, max_plate_nesting: int = 1) -> None:
        if num_particles < 1:
            raise ValueError(f"got num_particles={num_particles}; expected 1 or more")
        super().__init__(num_particles=num_particles, max_plate_nesting=max_plate_nesting)

    @abstractmethod
    def surrogate(self, model: GRAM, guide: Guide, weighed: Weighed, args: tuple, kwargs: dict) -> Tensor:
        """A scalar with the gradient of the loss; its value is not used."""

    def differentiable_loss(self, model: GRAM, guide: Guide, *args: object, **kwargs: object) -> Tensor:
        with self._particles():
            weighed = Weighed(model, guide, *args, **kwargs)
            surrogate = self.surrogate(model, guide, weighed, args, kwargs)
        value = -log_mean_exp(weighed.log_weights.detach()).sum()
        return value + surrogate - surrogate.detach()

    @torch.no_grad()
    def loss(self, model: GRAM, guide: Guide, *args: object, **kwargs: object) -> float:
        with self._particles():
            return -log_mean_exp(Weighed(model, guide, *args, **kwargs).log_weights).sum().item()

    def loss_and_grads(self, model: GRAM, guide: Guide, *args: object, **kwargs: object) -> float:
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        if loss.requires_grad:
            loss.backward(retain_graph=self.retain_graph)
        return loss.item()

    def _get_trace(self, model: GRAM, guide: Guide, args: tuple, kwargs: dict) -> tuple[Trace, Trace]:
        with self._particles():
            weighed = Weighed(model, guide, *args, **kwargs)
        return weighed.model_trace, weighed.guide_trace

    def _particles(self) -> pyro.plate:
        return pyro.plate("particles", self.num_particles, dim=-2)


class IWAE(Importance_ELBO):
    """The importance-weighted bound and its gradient, sum_k v_k grad log w_k with v_k = w_k / sum_j w_j.

    If num_grad_steps < T - 1, the path from an early latent through the core is cut, so the gradient is biased, and a
    warning says so. With T - 1 steps or more the guide's gradient is exact.
    """

    def surrogate(self, model: GRAM, guide: Guide, weighed: Weighed, args: tuple, kwargs: dict) -> Tensor:
        check_reparameterised("iwae", weighed.guide_trace)
        warn_of_truncation("iwae", model)
        return -log_mean_exp(weighed.log_weights).sum()


class DReG(Importance_ELBO):
    """IWAE with the doubly reparameterised gradient: unbiased, and without noise where the guide is exact.

    Neither holds if num_grad_steps < T - 1, see `IWAE`.

        model   sum_k v_k   grad log p(y, z_k), z_k held fixed
        path    sum_k v_k^2 (d log w_k / d z_k) grad z_k

    q(z_2 | u_2) depends on the value of z_1 and on the weights, and the gradient must follow only the former. So the
    program runs a second time on the drawn latents, detached from the graph. It costs twice as much as IWAE.
    """

    def surrogate(self, model: GRAM, guide: Guide, weighed: Weighed, args: tuple, kwargs: dict) -> Tensor:
        check_reparameterised("dreg", weighed.guide_trace)
        warn_of_truncation("dreg", model)
        drawn = latents(weighed.guide_trace)
        fixed = {name: z.detach().requires_grad_() for name, z in drawn.items()}
        with Fix(fixed):
            again = Weighed(model, guide, *args, **kwargs)
        share = again.log_weights.detach().softmax(0)
        slopes = torch.autograd.grad(
            again.log_weights.sum(), list(fixed.values()), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        path = sum(
            (share.square() * (slope.detach() * z).flatten(share.ndim).sum(-1)).sum()
            for slope, z in zip(slopes, drawn.values(), strict=True)
        )
        return -path - (share * log_joint(again.model_trace)).sum()


class RWS(Importance_ELBO):
    """Wake-wake: model and guide increase log p(y, z_k) and log q(z_k | y) of the drawn latents, weighted by v_k.

    No gradient passes through a draw, so discrete latents can be trained. The guide's term is detached at u_t, so it
    trains the guide alone. The guide's `posterior_in` is called again after the run; it may use its arguments only.
    """

    def differentiable_loss(self, model: GRAM, guide: Guide, *args: object, **kwargs: object) -> Tensor:
        with Cut():
            return super().differentiable_loss(model, guide, *args, **kwargs)

    def surrogate(self, model: GRAM, guide: Guide, weighed: Weighed, args: tuple, kwargs: dict) -> Tensor:
        share = weighed.log_weights.detach().softmax(0)
        given = arguments(args, kwargs)
        wake = 0.0
        for name, z in latents(weighed.guide_trace).items():
            t = int(name.removeprefix("z_"))
            u = weighed.model_trace.nodes[f"u_{t}"]["value"].detach()
            prior: Distribution = stop_gradient(weighed.model_trace.nodes[name]["fn"])
            wake = wake + (share * guide.posterior_in(given["segment"], u, given["y"], prior, t).log_prob(z)).sum()
        return -wake - (share * log_joint(weighed.model_trace)).sum()


def latents(guide_trace: Trace) -> dict[str, Tensor]:
    """The drawn latents by name."""
    nodes = guide_trace.nodes.items()
    return {name: site["value"] for name, site in nodes if site["type"] == "sample" and name.startswith("z_")}


def log_joint(model_trace: Trace) -> Tensor:
    """log p(y, z), [K, B]."""
    sites = [s for s in model_trace.nodes.values() if s["type"] == "sample" and not s["infer"].get("_deterministic")]
    return sum(site["log_prob"] for site in sites)


class Fix(Messenger):
    """Give the named latents these values instead of drawing them."""

    def __init__(self, values: dict[str, Tensor]) -> None:
        super().__init__()
        self.values = values

    def _pyro_sample(self, msg: Message) -> None:
        if msg["name"] in self.values:
            msg["value"], msg["done"] = self.values[msg["name"]], True


class Cut(Messenger):
    """Cut every drawn latent from the graph."""

    def _pyro_post_sample(self, msg: Message) -> None:
        if msg["name"].startswith("z_"):
            msg["value"] = msg["value"].detach()
