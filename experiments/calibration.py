"""Does the model know when it is right?

    python experiments/calibration.py checkpoint=runs/.../GRAM.safetensors
    python experiments/calibration.py checkpoint=... num_segments=2 task.num_test=5000 num_puzzles=null

Two questions, both on unseen puzzles. Of single trajectories: does the value head, the halt head or the likelihood of
its own answer tell right from wrong (AUROC, calibration error)? Of the one answer selected from K: how much is
answered, and how well, if the less confident answers are withheld? The threshold that reaches `target` is set on one
half of the puzzles and tested on the other. The run folder receives calibration.json, calibration.csv and two figures.
"""

import math
from functools import partial

import hydra
import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from gram_pyro.evaluation.calibration import auroc, brier, calibration_error, threshold_for
from gram_pyro.evaluation.evaluate import roll_out, selected
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.build import build_sampler
from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.study import Study, run_study, save_study, say_where
from gram_pyro.plots.inference import calibration_figure
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


def run(study: Study, config: DictConfig) -> None:
    task, program, device, precision, folder, _ = study
    puzzles = concatenate([subset(part, config.num_puzzles) for part in task.test.values()])
    puzzles = puzzles.select(torch.randperm(puzzles.num_puzzles, generator=torch.Generator().manual_seed(config.seed)))
    sampler = build_sampler(config.sampler, task, program.heads)
    draw = partial(sampler, program.model, heads=program.heads, chunk=config.chunk)
    with precision:
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
    save_study(study, config, "calibration", rows, num_puzzles=puzzles.num_puzzles, rows=rows)
    print(
        f"{puzzles.num_puzzles} unseen puzzles, {k} trajectories, {config.num_segments} segments, "
        f"{seconds:.0f} s on {device}"
    )
    print(rows_markdown(rows))
    calibration_figure(critics, folder / "trajectories.png")
    calibration_figure(chosen, folder / "selected.png")
    say_where(study)


@hydra.main(version_base=None, config_path="conf", config_name="calibration")
def main(config: DictConfig) -> None:
    run_study(config, run)


if __name__ == "__main__":
    plain_arguments()
    main()
