"""The README and the results pages: how long they are, what their tables say, and that it is what the JSON says."""

import json
import re
import statistics

import pytest
from doc_pages import blocks, links, name, prose
from scripts import ROOT, experiment

README = ROOT / "README.md"
RESULTS = ROOT / "experiments" / "results"
SUBJECTS = sorted(page for page in RESULTS.glob("*.md") if page.name not in ("README.md", "tried.md"))


@pytest.fixture(scope="module")
def pages():
    return experiment("pages")


def table_rows(text):
    """The cells of every row of a table, the head and the rule left out."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_readme_is_short():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120 and max(map(len, lines)) <= 120
    assert (ROOT / "docs" / "thinking.gif").stat().st_size < 2**20


@pytest.mark.parametrize("page", [README, *RESULTS.glob("*.md")], ids=name)
def test_tables_are_those_of_the_json(pages, page):
    """`python experiments/pages.py` would leave every page as it is."""
    text = page.read_text(encoding="utf-8")
    assert pages.filled(text, pages.specified().get(name(page), {})) == text


def of_seeds(files, *keys):
    """A number of GRAM's of every file, in per cent."""
    found = []
    for file in files:
        value = json.loads(file.read_text(encoding="utf-8"))["programs"]["GRAM"]["tests"]
        for key in keys:
            value = value[key]
        found.append(100 * value)
    return found


def test_the_numbers_of_the_readme_are_those_of_the_json(pages):
    """By a second way: Python's own statistics, and files named here."""
    runs = RESULTS / "table" / "runs"
    files = {
        "3-colouring": (runs.glob("colouring_8/gram/*/results.json"), "graphs"),
        "N-Queens 8x8": (runs.glob("nqueens_8_input/gram_hot_1.5/*/results.json"), "completions"),
        "N-Queens 10x10": (runs.glob("nqueens_10_input/covering_16_hot_2/*/results.json"), "completions"),
        "shortest plans": (runs.glob("planning_6/gram_hot_2/*/results.json"), "maps"),
        "6x6 Sudoku": ((RESULTS / "sudoku_candidates").glob("make_seed*.json"), "several"),
    }
    rows = {row[0].strip("[").partition(",")[0].partition(" (")[0].partition("]")[0]: row
            for row in table_rows(README.read_text(encoding="utf-8"))}  # fmt: skip
    for title, (found, test) in files.items():
        found = sorted(found)
        right = of_seeds(found, test, "accuracy", "1")
        share = [
            100 * a / b
            for a, b in zip(
                of_seeds(found, test, "coverage", "20"), of_seeds(found, test, "ceiling", "20"), strict=True
            )
        ]
        seconds = []
        for file in found:
            gram = json.loads(file.read_text(encoding="utf-8"))["programs"]["GRAM"]
            seconds.append(gram["seconds"] + gram.get("before", {}).get("seconds", 0))
        assert len(found) == 3
        for cell, values, digits in ((rows[title][1], right, 2), (rows[title][3], share, 1)):
            mean, _, error = cell.partition(" ± ")
            assert abs(float(mean) - statistics.mean(values)) <= 0.51 * 10**-digits
            assert abs(float(error or 0) - statistics.stdev(values) / 3**0.5) <= 0.51 * 10**-digits
        assert float(rows[title][2]) == pytest.approx(statistics.mean(of_seeds(found, test, "any", "20")), abs=0.05)
        assert float(rows[title][4]) == pytest.approx(statistics.mean(seconds) / 60, abs=0.5)


def test_the_rows_of_the_readme_from_one_file_are_those_of_the_json():
    """9x9, by a second way too: error over puzzles; no list of solutions, so no coverage."""
    rows = table_rows(README.read_text(encoding="utf-8"))
    files = {
        "[9x9 Sudoku, 30": (RESULTS / "generation" / "boards_9_clues.json", "30 to 36 clues, one solution"),
        "[9x9 Sudoku-Extreme": (RESULTS / "sudoku_sets" / "extreme.json", "test_4k.csv.xz"),
    }
    assert len(rows) == 5 + len(files)
    for title, (file, test) in files.items():
        (row,) = (row for row in rows if row[0].startswith(title))
        gram = json.loads(file.read_text(encoding="utf-8"))["programs"]["GRAM"]
        found = gram["tests"][test]
        mean, error = map(float, row[1].split(" ± "))
        assert mean == pytest.approx(100 * found["accuracy"]["1"], abs=0.0051)
        assert error == pytest.approx(100 * found["accuracy_se"]["1"], abs=0.0051)
        assert float(row[2]) == pytest.approx(100 * found["any"]["20"], abs=0.051) and row[3] == ""
        seconds = gram["seconds"] + gram.get("before", {}).get("seconds", 0)
        assert float(row[4]) == pytest.approx(seconds / 60, abs=0.5)


