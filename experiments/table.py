"""Collect runs into the paper's table: mean and standard error over seeds, the paper's number and the ceiling.

    python experiments/svi_nqueens.py -m experiment=table method=gram,hrm,trm,looped,direct,masked_diffusion seed=0,1,2
    python experiments/table.py runs=runs/table output=experiments/results/table

Methods without noise need one name per colouring: task=colouring_8_canonical task_name=colouring_8. Rows of other
samplers come from evaluate.py, with run_dir below the same folder.

Writes table.md and table.csv; widths.md and widths.csv, what 1, 5, 10, 20 trajectories are worth; and frontier.png,
accuracy of one answer against coverage, per task, a curve per trained method if it has rows of several samplers (of
several temperatures, say: evaluate.py sampler=hot_start sampler.temperature=2 sampler_name="hot 2"). Coverage is pooled
over (puzzle, solution) rows, as the paper seems to count, and its ceiling is that of a perfect sampler on the same
puzzles.
"""

import json
from itertools import pairwise
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig, OmegaConf

from gram_pyro.plots.trial import frontier_figure
from gram_pyro.report import write_rows
from gram_pyro.runs.check_config import leaves
from gram_pyro.runs.command import plain_errors

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

# What seeds of a row may differ in: where a run lies, what it began from (its updates count), how it was computed.
ASIDE = set("seed run_dir checkpoint start resume device precision compile cuda_graph chunk watch".split())
OF_GRAM = ("model", "core", "prior", "guide", "objective")
AS_TRAINED = {"sampler_name": "ancestral", "halt_at": None, "task": {"test": None, "num_test": None}}


def all_updates(program: dict) -> int:
    """With those of the run it started from."""
    return program.get("before", {"updates": 0})["updates"] + program["updates"]


def settings_of(program: dict) -> dict[str, list]:
    """What seeds of one row have in common, by dotted key: how they were trained, and how they were judged.

    Of parts the name alone, as modules move; of a peer, not what it leaves unused.
    """
    config = dict(program["config"])
    if config.get("peer"):
        config = {key: value for key, value in config.items() if key not in OF_GRAM}
    config["evaluate"] = program.get("evaluation", AS_TRAINED | config.get("evaluate", {}))
    settings = {"updates": [all_updates(program)]}
    for place, name, value in leaves(config):
        if not ASIDE & set(place.split(".")):
            settings.setdefault(place, []).append(value.split(".")[-1] if name == "_target_" and value else value)
    return settings


def read_run(path: Path, width: int) -> list[dict]:
    """One row per program and set of unseen puzzles of a finished run: its metrics in per cent, and what it cost."""
    rows = []
    for name, program in json.loads(path.read_text(encoding="utf-8"))["programs"].items():
        config = program["config"]
        method = config["method_name"] if name == "GRAM" else name
        settings = settings_of(program)
        for test, table in program["tests"].items():
            if str(width) not in table["any"]:
                raise ValueError(f"{path} was not evaluated at width={width}; it has {', '.join(table['any'])}")
            row = {"task": config["task_name"], "method": method, "puzzles": test, "seed": config["seed"]}
            for column, (metric, at, scale) in METRICS.items():
                row[column] = scale * table[metric][str(at or width)]
            before = program.get("before", {"seconds": 0})  # of the run it started from
            row |= {
                "parameters": sum(program["parameters"].values()),
                "updates": all_updates(program),
                "minutes": (before["seconds"] + program["seconds"]) / 60,
                "device": program["device"],
                "path": path,
                "settings": settings | {"evaluate.num_puzzles": [table["num_puzzles"]]},  # not how many were wanted
                "widths": {metric: table[metric] for metric in WIDE},
            }
            rows.append(row)
    return rows


def group(rows: list[dict]) -> dict[tuple[str, str, str], list[dict]]:
    """The rows of every (task, method, puzzles), in order.

    Raises: ValueError if a seed comes twice, or if the seeds of one were trained or evaluated with different settings.
    """
    groups: dict[tuple[str, str, str], list[dict]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["method"], row["puzzles"]), []).append(row)
    for (task, method, _), same in groups.items():
        for before, row in pairwise(sorted(same, key=lambda row: row["seed"])):
            name = "method_name (of evaluate.py: sampler_name)"
            where = f"{before['path']} and {row['path']} are both method {method} on {task}"
            if before["seed"] == row["seed"]:
                raise ValueError(f"{where} with seed {row['seed']}; take one of them away, or give it a {name}")
            shared = before["settings"].keys() & row["settings"].keys()  # one that only one knows came later
            differ = sorted(key for key in shared if before["settings"][key] != row["settings"][key])
            if differ:
                raise ValueError(f"{where} and differ in {', '.join(differ)}; give one of them another {name}")
    return dict(sorted(groups.items()))


