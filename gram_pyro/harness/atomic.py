"""Files that are whole or not there: written beside their place, brought to the disk, and only then named.

Whatever ends the program in between (a signal, a full disk, a power cut), the file of before is untouched.
"""

import os
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file.  Raises: OSError if there is no room, or no leave to write."""
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
            f"{path} could not be written ({problem.strerror}), and what was there before is kept; make room, or write "
            "to another folder, and run the same command again"
        ) from problem


def _sync_folder(folder: Path) -> None:
    """Bring a new name in a folder to the disk, where folders can be (not on Windows, nor on every network disk)."""
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
        pass  # what kept it from being written may keep it from being removed; the first problem is the one to tell
