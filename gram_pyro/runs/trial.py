"""A trial of the claim: train GRAM and its rivals on a task, evaluate them on unseen puzzles, and give the verdict.

The run folder receives config.yaml, and per program a checkpoint and a metrics table; then results.json, results.csv
and figures. A run that is interrupted continues in the same folder; a finished program is not trained again.
"""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyro
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from gram_pyro.build import build_learner, choose_device
from gram_pyro.evaluate import Draw, evaluate
from gram_pyro.inference.noise import random_start
from gram_pyro.learner import Learner
from gram_pyro.metrics import Tally, join
from gram_pyro.plots.trial import training_figure, width_figure
from gram_pyro.precision import choose_precision
from gram_pyro.report import flat_rows, gains_over, gains_text, markdown, verdict, verdict_text, write_rows
from gram_pyro.runs import run_folder
from gram_pyro.runs.atomic import write_atomically
from gram_pyro.runs.check_config import check_numbers
from gram_pyro.runs.checkpoint import start_from
from gram_pyro.runs.command import plain_errors
from gram_pyro.runs.fit import fit
from gram_pyro.runs.parallel import joined, spread
from gram_pyro.tasks.base import Task, concatenate, subset
from gram_pyro.train import Trainer

log = logging.getLogger(__name__)


def commit() -> str:
    """The commit of the working tree, or 'unknown' outside of git."""
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    return answer.stdout.strip() or "unknown"


def claim_folder(config: DictConfig) -> Path:
    """The run folder, with the resolved configuration in it; it is this process's until that ends.

    Raises: ValueError if it holds a run of another configuration, or another process is at work in it; OSError if it
    cannot be written to.
    """
    folder = Path(config.run_dir)
    run_folder.claim(folder, OmegaConf.to_yaml(config, resolve=True))
    if what_counts(run_folder.read_config(folder / run_folder.CONFIG)) != what_counts(config):
        raise ValueError(
            f"{folder} holds a run with another configuration; repeat its overrides to continue it, or choose a run_dir"
        )
    return folder


def what_counts(config: DictConfig) -> dict:
    """A configuration without the place of the run, and without how it was asked for."""
    return {k: v for k, v in OmegaConf.to_container(config, resolve=True).items() if k not in ("run_dir", "resume")}


def resumed(config: DictConfig) -> DictConfig:
    """The configuration of the run folder that `resume` names (null: `config` itself).

    Raises: FileNotFoundError if there is no run in it; ValueError if other overrides came beside it.
    """
    if config.get("resume") is None:
        return config
    file = Path(config.resume) / run_folder.CONFIG
    if not file.is_file():
        raise FileNotFoundError(f"there is no run in {config.resume}: it has no {file.name}; give resume=RUN_FOLDER")
    if others := [o for o in HydraConfig.get().overrides.task if not o.startswith("resume=")]:
        raise ValueError(
            f"resume={config.resume} takes the configuration of that run, and {', '.join(others)} came beside it; "
            "leave that out, or start a new run"
        )
    held = run_folder.read_config(file)
    held.run_dir = config.resume
    return held


def train(name: str, config: DictConfig, task: Task, folder: Path, device: torch.device) -> tuple[Learner, dict]:
    """Build one program, train it (or continue, or find it finished)."""
    pyro.set_rng_seed(config.seed)
    learner = build_learner(config, task, device)
    watched = subset(concatenate(list(task.test.values())), config.watch.num_puzzles)
    description = {
        "config": OmegaConf.to_container(config, resolve=True),
        "commit": commit(),
        "device": str(device),
        "precision": choose_precision(config.train.precision, device),
        "parameters": {name: sum(p.numel() for p in part.parameters()) for name, part in learner.program.items()},
    }
    path = folder / f"{name}.safetensors"
    if config.start is not None and not path.exists():
        description["before"] = start_from(Path(config.start), learner)
    return learner, fit(learner, task, watched, path, description, device, config.seed, config.watch.every)


def rival_config(config: DictConfig, replacements: DictConfig) -> DictConfig:
    """The configuration of a rival: whole groups (prior, guide, objective, ...) replaced, all else equal.

    The rival of a peer is a recursion, unless `replacements` names a peer.
    Its weights are at random unless they name a start.
    """
    rival = config.copy()
    rival.start = None
    if "peer" in rival:
        rival.peer = None
    for group, choice in replacements.items():
        rival[group] = choice
    return rival


