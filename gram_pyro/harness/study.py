"""A study: an experiment on one checkpoint. What all of them do first and last stands here, their work in a script.

    @study
    def main(study: Study) -> None:
        rows = [... for name, puzzles in study.puzzles().items()]
        study.report("NAME", rows)

What is drawn is kept in draws.jsonl of the run folder until the work is done. A study that was interrupted and is begun
again in that folder does not draw it again.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import NamedTuple

import pyro
import torch
from hydra import compose
from omegaconf import DictConfig

from gram_pyro.evaluation.evaluate import Draw
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.build import build_task, choose_device
from gram_pyro.harness.check_config import check_settings
from gram_pyro.harness.command import command_line, plain_errors
from gram_pyro.harness.journal import Journal, identity, journal_of
from gram_pyro.harness.load import Program, build_program, stored_config, weights_file
from gram_pyro.harness.results import write_table
from gram_pyro.harness.resume import open_folder
from gram_pyro.inference.kept import keep_draws
from gram_pyro.inference.sampler import Sampler
from gram_pyro.tasks.base import Puzzles, Task, subset, unseen
from gram_pyro.training.precision import AUTO, autocast


class Study(NamedTuple):
    """A checkpoint on its device, with the task it was trained on.

    Fields: folder, where results go; journal, of what was drawn so far.
    """

    config: DictConfig
    task: Task
    program: Program
    device: torch.device
    precision: torch.autocast
    folder: Path
    journal: Journal | None = None

    def puzzles(self) -> dict[str, Puzzles]:
        """The unseen puzzles by test set, at most `num_puzzles` of each.  Raises: ValueError if there are none."""
        some = {name: subset(puzzles, self.config.num_puzzles) for name, puzzles in unseen(self.task).items()}
        return {name: self.task.completed(puzzles) for name, puzzles in some.items()}

    def draw(self, sampler: Sampler, **options: object) -> Draw:
        """`sampler` of this program, as (x, num_particles, num_segments) -> trajectories.

        Options of the sampler; `halt_at` and `chunk` are those of the configuration unless given.
        """
        config = {"halt_at": self.config.get("halt_at"), "chunk": self.config.chunk}
        return partial(sampler, self.program.model, heads=self.program.heads, **config | options)

    @property
    def is_repeating(self) -> bool:
        """Whether it repeats what it had written before an interruption. That is left as it is."""
        return self.journal is not None and self.journal.is_behind

    def save(self, name: str, rows: Sequence[Mapping], /, **summary: object) -> None:
        """Write `rows` as NAME.csv; configuration, device and `summary` (the rows if empty) as NAME.json.

        Nothing is written while the study `is_repeating`.
        """
        if not self.is_repeating:
            write_table(self.folder, name, rows, self.config, device=str(self.device), **summary or {"rows": rows})

    def report(
        self, name: str, rows: Sequence[Mapping], columns: Sequence[str] | None = None, /, **summary: object
    ) -> None:
        """`save` rows, and print these columns of them (None: all)."""
        self.save(name, rows, **summary)
        print(rows_markdown(rows, columns))


def open_study(config: DictConfig) -> Study:
    """The study that `config` (keys checkpoint, trust, task, device, run_dir) describes; its folder is this process's.

    Raises: as `stored_config`, `build_program` and `open_folder`.
    """
    trained, device = stored_config(config.checkpoint, config.trust), choose_device(config.device)
    task = build_task(trained, config.task)
    program = build_program(trained, task, config.checkpoint, device)
    folder = open_folder(config)
    precision = "fp32" if trained.train.get("precision") == "fp32" else AUTO  # bf16 elsewhere may be slow here
    return Study(config, task, program, device, autocast(precision, device), folder)


def run_study(config: DictConfig, work: Callable[[Study], str | None]) -> None:
    """Do the work of a study, with errors and interruptions in one sentence. What it returns is printed last."""
    pyro.enable_validation(False)
    with plain_errors():
        check_settings(config)
        opened = open_study(config)
        of = identity(config, weights_file(config.checkpoint))
        try:
            with journal_of(opened.folder / "draws.jsonl", of) as journal, keep_draws(journal), opened.precision:
                last = work(opened._replace(journal=journal))
        except KeyboardInterrupt:
            sys.exit(f"interrupted; to continue, run the same command with run_dir={opened.folder}")
        print(f"\ntables and figures are in {opened.folder}" + (f"\n\n{last}" if last else ""))


def study(work: Callable[[Study], str | None]) -> Callable[[], None]:
    """The function `main()` of a script that does `work` on a study."""

    @command_line
    @wraps(work)
    def main(config: DictConfig) -> None:
        run_study(config, work)

    return main


def chosen(**choices: str) -> DictConfig:
    """A configuration with these choices of groups, as `evaluate.py` composes them."""
    return compose("evaluate", overrides=[*(f"{group}={name}" for group, name in choices.items()), "checkpoint=none"])
