"""Build a program from a configuration. `_target_` is the only registry: any importable class may be a part."""

from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from gram_pyro.baselines.train import BaselineTrainer
from gram_pyro.guide import Guide
from gram_pyro.harness.calls import check_call
from gram_pyro.harness.check_config import component
from gram_pyro.harness.own_guides import is_own, own_guides
from gram_pyro.inference.sampler import Sampler
from gram_pyro.model import GRAM
from gram_pyro.networks.heads import Heads
from gram_pyro.tasks.base import ImplicitTask, Task
from gram_pyro.training.compiler import compile_parts
from gram_pyro.training.cuda_graph import SegmentGraph
from gram_pyro.training.learner import Learner, TrainSettings
from gram_pyro.training.relay import Relay
from gram_pyro.training.trainer import Trainer


def build_model(config: DictConfig, task: Task) -> GRAM:
    """The generative program that `config` (keys dim, embed, core, prior, readout, model) describes, for `task`."""
    embed = instantiate(config.embed, _partial_=True)(num_symbols=task.num_symbols, dim=config.dim)
    core = instantiate(config.core, _partial_=True)(
        dim=config.dim, num_cells=embed.num_tokens(task.num_cells), relations=embed.structure(task)
    )
    prior = instantiate(config.prior)
    readout = instantiate(config.readout, _partial_=True)(num_symbols=task.num_symbols, dim=config.dim)
    return GRAM(embed, core, prior, readout, **config.model)


def build_guide(config: DictConfig, model: GRAM) -> Guide:
    """The guide that `config` (key guide) describes, for `model`."""
    with own_guides() if is_own(str(config.guide._target_)) else nullcontext():
        return instantiate(config.guide, _partial_=True)(model)


def build_heads(config: DictConfig) -> Heads:
    """The heads for states of the width that `config` (key dim) gives."""
    return Heads(config.dim)


def choose_device(name: str) -> torch.device:
    """The device of that name; 'auto' is the GPU if there is one.  Raises: ValueError if torch cannot use it here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"got device={name}; expected a GPU that torch can use; write device=cpu or device=auto")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            torch.zeros(1, device=device).item()  # fails for meta, and for devices that this torch does not support
    except (RuntimeError, AssertionError, NotImplementedError) as problem:
        reason = str(problem).partition("\n")[0]
        sentence = f"got device={name}, which cannot be used here ({reason}); write device=cpu or device=auto"
        raise ValueError(sentence) from None
    return device


def build_sampler(config: DictConfig, task: Task, heads: Heads | None) -> Sampler:
    """The sampler that `config` (a choice of conf/sampler) describes; a potential uses `task` or `heads`."""
    if "potential" not in config:
        return instantiate(config)
    potential = instantiate(config.potential)(task, heads)
    rest = OmegaConf.masked_copy(config, [key for key in config if key != "potential"])
    return partial(instantiate(rest), potential=potential)


def build_task(trained: DictConfig, changes: Mapping[str, object]) -> Task:
    """The task a checkpoint was trained on, with `changes` of its arguments (null: no change).

    If `changes` has a `_target_`, it describes the whole task.
    Raises: ValueError if the task takes no argument of a name in `changes`.
    """
    changes = {key: value for key, value in changes.items() if value is not None}
    if "_target_" in changes:
        return instantiate(changes)
    check_call("task", component("task._target_", trained.task._target_), {**trained.task, **changes})
    return instantiate(trained.task, **changes)


def build_learner(config: DictConfig, task: Task, device: torch.device) -> Learner:
    """What `config` describes, ready to train on `task`: a GRAM with its guide and heads, or a baseline."""
    settings = TrainSettings(**config.train)
    if config.get("baseline"):
        baseline = instantiate(config.baseline, _partial_=True)(
            num_cells=task.num_cells, num_symbols=task.num_symbols, relations=task.relations, dim=config.dim
        )
        learner = BaselineTrainer(baseline.to(device), settings)
    else:
        model = build_model(config, task).to(device)
        guide, heads = build_guide(config, model).to(device), build_heads(config).to(device)
        objective, rollout_loss = instantiate(config.objective), instantiate(config.rollout_loss)
        implicit = task if isinstance(task, ImplicitTask) else None
        kind = Relay if settings.relay else Trainer
        learner = kind(model, guide, heads, objective, settings, rollout_loss, implicit)
    if config.compile:
        compile_parts(nn.ModuleList([learner.program, learner.ema.module]), device)  # what is trained, what is sampled
    if config.get("cuda_graph"):
        if not isinstance(learner, Trainer):
            raise ValueError("cuda_graph=true records segments of a recursion, and a baseline has none; leave it out")
        if isinstance(settings.beta, str):
            raise ValueError(f"cuda_graph=true records one train.beta, and {settings.beta!r} changes; leave one out")
        learner.graph = SegmentGraph(learner)
    return learner
