"""Does the model know when it is right?

    python experiments/calibration.py checkpoint=runs/.../GRAM.safetensors
    python experiments/calibration.py checkpoint=... num_segments=2 task.num_test=5000 num_puzzles=null

Two questions, both on unseen puzzles. Of single trajectories: does the value head, the halt head or the likelihood of
its own answer tell right from wrong (AUROC, calibration error)? Of the one answer selected from K: how much is
answered, and how well, if the less confident answers are withheld? The threshold that reaches `target` is set on one
half of the puzzles and tested on the other. The run folder receives calibration.json, calibration.csv and two figures.
"""

import csv
import json
import math
from functools import partial
from pathlib import Path

import hydra
import pyro
import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from gram_pyro.build import build_sampler, build_task, choose_device
from gram_pyro.calibration import auroc, brier, calibration_error, threshold_for
from gram_pyro.command import plain_errors
from gram_pyro.evaluate import roll_out, selected
from gram_pyro.learner import TrainSettings
from gram_pyro.load import Program, load_program, stored_config
from gram_pyro.plots_inference import calibration_figure
from gram_pyro.tasks.base import concatenate, subset


def scores(confidence: Tensor, right: Tensor) -> dict[str, float]:
    """How well a confidence [N] tells right from wrong [N]."""
    ranking = auroc(confidence, right)
    return {
        "accuracy": right.double().mean().item(),
        "AUROC": None if math.isnan(ranking) else ranking,
        "ECE": calibration_error(confidence, right),
        "Brier": brier(confidence, right),
    }


def abstention(confidence: Tensor, right: Tensor, target: float) -> dict[str, float | None]:
    """Set the threshold on the even puzzles, test it on the odd ones."""
    threshold = threshold_for(confidence[::2], right[::2], target)
    if threshold is None:
        return {"threshold": None, "answered": 0.0, "accuracy_answered": None, "wrong_answered": 0}
    answered = confidence[1::2] >= threshold
    among = right[1::2][answered]
    return {
        "threshold": threshold,
        "answered": answered.double().mean().item(),
        "accuracy_answered": among.double().mean().item() if len(among) else None,
        "wrong_answered": int((~among).sum()),
    }


def table(rows: list[dict]) -> str:
    """Rows as a Markdown table."""
    cell = lambda v: f"{v:.4f}" if isinstance(v, float) else str(v)  # noqa: E731
    lines = ["| " + " | ".join(rows[0]) + " |", "| --- " * len(rows[0]) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(cell, row.values())) + " |" for row in rows])


def run(config: DictConfig) -> None:
    folder = Path(config.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    trained, device = stored_config(config.checkpoint), choose_device(config.device)
    task = build_task(trained, config.task)
    program = Program(*(module.to(device) for module in load_program(config.checkpoint, task)))
    puzzles = concatenate([subset(part, config.num_puzzles) for part in task.test.values()])
    puzzles = puzzles.select(torch.randperm(puzzles.num_puzzles, generator=torch.Generator().manual_seed(config.seed)))
    sampler = build_sampler(config.sampler, task, program.heads)
    draw = partial(sampler, program.model, heads=program.heads, chunk=config.chunk)
    with TrainSettings(**trained.train).autocast(device):
        trajectories, seconds = roll_out(draw, puzzles, config.num_particles, config.num_segments, config.seed, device)
    right = task.is_solved(puzzles.x, trajectories.answers)
    single = {
        "value head": trajectories.value,
        "halt head": trajectories.halt,
        "likelihood": trajectories.log_likelihood.exp(),
    }
    critics = {name: (confidence.flatten().double(), right.flatten()) for name, confidence in single.items()}
    first = {name: (confidence[0].double(), right[0]) for name, confidence in single.items()}
    chosen = {}
    for name in config.selections:
        select = instantiate(compose("evaluate", overrides=[f"select={name}", "checkpoint=none"]).select)
        confidence, correct, _ = selected(task, puzzles, trajectories, select)
        chosen[name] = (confidence.double(), correct)

    k = config.num_particles
    rows = [
        {"answer": "one trajectory", "confidence": n} | scores(*critics[n]) | abstention(*first[n], config.target)
        for n in critics
    ]
    rows += [
        {"answer": f"one of {k}", "confidence": n} | scores(*pair) | abstention(*pair, config.target)
        for n, pair in chosen.items()
    ]
    print(
        f"{puzzles.num_puzzles} unseen puzzles, {k} trajectories, {config.num_segments} segments, "
        f"{seconds:.0f} s on {device}"
    )
    print(table(rows))
    with (folder / "calibration.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    calibration_figure(critics, folder / "trajectories.png")
    calibration_figure(chosen, folder / "selected.png")
    summary = {"config": OmegaConf.to_container(config, resolve=True), "num_puzzles": puzzles.num_puzzles, "rows": rows}
    (folder / "calibration.json").write_text(json.dumps(summary, indent=1))
    print(f"\ntable and figures are in {folder}")


@hydra.main(version_base=None, config_path="conf", config_name="calibration")
def main(config: DictConfig) -> None:
    pyro.enable_validation(False)
    with plain_errors():
        run(config)


if __name__ == "__main__":
    main()
