"""Experiments that draw, killed again and again, lose at most what is in work."""

import csv
import json
import os
import subprocess
import sys

import pytest
from scripts import ROOT

NAMES = ("solve", "evaluate", "scaling", "search", "svi_sudoku")
TIMES = {"seconds", "run_dir"}  # what differs between two lives


def timeless(value):
    """JSON without what differs."""
    if isinstance(value, dict):
        return {key: timeless(below) for key, below in value.items() if key not in TIMES}
    return [timeless(below) for below in value] if isinstance(value, list) else value


def results(folder):
    """Every table, by the name of its file."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".json":
            found[path.name] = timeless(json.loads(path.read_text()))
        elif path.suffix == ".csv":
            with path.open(newline="") as file:
                found[path.name] = timeless(list(csv.DictReader(file)))
        elif path.suffix == ".png":
            found[path.name] = path.stat().st_size > 0
    return found


def check(name, folder, kills, sent):
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "support" / "killed_studies.py", name, folder, str(kills), sent],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found["kills"]) == kills and all(kill["same"] for kill in found["kills"])
    reached = [kill["after"] for kill in found["kills"]]
    assert reached == sorted(set(reached)) and reached[0] > 0  # every life went on
    assert found["ended"] == found["expected"] in (0, 1) and not found["left"]
    whole, broken = (results(folder / run) for run in ("whole", "broken"))
    assert whole == broken and len(whole) > 1


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("solve", "SIGKILL"),
        ("evaluate", "SIGTERM"),
        ("scaling", "SIGHUP"),
        ("search", "SIGINT"),
        ("svi_sudoku", "SIGTERM"),
    ],
)
def test_a_kill_loses_at_most_what_is_in_work(tmp_path, name, sent):
    check(name, tmp_path, 1, sent)


@pytest.mark.slow
@pytest.mark.parametrize("sent", ["SIGKILL", "SIGTERM"])
@pytest.mark.parametrize("name", NAMES)
def test_twenty_kills_lose_at_most_what_is_in_work(tmp_path, name, sent):
    check(name, tmp_path, 20, sent)
