"""A study of one checkpoint: what every experiment on trained weights does first and last."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf

from gram_pyro.harness.build import build_task, choose_device
from gram_pyro.harness.load import Program, build_program, stored_config
from gram_pyro.harness.results import write_json, write_rows
from gram_pyro.harness.run_folder import open_folder
from gram_pyro.tasks.base import Task
from gram_pyro.training.precision import AUTO, autocast


class Study(NamedTuple):
    """A checkpoint on its device, with the task it was trained on; folder is where results go."""

    task: Task
    program: Program
    device: torch.device
    precision: torch.autocast
    folder: Path


def open_study(config: DictConfig) -> Study:
    """The study that `config` (keys checkpoint, trust, task, device, run_dir) describes; its folder is this process's.

    Raises: as `stored_config`, `build_program` and `open_folder`.
    """
    trained, device = stored_config(config.checkpoint, config.trust), choose_device(config.device)
    task = build_task(trained, config.task)
    program = build_program(trained, task, config.checkpoint, device)
    folder = open_folder(config)
    precision = "fp32" if trained.train.get("precision") == "fp32" else AUTO  # bf16 elsewhere may be slow here
    return Study(task, program, device, autocast(precision, device), folder)


def save_study(study: Study, config: DictConfig, name: str, rows: Sequence[Mapping], /, **summary: object) -> None:
    """Write `rows` as NAME.csv, and the configuration, the device and `summary` (the rows if empty) as NAME.json."""
    write_rows(study.folder / f"{name}.csv", rows)
    head = {"config": OmegaConf.to_container(config, resolve=True), "device": str(study.device)}
    write_json(study.folder / f"{name}.json", head | (summary or {"rows": list(rows)}))


def say_where(study: Study) -> None:
    """The last line of an experiment."""
    print(f"\ntables and figures are in {study.folder}")
