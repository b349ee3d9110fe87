"""The paper's table: runs in, means over seeds out."""

import csv
import json

import pytest
from finished_run import write
from omegaconf import OmegaConf
from scripts import experiment, work

from gram_pyro.harness.command import plain_errors
from gram_pyro.plots import trial as plots


@pytest.fixture(scope="module")
def table():
    return experiment("table")


def test_read_run(table, tmp_path):
    path = write(tmp_path / "run", "sudoku", "hrm", 3, 0.5, 0.6, 2.0, tests=("a", "b"), baseline=True)
    rows = table.read_run(path, 20)
    assert [(r["method"], r["puzzles"]) for r in rows] == [
        ("hrm", "a"), ("hrm", "b"), ("deterministic", "a"), ("deterministic", "b")
    ]  # fmt: skip
    assert rows[0].pop("path") == path and rows[0].pop("settings") == {
        "updates": [4000], "task_name": ["sudoku"], "method_name": ["hrm"], "evaluate.halt_at": [None],
        "evaluate.sampler_name": ["ancestral"], "evaluate.task.test": [None], "evaluate.task.num_test": [None],
        "evaluate.num_puzzles": [255],
    }  # fmt: skip
    assert rows[0].pop("widths")["entropy"] == {"1": 0.0, "20": 1.2} and rows[0].pop("scores") is None
    assert rows[0] == pytest.approx(
        {
            "task": "sudoku", "method": "hrm", "puzzles": "a", "seed": 3, "accuracy": 50.0, "any": 90.0,
            "coverage": 60.0, "ceiling": 80.0, "coverage_macro": 30.0, "ceiling_macro": 85.0, "broken_rules": 1.5,
            "parameters": 1_500_000, "updates": 4000, "minutes": 2.0, "device": "cpu",
        }
    )  # fmt: skip
    assert rows[2]["accuracy"] == pytest.approx(60.0)
    assert table.read_run(path, 1)[0]["coverage"] == pytest.approx(5.0)


def test_a_run_without_the_width_is_named(table, tmp_path):
    path = write(tmp_path / "run", "sudoku", "hrm", 3, 0.5, 0.6)
    with pytest.raises(ValueError, match=r"got width=7; expected a width of .*results\.json: 1, 20"):
        table.read_run(path, 7)


PAPER = {"nqueens_8": {"gram": {"accuracy": 99.7, "coverage": 90.3}}, "colouring_8": {"gram": {"coverage": 85.8}}}


def summary(table, folder):
    write(folder / "q/gram/0", "nqueens_8", "gram", 0, 0.90, 0.5, 1.0)
    write(folder / "q/gram/1", "nqueens_8", "gram", 1, 0.96, 0.7, 4.0)
    write(folder / "q/hrm/0", "nqueens_8", "hrm", 0, 0.4, 0.2)
    write(folder / "c/gram/0", "colouring_8", "gram", 0, 0.3, 0.1, tests=("a", "b"))
    rows = [row for f in sorted(folder.glob("**/results.json")) for row in table.read_run(f, 20)]
    return table.summarise(table.group(rows), PAPER)


def test_by_width(table, tmp_path):
    summary(table, tmp_path)
    rows = [row for f in sorted(tmp_path.glob("q/**/results.json")) for row in table.read_run(f, 20)]
    lines = {(r["method"], r["K"]): r for r in table.by_width(table.group(rows))}
    assert set(lines) == {("gram", 1), ("gram", 20), ("hrm", 1), ("hrm", 20)}
    assert (lines["gram", 20]["distinct"], lines["gram", 20]["distinct_se"]) == pytest.approx((3.93, 0.03))
    assert lines["hrm", 20]["distinct"] == pytest.approx(3.4) and lines["hrm", 20]["distinct_se"] is None
    head, rule, one, many, *_ = table.widths_markdown(list(lines.values())).splitlines()
    assert rule.count("---") == head.count("|") - 1 == one.count("|") - 1
    assert many.startswith("| nqueens_8, a | gram | 20 | 0.010 ± 0.000 |") and "3.930 ± 0.381" in many


