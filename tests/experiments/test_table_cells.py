"""The paper's table where cells are special: one width only, no number, and two methods paired over puzzles."""

import json

import pytest
from finished_run import write
from scripts import experiment


@pytest.fixture(scope="module")
def table():
    return experiment("table")


def test_weighed_particles_have_one_width(table, tmp_path):
    path = write(tmp_path / "run", "sudoku", "gram, smc", 3, 0.5, 0.6)
    results = json.loads(path.read_text())
    for by_width in results["programs"]["GRAM"]["tests"]["a"].values():
        if isinstance(by_width, dict):
            by_width.pop("1")
    path.write_text(json.dumps(results))
    (row,) = table.read_run(path, 20)
    assert row["accuracy"] == pytest.approx(1.0) and row["coverage"] == pytest.approx(60)


def test_two_methods_are_paired_over_the_puzzles_of_a_seed(table, tmp_path):
    """Of 10 puzzles the first method alone is right on 6, the second alone on none: p = 2 / 2^6."""
    votes = {"gram": [1.0] * 8 + [0.0] * 2, "trm": [0.0] * 6 + [1.0] * 2 + [0.0] * 2}
    for method, vote in votes.items():
        for seed in (0, 1):
            path = write(tmp_path / f"{method}{seed}", "q", method, seed, 0.5, 0.6)
            results = json.loads(path.read_text())
            results["programs"]["GRAM"]["per_puzzle"] = {"a": {"width": 20, "vote": vote, "num_solutions": [2] * 10}}
            path.write_text(json.dumps(results))
    write(tmp_path / "old", "q", "hrm", 0, 0.5, 0.6)
    rows = [row for f in sorted(tmp_path.glob("**/results.json")) for row in table.read_run(f, 20)]
    lines = table.pairs(table.group(rows))
    assert [(line["first"], line["second"], line["seed"]) for line in lines] == [("gram", "trm", 0), ("gram", "trm", 1)]
    assert lines[0]["first_only"] == 6 and lines[0]["second_only"] == 0
    assert lines[0]["p"] == pytest.approx(2 / 2**6) and lines[0]["num_puzzles"] == 10


def test_what_could_not_be_counted_is_no_number(table, tmp_path):
    """Coverage of solutions that are too many to count is null in results.json."""
    path = write(tmp_path / "run", "boards", "gram", 3, 0.5, 0.6)
    results = json.loads(path.read_text())
    for name in ("coverage", "ceiling", "coverage_pooled", "ceiling_pooled"):
        results["programs"]["GRAM"]["tests"]["a"][name] = {"1": None, "20": None}
    path.write_text(json.dumps(results))
    groups = table.group(table.read_run(path, 20))
    (line,), widths = table.summarise(groups, {}), table.by_width(groups)
    assert line["accuracy"] == 50 and line["coverage"] != line["coverage"]
    assert "| nan |" in table.markdown([line]) and "| nan |" in table.widths_markdown(widths)
