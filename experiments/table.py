"""Collect runs into the paper's table: mean and standard error over seeds, the paper's number and the ceiling.

    python experiments/svi_nqueens.py -m experiment=table method=gram,hrm,trm,looped,direct,masked_diffusion seed=0,1,2
    python experiments/table.py runs=runs/table output=experiments/results/table

Writes table.md, table.csv and frontier.png (accuracy of one answer against coverage, per task). Coverage is pooled over
(puzzle, solution) rows, as the paper seems to count, and its ceiling is that of a perfect sampler on the same puzzles.
"""

import csv
import json
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig, OmegaConf

from gram_pyro.command import plain_errors
from gram_pyro.plots import frontier_figure

METRICS = {
    "accuracy": ("accuracy", 1, 100),
    "any": ("any", None, 100),
    "coverage": ("coverage_pooled", None, 100),
    "ceiling": ("ceiling_pooled", None, 100),
    "coverage_macro": ("coverage", None, 100),
    "ceiling_macro": ("ceiling", None, 100),
    "broken_rules": ("violations", 1, 1),
}


def read_run(path: Path, width: int) -> list[dict]:
    """One row per program and set of unseen puzzles of a finished run: its metrics in per cent, and what it cost."""
    rows = []
    for name, program in json.loads(path.read_text())["programs"].items():
        config = program["config"]
        method = config["method_name"] if name == "GRAM" else name
        for test, table in program["tests"].items():
            if str(width) not in table["any"]:
                raise ValueError(f"{path} was not evaluated at width={width}; it has {', '.join(table['any'])}")
            row = {"task": config["task_name"], "method": method, "puzzles": test, "seed": config["seed"]}
            for column, (metric, at, scale) in METRICS.items():
                row[column] = scale * table[metric][str(at or width)]
            row |= {
                "parameters": sum(program["parameters"].values()),
                "updates": program["updates"],
                "minutes": program["seconds"] / 60,
                "device": program["device"],
            }
            rows.append(row)
    return rows


def summarise(rows: list[dict], paper: dict) -> list[dict]:
    """Mean and standard error over seeds of every (task, method, puzzles), with what the paper reports of it."""
    groups: dict[tuple[str, str, str], list[dict]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["method"], row["puzzles"]), []).append(row)
    table = []
    for (task, method, puzzles), same in sorted(groups.items()):
        line = {"task": task, "method": method, "puzzles": puzzles, "seeds": len(same)}
        for column in METRICS:
            values = torch.tensor([row[column] for row in same], dtype=torch.float64)
            line[column] = values.mean().item()
            line[f"{column}_se"] = (values.std() / len(values) ** 0.5).item() if len(values) > 1 else None
        reported = paper.get(task, {}).get(method, {})
        line |= {f"paper_{column}": reported.get(column) for column in ("accuracy", "coverage")}
        line |= {key: same[0][key] for key in ("parameters", "updates", "device")}
        line["minutes"] = sum(row["minutes"] for row in same) / len(same)
        table.append(line)
    return table


def markdown(table: list[dict]) -> str:
    """The table for people."""
    head = "| task | method | seeds | accuracy % | paper | coverage % | ceiling | paper | macro coverage % | ceiling | "
    lines = [head + "broken rules | parameters | updates | minutes | device |", "| --- " * 15 + "|"]

    def number(line: dict, column: str) -> str:
        error = line[f"{column}_se"]
        return f"{line[column]:.2f}" + ("" if error is None else f" ± {error:.2f}")

    for line in table:
        reported = [line[f"paper_{c}"] for c in ("accuracy", "coverage")]
        accuracy, coverage = ("" if r is None else f"{r:g}" for r in reported)
        lines.append(
            f"| {line['task']}, {line['puzzles']} | {line['method']} | {line['seeds']} | {number(line, 'accuracy')} | "
            f"{accuracy} | {number(line, 'coverage')} | {line['ceiling']:.1f} | {coverage} | "
            f"{number(line, 'coverage_macro')} | {line['ceiling_macro']:.1f} | {number(line, 'broken_rules')} | "
            f"{line['parameters'] / 1e6:.2f}M | {line['updates']} | {line['minutes']:.1f} | {line['device']} |"
        )
    return "\n".join(lines)


def run(config: DictConfig) -> None:
    files = sorted(Path(config.runs).glob("**/results.json"))
    if not files:
        raise ValueError(
            f"there is no results.json below runs={config.runs}; run experiments with experiment=table first"
        )
    rows = [row for file in files for row in read_run(file, config.width)]
    table = summarise(rows, OmegaConf.to_container(config.paper))
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    text = markdown(table)
    print(text)
    (output / "table.md").write_text(text + "\n")
    with (output / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    frontier_figure(table, output / "frontier.png")
    print(f"\n{len(files)} runs; table and figure are in {output}")


@hydra.main(version_base=None, config_path="conf", config_name="table")
def main(config: DictConfig) -> None:
    with plain_errors():
        run(config)


if __name__ == "__main__":
    main()
