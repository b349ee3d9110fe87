"""ARC tasks from files: {name: {"train": [{"input", "output"}, ...], "test": [...]}}, as .json, also .xz or .gz; or
from a folder of NAME.json, each {"train": ..., "test": ...}, as the public repositories have them.

A grid is a list of rows of colours 0 .. 9. The stem of a file `arc/arc1_training.json.xz`, arc1_training, is the name
of the set. Not noticed: a changed colour, a changed name.
"""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gram_pyro.tasks.files import PuzzleFileError, locate, open_text

log = logging.getLogger(__name__)
NUM_COLOURS = 10

Grid = tuple[tuple[int, ...], ...]


class Pair(NamedTuple):
    """An input and its output."""

    input: Grid
    output: Grid


class ArcTask(NamedTuple):
    """One rule, given by demonstrations and tests; `source` is the name of its set."""

    name: str
    source: str
    demonstrations: tuple[Pair, ...]
    tests: tuple[Pair, ...]

    @property
    def side(self) -> int:
        """The side of the largest grid."""
        return max(max(len(grid), len(grid[0])) for pair in self.demonstrations + self.tests for grid in pair)


def read_tasks(path: str | Path) -> list[ArcTask]:
    """The tasks of a file, in order; of a folder and those in it, by name.

    Raises: FileNotFoundError; PuzzleFileError if it is not JSON, a name occurs twice, or a task lacks pairs or has an
    invalid grid.
    """
    path = folder_at(path) or locate(path)
    source = path.name.split(".")[0]
    try:
        entries = in_folder(path) if path.is_dir() else read_json(path)
        if not entries:
            raise ValueError("it holds no task")
        return [
            ArcTask(name, source, *(tuple(read_pair(pair) for pair in entry[key]) for key in ("train", "test")))
            for name, entry in entries.items()
            if check_entry(name, entry)
        ]
    except PuzzleFileError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise PuzzleFileError(
            f"{path} is no file of ARC tasks ({problem}); expected "
            '{name: {"train": [{"input": rows, "output": rows}, ...], "test": [...]}}'
        ) from None


def folder_at(path: str | Path) -> Path | None:
    """`path`, or `path` under $GRAM_DATA, if that is a folder."""
    places = Path(path), Path(os.environ.get("GRAM_DATA", ".")) / path
    return next((place for place in places if place.is_dir()), None)


def in_folder(folder: Path) -> dict[str, object]:
    """{name: its task} of every NAME.json.  Raises: ValueError if a name is there twice; as `read_json`."""
    files = sorted(folder.rglob("*.json"), key=lambda file: file.stem)
    return unique([(file.stem, read_json(file)) for file in files])


def read_json(path: Path) -> object:
    """Raises: ValueError if it is no JSON, or a name is there twice in an object; PuzzleFileError if it is damaged."""
    with open_text(path) as file:
        text = file.read()
    try:
        return json.loads(text, object_pairs_hook=unique)
    except ValueError as problem:
        raise ValueError(f"{path.name}: {problem}") from None


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON.  Raises: ValueError if a name occurs twice: JSON would silently drop the first."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)!r} is there twice")
    return entries


def check_entry(name: str, entry: dict) -> bool:
    """True.  Raises: ValueError, naming the task, if one kind of pairs is missing, or a grid is invalid."""
    for key in ("train", "test"):
        if not entry.get(key):
            raise ValueError(f"task {name} has no pairs {key!r}")
        for pair in entry[key]:
            for part in ("input", "output"):
                check_grid(f"{part} of task {name}", pair.get(part))
    return True


def check_grid(what: str, rows: list[list[int]] | None) -> None:
    """Raises: ValueError unless rows are lists of one length, 1 to 30 in both directions, of colours 0 to 9."""
    lists = isinstance(rows, list) and all(isinstance(row, list) for row in rows)
    if not lists or not 1 <= len(rows) <= 30 or not 1 <= len(rows[0]) <= 30 or len({len(row) for row in rows}) > 1:
        raise ValueError(f"the {what} is no grid of 1 to 30 rows of one length")
    for colour in (colour for row in rows for colour in row):
        if type(colour) is not int or not 0 <= colour < NUM_COLOURS:
            raise ValueError(f"the {what} holds {colour!r}, and colours are 0 to 9")


def read_pair(pair: dict) -> Pair:
    return Pair(*(tuple(tuple(row) for row in pair[part]) for part in ("input", "output")))


def refuse_leaks(shown: Sequence[ArcTask], held_out: Sequence[ArcTask]) -> None:
    """Raises: ValueError if a task is in both sets: its tests would be trained on."""
    first: dict[str, ArcTask] = {}
    twice: dict[tuple[str, str], list[str]] = {}
    for task in (*shown, *held_out):
        if task.name in first:
            twice.setdefault((first[task.name].source, task.source), []).append(task.name)
        else:
            first[task.name] = task
    if twice:
        (one, other), names = max(twice.items(), key=lambda item: len(item[1]))
        raise ValueError(
            f"got {len(names)} tasks of {one} in {other} too ({names[0]} is one), so tests would be trained on: ARC-2 "
            "training has nearly all of ARC-1; expected different tasks; for a score on ARC-1 train on arc1_training "
            "and concept_arc, for one on ARC-2 on arc2_training and concept_arc"
        )


def without_answers(shown: Sequence[ArcTask], held_out: Sequence[ArcTask]) -> list[ArcTask]:
    """The training tasks without pairs that are test pairs of `held_out` under another name; each is logged.

    In ARC-1 there is one: 40853293 of the training set is 070dd51e of the evaluation set.
    """
    asked = {pair: task for task in held_out for pair in task.tests}
    kept = []
    for task in shown:
        demonstrations, tests = (
            tuple(pair for pair in pairs if pair not in asked) for pairs in (task.demonstrations, task.tests)
        )
        for pair in set(task.demonstrations + task.tests) & set(asked):
            log.warning(
                "A pair of task %s (%s) is a test pair of %s (%s); it is not trained on.",
                task.name,
                task.source,
                asked[pair].name,
                asked[pair].source,
            )
        kept.append(task._replace(demonstrations=demonstrations, tests=tests))
    return kept
