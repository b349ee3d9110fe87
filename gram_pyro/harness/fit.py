"""The training loop: it draws batches, writes a checkpoint and a metrics table, shows a progress bar, and resumes."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from gram_pyro.evaluation.metrics import per_puzzle, tally
from gram_pyro.harness import checkpoint
from gram_pyro.harness.interrupt import stop_on_signal
from gram_pyro.harness.loggers import Write
from gram_pyro.harness.metrics_table import MetricsTable
from gram_pyro.tasks.base import Puzzles, Task
from gram_pyro.training.learner import Learner

log = logging.getLogger(__name__)


def solves(trainer: Learner, task: Task, puzzles: Puzzles, device: torch.device) -> Tensor:
    """Whether one prior trajectory of the averaged model solves each puzzle, [B]. The random state does not change."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), trainer.settings.autocast(device):
        torch.manual_seed(0)
        answers = trainer.sample(puzzles.x.to(device), 1, trainer.settings.num_segments).answers
    return per_puzzle(tally(task, puzzles, answers.cpu()), 1)["accuracy"]


def accuracies(trainer: Learner, task: Task, watched: Sequence[Puzzles], device: torch.device) -> dict[str, float]:
    """Prior accuracy on all watched puzzles; with boards of several sizes, also for each number of cells."""
    solved = [solves(trainer, task, puzzles, device) for puzzles in watched]
    found = {"prior_accuracy": torch.cat(solved).mean().item()}
    if len(watched) > 1:
        found |= {f"prior_accuracy_{p.x.shape[-1]}": s.mean().item() for p, s in zip(watched, solved, strict=True)}
    return found


def columns(means: dict[str, Tensor]) -> dict[str, float]:
    """Means for the log as numbers by name; the mean of transition t is NAME_t."""
    flat: dict[str, float] = {}
    for name, mean in means.items():
        flat |= {f"{name}_{t}": v for t, v in enumerate(mean.tolist())} if mean.ndim else {name: mean.item()}
    return flat


def say_what_is_new(past: dict, trainer: Learner) -> None:
    """Log how the learning rate changes if a run continues to another number of updates."""
    settings, done = trainer.settings, past["updates"]
    planned = past.get("config", {}).get("train", {}).get("updates", settings.updates)
    if planned != settings.updates:
        log.info(
            "%d updates in place of %d: from update %d on the learning rate follows the cosine of %d, and is %.2g "
            "there in place of %.2g",
            settings.updates,
            planned,
            done,
            settings.updates,
            settings.learning_rate_at(done),
            replace(settings, updates=planned).learning_rate_at(done),
        )


def fit(
    trainer: Learner,
    task: Task,
    watched: Sequence[Puzzles],
    path: Path,
    description: dict,
    device: torch.device,
    seed: int,
    log_every: int,
    logger: Write | None = None,
) -> dict:
    """Train to the end of `trainer.settings.updates`.

    It writes `path` (checkpoint) and a .csv of the same name with one row per `log_every` updates: losses and the KL of
    every transition in nats per puzzle (means since the last row), and the accuracy of one prior trajectory of the
    averaged model on the puzzles `watched`, one set per size of board. `logger` gets the rows too.

    If `path` exists the run continues from it, with the same results as without the interruption, bit for bit on a CPU.
    A signal to stop takes effect at the end of a trajectory, after saving (KeyboardInterrupt).

    If a loss, a gradient or a weight is not finite, training stops without saving. The last checkpoint, in which every
    number is finite, is kept. A resumed run would stop at the same place.

    Returns: the description, with `updates` and `seconds` of training (without evaluation and saving).
    Raises: FloatingPointError as above; OSError if the disk is full (the last checkpoint is kept).
    """
    table = MetricsTable(path.with_suffix(".csv"))
    generator = torch.Generator().manual_seed(seed)
    description = {"seconds": 0.0} | description
    saved = None
    if path.exists():
        past, logged = checkpoint.restore(path, trainer, generator)
        say_what_is_new(past, trainer)
        description |= past | {key: value for key, value in description.items() if key == "config"}
        table.restore(logged, device)
        saved = trainer.updates
    else:
        table.path.unlink(missing_ok=True)

    total = trainer.settings.updates
    batches = task.batches(trainer.settings.batch_size, generator)
    with (
        stop_on_signal() as stop,
        tqdm(total=total, initial=trainer.updates, desc=path.stem, unit="update", dynamic_ncols=True) as bar,
    ):
        try:
            while trainer.updates < total and not stop:
                start, before = time.monotonic(), trainer.updates
                table.add(trainer.train_on(next(batches).to(device)))
                description["seconds"] += time.monotonic() - start
                bar.update(trainer.updates - before)
                if trainer.updates // log_every > before // log_every or trainer.updates >= total:
                    means = table.means()
                    accuracy = accuracies(trainer, task, watched, device)
                    row = {"updates": trainer.updates, "seconds": round(description["seconds"], 2)}
                    row |= columns(means) | accuracy
                    table.write(row)
                    if logger is not None:
                        logger(row)
                    bar.set_postfix(
                        loss=f"{row['loss']:.2f}",
                        kl=f"{means['kl'].sum():.2f}" if "kl" in means else "none",
                        prior_accuracy=f"{accuracy['prior_accuracy']:.3f}",
                    )
                    checkpoint.save(path, trainer, generator, description, table.state())
                    saved = trainer.updates
            if stop:
                checkpoint.save(path, trainer, generator, description, table.state())
                raise KeyboardInterrupt(f"stopped at update {trainer.updates} of {total}; nothing is lost")
        except FloatingPointError as problem:
            kept = "nothing was saved before" if saved is None else f"{path} keeps update {saved}, where all was finite"
            raise FloatingPointError(f"{problem}; {kept}") from problem
    return description | {"updates": trainer.updates}
