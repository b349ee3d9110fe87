"""Overrides of every key of every experiment by values of every kind; each, in a forked process, as a command.

    python tests/support/overrides.py [EXPERIMENT ...]    those that the schema takes, of all or some; prints faults
"""

import os
import pickle
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from every_size import write_weights
from finished_run import write as write_run
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from scripts import CONF, experiment, script

from gram_pyro.harness.check_config import check_values

VALUES = {
    "null": None, "abc": "abc", "-1": -1, "0": 0, "2.5": 2.5, "[1]": [1], "{a: 1}": {"a": 1}, "true": True,
    "nan": float("nan"), "1e400": float("inf"), "": "", "???": "???",
}  # fmt: skip
NAMES = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem != "svi")
WRITTEN = ("run_dir", "out", "output", "save", "folder", "task.cache")
CALLED = {"puzzle": "Sudoku", "num_test": "number of test puzzles"}  # what sentences may call a key
LIMIT = 300  # seconds; compile=true takes a minute
TINY = (
    "experiment=smoke model.num_transitions=1 core.num_updates=1 train.updates=2 train.num_segments=1 watch.every=2 "
    "watch.num_puzzles=2 evaluate.num_segments=1 evaluate.num_puzzles=2 evaluate.baseline_deviations=[0.1] "
    "baselines.deterministic=null"
).split()
BOARDS = ("1234341221434321", "1234341243212143", "1243341221344321", "1324241331424231")


class Ending(NamedTuple):
    """how: "run" or "sentence" if it went well."""

    how: str
    said: str


@cache
def plain(name: str) -> dict:
    """The configuration of an experiment, references unresolved."""
    with initialize_config_dir(str(CONF), version_base=None):
        return OmegaConf.to_container(compose(name))


def places(values: Mapping, before: tuple = ()) -> Iterator[tuple]:
    """The way to every key, of values and of what holds them."""
    for key, value in values.items():
        yield (*before, key)
        if isinstance(value, Mapping):
            yield from places(value, (*before, key))


def refusal(name: str, way: tuple, value: object) -> str | None:
    """What the schema says to one override; None if it takes it."""
    values = deepcopy({key: "x" if value == "???" else value for key, value in plain(name).items()})
    if name == "verdict":
        values["runs"] = ["x"]
    if isinstance(values.get("task"), dict) and "checkpoint" in values:
        values["task"].pop("_target_", None)
    around = values
    for key in way[:-1]:
        around = around[key]
    if value is None and "checkpoint" in values and way[0] == "task" and len(way) > 1:
        return None  # as it was trained
    around[way[-1]] = value
    try:
        check_values(values, name)
    except ValueError as problem:
        return str(problem)
    return None


def taken(name: str) -> list[str]:
    """The overrides that the schema takes."""
    ways = [way for way in places(plain(name)) if " " not in "".join(map(str, way))]
    return [
        f"{'.'.join(map(str, way))}={text}"
        for way in ways
        for text, value in VALUES.items()
        if refusal(name, way, value) is None
    ]


def commands(folder: Path) -> dict[str, list[str]]:
    """A small command of experiments, by name; `folder` receives what they read."""
    folder.mkdir(parents=True, exist_ok=True)
    weights, puzzles = folder / "weights.safetensors", folder / "puzzles.csv"
    write_weights(weights, 4)
    puzzles.write_text("question,answer\n" + "".join(f"{y[:-3]}...,{y}\n" for y in BOARDS))
    write_run(folder / "runs" / "a", "sudoku", "gram", 0, 0.5, 0.5)
    study = [f"checkpoint={weights}", f"task.test={puzzles}", "device=cpu", "chunk=4", "num_puzzles=2"]
    few = [*study, "num_segments=1"]
    names = ("ancestral_value", "halting_first", "sir_by_value", "smc_by_value", "smc_by_rules")
    return {
        "svi_sudoku": [*TINY, f"task.cache={folder / 'cache'}"],
        "evaluate": [*few, "widths=[1,2]"],
        "solve": [f"puzzle={BOARDS[0][:-3]}...", "num_particles=8", "most=64", "num_segments=4"],
        "calibration": [*few, "num_particles=2", "selections=[vote]"],
        "evidence": [*few, "num_particles=25", "widths=[1,5]", "smc_particles=2"],
        "frontier": [*few, "num_particles=2", "num_hot=[1]", "temperatures=[2.0]"],
        "scaling": [*study, "depths=[1]", "widths=[1,2]", *(f"~strategies.{name}" for name in names)],
        "search": [*few, "at_once=2", "most=2"],
        "table": [f"runs={folder / 'runs'}", f"output={folder / 'table'}"],
        "hard_puzzles": ["n=4", "count=2", "workers=1", f"out={folder / 'run' / 'hard.csv'}"],
        "verdict": [f"runs=[{folder / 'runs' / 'a'}]"],
    }


def attempt(name: str, command: list[str], override: str, folder: Path) -> Ending:
    """A small command with one override, in a forked process; where it names what is written, that is in `folder`."""
    key, answer = override.partition("=")[0], folder / "answer"
    if key in WRITTEN and override.endswith("=abc"):
        override = f"{key}={folder / 'abc'}"
    given = [word for word in command if word.partition("=")[0] != key and not key.startswith(word[1:])]
    if "run_dir" in plain(name) and key != "run_dir":
        given.append(f"run_dir={folder / 'run'}")
    shutil.rmtree(folder / "run", ignore_errors=True)
    answer.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        os.setsid()
        try:
            done = script(name, *given, override, check=False)
            answer.write_bytes(pickle.dumps((done.returncode, done.stderr)))
        except BaseException:
            answer.write_bytes(pickle.dumps((None, traceback.format_exc())))
        finally:
            os._exit(0)
    begun = time.monotonic()
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.monotonic() - begun > LIMIT:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return Ending("no end", "")
        time.sleep(0.01)
    code, errors = pickle.loads(answer.read_bytes()) if answer.exists() else (None, "it died")
    return Ending(ending(code, errors, override), errors)


def ending(code: int | None, errors: str, override: str) -> str:
    """How a command ended, given its exit status and standard error."""
    if code is None or "Traceback" in errors or "Error executing job" in errors:
        return "traceback"
    if code == 0:
        return "run"
    sentences = [line for line in errors.splitlines() if line.startswith("error: ")]
    if len(sentences) != 1 or sentences[0] != errors.splitlines()[-1]:
        return "no sentence"
    key, _, value = override.partition("=")
    key = key.split(".")[-1]
    named = key in sentences[0] or CALLED.get(key, key) in sentences[0] or (value == "abc" and value in sentences[0])
    return "sentence" if named else "key not named"


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder, counted = Path(scratch), Counter()
        every = commands(folder)
        for name in names or every:
            experiment(name)  # its imports
            for override in taken(name):
                begun = time.monotonic()
                found = attempt(name, every[name], override, folder)
                counted[found.how] += 1
                if found.how not in ("run", "sentence"):
                    last = [line for line in found.said.splitlines() if line.strip()][-3:]
                    print(f"{found.how}: {name} {override}\n    {' / '.join(last)[:500]}", flush=True)
                print(f"{name} {override} {found.how} {time.monotonic() - begun:.1f} s", file=sys.stderr, flush=True)
        print(dict(counted))


if __name__ == "__main__":
    main(sys.argv[1:])
