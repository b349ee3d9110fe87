"""The benchmark of rules as an input: a row per puzzle, with the pairs that a formula says, and a figure."""

import csv
import json

from scripts import script


def test_a_row_per_puzzle(tmp_path):
    small = ("sudokus=[4,6]", "graphs=[1,8]", "degree=7", "dim=8", "core.hidden=8", "core.num_layers=1")
    script("rules_benchmark", *small, "compile=false", "repeats=1", "warmup=0", "device=cpu", f"run_dir={tmp_path}")
    rows = json.loads((tmp_path / "rules_benchmark.json").read_text())["rows"]
    assert [(row["kind"], row["size"]) for row in rows] == [("Sudoku", 4), ("Sudoku", 6), ("graph", 1), ("graph", 8)]
    complete = 3 * 8 + 3 * 8 * 7  # every vertex with each of the 7 others
    assert [row["pairs"] for row in rows] == [4 * 4**3, 4 * 6**3, 3, complete]
    assert all(row[f"{way}_ms"] > 0 and row[f"{way}_mib"] >= 0 for row in rows for way in ("transition", "step"))
    with open(tmp_path / "rules_benchmark.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 4
    assert (tmp_path / "rules_benchmark.png").stat().st_size > 10_000
