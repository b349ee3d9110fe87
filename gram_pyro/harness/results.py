"""results.json and results.csv: writing them, and reading results.json.

    programs: {NAME: {config, updates, seconds, tests: {SET: table of metrics.report}, per_puzzle: {SET: scores},
               baseline: {kind, deviation, tuning}   of the one that the verdict is about}}
    verdict: {word, seeds, beside, diversity, ...}

It is strict JSON: NaN is written as null, and null is read as NaN. `per_puzzle` has what a verdict over several runs
needs.
"""

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from io import StringIO
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from gram_pyro.evaluation.metrics import Tally, join
from gram_pyro.evaluation.verdict import Scores, Seed, gains, gains_of_means, scores
from gram_pyro.harness.check_config import leaves
from gram_pyro.harness.former import rename_keys
from gram_pyro.storage.atomic import write_atomically

# Keys in which the seeds of a row may differ: the folder, the start (its updates count), the computation.
ASIDE = set("seed run_dir checkpoint trust start resume device precision compile cuda_graph chunk watch".split())
OF_GRAM = ("model", "core", "prior", "guide", "objective", "rollout_loss")
AS_TRAINED = {"sampler_name": "ancestral", "halt_at": None, "task": {"test": None, "num_test": None}}
DIGITS = 6


def write_json(path: Path, results: object) -> None:
    """Write results, whole or not at all.  Raises: OSError."""
    write_atomically(path, to_json(results))


def write_rows(path: Path, rows: Sequence[Mapping]) -> None:
    """Write rows as a CSV, whole or not at all. Its columns are all keys that any row has, in order."""
    text = StringIO(newline="")
    writer = csv.DictWriter(text, dict.fromkeys(key for row in rows for key in row))
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def write_table(folder: Path, name: str, rows: Sequence[Mapping], config: DictConfig, /, **summary: object) -> None:
    """Write `rows` as NAME.csv, and as NAME.json the configuration and `summary` (the rows if empty)."""
    write_rows(folder / f"{name}.csv", rows)
    head = {"config": OmegaConf.to_container(config, resolve=True)}
    write_json(folder / f"{name}.json", head | (summary or {"rows": rows}))


def strict(value: object) -> object:
    """A value as strict JSON: a number that is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(key): strict(below) for key, below in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [strict(below) for below in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_json(results: object) -> bytes:
    """The text of results.json, with every list of numbers on one line."""
    text = json.dumps(strict(results), indent=1, allow_nan=False)
    return re.sub(r"\[[^][{}\"]+\]", lambda numbers: " ".join(numbers[0].split()), text).encode()


def record(result: Tally, width: int) -> dict[str, object]:
    """The scores of a tally as lists."""
    found = scores(result, width)._asdict()
    lists = {key: field.tolist() for key, field in found.items() if isinstance(field, torch.Tensor)}
    return {"width": width} | {key: [round(x, DIGITS) for x in column] for key, column in lists.items()}


def recorded(program: Mapping) -> Scores | None:
    """The scores of a program on all test sets together; None if results.json has none."""
    parts = program.get("per_puzzle")
    if not parts:
        return None
    columns = [
        {key: torch.tensor([number(x) for x in column], dtype=torch.float64)
         for key, column in part.items() if key != "width"}
        for part in parts.values()
    ]  # fmt: skip
    puzzles = [Tally(c["vote"][None], c["vote"][None], c["num_solutions"], c.get("groups")) for c in columns]
    fields = (torch.cat([c[name] for c in columns]) for name in ("accuracy", "coverage", "vote", "num_solutions"))
    return Scores(next(iter(parts.values()))["width"], *fields, join(puzzles).groups)


def baseline_name(programs: Mapping[str, Mapping]) -> str | None:
    """The name of the program that the verdict compares with GRAM."""
    return next((name for name, program in programs.items() if program.get("baseline")), None)


def read_seed(run: Path, width: int, other: Path | None = None) -> Seed | None:
    """The verdict's numbers of one run; None if it has no baseline.

    Args: other, results.json of its baseline if that was evaluated separately (evaluate.py calls its program GRAM).
    If one of them has no numbers per puzzle, as results before November 2026, their means are compared.
    """
    programs = read_programs(run)
    gram, rest = programs["GRAM"], programs if other is None else read_programs(other)
    name = baseline_name(rest) or ("GRAM" if other else None)
    if name is None:
        return None
    baseline, mine, its = rest[name], recorded(gram), recorded(rest[name])
    label = baseline["config"]["method_name"] if name == "GRAM" else named(name, baseline["baseline"])
    if mine and its:
        return Seed(gram["config"]["seed"], label, gains(mine, its))
    found = gains_of_means(gram["tests"], baseline["tests"], width)
    return Seed(gram["config"]["seed"], f"{label}, means only", found)


def named(name: str, baseline: Mapping) -> str:
    """A baseline with its deviation."""
    return f"{name} of deviation {baseline['deviation']:g}"


def number(value: float | None) -> float:
    """The number, or NaN for null."""
    return math.nan if value is None else value


def numbers(table: object) -> object:
    """A table with NaN for every null."""
    if isinstance(table, Mapping):
        return {key: numbers(below) for key, below in table.items()}
    return [numbers(below) for below in table] if isinstance(table, list) else number(table)


def read_programs(path: Path) -> dict[str, dict]:
    """The programs in a results.json, given by its path or its folder.  Raises: ValueError if it cannot be read."""
    path = path / "results.json" if path.is_dir() else path
    try:
        programs = json.loads(path.read_text(encoding="utf-8"))["programs"]
        measured = ("tests", "per_puzzle")
        return {
            name: program | {key: numbers(program[key]) for key in measured if key in program}
            for name, program in programs.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"got {path}, which cannot be read as results; write the folder of a finished run") from None


def all_updates(program: Mapping) -> int:
    """The updates of a program, including those of the run from which it started."""
    return program.get("before", {"updates": 0})["updates"] + program["updates"]


def settings_of(program: Mapping) -> dict[str, list]:
    """The settings that all seeds of a row share, by dotted key: of training and of evaluation.

    Parts are given by their class without its module, as modules move; settings that a baseline does not use are left
    out.
    """
    config = deepcopy(program["config"])
    rename_keys(config)
    if config.get("baseline"):
        config = {key: value for key, value in config.items() if key not in OF_GRAM}
    config["evaluate"] = program.get("evaluation", AS_TRAINED | config.get("evaluate", {}))
    settings = {"updates": [all_updates(program)]}
    for place, name, value in leaves(config):
        if not ASIDE & set(place.split(".")):
            settings.setdefault(place, []).append(value.split(".")[-1] if name == "_target_" and value else value)
    return settings


def differences(first: Mapping, second: Mapping) -> list[str]:
    """The settings in which two programs differ, of those that both have: a key that only one has is newer."""
    return sorted(key for key in first.keys() & second.keys() if first[key] != second[key])
