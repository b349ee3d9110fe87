"""Evaluate a checkpoint on its own unseen puzzles, on fresh ones, or on puzzles from a file.

    python experiments/evaluate.py checkpoint=runs/.../GRAM.safetensors task.test=FILE num_segments=32
    python experiments/evaluate.py checkpoint=sudoku task.n=12 task.num_test=100
    python experiments/evaluate.py checkpoint=sudoku +task=boards_16
    python experiments/evaluate.py checkpoint=constraints task.test=FOLDER     # of puzzles that state their rules
    python experiments/evaluate.py checkpoint=... sampler=smc potential=violation select=best_value halt_at=0.9

A checkpoint is the path of a file, or the name of shipped weights. Weights that serve every size (embed=candidates) are
evaluated on boards of another size by task.n, or by +task=NAME, a task of its own. FILE holds Sudokus: CSV
(question[,answer]), JSONL (question, solutions) or text, see `gram_pyro.tasks.sudoku.files`.
The run folder receives results.json and results.csv; and per test set puzzles_SET.csv, what became of every puzzle,
width_SET.png; profile_SET.png and .csv: who is right by number of solutions, and by difficulty if the task knows it.
table.py reads that results.json, in which the method is named after the sampler too. The last line of output is one
JSON object over all puzzles. A sampler that weighs its particles together (sir, smc) is judged at max(widths) only.
"""

import json
from functools import partial
from pathlib import Path

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from gram_pyro.evaluation.evaluate import evaluate, selected
from gram_pyro.evaluation.metrics import Tally, join, per_puzzle, report
from gram_pyro.evaluation.tables import COLUMNS, flat_rows, markdown
from gram_pyro.harness.build import build_sampler
from gram_pyro.harness.checkpoint import read
from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.load import weights_file
from gram_pyro.harness.results import record, strict, write_json, write_rows
from gram_pyro.harness.run_folder import RESULTS
from gram_pyro.harness.study import Study, is_repeating, run_study
from gram_pyro.plots.profile import profile_figure
from gram_pyro.plots.trial import width_figure
from gram_pyro.tasks.base import Puzzles, Task, subset, unseen


def measures(task: Task, puzzles: Puzzles) -> dict[str, Tensor]:
    """What may make puzzles hard, [B] by name."""
    hard = task.difficulty(puzzles.x)
    return {"solutions": puzzles.num_solutions} | ({} if hard is None else dict([hard]))


def per_puzzle_rows(task: Task, puzzles: Puzzles, result: Tally, width: int) -> list[dict[str, object]]:
    """What became of every puzzle."""
    values = per_puzzle(result, width)
    columns = measures(task, puzzles) | {metric: values[metric] for metric in ("accuracy", "any", "vote", "distinct")}
    texts = [" ".join(map(str, x)) for x in puzzles.x.tolist()]
    lists = [texts, *(column.tolist() for column in columns.values())]
    return [dict(zip(["x", *columns], row, strict=True)) for row in zip(*lists, strict=True)]


def profile(task: Task, puzzles: Puzzles, result: Tally, width: int, folder: Path, name: str) -> None:
    """A figure of what became of the puzzles by what makes them hard."""
    known = {
        measure: column
        for measure, column in measures(task, puzzles).items()
        if column.isfinite().all() and column.unique().numel() > 1
    }
    if known:
        values = per_puzzle(result, width)
        curves = {f"any of {width}": values["any"], "vote": values["vote"], "one": values["accuracy"]}
        rows = profile_figure(known, curves, name, folder / f"profile_{name}.png")
        write_rows(folder / f"profile_{name}.csv", rows)


def run(study: Study, config: DictConfig) -> None:
    task, program, device, precision, folder, _ = study
    _, description = read(weights_file(config.checkpoint))
    method, widths = description["config"].get("method_name", "gram"), list(config.widths)
    if config.sampler_name != "ancestral":
        method = f"{method}, {config.sampler_name}"
    sampler, select = build_sampler(config.sampler, task, program.heads), instantiate(config.select)
    draw = partial(sampler, program.model, heads=program.heads, halt_at=config.halt_at, chunk=config.chunk)
    judged, seconds, tests, each, rows, shown = [], 0.0, {}, {}, [], []
    for name, puzzles in unseen(task).items():
        puzzles = subset(puzzles, config.num_puzzles)
        with precision:
            trajectories, result, table = evaluate(
                draw, task, puzzles, config.num_segments, widths, config.seed, device
            )
        judged.append(result)
        widths = result.widths(widths)
        each[name] = record(result, max(widths))
        seconds += table["seconds"]
        tests[name] = table
        rows += flat_rows(method, name, table, widths)
        if not is_repeating(study):
            write_rows(folder / "results.csv", rows)
        write_rows(folder / f"puzzles_{name}.csv", per_puzzle_rows(task, puzzles, result, max(widths)))
        shown.append((name, puzzles, result, table, selected(task, puzzles, trajectories, select)[2]))
    description["config"]["method_name"] = method
    asked = OmegaConf.to_container(config, resolve=True)
    summary = description | {"evaluation": asked, "tests": tests, "per_puzzle": each}
    write_json(folder / RESULTS, {"programs": {"GRAM": summary}})
    for name, puzzles, result, table, row in shown:
        print(
            f"\n{table['num_puzzles']} puzzles '{name}', {config.num_segments} segments deep, "
            f"{table['segments']:.2f} run on average, {table['seconds']} s on {device}\n{markdown(table, widths)}\n\n"
            f"one answer of {max(widths)}: {row['accuracy']:.4f} ± {row['accuracy_se']:.4f} right; answered "
            f"{row['answered']:.4f}" + (f", of which {row['accuracy_answered']:.4f} right" if row["answered"] else "")
        )
        width_figure({method: result}, folder / f"width_{name}.png", f"{name}: {table['num_puzzles']} unseen puzzles")
        profile(task, puzzles, result, max(widths), folder, name)
    print(f"\ntables and figures are in {folder}\n")
    everything = join(judged)
    metrics = {name: by_width for name, by_width in report(everything, widths).items() if name in dict(COLUMNS)}
    metrics |= {"num_puzzles": len(everything.num_solutions), "seconds": round(seconds, 2)}
    print(json.dumps(strict(metrics), allow_nan=False))


@hydra.main(version_base=None, config_path="conf", config_name="evaluate")
def main(config: DictConfig) -> None:
    run_study(config, run)


if __name__ == "__main__":
    plain_arguments()
    main()