def over_seeds(values: list[float]) -> tuple[float, float | None]:
    """Mean and standard error; None of one value."""
    values = torch.tensor(values, dtype=torch.float64)
    return values.mean().item(), (values.std() / len(values) ** 0.5).item() if len(values) > 1 else None


def minutes(rows: list[dict]) -> str:
    """Of training on each kind of device, the mean over the seeds trained there."""
    spent: dict[str, list[float]] = {}
    for row in rows:
        spent.setdefault(row["device"], []).append(row["minutes"])
    return ", ".join(f"{sum(each) / len(each):.1f} ({device})" for device, each in spent.items())


def summarise(groups: dict[tuple[str, str, str], list[dict]], paper: dict) -> list[dict]:
    """Mean and standard error over seeds of every (task, method, puzzles), with what the paper reports of it."""
    table = []
    for (task, method, puzzles), same in groups.items():
        line = {"task": task, "method": method, "puzzles": puzzles, "seeds": len(same)}
        for column in METRICS:
            line[column], line[f"{column}_se"] = over_seeds([row[column] for row in same])
        reported = paper.get(task, {}).get(method, {})
        line |= {f"paper_{column}": reported.get(column) for column in ("accuracy", "coverage")}
        line |= {key: same[0][key] for key in ("parameters", "updates")}
        line["minutes"] = minutes(same)
        table.append(line)
    return table


def by_width(groups: dict[tuple[str, str, str], list[dict]]) -> list[dict]:
    """A row per (task, method, puzzles) and number K of trajectories: mean and standard error over seeds."""
    table = []
    for (task, method, puzzles), same in groups.items():
        for width in same[0]["widths"]["any"]:
            line = {"task": task, "method": method, "puzzles": puzzles, "seeds": len(same), "K": int(width)}
            for metric in WIDE:
                line[metric], line[f"{metric}_se"] = over_seeds([row["widths"][metric][width] for row in same])
            table.append(line)
    return table


def number(line: dict, column: str, digits: int = 2) -> str:
    """Mean and standard error as text."""
    error = line[f"{column}_se"]
    return f"{line[column]:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def markdown(table: list[dict]) -> str:
    """The table for people."""
    head = "| task | method | seeds | accuracy % | paper | coverage % | ceiling | paper | macro coverage % | ceiling | "
    lines = [head + "broken rules | parameters | updates | minutes |", "| --- " * 14 + "|"]
    for line in table:
        reported = [line[f"paper_{c}"] for c in ("accuracy", "coverage")]
        accuracy, coverage = ("" if r is None else f"{r:g}" for r in reported)
        lines.append(
            f"| {line['task']}, {line['puzzles']} | {line['method']} | {line['seeds']} | {number(line, 'accuracy')} | "
            f"{accuracy} | {number(line, 'coverage')} | {line['ceiling']:.1f} | {coverage} | "
            f"{number(line, 'coverage_macro')} | {line['ceiling_macro']:.1f} | {number(line, 'broken_rules')} | "
            f"{line['parameters'] / 1e6:.2f}M | {line['updates']} | {line['minutes']} |"
        )
    return "\n".join(lines)


def widths_markdown(table: list[dict]) -> str:
    """What K trajectories are worth, for people."""
    lines = ["| task | method | K | " + " | ".join(WIDE[:-1]) + " | ceiling |", "| --- " * (3 + len(WIDE)) + "|"]
    for line in table:
        cells = [number(line, metric, 3) for metric in WIDE[:-1]] + [f"{line['ceiling']:.3f}"]
        lines.append(f"| {line['task']}, {line['puzzles']} | {line['method']} | {line['K']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write(table: list[dict], text: str, path: Path) -> None:
    """`text` as PATH.md and the table as PATH.csv."""
    path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    write_rows(path.with_suffix(".csv"), table)


def curves(table: list[dict]) -> list[dict]:
    """The same rows as points of a curve per trained method, each with its sampler for a note."""
    names = [line["method"].partition(", ") for line in table]
    return [line | {"method": method, "note": note} for line, (method, _, note) in zip(table, names, strict=True)]


def run(config: DictConfig) -> None:
    files = sorted(Path(config.runs).glob("**/results.json"))
    if not files:
        raise ValueError(
            f"there is no results.json below runs={config.runs}; run experiments with experiment=table first"
        )
    groups = group([row for file in files for row in read_run(file, config.width)])
    table, widths = summarise(groups, OmegaConf.to_container(config.paper)), by_width(groups)
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    print(markdown(table))
    write(table, markdown(table), output / "table")
    write(widths, widths_markdown(widths), output / "widths")
    frontier_figure(curves(table), output / "frontier.png")
    print(f"\n{len(files)} runs; table and figure are in {output}")


@hydra.main(version_base=None, config_path="conf", config_name="table")
def main(config: DictConfig) -> None:
    with plain_errors():
        run(config)


if __name__ == "__main__":
    main()