def test_seeds_of_one_row_are_of_one_kind(table, tmp_path):
    first, again = write(tmp_path / "a", "q", "gram", 0, 0.9, 0.5), write(tmp_path / "b", "q", "gram", 0, 0.8, 0.5)
    other = write(tmp_path / "c", "q", "gram", 1, 0.8, 0.5)
    rows = [row for path in (first, again) for row in table.read_run(path, 20)]
    with pytest.raises(ValueError, match="a/results.json and .*b/results.json are both method gram on q with seed 0"):
        table.group(rows)

    def change(path, config, evaluation=None):
        text = json.loads(path.read_text())
        text["programs"]["GRAM"]["config"] = {"task_name": "q", "method_name": "gram", "seed": 1} | config
        text["programs"]["GRAM"] |= {"evaluation": evaluation} if evaluation else {}
        path.write_text(json.dumps(text))

    def together():
        return table.group([row for path in (first, other) for row in table.read_run(path, 20)])

    change(first, {"seed": 0, "train": {"updates": 4, "precision": "bf16"}, "prior": {"_target_": "old.place.Flow"}})
    change(other, {"train": {"updates": 4, "precision": "fp32", "accumulate": 1}, "prior": {"_target_": "new.Flow"}})
    ((_, rows),) = together().items()  # computed otherwise, a part that moved, an option that came later
    assert len(rows) == 2
    for path, prior in ((first, "Flow"), (other, "Gaussian")):
        change(path, {"seed": int(path == other), "baseline": {"_target_": "p.Baseline"}, "prior": {"_target_": prior}})
    assert len(together()) == 1  # a baseline has no prior
    change(first, {"seed": 0, "train": {"updates": 4}, "prior": {"_target_": "old.place.Flow"}})
    change(other, {"train": {"updates": 5}, "prior": {"_target_": "new.Gaussian"}})
    with pytest.raises(
        ValueError, match=r"differ in prior\._target_, train\.updates; give one of them another method_n"
    ):
        together()
    change(first, {"seed": 0, "evaluate": {"num_puzzles": 300}})  # of 255 that there are
    change(other, {"evaluate": {"num_puzzles": 500}})
    assert len(together()) == 1
    change(first, {"seed": 0})
    change(other, {})
    text = json.loads(other.read_text())
    text["programs"]["GRAM"]["before"] = {"updates": 10, "seconds": 1.0}
    other.write_text(json.dumps(text))
    with pytest.raises(ValueError, match="differ in updates; give"):  # one began from another run
        together()
    del text["programs"]["GRAM"]["before"]
    text["programs"]["GRAM"]["tests"]["a"]["num_puzzles"] = 200
    other.write_text(json.dumps(text))
    with pytest.raises(ValueError, match=r"differ in evaluate\.num_puzzles; give"):
        together()
    text["programs"]["GRAM"]["tests"]["a"]["num_puzzles"] = 255
    other.write_text(json.dumps(text))
    change(other, {}, {"seed": 0, "checkpoint": "c", "task": {"test": "f"}, "halt_at": 0.9, "sampler_name": "sir"})
    with pytest.raises(
        ValueError, match=r"differ in evaluate\.halt_at, evaluate\.sampler_name, evaluate\.task\.test; .*sampler_name"
    ):
        together()


def test_minutes_are_told_for_each_device(table):
    rows = [{"device": d, "minutes": m} for d, m in (("cpu", 1.0), ("cuda", 5.0), ("cpu", 2.0))]
    assert table.minutes(rows) == "1.5 (cpu), 5.0 (cuda)"


def test_summarise(table, tmp_path):
    lines = {(r["task"], r["method"], r["puzzles"]): r for r in summary(table, tmp_path)}
    assert list(lines) == [
        ("colouring_8", "gram", "a"), ("colouring_8", "gram", "b"),
        ("nqueens_8", "gram", "a"), ("nqueens_8", "hrm", "a"),
    ]  # fmt: skip
    two, one, colours = (
        lines["nqueens_8", "gram", "a"],
        lines["nqueens_8", "hrm", "a"],
        lines["colouring_8", "gram", "b"],
    )
    assert two["seeds"] == 2 and one["seeds"] == colours["seeds"] == 1
    # of two values a and b the mean is (a + b) / 2 and its standard error |a - b| / 2
    for column, mean, se in (("accuracy", 93, 3), ("coverage", 60, 10), ("coverage_macro", 30, 5), ("any", 90, 0)):
        assert two[column] == pytest.approx(mean) and two[f"{column}_se"] == pytest.approx(se, abs=1e-9)
        assert two[f"{column}_t95"] == pytest.approx(12.7062 * se, rel=1e-4)  # Student's t of one degree of freedom
    assert two["minutes"] == "2.5 (cpu)" and two["parameters"] == 1_500_000 and two["updates"] == 4000
    assert one["accuracy"] == pytest.approx(40) and all(one[f"{c}_se"] is None for c in table.METRICS)
    assert (two["paper_accuracy"], two["paper_coverage"]) == (99.7, 90.3)
    assert (colours["paper_accuracy"], colours["paper_coverage"]) == (None, 85.8)
    assert (one["paper_accuracy"], one["paper_coverage"]) == (None, None)


