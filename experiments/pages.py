"""Write the tables of README.md and of the results pages from committed JSON, or CSV: {"rows": [a row each]}.

    python experiments/pages.py

experiments/results/tables.yaml defines the tables. A table is written between the lines <!-- table NAME --> and
<!-- end --> of its page. A row, or a column, names JSON files of that folder, and a column the place of its number in
them:

    at      keys separated by '/', with {NAME} from the row; a=b&c=d selects an object of a list
    over    another place, to divide by         plus    another place, to add if it exists
    times   a factor                            digits  decimals               error   false: not shown

A column with the verdict of K = 20 (word, accuracy, coverage, says) needs rows that name files of GRAM and, if the
baseline was evaluated separately, `against`: the files of the baseline, one for each of the first seeds.

For several files (training seeds) a cell shows their mean ± standard error; for one file, the number NAME ± NAME_se,
the standard error over puzzles.
"""

import csv
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

from omegaconf import OmegaConf

from gram_pyro.evaluation.statistics import over_seeds
from gram_pyro.evaluation.tables import grid
from gram_pyro.evaluation.verdict import Seed, verdict
from gram_pyro.harness.results import read_seed

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
WIDTH = 20  # K of a verdict
TABLE = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def read(path: Path) -> object:
    """What a file holds; of a CSV its rows, what is a number as one."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".csv":
        return json.loads(text)
    return {"rows": [{key: number(value) for key, value in row.items()} for row in csv.DictReader(text.splitlines())]}


def number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def find(data: object, place: str) -> float | str:
    """The value at a place of JSON.  Raises: ValueError, with the place, if there is none."""
    for key in place.split("/"):
        try:
            if isinstance(data, list):
                wanted = dict(part.split("=", 1) for part in key.split("&"))
                (data,) = (each for each in data if wanted.items() <= {k: str(v) for k, v in each.items()}.items())
            else:
                data = data[key]
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"got the place {place}; nothing, or more than one thing, stands at {key}") from None
    return data


def error_beside(data: object, place: str) -> float | None:
    """The standard error of the value at `place` in a file, if it has one: accuracy_se/20 for accuracy/20."""
    *around, name, last = ["", *place.split("/")]
    name, last = (f"{name}_se", last) if last.isdigit() else (name, f"{last}_se")
    try:
        return find(data, "/".join(filter(None, [*around, name, last])))
    except ValueError:
        return None


def cell(row: Mapping, head: str, column: Mapping | None) -> str:
    """The text of a cell in the column `head`.  Raises: ValueError if there are no files, or nothing at the place."""
    if head in row or column is None:
        return str(row.get(head, ""))
    if "verdict" in column:
        return of_verdict(row, column["verdict"])
    named = column.get("files", row.get("files", ""))
    files = [read(path) for path in sorted(RESULTS.glob(named))]
    if not files:
        raise ValueError(f"got files={named}; expected files below {RESULTS}; write a path or a pattern")
    at, over, plus = (column.get(key, "").format(**row) for key in ("at", "over", "plus"))
    scale = column.get("times", 1)
    values = [find(file, at) for file in files]
    if isinstance(values[0], str):
        return values[0]
    if over:
        values = [value / find(file, over) for value, file in zip(values, files, strict=True)]
    if plus:
        values = [value + optional(file, plus) for value, file in zip(values, files, strict=True)]
    mean, error, _ = over_seeds(values)
    if len(files) == 1:
        error = error_beside(files[0], at)
        error = error / find(files[0], over) if error and over else error
    shown = [mean, error] if error and column.get("error", True) else [mean]
    return " ± ".join(rounded(scale * value, column.get("digits", 0)) for value in shown)


def of_verdict(row: Mapping, asked: str) -> str:
    """The verdict on the runs of a row, or one part of it; gains in per cent, per seed, ± one standard error."""
    runs = sorted(RESULTS.glob(row["files"]))
    others = sorted(RESULTS.glob(row["against"])) if "against" in row else [None] * len(runs)
    found = [read_seed(run, WIDTH, other) for run, other in zip(runs, others, strict=False)]
    seeds: list[Seed] = [seed for seed in found if seed]
    if asked == "word":
        return verdict(seeds)
    if asked == "says":
        return ", ".join(seed.says for seed in seeds)
    gains = [seed.gains[asked] for seed in seeds if asked in seed.gains]
    return ", ".join(f"{100 * gain.mean:+.2f} ± {100 * gain.se:.2f}" for gain in gains)


def rounded(value: float, digits: int) -> str:
    """A number with `digits` decimals; halves are rounded away from zero."""
    return f"{value + math.copysign(1e-9, value):.{digits}f}"


def optional(data: object, place: str) -> float:
    """The number at a place, or 0 if there is none."""
    try:
        return find(data, place)
    except ValueError:
        return 0.0


def written(table: Mapping) -> str:
    """A table as Markdown."""
    columns, each = table["columns"], table.get("each", {})
    rows = ([cell(each | row, head, column) for head, column in columns.items()] for row in table["rows"])
    return grid(list(columns), rows) + "\n"


def filled(text: str, tables: Mapping[str, Mapping]) -> str:
    """A page with its tables.  Raises: ValueError if its places are not those of `tables`."""
    there = [name for _, name, _ in TABLE.findall(text)]
    if there != list(tables):
        raise ValueError(f"got a page with the tables {there}; expected {list(tables)}, as tables.yaml has them")
    return TABLE.sub(lambda found: found[1] + written(tables[found[2]]) + found[3], text)


def specified() -> dict[str, dict]:
    """The tables of every page, by the path of the page from the root."""
    return OmegaConf.to_container(OmegaConf.load(RESULTS / "tables.yaml"))


def main() -> None:
    for name, tables in specified().items():
        page = ROOT / name
        page.write_text(filled(page.read_text(encoding="utf-8"), tables), encoding="utf-8")
        print(f"{name}: {', '.join(tables)}")


if __name__ == "__main__":
    main()
