"""The training loop: batches in, a checkpoint and a metrics table out, with a progress bar; it resumes."""

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
    """Whether one prior trajectory of the averaged model solves each puzzle, [B]. Leaves the random state untouched."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), trainer.settings.autocast(device):
        torch.manual_seed(0)
        answers = trainer.sample(puzzles.x.to(device), 1, trainer.settings.num_segments).answers
    return per_puzzle(tally(task, puzzles, answers.cpu()), 1)["accuracy"]


def accuracies(trainer: Learner, task: Task, watched: Sequence[Puzzles], device: torch.device) -> dict[str, float]:
    """Prior accuracy on all the watched puzzles; if they are of several sizes, also on those of L cells, by size."""
    solved = [solves(trainer, task, puzzles, device) for puzzles in watched]
    found = {"prior_accuracy": torch.cat(solved).mean().item()}
    if len(watched) > 1:
        found |= {f"prior_accuracy_{p.x.shape[-1]}": s.mean().item() for p, s in zip(watched, solved, strict=True)}
    return found


def columns(means: dict[str, Tensor]) -> dict[str, float]:
    """Means to be logged as numbers by name; those of every transition t are numbered, name_t."""
    flat: dict[str, float] = {}
    for name, mean in means.items():
        flat |= {f"{name}_{t}": v for t, v in enumerate(mean.tolist())} if mean.ndim else {name: mean.item()}
    return flat


def say_what_is_new(past: dict, trainer: Learner) -> None:
    """Where a run goes on to another number of updates: what becomes of the learning rate."""
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

    Writes `path` (checkpoint) and, beside it, a .csv with one row per `log_every` updates: losses and the KL of every
    transition in nats per puzzle (means since the last row), and the accuracy of one prior trajectory of the averaged
    model on the puzzles `watched`, a set for each size of board; `logger` takes the rows too.

    If `path` exists the run continues from it, to the same numbers, bit for bit on a CPU, as if it had never stopped. A
    signal to stop is obeyed at the end of a trajectory, after saving (KeyboardInterrupt).

    Where a loss, a gradient or a weight is not finite, training stops and nothing more is saved: the last checkpoint,
    in which every number is finite, stays. Continued, the run would come to the same place again.

    Returns: the description, with `updates` and `seconds` of training (evaluation and saving not counted).
    Raises: FloatingPointError as above; OSError if the disk is full, the last checkpoint being kept.
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
                table.add(trainer.trajectory(next(batches).to(device)))
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
