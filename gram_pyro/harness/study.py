"""A study of one checkpoint: what every experiment on trained weights does first and last."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyro
import torch
from omegaconf import DictConfig, OmegaConf

from gram_pyro.harness.build import build_task, choose_device
from gram_pyro.harness.check_config import check_settings
from gram_pyro.harness.command import plain_errors
from gram_pyro.harness.journal import Journal, identity, journal_of
from gram_pyro.harness.load import Program, build_program, stored_config, weights_file
from gram_pyro.harness.results import write_json, write_rows
from gram_pyro.harness.run_folder import open_folder
from gram_pyro.inference.kept import keep_draws
from gram_pyro.tasks.base import Task
from gram_pyro.training.precision import AUTO, autocast


class Study(NamedTuple):
    """A checkpoint on its device, with the task it was trained on; where results go, and what was drawn so far."""

    task: Task
    program: Program
    device: torch.device
    precision: torch.autocast
    folder: Path
    journal: Journal | None = None


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


def run_study(config: DictConfig, work: Callable[[Study, DictConfig], None]) -> None:
    """What an experiment on trained weights does: its work, with errors and interruptions in one sentence.

    What is drawn is kept in draws.jsonl of its folder until all is done: begun again in that folder it is not drawn
    again.
    """
    pyro.enable_validation(False)
    with plain_errors():
        check_settings(config)
        study = open_study(config)
        of = identity(config, weights_file(config.checkpoint))
        try:
            with journal_of(study.folder / "draws.jsonl", of) as journal, keep_draws(journal):
                work(study._replace(journal=journal), config)
        except KeyboardInterrupt:
            sys.exit(f"interrupted; to continue, run the same command with run_dir={study.folder}")


def is_repeating(study: Study) -> bool:
    """Whether it comes again to what it had written before an interruption, which then stays as it is."""
    return study.journal is not None and study.journal.is_behind


def save_study(study: Study, config: DictConfig, name: str, rows: Sequence[Mapping], /, **summary: object) -> None:
    """Write `rows` as NAME.csv, and the configuration, the device and `summary` (the rows if empty) as NAME.json; not
    as long as the study `is_repeating`."""
    if is_repeating(study):
        return
    write_rows(study.folder / f"{name}.csv", rows)
    head = {"config": OmegaConf.to_container(config, resolve=True), "device": str(study.device)}
    write_json(study.folder / f"{name}.json", head | (summary or {"rows": list(rows)}))


def say_where(study: Study) -> None:
    """The last line of an experiment."""
    print(f"\ntables and figures are in {study.folder}")
