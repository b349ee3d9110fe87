"""A journal of long work, one JSON object a line: what is in it is not done again after an interruption.

    line 1         {"of": what the work depends on}; a journal of other work is begun anew
    every other    {"key", "seconds", "value", "sum": SHA-256 of these}, as the work comes to it

Work that comes to the same keys in the same order is told what it found before. From the first line that is of another
key, cut off or damaged, the journal is written anew. A line is on the disk before the work goes on.
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
    """Attributes: spared, seconds of work that was read and not done."""

    def __init__(self, path: Path, of: object) -> None:
        self.path, self.spared = path, 0.0
        self.file = path.open("a+b")
        self.file.seek(0)
        head = _line({"of": strict(of)})
        found = self.file.readline()
        if found != head:
            if found:
                log.warning("%s is of other work, and is begun anew.", path)
            self.file.truncate(0)
            self._append(head)

    def once(self, key: str, work: Callable[[], Any]) -> Any:
        """What `work()` returns, as JSON holds it, or what it returned before an interruption."""
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
        """Whether there is more in it than the work has come to; what would be shown now was shown before."""
        return self.file.tell() < os.fstat(self.file.fileno()).st_size

    def _read(self, key: str) -> dict | None:
        """The next line; None if it is not that of `key`, or not whole."""
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
    """What an experiment depends on, but for the puzzles: not where its folder is, or how it was asked for."""
    asked = OmegaConf.to_container(config, resolve=True)
    asked = {key: value for key, value in asked.items() if key not in ASIDE}
    files = [sha256(path.read_bytes()).hexdigest() for path in weights]
    return {"config": asked, "weights": files, "torch": version("torch")}


@contextmanager
def keep_draws_of(weights: Path, journal: Journal) -> Iterator[None]:
    """Within, what is sampled is kept, and taken from the journal as long as the file `weights` is the same."""
    journal.once(sha256(weights.read_bytes()).hexdigest(), lambda: None)
    with keep_draws(journal):
        yield


@contextmanager
def journal_of(path: Path, of: object) -> Iterator[Journal]:
    """The journal of work that Ctrl-C, SIGTERM and SIGHUP may interrupt; it is removed when the work is done."""
    journal = Journal(path, of)
    with journal.file, handling(interrupt_at_once):
        yield journal
    path.unlink()
