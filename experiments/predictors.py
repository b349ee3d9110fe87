"""Rank predictors of the validity of an answer, on puzzles with one solution and with several.

    python experiments/predictors.py checkpoint=sudoku_6x6
    python experiments/predictors.py checkpoint=nqueens_8 num_segments=6
    python experiments/predictors.py checkpoint=runs/c/GRAM.safetensors beside=[runs/predictors_a,runs/predictors_b]

Papers on recursive reasoning use convergence as a sign of correctness. This is a test for puzzles with several
solutions: predictors are ranked by AUROC, pooled over puzzles and within puzzles (see
gram_pyro/evaluation/predictors.py). The run folder receives predictors.json, predictors.csv and predictors.png. With
`beside`, folders of this study for other training seeds, seeds.json, seeds.csv and seeds.png have the means over seeds.
"""

import json
import math
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import torch

from gram_pyro.evaluation.predictors import evidence, observe, pooled, views_agree, within
from gram_pyro.evaluation.statistics import over_seeds
from gram_pyro.harness.study import Study, study
from gram_pyro.plots.predictors import predictors_figure
from gram_pyro.tasks.base import Puzzles


def known(number: float) -> float | None:
    """The number, or None if it is NaN: if all answers are valid, say."""
    return None if math.isnan(number) else number


def read_rows(folders: Iterable[str]) -> list[list[dict]]:
    """The rows of other seeds.  Raises: FileNotFoundError if there are none."""
    files = [Path(folder) / "predictors.json" for folder in folders]
    for file in files:
        if not file.exists():
            raise FileNotFoundError(
                f"there is no {file}; write beside=[...] with the folders of finished runs of predictors.py"
            )
    return [json.loads(file.read_text())["rows"] for file in files]


def means(seeds: Sequence[Sequence[dict]]) -> list[dict[str, object]]:
    """A row per set of puzzles and predictor: mean and standard error over training seeds, where all have a number."""
    rows = []
    for key in dict.fromkeys((row["test"], row["predictor"]) for row in chain(*seeds)):
        same = [row for row in chain(*seeds) if (row["test"], row["predictor"]) == key]
        row = {"test": key[0], "predictor": key[1], "seeds": len(same)}
        for name in ("solutions", "valid", "auroc", "within"):
            values = [one[name] for one in same]
            row[name], row[f"{name}_se"], _ = (None,) * 3 if None in values else over_seeds(values)
        rows.append(row)
    return rows


def judged(study: Study, name: str, puzzles: Puzzles) -> list[dict[str, object]]:
    """A row per predictor for one set of puzzles."""
    config, task, (model, guide, heads), x = study.config, study.task, study.program, puzzles.x.to(study.device)
    depth, chunk = config.num_segments, config.chunk
    torch.manual_seed(config.seed)
    answers, found = observe(model, heads, x, config.num_particles, depth, chunk)
    found["views"] = views_agree(model, task, x, answers, depth, config.num_views, config.seed, chunk)
    found["evidence"] = evidence(model, guide, x, answers, depth, config.num_weights, chunk)
    valid = task.is_solved(puzzles.x, answers.cpu())
    rows = []
    for predictor, score in found.items():
        over_all, in_each = pooled(score.double().cpu(), valid, config.seed), within(score.double().cpu(), valid)
        rows.append(
            {
                "test": name,
                "solutions": puzzles.num_solutions.double().mean().item(),
                "valid": valid.double().mean().item(),
                "predictor": predictor,
                "auroc": known(over_all.mean),
                "auroc_se": known(over_all.se),
                "within": known(in_each.mean),
                "within_se": known(in_each.se),
                "mixed_puzzles": in_each.num_groups,
            }
        )
    return rows


@study
def main(study: Study) -> None:
    rows, others = [], read_rows(study.config.beside)
    for name, puzzles in study.puzzles().items():
        rows += judged(study, name, puzzles)
        study.save("predictors", rows)
    study.report("predictors", rows)
    predictors_figure(rows, study.folder / "predictors.png")
    if others:
        over_all = means([rows, *others])
        study.report("seeds", over_all)
        predictors_figure(over_all, study.folder / "seeds.png")


if __name__ == "__main__":
    main()
