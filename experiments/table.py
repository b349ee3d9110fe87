"""Collect runs into the paper's table: mean over seeds with its 95 % interval, the paper's number and the ceiling.

    python experiments/svi_nqueens.py -m experiment=table method=gram,hrm,trm,looped,direct,masked_diffusion seed=0,1,2
    python experiments/table.py runs=runs/table output=experiments/results/table

Methods without noise need one name per colouring: task=colouring_8_canonical task_name=colouring_8. Rows of other
samplers come from evaluate.py, with run_dir below the same folder.

It writes table.md and table.csv; widths.md and widths.csv, metrics of 1, 5, 10, 20 trajectories; frontier.png, accuracy
of one answer against coverage, per task, with a curve per trained method if it has rows of several samplers (of several
temperatures, say: evaluate.py sampler=hot_start sampler.temperature=2 sampler_name="hot 2"); and, if the runs have
numbers per puzzle, pairs.md and pairs.csv, McNemar's test of every two methods on the same puzzles, by the vote of
their trajectories. Coverage is pooled over (puzzle, solution) rows, as the paper seems to count; its ceiling is that of
a perfect sampler on the same puzzles.
"""

from itertools import combinations, pairwise
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from gram_pyro.evaluation.statistics import mcnemar, over_seeds
from gram_pyro.evaluation.tables import counted, grid, rows_markdown
from gram_pyro.harness.command import experiment
from gram_pyro.harness.results import all_updates, differences, number, read_programs, settings_of, write_rows
from gram_pyro.plots.trial import frontier_figure

METRICS = {
    "accuracy": ("accuracy", 1, 100),
    "any": ("any", None, 100),
    "coverage": ("coverage_pooled", None, 100),
    "ceiling": ("ceiling_pooled", None, 100),
    "coverage_macro": ("coverage", None, 100),
    "ceiling_macro": ("ceiling", None, 100),
    "broken_rules": ("violations", 1, 1),
}

WIDE = ("accuracy", "any", "vote", "distinct", "entropy", "coverage", "ceiling")  # of widths.csv

INTERVAL = "± is half of a 95 % interval by Student's t over training seeds"


def read_run(path: Path, width: int) -> list[dict]:
    """One row per program and test set of a finished run: its metrics in per cent, and its cost."""
    rows = []
    for name, program in read_programs(path).items():
        config = program["config"]
        method = config["method_name"] if name == "GRAM" else name
        settings = settings_of(program)
        for test, table in program["tests"].items():
            if str(width) not in table["any"]:
                raise ValueError(f"got width={width}; expected a width of {path}: {', '.join(table['any'])}")
            row = {"task": config["task_name"], "method": method, "puzzles": test, "seed": config["seed"]}
            for column, (metric, at, scale) in METRICS.items():
                by_width = table[metric]
                value = by_width.get(str(at or width), by_width[str(width)])  # weighted particles have one width
                row[column] = scale * number(value)
            before = program.get("before", {"seconds": 0})  # of the run from which it started
            row |= {
                "parameters": sum(program["parameters"].values()),
                "updates": all_updates(program),
                "minutes": (before["seconds"] + program["seconds"]) / 60,
                "device": program["device"],
                "path": path,
                "settings": settings | {"evaluate.num_puzzles": [table["num_puzzles"]]},  # not the number requested
                "widths": {metric: table[metric] for metric in WIDE},
                "scores": program.get("per_puzzle", {}).get(test),
            }
            rows.append(row)
    return rows


def group(rows: list[dict]) -> dict[tuple[str, str, str], list[dict]]:
    """The rows of every (task, method, puzzles), in order.

    Raises: ValueError if a seed occurs twice, or if seeds of a group were trained or evaluated with different settings.
    """
    groups: dict[tuple[str, str, str], list[dict]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["method"], row["puzzles"]), []).append(row)
    for (task, method, _), same in groups.items():
        for before, row in pairwise(sorted(same, key=lambda row: row["seed"])):
            name = "method_name (of evaluate.py: sampler_name)"
            where = f"{before['path']} and {row['path']} are both method {method} on {task}"
            if before["seed"] == row["seed"]:
                raise ValueError(f"{where} with seed {row['seed']}; remove one of them, or give it a {name}")
            if differ := differences(before["settings"], row["settings"]):
                raise ValueError(f"{where} and differ in {', '.join(differ)}; give one of them another {name}")
    return dict(sorted(groups.items()))


def columns(name: str, values: list[float | None]) -> dict[str, float | None]:
    """Mean over seeds, its standard error, and half of its 95 % interval; None for one value."""
    found = over_seeds([number(value) for value in values])
    return dict(zip((name, f"{name}_se", f"{name}_t95"), found, strict=True))


def minutes(rows: list[dict]) -> str:
    """Minutes of training on each kind of device, the mean over the seeds trained there."""
    spent: dict[str, list[float]] = {}
    for row in rows:
        spent.setdefault(row["device"], []).append(row["minutes"])
    return ", ".join(f"{sum(each) / len(each):.1f} ({device})" for device, each in spent.items())


