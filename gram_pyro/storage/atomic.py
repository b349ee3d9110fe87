"""Atomic writes: a file is written under another name, synced to the disk, and then renamed.

If anything stops the program in between (a signal, a full disk, a power cut), the old file is unchanged.
"""

import os
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file.  Raises: OSError if there is no space, or no permission."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
    except OSError as problem:
        _remove(part)
        raise OSError(
            f"{path} could not be written ({problem.strerror}), and the old file is kept; make room, or write to "
            "another folder, and run the same command again"
        ) from problem


def _sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk, where the system can (not on Windows, nor on every network disk)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def _remove(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError:
        pass  # the reason may be that of the first problem, which is the one to report
