"""The training loop: batches in, a checkpoint and a metrics table out, with a progress bar; it resumes."""

import csv
import time
from pathlib import Path

import torch
from tqdm import tqdm

from gram_pyro import checkpoint
from gram_pyro.interrupt import stop_on_signal
from gram_pyro.learner import Learner
from gram_pyro.metrics import per_puzzle, tally
from gram_pyro.tasks.base import Puzzles, Task


def prior_accuracy(trainer: Learner, task: Task, puzzles: Puzzles, device: torch.device) -> float:
    """Share of `puzzles` that one prior trajectory of the averaged model solves. Leaves the random state untouched."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), trainer.settings.autocast(device):
        torch.manual_seed(0)
        answers = trainer.sample(puzzles.x.to(device), 1, trainer.settings.num_segments).answers
    return per_puzzle(tally(task, puzzles, answers.cpu()), 1)["accuracy"].mean().item()


def columns(means: dict[str, torch.Tensor]) -> dict[str, float]:
    """Means to be logged as numbers by name; those of every transition t are numbered, name_t."""
    flat: dict[str, float] = {}
    for name, mean in means.items():
        flat |= {f"{name}_{t}": v for t, v in enumerate(mean.tolist())} if mean.ndim else {name: mean.item()}
    return flat


def append(path: Path, row: dict[str, object]) -> None:
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)


def keep_rows(path: Path, updates: int) -> None:
    """Forget the rows of a metrics table beyond the update a run resumes from."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header] + [row for row in rows if int(row[0]) <= updates])


def fit(
    trainer: Learner,
    task: Task,
    watched: Puzzles,
    path: Path,
    description: dict,
    device: torch.device,
    seed: int,
    log_every: int,
) -> dict:
    """Train to the end of `trainer.settings.updates`.

    Writes `path` (checkpoint) and, beside it, a .csv with one row per `log_every` updates: losses and the KL of every
    transition in nats per puzzle (means since the last row), and the accuracy of one prior trajectory of the averaged
    model on the puzzles `watched`. If `path` exists the run continues from it. A signal to stop is
    obeyed at the end of a trajectory, after saving (KeyboardInterrupt).

    Returns: the description, with `updates` and `seconds` of training (evaluation and saving not counted).
    """
    table = path.with_suffix(".csv")
    generator = torch.Generator().manual_seed(seed)
    description = {"seconds": 0.0} | description
    if path.exists():
        description |= checkpoint.restore(path, trainer, generator)
        keep_rows(table, trainer.updates)
    else:
        table.unlink(missing_ok=True)

    total = trainer.settings.updates
    batches = task.batches(trainer.settings.batch_size, generator)
    records: list[dict] = []
    with (
        stop_on_signal() as stop,
        tqdm(total=total, initial=trainer.updates, desc=path.stem, unit="update", dynamic_ncols=True) as bar,
    ):
        while trainer.updates < total and not stop:
            start, before = time.monotonic(), trainer.updates
            records.append(trainer.trajectory(next(batches).to(device)))
            description["seconds"] += time.monotonic() - start
            bar.update(trainer.updates - before)
            if trainer.updates // log_every > before // log_every or trainer.updates >= total:
                means = {name: torch.stack([r[name] for r in records]).mean(0) for name in records[0]}
                records = []
                accuracy = prior_accuracy(trainer, task, watched, device)
                row = {"updates": trainer.updates, "seconds": round(description["seconds"], 2)}
                row |= columns(means) | {"prior_accuracy": accuracy}
                append(table, row)
                bar.set_postfix(
                    loss=f"{row['loss']:.2f}",
                    kl=f"{means['kl'].sum():.2f}" if "kl" in means else "none",
                    prior_accuracy=f"{accuracy:.3f}",
                )
                checkpoint.save(path, trainer, generator, description)
    if stop:
        checkpoint.save(path, trainer, generator, description)
        raise KeyboardInterrupt(f"stopped at update {trainer.updates} of {total}; nothing is lost")
    return description | {"updates": trainer.updates}