def summarise(groups: dict[tuple[str, str, str], list[dict]], paper: dict) -> list[dict]:
    """Mean over seeds of every (task, method, puzzles) and its error, with the numbers of the paper."""
    table = []
    for (task, method, puzzles), same in groups.items():
        line = {"task": task, "method": method, "puzzles": puzzles, "seeds": len(same)}
        for column in METRICS:
            line |= columns(column, [row[column] for row in same])
        reported = paper.get(task, {}).get(method, {})
        line |= {f"paper_{column}": reported.get(column) for column in ("accuracy", "coverage")}
        line |= {key: same[0][key] for key in ("parameters", "updates")}
        line["minutes"] = minutes(same)
        table.append(line)
    return table


def by_width(groups: dict[tuple[str, str, str], list[dict]]) -> list[dict]:
    """A row per (task, method, puzzles) and number K of trajectories: mean over seeds and its error."""
    table = []
    for (task, method, puzzles), same in groups.items():
        for width in same[0]["widths"]["any"]:
            line = {"task": task, "method": method, "puzzles": puzzles, "seeds": len(same), "K": int(width)}
            for metric in WIDE:
                line |= columns(metric, [row["widths"][metric][width] for row in same])
            table.append(line)
    return table


def pairs(groups: dict[tuple[str, str, str], list[dict]]) -> list[dict]:
    """McNemar's test of every two methods, seed by seed: is the vote of one right on more of the same puzzles?"""
    lines = []
    for (first, ours), (second, theirs) in combinations(groups.items(), 2):
        if (first[0], first[2]) != (second[0], second[2]):
            continue
        for mine in ours:
            for its in theirs:
                a, b = mine["scores"], its["scores"]
                if mine["seed"] != its["seed"] or not a or not b or a["num_solutions"] != b["num_solutions"]:
                    continue
                found = mcnemar(*(torch.tensor(x["vote"]) > 0.5 for x in (a, b)))
                line = {"task": first[0], "puzzles": first[2], "first": first[1], "second": second[1]}
                line |= {"seed": mine["seed"], "num_puzzles": len(a["vote"]), "K": a["width"]}
                lines.append(line | found._asdict())
    return lines


def shown(line: dict, column: str, digits: int = 2) -> str:
    """Mean and half of its 95 % interval as text."""
    error = line[f"{column}_t95"]
    return f"{line[column]:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def markdown(table: list[dict]) -> str:
    """The table as text; see INTERVAL."""
    rows = []
    for line in table:
        accuracy, coverage = ("" if (r := line[f"paper_{c}"]) is None else f"{r:g}" for c in ("accuracy", "coverage"))
        row = [f"{line['task']}, {line['puzzles']}", line["method"], line["seeds"], shown(line, "accuracy"), accuracy]
        row += [shown(line, "coverage"), f"{line['ceiling']:.1f}", coverage, shown(line, "coverage_macro")]
        row += [f"{line['ceiling_macro']:.1f}", shown(line, "broken_rules"), f"{line['parameters'] / 1e6:.2f}M"]
        rows.append([*row, line["updates"], line["minutes"]])
    head = ["task", "method", "seeds", "accuracy %", "paper", "coverage %", "ceiling", "paper", "macro coverage %"]
    return grid([*head, "ceiling", "broken rules", "parameters", "updates", "minutes"], rows)


def widths_markdown(table: list[dict]) -> str:
    """The table of metrics by number K of trajectories, as text."""
    rows = []
    for line in table:
        cells = [shown(line, metric, 3) for metric in WIDE[:-1]] + [f"{line['ceiling']:.3f}"]
        rows.append([f"{line['task']}, {line['puzzles']}", line["method"], line["K"], *cells])
    return grid(["task", "method", "K", *WIDE], rows)


def write(table: list[dict], text: str, path: Path) -> None:
    """`text` as PATH.md and the table as PATH.csv."""
    path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    write_rows(path.with_suffix(".csv"), table)


def curves(table: list[dict]) -> list[dict]:
    """The rows as points of a curve per trained method, each with its sampler as a note."""
    names = [line["method"].partition(", ") for line in table]
    return [line | {"method": method, "note": note} for line, (method, _, note) in zip(table, names, strict=True)]


@experiment
def main(config: DictConfig) -> None:
    files = sorted(Path(config.runs).glob("**/results.json"))
    if not files:
        raise ValueError(
            f"there is no results.json below runs={config.runs}; run experiments with experiment=table first"
        )
    groups = group([row for file in files for row in read_run(file, config.width)])
    table, widths = summarise(groups, OmegaConf.to_container(config.paper)), by_width(groups)
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    text = f"{markdown(table)}\n\n{INTERVAL}"
    write(table, text, output / "table")
    write(widths, f"{widths_markdown(widths)}\n\n{INTERVAL}", output / "widths")
    if compared := pairs(groups):
        write(compared, rows_markdown(compared), output / "pairs")
    print(text)
    frontier_figure(curves(table), output / "frontier.png")
    print(f"\n{counted(len(files), 'run')}; table and figure are in {output}")


if __name__ == "__main__":
    main()