@pytest.mark.parametrize("page", SUBJECTS, ids=name)
def test_a_page_of_results_keeps_to_the_template(page):
    """A claim in a sentence, one table of at most eight rows, the command, caveats; one figure if there is one yet."""
    text = prose(page)
    assert re.match(r"# .+\n\n\*\*[^*]+\*\*", text)
    assert len(re.findall(r"^\| ---", text, re.MULTILINE)) == 1 and 1 <= len(table_rows(text)) <= 8
    assert blocks(page, "bash") and "## Caveats" in text
    assert len(page.read_text(encoding="utf-8").splitlines()) <= 80
    assert len(re.findall("^<!-- table", page.read_text(encoding="utf-8"), re.MULTILINE)) == 1  # written by the script
    figures = [link for link in links(page) if link.endswith(".png")]
    assert len(figures) == 1 or page.stem in ("sudoku_candidates", "nqueens_10_coverage", "verdicts")


def test_the_index_is_short_and_names_every_page():
    text = (RESULTS / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    named = {link for link in links(RESULTS / "README.md") if link.endswith(".md") and "/" not in link}
    assert named == {page.name for page in RESULTS.glob("*.md")} - {"README.md"}


def test_a_number_of_one_file_has_the_error_beside_it(pages, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "RESULTS", tmp_path)
    (tmp_path / "a1.json").write_text(json.dumps({"t": [{"k": 1, "x": 2.0, "x_se": 0.5}], "acc": {"20": 0.25}}))
    (tmp_path / "a2.json").write_text(json.dumps({"t": [{"k": 1, "x": 4.0, "x_se": 9.0}], "acc": {"20": 0.5}}))
    column = {"at": "t/k={k}/x", "digits": 1}
    assert pages.cell({"files": "a1.json", "k": 1}, "head", column) == "2.0 ± 0.5"
    assert pages.cell({"files": "a?.json", "k": 1}, "head", column) == "3.0 ± 1.0"
    assert pages.cell({"files": "a?.json", "k": 1}, "head", column | {"error": False}) == "3.0"
    assert pages.cell({"files": "a2.json"}, "head", {"at": "acc/20", "over": "acc/20", "times": 100}) == "100"
    per_ceiling = {"at": "t/k=1/x", "over": "acc/20", "digits": 1}
    assert pages.cell({"files": "a1.json"}, "head", per_ceiling) == "8.0 ± 2.0"  # both over 0.25
    assert pages.cell({"files": "a2.json"}, "head", {"at": "acc/20", "plus": "none", "times": 2, "digits": 1}) == "1.0"
    assert pages.cell({"files": "a2.json", "head": "text"}, "head", column) == "text"
    with pytest.raises(ValueError, match="got the place t/k=2/x; nothing, or more than one thing, stands at k=2"):
        pages.cell({"files": "a1.json", "k": 2}, "head", column)
    with pytest.raises(ValueError, match="got files=b.json; expected files below"):
        pages.cell({"files": "b.json", "k": 1}, "head", column)


def test_rows_of_a_csv_are_read_as_those_of_json(pages, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "RESULTS", tmp_path)
    (tmp_path / "a.csv").write_text('method,x,x_se\n"a, way = 2",2.5,0.5\nb,3,\n')
    column = {"at": "rows/method={m}/x", "digits": 1}
    assert pages.cell({"files": "a.csv", "m": "a, way = 2"}, "head", column) == "2.5 ± 0.5"
    with pytest.raises(ValueError, match="nothing, or more than one thing, stands at method=c"):
        pages.cell({"files": "a.csv", "m": "c"}, "head", column)


def test_a_page_without_the_place_of_a_table_is_refused(pages):
    with pytest.raises(ValueError, match=r"got a page with the tables \[\]; expected \['front'\]"):
        pages.filled("# A page\n", {"front": {}})


def test_halves_go_up(pages):
    assert pages.rounded(80.55, 1) == "80.6" and pages.rounded(-0.125, 2) == "-0.13" and pages.rounded(0.0, 1) == "0.0"


def test_a_verdict_is_that_of_the_runs_a_row_names(pages):
    """Against the command `verdict`, and where there is no baseline."""
    runs = "table/runs/nqueens_8_input"
    row = {"files": f"{runs}/gram/*/results.json", "against": f"{runs}/trm_random_start_0.2/*/results.json"}
    said = {asked: pages.of_verdict(row, asked) for asked in ("word", "accuracy", "coverage", "says")}
    assert said == {
        "word": "NOT ENOUGH SEEDS", "accuracy": "+0.14 ± 0.20", "coverage": "+0.71 ± 0.48", "says": "cannot tell"
    }  # fmt: skip
    assert pages.of_verdict({"files": f"{runs}/gram/*/results.json"}, "word") == "NO BASELINE"
