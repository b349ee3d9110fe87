"""Scale inference: depth x width x sampler x selection for one checkpoint.

    python experiments/scaling.py checkpoint=runs/.../GRAM.safetensors
    python experiments/scaling.py checkpoint=... task.num_test=20000 num_puzzles=null only_failed=true

A strategy is a sampler, with or without halting, and a selection of one answer; `strategies` of conf/scaling.yaml names
them. The run folder receives scaling.json, scaling.csv and two figures: accuracy of the one answer against compute, and
coverage@K against K with the ceiling of a perfect sampler.
"""

import itertools

from hydra.utils import instantiate
from tqdm import tqdm

from gram_pyro.evaluation.evaluate import judge, roll_out, selected
from gram_pyro.evaluation.metrics import Tally, ceiling, per_puzzle, standard_error
from gram_pyro.evaluation.tables import counted
from gram_pyro.harness.build import build_sampler
from gram_pyro.harness.study import Study, chosen, study
from gram_pyro.inference.sampler import Sampler, sample
from gram_pyro.inference.selection import Select
from gram_pyro.plots.inference import coverage_figure, scaling_figure
from gram_pyro.tasks.base import Puzzles, concatenate

COLUMNS = (
    "strategy",
    "num_segments",
    "num_particles",
    "transitions",
    "seconds",
    "accuracy",
    "valid",
    "any",
    "distinct",
)


def failed(study: Study, puzzles: Puzzles) -> Puzzles:
    """The puzzles that one prior trajectory of full depth, with another seed, gets wrong.

    Raises: ValueError if it solves them all.
    """
    config, depth = study.config, max(study.config.depths)
    first, _ = roll_out(study.draw(sample, halt_at=None), puzzles, 1, depth, config.seed + 1_000_003, study.device)
    wrong = (~judge(study.task, puzzles, first).solved[0]).nonzero().squeeze(1)
    if len(wrong) == 0:
        raise ValueError(
            f"one trajectory of {depth} segments solves all {puzzles.num_puzzles} puzzles, so only_failed "
            "leaves none; write more puzzles, or fewer segments"
        )
    return puzzles.select(wrong)


def columns(result: Tally, width: int) -> dict[str, float]:
    """Metrics of K answers: means over puzzles, and their standard errors."""
    values = per_puzzle(result, width)
    names = {"accuracy": "valid", "any": "any", "coverage": "coverage", "distinct": "distinct"}
    row = {names[n]: v.mean().item() for n, v in values.items() if n in names}
    return row | {f"{names[n]}_se": standard_error(v) for n, v in values.items() if n in names}


def measure(study: Study, puzzles: Puzzles) -> list[dict]:
    """One row per strategy, depth and width, saved after each run. Strategies that differ only in selection share their
    trajectories."""
    config, task = study.config, study.task
    groups: dict[tuple[str, bool], dict[str, Select]] = {}
    samplers: dict[str, Sampler] = {}
    for title, strategy in config.strategies.items():
        parts = chosen(**{group: name for group, name in strategy.items() if group != "halts"})
        name = f"{strategy.sampler} by {strategy.potential}" if "potential" in strategy else strategy.sampler
        samplers[name] = build_sampler(parts.sampler, task, study.program.heads)
        groups.setdefault((name, strategy.get("halts", False)), {})[title] = instantiate(parts.select)
    rows = []
    jobs = list(itertools.product(groups.items(), config.depths, config.widths))
    for ((name, halts), selections), depth, width in tqdm(jobs, unit="run", dynamic_ncols=True):
        draw = study.draw(samplers[name], halt_at=config.halt_at if halts else None)
        trajectories, seconds = roll_out(draw, puzzles, width, depth, config.seed, study.device)
        shared = {
            "sampler": f"{name}, halting" if halts else name,
            "num_particles": width,
            "num_segments": depth,
            "transitions": trajectories.depth.double().sum(0).mean().item() * study.program.model.num_transitions,
            "seconds": round(seconds, 2),
        } | columns(judge(task, puzzles, trajectories), width)
        for title, select in selections.items():
            _, _, answer = selected(task, puzzles, trajectories, select)
            rows.append({"strategy": title, "select": config.strategies[title].select} | shared | answer)
        study.save("scaling", rows, num_puzzles=puzzles.num_puzzles, rows=rows)
    return rows


@study
def main(study: Study) -> None:
    config, folder = study.config, study.folder
    puzzles = concatenate(list(study.puzzles().values()))
    if config.only_failed:
        puzzles = failed(study, puzzles)
    rows = measure(study, puzzles)
    print(f"\n{counted(puzzles.num_puzzles, 'puzzle')}; accuracy of the one selected answer, and of K trajectories")
    study.report("scaling", rows, COLUMNS, num_puzzles=puzzles.num_puzzles, rows=rows)
    scaling_figure(rows, folder / "accuracy.png")
    deepest = [row for row in rows if row["num_segments"] == max(config.depths)]
    curves: dict[str, list[tuple[int, float, float]]] = {}
    for row in {(r["sampler"], r["num_particles"]): r for r in deepest}.values():
        curves.setdefault(row["sampler"], []).append((row["num_particles"], row["coverage"], row["coverage_se"]))
    best = [(k, ceiling(puzzles.num_solutions, k).mean().item()) for k in range(1, max(config.widths) + 1)]
    coverage_figure(curves, best, folder / "coverage.png")


if __name__ == "__main__":
    main()
