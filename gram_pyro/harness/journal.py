"""A journal of long work, one JSON object per line. Work in it is not repeated after an interruption.

    line 1         {"of": what the work depends on}; a journal of other work is started again
    other lines    {"key", "seconds", "value", "sum": SHA-256 of these}, in the order of the work

Work with the same keys in the same order gets the stored values. From the first line with another key, cut off or
damaged, the journal is written again. A line is on the disk before the work continues.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gram_pyro.harness.interrupt import handling, interrupt_at_once
from gram_pyro.harness.results import strict
from gram_pyro.inference.kept import keep_draws

ASIDE = ("run_dir", "resume", "trust")

log = logging.getLogger(__name__)


class Journal:
    """A journal in a file.  Attributes: spared, the seconds that reading saved."""

    def __init__(self, path: Path, of: object) -> None:
        self.path, self.spared = path, 0.0
        self.file = path.open("a+b")
        self.file.seek(0)
        head = _line({"of": strict(of)})
        found = self.file.readline()
        if found != head:
            if found:
                log.warning("%s is of other work, and is started again.", path)
            self.file.truncate(0)
            self._append(head)

    def once(self, key: str, work: Callable[[], Any]) -> Any:
        """The result of `work()` as JSON, or its result from before an interruption."""
        start = self.file.tell()
        if (found := self._read(key)) is not None:
            self.spared += found["seconds"]
            return found["value"]
        self.file.truncate(start)
        began = time.monotonic()
        text = json.dumps(work())
        record = {"key": key, "seconds": time.monotonic() - began, "value": text}
        self._append(_line(record | {"sum": _digest(record)}))
        return json.loads(text)

    @property
    def is_behind(self) -> bool:
        """Whether the journal has later lines: the work repeats what it did before the interruption."""
        return self.file.tell() < os.fstat(self.file.fileno()).st_size

    def _read(self, key: str) -> dict | None:
        """The next line; None if it has another key, or is not whole."""
        line = self.file.readline()
        try:
            found = json.loads(line)
            if line.endswith(b"\n") and found.pop("sum") == _digest(found) and found["key"] == key:
                return found | {"value": json.loads(found["value"])}
        except (ValueError, TypeError, KeyError, AttributeError):
            pass
        return None

    def _append(self, line: bytes) -> None:
        self.file.write(line)
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.seek(0, os.SEEK_END)


def _line(value: dict) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _digest(record: dict) -> str:
    return sha256(_line(record)).hexdigest()


def identity(config: DictConfig, *weights: Path) -> dict[str, object]:
    """What an experiment depends on, except the puzzles: configuration (without its folder), weights, torch version."""
    asked = OmegaConf.to_container(config, resolve=True)
    asked = {key: value for key, value in asked.items() if key not in ASIDE}
    files = [sha256(path.read_bytes()).hexdigest() for path in weights]
    return {"config": asked, "weights": files, "torch": version("torch")}


@contextmanager
def keep_draws_of(weights: Path, journal: Journal) -> Iterator[None]:
    """A context in which draws are kept in the journal, and read from it if the file `weights` is the same."""
    journal.once(sha256(weights.read_bytes()).hexdigest(), lambda: None)
    with keep_draws(journal):
        yield


@contextmanager
def journal_of(path: Path, of: object) -> Iterator[Journal]:
    """The journal of work that Ctrl-C, SIGTERM and SIGHUP may interrupt. It is removed when the work is done."""
    journal = Journal(path, of)
    with journal.file, handling(interrupt_at_once):
        yield journal
    path.unlink()
