"""A trial: train GRAM and its baselines on a task, judge each, write what was found and show it.

    @trial
    def main(config: DictConfig) -> None:
        run(config, Claim)          or another Judge

The run folder receives config.yaml, and per program a checkpoint and a metrics table; then results.json, tables and
figures. A trial that is interrupted continues in the same folder. A finished program is not trained again, and what was
drawn for its evaluation is not drawn again: draws.jsonl keeps it until the end.
"""

import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache, wraps
from pathlib import Path

import pyro
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from gram_pyro.harness import run_folder, trusted
from gram_pyro.harness.build import build_learner, choose_device
from gram_pyro.harness.check_config import check_given, check_settings
from gram_pyro.harness.checkpoint import start_from
from gram_pyro.harness.command import command_line, plain_errors, script_of
from gram_pyro.harness.commit import commit
from gram_pyro.harness.fit import fit
from gram_pyro.harness.journal import identity, journal_of, keep_draws_of
from gram_pyro.harness.launch import is_launched, launch, stop_with_parent
from gram_pyro.harness.load import weights_file
from gram_pyro.harness.loggers import open_logger
from gram_pyro.harness.programs import programs
from gram_pyro.harness.results import write_json, write_rows
from gram_pyro.harness.resume import claim_folder, resumed
from gram_pyro.plots.trial import training_figure
from gram_pyro.tasks.base import Task, by_size, subset, unseen
from gram_pyro.training.allocator import keep_freed_memory
from gram_pyro.training.learner import Learner
from gram_pyro.training.parallel import is_first, joined
from gram_pyro.training.precision import choose_precision

log = logging.getLogger(__name__)


class Judge(ABC):
    """What a trial measures of every program, and what it writes and shows of all of them."""

    def __init__(self, config: DictConfig, folder: Path, device: torch.device) -> None:
        self.config, self.folder, self.device = config, folder, device
        self.task: Task = instantiate(config.task)
        self.begin()

    @abstractmethod
    def begin(self) -> None:
        """Prepare the judging, before anything is trained.  Raises: ValueError if it cannot be done."""

    @abstractmethod
    def judge(self, name: str, learner: Learner, description: dict) -> None:
        """Measure a program after its training. `description` is what results.json says of the training."""

    @abstractmethod
    def tables(self) -> Mapping[str, Sequence[Mapping]]:
        """The rows of every .csv by its name."""

    @abstractmethod
    def summary(self) -> dict[str, object]:
        """What results.json holds; the key programs has a description of each."""

    @abstractmethod
    def show(self) -> None:
        """Print and draw what was found; results are on the disk by then."""


def train(name: str, config: DictConfig, task: Task, folder: Path, device: torch.device) -> tuple[Learner, dict]:
    """Build one program, and train it, or continue its training, or find it finished."""
    pyro.set_rng_seed(config.seed)
    learner = build_learner(config, task, device)
    sizes = by_size(unseen(task).values())
    most = config.watch.num_puzzles and max(1, config.watch.num_puzzles // len(sizes))  # null: all
    watched = [subset(puzzles, most) for puzzles in sizes]
    description = {
        "config": OmegaConf.to_container(config, resolve=True),
        "commit": commit(),
        "device": str(device),
        "precision": choose_precision(config.train.precision, device),
        "parameters": {name: sum(p.numel() for p in part.parameters()) for name, part in learner.program.items()},
    }
    path = folder / f"{name}.safetensors"
    if config.start is not None and not path.exists():
        description["before"] = start_from(weights_file(config.start), learner)
    logger = open_logger(config, folder, name) if is_first() else None
    return learner, fit(learner, task, watched, path, description, device, config.seed, config.watch.every, logger)


@contextmanager
def evaluations(config: DictConfig, folder: Path) -> Iterator[Callable[[str], AbstractContextManager]]:
    """A context around a whole run. Yields: a function from the name of a program to a context for its evaluation.
    Draws in that context are kept until the end of the run."""
    with ExitStack() as until_the_end:
        journal = cache(lambda: until_the_end.enter_context(journal_of(folder / "draws.jsonl", identity(config))))
        yield lambda name: keep_draws_of(folder / f"{name}.safetensors", journal())


def run(config: DictConfig, kind: type[Judge]) -> None:
    """The whole trial, judged by `kind`; nothing is done where its folder holds results."""
    device = choose_device(config.device)  # refused before the folder takes it
    folder = claim_folder(config)
    if run_folder.is_finished(folder):
        return
    judge = kind(config, folder, device)
    with evaluations(config, folder) as evaluation:
        for name, program in programs(config).items():
            learner, description = train(name, program, judge.task, folder, device)
            log.info("%s: %d updates in %.0f s on %s", name, description["updates"], description["seconds"], device)
            with evaluation(name), learner.settings.autocast(device):
                judge.judge(name, learner, description)
        for name, rows in judge.tables().items():
            write_rows(folder / f"{name}.csv", rows)
        write_json(folder / run_folder.RESULTS, judge.summary())
    judge.show()
    training_figure({name: folder / f"{name}.csv" for name in programs(config)}, folder / "training.png")
    print(f"\nevery number, figures and checkpoints: {folder} (results.*, *.png, *.safetensors)")


def check_programs(config: DictConfig) -> None:
    """Raises: ValueError if the configuration of a baseline has a wrong setting."""
    for name, program in programs(config).items():
        try:
            check_settings(program)
        except ValueError as problem:
            raise ValueError(f"of baselines.{name}: {problem}") from None


def run_trial(config: DictConfig, script: str, work: Callable[[DictConfig], None]) -> None:
    """Do the work of `experiments/SCRIPT.py`, with errors and interruptions in one sentence."""
    pyro.settings.set(module_local_params=True)  # several programs are trained in one process
    pyro.enable_validation(False)
    keep_freed_memory()
    with plain_errors():
        try:
            check_given(config)
            config = resumed(config)
            check_settings(config)
            check_programs(config)
            if is_launched():
                stop_with_parent()
            elif config.processes > 1:
                sys.exit(launch(config.processes))
            if is_first():
                run_folder.settle(config)
            with joined(config.run_dir) as config.run_dir:
                work(config)
        except KeyboardInterrupt as stopped:
            how = f"resume={config.run_dir}" + (" trust=true" if trusted.foreign(config) else "")
            if not (Path(config.run_dir) / run_folder.CONFIG).is_file():  # a comparison is many runs
                how = f"run_dir={config.run_dir} and the same overrides"
            sys.exit(f"{str(stopped) or 'interrupted'}; to continue: gram-pyro {script} {how}")


def trial(work: Callable[[DictConfig], None]) -> Callable[[], None]:
    """The function `main()` of a script that does `work` on what is trained; it continues with resume=FOLDER."""

    @command_line
    @wraps(work)
    def main(config: DictConfig) -> None:
        run_trial(config, script_of(work), work)

    return main
