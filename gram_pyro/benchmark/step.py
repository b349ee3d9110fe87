"""A training step with Pyro against the same maths by hand in PyTorch, and the guide in one pass against two.

    one pass   the guide gives the latents while the model runs: the recursion is computed once
    two passes the guide runs first, then the model is replayed against its trace: the recursion is computed twice

Both ways update the same modules. Forward, backward, clipping, AdamW and EMA are in both.
"""

import torch
from pyro import poutine
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from gram_pyro.benchmark.clock import Line, milliseconds, take_turns
from gram_pyro.networks.core import State
from gram_pyro.networks.readout import clamp
from gram_pyro.tasks.base import Batch
from gram_pyro.training.objectives import segment_loss
from gram_pyro.training.rollout_losses import set_loss
from gram_pyro.training.trainer import Trainer


def gaussian(head: torch.nn.Module, features: Tensor) -> Normal:
    return Normal(head.loc(features).float(), 1e-3 + F.softplus(head.raw_scale(features).float() + head.shift))


def frozen(law: Normal) -> Normal:
    return Normal(law.loc.detach(), law.scale.detach())


def by_hand_guided(trainer: Trainer, x: Tensor, y: Tensor) -> Tensor:
    """The segment ELBO with balanced KL, without Pyro."""
    model, guide, balance = trainer.model, trainer.guide, trainer.objective.balance
    core = model.core
    e = model.embed(x)
    state = core.init(e)
    kl = 0.0
    for t in range(model.num_transitions):
        with torch.set_grad_enabled(t >= model.num_transitions - model.num_grad_steps):
            state = core.predict(e, state)
        p = gaussian(model.prior.head, state.h)
        q = gaussian(guide.q_head, torch.cat([state.h, guide.q_embed(y).to(state.h.dtype).expand_as(state.h)], dim=-1))
        kl = kl + balance * kl_divergence(frozen(q), p).sum() + (1 - balance) * kl_divergence(q, frozen(p)).sum()
        state = State(state.h + q.rsample(), state.l)
    logits = clamp(model.readout.logits(state.h).float(), x)
    loss = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") + kl
    return loss / len(x)


def by_hand_rollout(trainer: Trainer, x: Tensor, solutions: Tensor, valid: Tensor) -> Tensor:
    """The set likelihood under the prior, without Pyro."""
    model = trainer.model
    core = model.core
    e = model.embed(x)
    state = core.init(e)
    for t in range(model.num_transitions):
        with torch.set_grad_enabled(t >= model.num_transitions - model.num_grad_steps):
            state = core.predict(e, state)
        state = State(state.h + gaussian(model.prior.head, state.h).rsample(), state.l)
    log_p = clamp(model.readout.logits(state.h).float(), x).log_softmax(-1)
    each = log_p[:, None].expand(-1, solutions.shape[1], -1, -1).gather(-1, solutions[..., None]).squeeze(-1).sum(-1)
    return -each.masked_fill(~valid, -torch.inf).logsumexp(-1).mean()


def guided(trainer: Trainer, x: Tensor, y: Tensor) -> Tensor:
    return segment_loss(trainer.objective, trainer.model, trainer.guide, x, y, None)[0]


def guided_twice(trainer: Trainer, x: Tensor, y: Tensor) -> Tensor:
    """The same loss with the model replayed against the trace of the guide."""
    trainer.guide(x, y, None)
    _, guide_trace = trainer.guide.get_traces()
    replayed = poutine.replay(trainer.model, trace=guide_trace)
    model_trace = prune_subsample_sites(poutine.trace(replayed).get_trace(x, y, None))
    model_trace.compute_log_prob()
    return trainer.objective._differentiable_loss_particle(model_trace, guide_trace)[1] / len(x)


def rollout(trainer: Trainer, x: Tensor, solutions: Tensor, valid: Tensor) -> Tensor:
    return set_loss(trainer.model, x, solutions, valid, None)[0]


WAYS = {
    "by hand": (by_hand_guided, by_hand_rollout),
    "Pyro": (guided, rollout),
    "Pyro, two passes": (guided_twice, rollout),
}


def loss_of(trainer: Trainer, way: str, batch: Batch) -> Tensor:
    """The loss of a first segment, without heads."""
    guided_loss, rollout_loss = WAYS[way]
    cut = trainer.settings.num_rollouts
    share = cut / len(batch.x)
    with trainer.settings.autocast(batch.x.device):
        loss = (1 - share) * guided_loss(trainer, batch.x[cut:], batch.y[cut:])
        if cut:
            loss = loss + share * rollout_loss(trainer, batch.x[:cut], batch.solutions[:cut], batch.valid[:cut])
    return loss


def check_same_maths(trainer: Trainer, batch: Batch, seed: int) -> None:
    """Raises: ValueError if the ways differ in their loss under one seed."""
    losses = {}
    for way in WAYS:
        torch.manual_seed(seed)
        losses[way] = loss_of(trainer, way, batch).item()
    if max(losses.values()) - min(losses.values()) > 1e-3 * max(map(abs, losses.values())):
        raise ValueError(f"got the losses {losses}; expected equal ones, of the same maths")


def measure_step(trainer: Trainer, batch: Batch, warmup: int, repeats: int) -> list[Line]:
    """Milliseconds of a step by every way.  Raises: as `check_same_maths`."""
    check_same_maths(trainer, batch, 0)
    ways = {way: lambda way=way: trainer.step(loss_of(trainer, way, batch)) for way in WAYS}
    seconds = take_turns(ways, warmup, repeats, batch.x.device)
    one, two = seconds.pop("Pyro, two passes"), seconds["Pyro"]
    return milliseconds("training step", seconds) + milliseconds("guide", {"one pass": two, "two passes": one})
