"""A cache of tensors that take long to make. The name of a file tells what its tensors were made from.

    file = folder / {kind}-{hash of the arguments}.{FORMAT}.safetensors          as `gram_pyro.storage.tensors` writes

A damaged file is made again, with a warning. Where files cannot be written, nothing is kept, with a warning. Symbols of
puzzles are below 256 and are stored as bytes.
Source: ours.
"""

import json
import logging
import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from platformdirs import user_cache_dir
from torch import Tensor

from gram_pyro.storage.tensors import encoded, read
from gram_pyro.tasks.base import Puzzles

AUTO = "auto"  # the user's cache folder, whose place depends on the system
FORMAT = "v3"  # of the files

log = logging.getLogger(__name__)


def cached(
    folder: str | Path | None, kind: str, arguments: Mapping[str, object], make: Callable[[], dict[str, Puzzles]]
) -> dict[str, Puzzles]:
    """The result of `make()`, or its cached result for these `arguments` (folder None: no cache).

    `arguments` has everything that the result depends on, including a version number of the generator.
    """
    key = sha256(json.dumps(dict(arguments), sort_keys=True).encode()).hexdigest()[:16]

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
    """The result of `make()`, or its cached result for `name`.

    `folder` is the cache folder (AUTO: that of the user; None: no cache).
    """
    if folder is None:
        return make()
    folder = Path(user_cache_dir("gram_pyro", appauthor=False) if folder == AUTO else folder)
    path = folder / f"{name}.{FORMAT}.safetensors"
    if (kept := _kept(path)) is not None:
        return kept
    tensors = make()
    try:
        _keep(path, tensors)
    except OSError as problem:
        log.warning("%s cannot be written (%s), so nothing is kept there.", path, problem)
    return tensors


def _keep(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write the file under a name of this process first: another process may be making the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = path.with_suffix(f".{os.getpid()}")
    try:
        own.write_bytes(encoded(tensors, {}))
        os.replace(own, path)
    finally:
        own.unlink(missing_ok=True)


def _kept(path: Path) -> dict[str, Tensor] | None:
    """The tensors of a file; None if there is none, and with a warning if it is damaged or cannot be read."""
    try:
        return read(path)[0]
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as problem:
        log.warning("%s is damaged or cannot be read (%s), so it is made again.", path, problem)
        return None