def test_markdown(table, tmp_path):
    head, rule, colours, _, two, one = table.markdown(summary(table, tmp_path)).splitlines()
    titles = [c.strip() for c in head.strip("|").split("|")]
    assert rule.count("---") == len(titles) == 14

    def cells(line):
        return [c.strip() for c in line.strip("|").split("|")]

    assert cells(two) == [
        "nqueens_8, a", "gram", "2", "93.00 ± 38.12", "99.7", "60.00 ± 127.06", "80.0", "90.3", "30.00 ± 63.53", "85.0",
        "1.50 ± 0.00", "1.50M", "4000", "2.5 (cpu)",
    ]  # fmt: skip
    assert cells(one)[3:9] == ["40.00", "", "20.00", "80.0", "", "10.00"]
    assert cells(colours)[4] == "" and cells(colours)[7] == "85.8"
    assert titles[3:9] == ["accuracy %", "paper", "coverage %", "ceiling", "paper", "macro coverage %"]


def test_no_runs_are_one_sentence(table, tmp_path):
    config = OmegaConf.create(
        {"runs": str(tmp_path / "none"), "output": str(tmp_path / "out"), "width": 20, "paper": {}}
    )
    with pytest.raises(SystemExit, match="error: there is no results.json below runs=.*none; run experiments"):
        with plain_errors():
            work("table")(config)
    assert not (tmp_path / "out").exists()


def test_run_writes_the_table_and_the_frontier(table, tmp_path, monkeypatch):
    expected = summary(table, tmp_path / "runs")
    drawn = []
    close = plots.plt.close
    monkeypatch.setattr(plots.plt, "close", lambda figure: (drawn.append(figure), close(figure)))
    out = tmp_path / "a" / "out"
    work("table")(OmegaConf.create({"runs": str(tmp_path / "runs"), "output": str(out), "width": 20, "paper": PAPER}))
    with (out / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["method"] for r in rows] == [r["method"] for r in expected] and float(
        rows[2]["accuracy_se"]
    ) == pytest.approx(3)
    text = f"{table.markdown(expected)}\n\n{table.INTERVAL}\n"
    assert rows[3]["accuracy_se"] == "" and (out / "table.md").read_text() == text
    with (out / "widths.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2 * len(rows)
    assert (out / "widths.md").read_text().startswith("| task | method | K |")
    (figure,) = drawn
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["gram", "hrm"]
    shown = {a.get_title(): [c.get_label() for c in a.containers] for a in figure.axes}
    assert shown == {"colouring_8: a": ["gram"], "colouring_8: b": ["gram"], "nqueens_8: a": ["gram", "hrm"]}
    assert (out / "frontier.png").stat().st_size > 5000
    panels = drawn[0].axes
    assert [p.get_title() for p in panels] == ["colouring_8: a", "colouring_8: b", "nqueens_8: a"]
    points = {c.get_label(): c.lines[0].get_xydata()[0].tolist() for c in panels[2].containers}
    assert points.keys() == {"gram", "hrm"}  # x: coverage as a share of the ceiling of 80 per cent
    assert points["gram"] == pytest.approx([75, 93]) and points["hrm"] == pytest.approx([25, 40])


def test_temperatures_of_a_sampler_are_a_curve_from_the_point_without_one(table, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots.plt, "close", figures.append)
    points = {"gram": 30.0, "gram, hot 2": 40.0, "gram, hot 3": 45.0, "gram, ptrm 0.3": 20.0, "trm": 10.0}
    rows = [
        {"task": "q", "puzzles": "a", "method": method, "accuracy": 90.0, "coverage": coverage, "ceiling": 50.0}
        | {"accuracy_se": None, "coverage_se": None}
        for method, coverage in points.items()
    ]
    plots.frontier_figure(table.curves(rows), tmp_path / "frontier.png")
    monkeypatch.undo()
    (figure,) = figures
    (axis,) = figure.axes
    shares = {c.get_label(): c.lines[0].get_xdata().tolist() for c in axis.containers}
    joined = [line.get_xdata() for line in axis.lines if line.get_linestyle() == "-" and line.get_marker() == "None"]
    notes = [text.get_text() for text in axis.texts]
    plots.plt.close(figure)
    assert shares == {"gram": [60, 80, 90, 40], "trm": [20]} and notes == ["", "hot 2", "hot 3", "ptrm 0.3", ""]
    assert [list(x) for x in joined if len(x) > 1][:2] == [[60, 80, 90], [60, 40]]
    assert [row["method"] for row in rows] == list(points)  # of the tables: as they were


def test_no_two_methods_look_alike(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots.plt, "close", figures.append)
    numbers = {"accuracy": 90.0, "coverage": 50.0, "ceiling": 60.0, "accuracy_se": None, "coverage_se": None}
    rows = [{"task": "q", "puzzles": "a", "method": f"method {k:02}"} | numbers for k in range(36)]
    plots.frontier_figure(rows, tmp_path / "frontier.png")
    monkeypatch.undo()
    (figure,) = figures
    looks = {(c[0].get_marker(), c[0].get_color()) for c in figure.axes[0].containers}
    plots.plt.close(figure)
    assert len(looks) == len(rows)
