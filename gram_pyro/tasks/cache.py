"""Puzzles that took long to make, kept in a file under a name that tells what they were made from.

    file = folder / {kind}-{hash of the arguments and of the format}.safetensors

Symbols are below 256 and are stored as bytes. Source: ours.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from gram_pyro.tasks.base import Puzzles


def cached(
    folder: str | Path | None, kind: str, arguments: Mapping[str, object], make: Callable[[], dict[str, Puzzles]]
) -> dict[str, Puzzles]:
    """What `make()` returns, or returned when it was last called for `arguments` (folder None: not kept).

    `arguments` is everything the result depends on, a number for the version of the generator included.
    Raises: ValueError if the file is damaged.
    """
    if folder is None:
        return make()
    key = hashlib.sha256(json.dumps(dict(arguments), sort_keys=True).encode()).hexdigest()[:16]
    path = Path(folder) / f"{kind}-{key}.safetensors"
    if path.is_file():
        return _load(path)
    parts = make()
    _save(path, parts)
    return parts


def _save(path: Path, parts: Mapping[str, Puzzles]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")  # renamed when whole: a reader never sees half a file
    tensors = {}
    for name, part in parts.items():
        tensors |= {f"{name}.x": part.x.byte(), f"{name}.solutions": part.solutions.byte()}
        tensors[f"{name}.offsets"] = part.offsets
    save_file(tensors, partial)
    os.replace(partial, path)


def _load(path: Path) -> dict[str, Puzzles]:
    try:
        tensors = load_file(path)
    except SafetensorError as problem:
        raise ValueError(f"{path} cannot be read ({problem}); delete it and it is generated anew.") from None
    names = [key.removesuffix(".x") for key in tensors if key.endswith(".x")]
    return {name: Puzzles(*(tensors[f"{name}.{field}"].long() for field in Puzzles._fields)) for name in names}
