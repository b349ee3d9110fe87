"""Results that took long to make, kept in a file under a name that tells what they were made from.

    file = folder / {kind}-{hash of the arguments and of the format}.safetensors

The file carries a SHA-256 of what it holds. A damaged one is made again, with a warning; where files cannot be written
nothing is kept, with a warning. Symbols of puzzles are below 256 and are stored as bytes.
Source: ours.
"""

import json
import logging
import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from platformdirs import user_cache_dir
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.summed import digest

AUTO = "auto"  # the user's cache folder, which every system has in another place
FORMAT = 2  # of the files

log = logging.getLogger(__name__)


def cached(
    folder: str | Path | None, kind: str, arguments: Mapping[str, object], make: Callable[[], dict[str, Puzzles]]
) -> dict[str, Puzzles]:
    """What `make()` returns, or returned when it was last called for `arguments` (folder None: not kept).

    `arguments` is everything the result depends on, a number for the version of the generator included.
    """
    key = sha256(json.dumps(dict(arguments) | {"file": FORMAT}, sort_keys=True).encode()).hexdigest()[:16]

    def make_tensors() -> dict[str, Tensor]:
        return {
            f"{part}.{field}": value if field == "offsets" else value.byte()
            for part, puzzles in make().items()
            for field, value in puzzles._asdict().items()
        }

    tensors = cached_tensors(folder, f"{kind}-{key}", make_tensors)
    parts = sorted({name.rpartition(".")[0] for name in tensors})
    return {part: Puzzles(*(tensors[f"{part}.{field}"].long() for field in Puzzles._fields)) for part in parts}


def cached_tensors(folder: str | Path | None, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What `make()` returns, or returned when it was last called for `name`.

    `folder` is where it is kept (AUTO: the user's cache folder; None: nowhere).
    """
    if folder is None:
        return make()
    folder = Path(user_cache_dir("gram_pyro", appauthor=False) if folder == AUTO else folder)
    path = folder / f"{name}.safetensors"
    if (kept := _read(path)) is not None:
        return kept
    tensors = {key: value.contiguous() for key, value in make().items()}
    try:
        _write(path, tensors)
    except OSError as problem:
        log.warning("%s cannot be written (%s), so nothing is kept there.", path, problem)
    return tensors


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write the file under another name first: a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        partial.write_bytes(save(tensors, {"format": str(FORMAT), "sum": digest(tensors, str(FORMAT))}))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Tensor] | None:
    """The tensors of a file; None if it is not there, and with a warning if it is damaged or cannot be read."""
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if header == {"format": str(FORMAT), "sum": digest(tensors, str(FORMAT))}:
            return tensors
        problem = "it does not hold what was written"
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        problem = error
    log.warning("%s is damaged or cannot be read (%s), so it is made again.", path, problem)
    return None
