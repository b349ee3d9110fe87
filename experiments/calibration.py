"""Measure calibration: does the model know when it is right?

    python experiments/calibration.py checkpoint=runs/.../GRAM.safetensors
    python experiments/calibration.py checkpoint=... num_segments=2 task.num_test=5000 num_puzzles=null

Two questions, both on unseen puzzles. For single trajectories: do the value head, the halt head and the likelihood of
the answer distinguish right from wrong answers (AUROC, calibration error)? For the one answer selected from K: how many
puzzles are answered, and how accurately, if less confident answers are withheld? The threshold for the accuracy
`target` is set on one half of the puzzles and tested on the other. The run folder receives calibration.json,
calibration.csv and two figures.
"""

import math

import torch
from hydra.utils import instantiate
from torch import Tensor

from gram_pyro.evaluation.calibration import auroc, brier, calibration_error, threshold_for
from gram_pyro.evaluation.evaluate import roll_out, selected
from gram_pyro.evaluation.tables import counted
from gram_pyro.harness.build import build_sampler
from gram_pyro.harness.study import Study, chosen, study
from gram_pyro.plots.inference import calibration_figure
from gram_pyro.tasks.base import concatenate


def scores(confidence: Tensor, right: Tensor) -> dict[str, float]:
    """Scores of a confidence [N] as a prediction of right [N]."""
    ranking = auroc(confidence, right)
    return {
        "accuracy": right.double().mean().item(),
        "AUROC": None if math.isnan(ranking) else ranking,
        "ECE": calibration_error(confidence, right),
        "Brier": brier(confidence, right),
    }


def abstention(confidence: Tensor, right: Tensor, target: float) -> dict[str, float | None]:
    """Set the threshold on the even puzzles and test it on the odd ones."""
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


@study
def main(study: Study) -> None:
    config, task = study.config, study.task
    puzzles = concatenate(list(study.puzzles().values()))
    puzzles = puzzles.select(torch.randperm(puzzles.num_puzzles, generator=torch.Generator().manual_seed(config.seed)))
    draw, k = study.draw(build_sampler(config.sampler, task, study.program.heads)), config.num_particles
    trajectories, seconds = roll_out(draw, puzzles, k, config.num_segments, config.seed, study.device)
    right = task.is_solved(puzzles.x, trajectories.answers)
    single = {
        "value head": trajectories.value,
        "halt head": trajectories.halt,
        "likelihood": trajectories.log_likelihood.exp(),
    }
    critics = {name: (confidence.flatten().double(), right.flatten()) for name, confidence in single.items()}
    first = {name: (confidence[0].double(), right[0]) for name, confidence in single.items()}
    answers = {}
    for name in config.selections:
        confidence, correct, _ = selected(task, puzzles, trajectories, instantiate(chosen(select=name).select))
        answers[name] = (confidence.double(), correct)

    rows = [
        {"answer": "one trajectory", "confidence": n} | scores(*critics[n]) | abstention(*first[n], config.target)
        for n in critics
    ]
    rows += [
        {"answer": f"one of {k}", "confidence": n} | scores(*pair) | abstention(*pair, config.target)
        for n, pair in answers.items()
    ]
    print(
        f"{counted(puzzles.num_puzzles, 'unseen puzzle')}, {counted(k, 'trajectory', 'trajectories')}, "
        f"{counted(config.num_segments, 'segment')}, {seconds:.0f} s on {study.device}"
    )
    study.report("calibration", rows, num_puzzles=puzzles.num_puzzles, rows=rows)
    calibration_figure(critics, study.folder / "trajectories.png")
    calibration_figure(answers, study.folder / "selected.png")


if __name__ == "__main__":
    main()
