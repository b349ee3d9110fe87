"""The cost of Pyro: one training update through the program against the same maths written by hand in PyTorch;
and the memory of training as trajectories get longer.

    python experiments/benchmark.py

Both update the same modules, in the same process, alternating, so that a slow moment of the machine hits both; the
ratio of medians is reported. Forward, backward, clipping, AdamW and EMA are in both.
"""

import json
import resource
import statistics
import time
from dataclasses import replace
from pathlib import Path

import hydra
import pyro
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from gram_pyro.build import build_guide, build_heads, build_model, choose_device
from gram_pyro.compiler import compile_blocks
from gram_pyro.core import State
from gram_pyro.objectives import segment_loss, set_loss
from gram_pyro.tasks.base import Batch
from gram_pyro.train import Trainer, TrainSettings


def gaussian(head: torch.nn.Module, features: Tensor) -> Normal:
    return Normal(head.loc(features).float(), 1e-3 + F.softplus(head.raw_scale(features).float() + head.shift))


def frozen(law: Normal) -> Normal:
    return Normal(law.loc.detach(), law.scale.detach())


def by_hand_guided(trainer: Trainer, x: Tensor, y: Tensor, state: State | None) -> tuple[Tensor, State]:
    """The segment ELBO with balanced KL, without Pyro."""
    model, guide, balance = trainer.model, trainer.guide, trainer.objective.balance
    core = model.core
    e = model.embed(x)
    state = core.init(e) if state is None else state
    kl = 0.0
    for t in range(model.num_transitions):
        with torch.set_grad_enabled(t >= model.num_transitions - model.num_grad_steps):
            state = core.predict(e, state)
        p = gaussian(model.prior.head, state.h)
        q = gaussian(guide.q_head, torch.cat([state.h, guide.q_embed(y).to(state.h.dtype).expand_as(state.h)], dim=-1))
        kl = kl + balance * kl_divergence(frozen(q), p).sum() + (1 - balance) * kl_divergence(q, frozen(p)).sum()
        state = State(state.h + q.rsample(), state.l)
    logits = model.readout.logits(state.h).float()
    loss = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") + kl
    return loss / len(x), state.detach()


def by_hand_free(
    trainer: Trainer, x: Tensor, solutions: Tensor, valid: Tensor, state: State | None
) -> tuple[Tensor, State]:
    """The set likelihood under the prior, without Pyro."""
    model = trainer.model
    core = model.core
    e = model.embed(x)
    state = core.init(e) if state is None else state
    for t in range(model.num_transitions):
        with torch.set_grad_enabled(t >= model.num_transitions - model.num_grad_steps):
            state = core.predict(e, state)
        state = State(state.h + gaussian(model.prior.head, state.h).rsample(), state.l)
    log_p = model.readout.logits(state.h).float().log_softmax(-1)
    each = log_p[:, None].expand(-1, solutions.shape[1], -1, -1).gather(-1, solutions[..., None]).squeeze(-1).sum(-1)
    return -each.masked_fill(~valid, -torch.inf).logsumexp(-1).mean(), state.detach()


def through_pyro_guided(trainer: Trainer, x: Tensor, y: Tensor, state: State | None) -> tuple[Tensor, State]:
    return segment_loss(trainer.objective, trainer.model, trainer.guide, x, y, state)


def through_pyro_free(
    trainer: Trainer, x: Tensor, solutions: Tensor, valid: Tensor, state: State | None
) -> tuple[Tensor, State]:
    return set_loss(trainer.model, x, solutions, valid, state)


WAYS = {"pyro": (through_pyro_guided, through_pyro_free), "by hand": (by_hand_guided, by_hand_free)}


def loss_of(trainer: Trainer, way: str, batch: Batch) -> Tensor:
    guided, free = WAYS[way]
    cut = trainer.settings.num_free
    share = cut / len(batch.x)
    with trainer.settings.autocast(batch.x.device):
        loss = (1 - share) * guided(trainer, batch.x[cut:], batch.y[cut:], None)[0]
        if cut:
            loss = loss + share * free(trainer, batch.x[:cut], batch.solutions[:cut], batch.valid[:cut], None)[0]
    return loss


def check_same_maths(trainer: Trainer, batch: Batch, seed: int) -> None:
    """Raises: ValueError if the two ways differ in their loss under one seed."""
    losses = []
    for way in WAYS:
        torch.manual_seed(seed)
        losses.append(loss_of(trainer, way, batch).item())
    if abs(losses[0] - losses[1]) > 1e-3 * abs(losses[1]):
        raise ValueError(f"the loss is {losses[0]} through Pyro and {losses[1]} by hand: they are not the same maths")


@hydra.main(version_base=None, config_path="conf", config_name="benchmark")
def main(config: DictConfig) -> None:
    pyro.settings.set(module_local_params=True)
    pyro.enable_validation(False)
    pyro.set_rng_seed(config.seed)
    device, task = choose_device(config.device), instantiate(config.task)
    model = build_model(config, task).to(device)
    guide, heads = build_guide(config, model).to(device), build_heads(config).to(device)
    trainer = Trainer(model, guide, heads, instantiate(config.objective), TrainSettings(**config.train))
    if config.compile:
        compile_blocks(model.core, device)
    batch = next(task.batches(config.train.batch_size, torch.Generator().manual_seed(config.seed))).to(device)
    check_same_maths(trainer, batch, config.seed)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for repeat in range(config.warmup + config.repeats):
        for way in WAYS:
            torch.manual_seed(repeat)
            start = time.perf_counter()
            trainer.step(loss_of(trainer, way, batch))
            if repeat >= config.warmup:
                seconds[way].append(time.perf_counter() - start)
    medians = {way: statistics.median(times) for way, times in seconds.items()}
    ratio = medians["pyro"] / medians["by hand"]
    for way, median in medians.items():
        print(f"{way:10s} {1e3 * median:8.2f} ms per update (median of {config.repeats})")
    print(f"{'ratio':10s} {ratio:8.3f}")
    memory = {}
    for num_segments in config.segments:
        trainer.settings = replace(trainer.settings, num_segments=num_segments)
        trainer.trajectory(batch)
        memory[num_segments] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak memory after a trajectory of {num_segments:3d} segments: {memory[num_segments]:.0f} MiB")
    folder = Path(config.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmark.json").write_text(
        json.dumps({"milliseconds": {w: 1e3 * m for w, m in medians.items()}, "ratio": ratio, "peak_mib": memory})
    )


if __name__ == "__main__":
    main()
