"""Evaluate a checkpoint on its own unseen puzzles, on fresh ones, or on puzzles from a file.

    python experiments/evaluate.py checkpoint=runs/.../GRAM.safetensors task.test=FILE num_segments=32
    python experiments/evaluate.py checkpoint=sudoku task.n=12 task.num_test=100
    python experiments/evaluate.py checkpoint=sudoku +task=boards_16
    python experiments/evaluate.py checkpoint=constraints task.test=FOLDER     # of puzzles that state their rules
    python experiments/evaluate.py checkpoint=... sampler=smc potential=violation select=best_value halt_at=0.9

A checkpoint is the path of a file, or the name of shipped weights. Weights that serve every size (embed=candidates)
are evaluated on boards of another size by task.n, or by +task=NAME, another task. FILE has Sudokus: CSV
(question[,answer]), JSONL (question, solutions) or text, see `gram_pyro.tasks.sudoku.files`.

The run folder receives results.json and results.csv; per test set puzzles_SET.csv, a row per puzzle; width_SET.png;
profile_SET.png and .csv, accuracy by number of solutions, and by difficulty if the task defines one. table.py reads
results.json, where the name of the method includes the sampler. The last line of output is one JSON object over all
puzzles. A sampler that weights its particles together (sir, smc) is judged at max(widths) only.
"""

import json
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from gram_pyro.evaluation.evaluate import evaluate, selected
from gram_pyro.evaluation.metrics import Tally, join, per_puzzle, report
from gram_pyro.evaluation.tables import COLUMNS, counted, flat_rows, markdown, with_error
from gram_pyro.harness.build import build_sampler
from gram_pyro.harness.load import weights_file
from gram_pyro.harness.results import record, strict, write_json, write_rows
from gram_pyro.harness.run_folder import RESULTS
from gram_pyro.harness.study import Study, study
from gram_pyro.plots.profile import profile_figure
from gram_pyro.plots.trial import width_figure
from gram_pyro.storage.tensors import read
from gram_pyro.tasks.base import Puzzles, Task


def measures(task: Task, puzzles: Puzzles) -> dict[str, Tensor]:
    """Measures of difficulty, [B] by name."""
    hard = task.difficulty(puzzles.x)
    return {"solutions": puzzles.num_solutions} | ({} if hard is None else dict([hard]))


def per_puzzle_rows(task: Task, puzzles: Puzzles, result: Tally, width: int) -> list[dict[str, object]]:
    """A row of results for every puzzle."""
    values = per_puzzle(result, width)
    columns = measures(task, puzzles) | {metric: values[metric] for metric in ("accuracy", "any", "vote", "distinct")}
    texts = [" ".join(map(str, x)) for x in puzzles.x.tolist()]
    lists = [texts, *(column.tolist() for column in columns.values())]
    return [dict(zip(["x", *columns], row, strict=True)) for row in zip(*lists, strict=True)]


def profile(task: Task, puzzles: Puzzles, result: Tally, width: int, folder: Path, name: str) -> None:
    """A figure of results against measures of difficulty."""
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


@study
def main(study: Study) -> str:
    config, task, folder = study.config, study.task, study.folder
    _, description = read(weights_file(config.checkpoint))
    method, widths = description["config"].get("method_name", "gram"), list(config.widths)
    if config.sampler_name != "ancestral":
        method = f"{method}, {config.sampler_name}"
    draw = study.draw(build_sampler(config.sampler, task, study.program.heads))
    select = instantiate(config.select)
    judged, seconds, tests, each, rows, shown = [], 0.0, {}, {}, [], []
    for name, puzzles in study.puzzles().items():
        trajectories, result, table = evaluate(
            draw, task, puzzles, config.num_segments, widths, config.seed, study.device
        )
        judged.append(result)
        widths = result.widths(widths)
        each[name] = record(result, max(widths))
        seconds += table["seconds"]
        tests[name] = table
        rows += flat_rows(method, name, table, widths)
        if not study.is_repeating:
            write_rows(folder / "results.csv", rows)
        write_rows(folder / f"puzzles_{name}.csv", per_puzzle_rows(task, puzzles, result, max(widths)))
        shown.append((name, puzzles, result, table, selected(task, puzzles, trajectories, select)[2]))
    description["config"]["method_name"] = method
    asked = OmegaConf.to_container(config, resolve=True)
    summary = description | {"evaluation": asked, "tests": tests, "per_puzzle": each}
    write_json(folder / RESULTS, {"programs": {"GRAM": summary}})
    for name, puzzles, result, table, row in shown:
        among = f", of which {row['accuracy_answered']:.4f} right" if row["answered"] else ""
        print(
            f"\n{counted(table['num_puzzles'], 'puzzle')} '{name}', {counted(config.num_segments, 'segment')} deep, "
            f"{table['segments']:.2f} run on average, {table['seconds']} s on {study.device}\n"
            f"{markdown(table, widths)}\n\none answer of {max(widths)}: "
            f"{with_error(row['accuracy'], row['accuracy_se'])} right; answered {row['answered']:.4f}{among}"
        )
        width_figure({method: result}, folder / f"width_{name}.png", f"{name}: {table['num_puzzles']} unseen puzzles")
        profile(task, puzzles, result, max(widths), folder, name)
    everything = join(judged)
    metrics = {name: by_width for name, by_width in report(everything, widths).items() if name in dict(COLUMNS)}
    metrics |= {"num_puzzles": len(everything.num_solutions), "seconds": round(seconds, 2)}
    return json.dumps(strict(metrics), allow_nan=False)


if __name__ == "__main__":
    main()
