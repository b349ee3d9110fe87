"""Every key of every experiment, given a value of every kind: a run, or one sentence that names the key."""

import random

import pytest
from overrides import NAMES, VALUES, attempt, commands, ending, places, plain, refusal, taken
from scripts import experiment

from gram_pyro.harness.check_config import text_keys
from gram_pyro.harness.schema import SCHEMA, called, kind_of

FREE = {("demo", "port")}  # listen() knows it


def settings(name):
    """The dotted keys that are not below a part."""

    def walk(values, before=""):
        for key, value in values.items():
            yield f"{before}{key}"
            if isinstance(value, dict) and "_target_" not in value:
                yield from walk(value, f"{before}{key}.")

    return list(walk(plain(name)))


@pytest.mark.parametrize("name", NAMES)
def test_every_key_is_in_the_schema(name):
    assert [key for key in settings(name) if kind_of(key, name) is None and (name, key) not in FREE] == []


def test_every_entry_of_the_schema_is_used():
    used = {entry for name in NAMES for key in settings(name) for entry in called(key, name) if entry in SCHEMA}
    beside = {"clip", "task._target_", "own.*", "size", "logger.project"}  # not in the defaults
    assert set(SCHEMA) - used - beside == set()


@pytest.mark.parametrize("name", NAMES)
def test_what_the_schema_refuses_it_refuses_by_the_key(name):
    said = {(way, text): refusal(name, way, value) for way in places(plain(name)) for text, value in VALUES.items()}
    refused = {trial: sentence for trial, sentence in said.items() if sentence is not None}
    assert len(refused) > 0.7 * len(said)
    for (way, _), sentence in refused.items():
        assert str(way[-1]) in sentence and "\n" not in sentence and "; write " in sentence


def test_text_is_taken_letter_by_letter_where_it_is_text():
    assert {"start", "resume", "run_dir"} <= (found := set(text_keys(plain("svi_sudoku"), "svi_sudoku")))
    assert "task.test" not in found and "task.test" in set(text_keys(plain("evaluate"), "evaluate"))
    assert "weights" in set(text_keys(plain("solve"), "solve")) and "weights" not in set(
        text_keys(plain("demo"), "demo")
    )


@pytest.mark.parametrize(
    ("code", "errors", "how"),
    [
        (0, "a bar", "run"),
        (1, "a bar\nerror: got dim=0", "sentence"),
        (1, "error: got x", "key not named"),
        (1, "error: got dim=0\nand more", "no sentence"),
        (1, "Error executing job\nerror: dim", "traceback"),
        (None, "", "traceback"),
    ],
)
def test_endings_are_told_apart(code, errors, how):
    assert ending(code, errors, "core.dim=0") == how


def check(name, folder, some=None):
    experiment(name)  # its imports
    command, overrides = commands(folder)[name], taken(name)
    if some is not None:
        overrides = random.Random(0).sample(overrides, some)
    endings = {override: attempt(name, command, override, folder) for override in overrides}
    assert {o: e for o, e in endings.items() if e.how not in ("run", "sentence")} == {}


@pytest.mark.parametrize(("name", "some"), [("svi_sudoku", 2), ("evaluate", 2), ("solve", 2), ("hard_puzzles", 1)])
def test_what_it_takes_runs_or_is_refused(tmp_path, name, some):
    check(name, tmp_path, some)


RUN = "svi_sudoku evaluate solve calibration evidence frontier scaling search hard_puzzles verdict table".split()


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_all_that_it_takes_runs_or_is_refused(tmp_path, name):
    check(name, tmp_path)
