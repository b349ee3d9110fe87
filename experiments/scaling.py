"""What inference buys: depth x width x sampler x selection over one checkpoint.

    python experiments/scaling.py checkpoint=runs/.../GRAM.safetensors
    python experiments/scaling.py checkpoint=... task.num_test=20000 num_puzzles=null only_failed=true

A strategy is a sampler, with or without halting, and a selection of one answer; `strategies` of conf/scaling.yaml names
them. The run folder receives scaling.json, scaling.csv and two figures: accuracy of the one answer against compute, and
coverage@K against K with the ceiling of a perfect sampler.
"""

import itertools
from functools import partial

import hydra
import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig
from tqdm import tqdm

from gram_pyro.evaluation.evaluate import judge, roll_out, selected
from gram_pyro.evaluation.metrics import Tally, ceiling, per_puzzle, standard_error
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.build import build_sampler
from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.load import Program
from gram_pyro.harness.study import Study, run_study, save_study, say_where
from gram_pyro.inference.sampler import Sampler, sample
from gram_pyro.inference.selection import Select
from gram_pyro.plots.inference import coverage_figure, scaling_figure
from gram_pyro.tasks.base import Puzzles, Task, concatenate, subset

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


def failed(program: Program, task: Task, puzzles: Puzzles, config: DictConfig, device: torch.device) -> Puzzles:
    """The puzzles that one prior trajectory of full depth, of a seed of its own, gets wrong.

    Raises: ValueError if it solves them all.
    """
    draw = partial(sample, program.model, chunk=config.chunk)
    first, _ = roll_out(draw, puzzles, 1, max(config.depths), config.seed + 1_000_003, device)
    wrong = (~judge(task, puzzles, first).solved[0]).nonzero().squeeze(1)
    if len(wrong) == 0:
        raise ValueError(
            f"one trajectory of {max(config.depths)} segments solves all {puzzles.num_puzzles} puzzles, so only_failed "
            "leaves none; use more puzzles, or fewer segments"
        )
    return puzzles.select(wrong)


def choices(strategy: DictConfig) -> DictConfig:
    """The sampler and the selection that a strategy names, as `evaluate.py` would compose them."""
    named = [f"{group}={strategy[group]}" for group in ("sampler", "potential", "select") if group in strategy]
    return compose("evaluate", overrides=[*named, "checkpoint=none"])


def columns(result: Tally, width: int) -> dict[str, float]:
    """What K answers are worth: means over puzzles, and their standard errors."""
    values = per_puzzle(result, width)
    names = {"accuracy": "valid", "any": "any", "coverage": "coverage", "distinct": "distinct"}
    row = {names[n]: v.mean().item() for n, v in values.items() if n in names}
    return row | {f"{names[n]}_se": standard_error(v) for n, v in values.items() if n in names}


def measure(study: Study, puzzles: Puzzles, config: DictConfig) -> list[dict]:
    """One row per strategy, depth and width, written as they come. Strategies that differ in selection only share their
    trajectories."""
    task, program, device, *_ = study
    groups: dict[tuple[str, bool], dict[str, Select]] = {}
    samplers: dict[str, Sampler] = {}
    for title, strategy in config.strategies.items():
        chosen = choices(strategy)
        name = f"{strategy.sampler} by {strategy.potential}" if "potential" in strategy else strategy.sampler
        samplers[name] = build_sampler(chosen.sampler, task, program.heads)
        groups.setdefault((name, strategy.get("halts", False)), {})[title] = instantiate(chosen.select)
    rows = []
    jobs = list(itertools.product(groups.items(), config.depths, config.widths))
    for ((name, halts), selections), depth, width in tqdm(jobs, unit="run", dynamic_ncols=True):
        options = {"heads": program.heads, "halt_at": config.halt_at if halts else None, "chunk": config.chunk}
        draw = partial(samplers[name], program.model, **options)
        trajectories, seconds = roll_out(draw, puzzles, width, depth, config.seed, device)
        shared = {
            "sampler": f"{name}, halting" if halts else name,
            "num_particles": width,
            "num_segments": depth,
            "transitions": trajectories.depth.double().sum(0).mean().item() * program.model.num_transitions,
            "seconds": round(seconds, 2),
        } | columns(judge(task, puzzles, trajectories), width)
        for title, select in selections.items():
            _, _, answer = selected(task, puzzles, trajectories, select)
            rows.append({"strategy": title, "select": config.strategies[title].select} | shared | answer)
        save_study(study, config, "scaling", rows, num_puzzles=puzzles.num_puzzles, rows=rows)
    return rows


def run(study: Study, config: DictConfig) -> None:
    task, program, device, precision, folder, _ = study
    puzzles = concatenate([subset(part, config.num_puzzles) for part in task.test.values()])
    with precision:
        if config.only_failed:
            puzzles = failed(program, task, puzzles, config, device)
        rows = measure(study, puzzles, config)

    print(f"\n{puzzles.num_puzzles} puzzles; accuracy of the one selected answer, and of K trajectories")
    print(rows_markdown(rows, COLUMNS))
    scaling_figure(rows, folder / "accuracy.png")
    deepest = [row for row in rows if row["num_segments"] == max(config.depths)]
    curves: dict[str, list[tuple[int, float, float]]] = {}
    for row in {(r["sampler"], r["num_particles"]): r for r in deepest}.values():
        curves.setdefault(row["sampler"], []).append((row["num_particles"], row["coverage"], row["coverage_se"]))
    best = [(k, ceiling(puzzles.num_solutions, k).mean().item()) for k in range(1, max(config.widths) + 1)]
    coverage_figure(curves, best, folder / "coverage.png")
    say_where(study)


@hydra.main(version_base=None, config_path="conf", config_name="scaling")
def main(config: DictConfig) -> None:
    run_study(config, run)


if __name__ == "__main__":
    plain_arguments()
    main()