def samplers(name: str, learner: Learner, deviation: float | None) -> dict[str, Draw]:
    """How a program is sampled, by the name of its results. A deterministic recursion is asked twice: as it is, and
    every trajectory from a start of its own, which may bring out more solutions than one (None: not)."""
    draws = {name: learner.sample}
    if deviation is not None and isinstance(learner, Trainer) and learner.averaged.is_deterministic:
        draws[f"{name}, random starts"] = partial(spread, partial(random_start, learner.averaged, scale=deviation))
    return draws


def run(config: DictConfig) -> None:
    folder, device = claim_folder(config), choose_device(config.device)
    if (folder / "results.json").exists():
        log.info("%s is finished; delete its results.json to evaluate it again", folder)
        return
    task = instantiate(config.task)
    widths = list(config.evaluate.widths)
    programs = {"GRAM": config} | {name: rival_config(config, r) for name, r in config.rivals.items() if r}
    tests = {name: subset(puzzles, config.evaluate.num_puzzles) for name, puzzles in task.test.items()}
    tallies: dict[str, dict[str, Tally]] = {name: {} for name in tests}
    results, rows = {}, []
    for name, program in programs.items():
        learner, description = train(name, program, task, folder, device)
        log.info("%s: %d updates in %.0f s on %s", name, description["updates"], description["seconds"], device)
        deviation = config.evaluate.get("random_start") if name != "GRAM" else None
        for label, draw in samplers(name, learner, deviation).items():
            results[label] = description | {"tests": {}}
            for test, puzzles in tests.items():
                with learner.settings.autocast(device):
                    _, tallies[test][label], table = evaluate(
                        partial(draw, chunk=config.evaluate.chunk),
                        task,
                        puzzles,
                        config.evaluate.num_segments,
                        widths,
                        config.seed,
                        device,
                    )
                results[label]["tests"][test] = table
                rows += flat_rows(label, test, table, widths)
                print(
                    f"\n{label} on {table['num_puzzles']} unseen puzzles '{test}', "
                    f"{config.evaluate.num_segments} segments deep\n{markdown(table, widths)}"
                )
    judged = {label: join([by_label[label] for by_label in tallies.values()]) for label in results}
    gram, deterministic = judged["GRAM"], next((judged[name] for name in programs if name != "GRAM"), None)
    rulings, supported = verdict(gram, deterministic, max(widths))
    beside = {label: gains_over(gram, judged[label], max(widths)) for label in results if label not in programs}
    print(f"\n{verdict_text(rulings, supported)}")
    for label, gains in beside.items():
        print(gains_text(label, gains, max(widths)))

    training_figure({name: folder / f"{name}.csv" for name in programs}, folder / "training.png")
    for test, by_program in tallies.items():
        width_figure(by_program, folder / f"width_{test}.png", f"{test}: {tests[test].num_puzzles} unseen puzzles")
    write_rows(folder / "results.csv", rows)
    summary = {
        "programs": results,
        "verdict": {
            "supported": supported,
            "gains": {name: r.gain._asdict() | {"at_limit": r.at_limit} for name, r in rulings.items()},
            "beside": {label: {name: g._asdict() for name, g in gains.items()} for label, gains in beside.items()},
        },
    }
    write_atomically(folder / "results.json", json.dumps(summary, indent=1).encode())  # half of it would look finished
    print(f"\ntables, figures and checkpoints are in {folder}")


def run_trial(config: DictConfig, script: str, work: Callable[[DictConfig], None] = run) -> None:
    """What `experiments/SCRIPT.py` does: its work, with errors and interruptions in one sentence."""
    pyro.settings.set(module_local_params=True)  # several programs are trained in one process
    pyro.enable_validation(False)
    try:
        with plain_errors():
            config = resumed(config)
            check_numbers(config)
            with joined(config.run_dir) as config.run_dir:
                work(config)
    except KeyboardInterrupt as stopped:
        how = f"resume={config.run_dir}"
        if not (Path(config.run_dir) / run_folder.CONFIG).is_file():  # a comparison is many runs
            how = f"run_dir={config.run_dir} and the same overrides"
        sys.exit(f"{str(stopped) or 'interrupted'}; to continue: python experiments/{script}.py {how}")
