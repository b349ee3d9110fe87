"""A run folder belongs to one process at a time, and to one configuration for ever.

The claim is a POSIX record lock on the file `lock`: the kernel lets go of it when the process ends, however it ends,
and processes that it forks do not inherit it.
"""

import fcntl
import os
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gram_pyro.runs.atomic import write_atomically

CONFIG = "config.yaml"


def claim(folder: Path, config: str) -> str:
    """Make `folder` this process's until it ends, and put the configuration in it if it holds none.

    Returns: the configuration it holds.
    Raises: ValueError if another process is at work in it; OSError if it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)  # never closed: that would end the claim
    except OSError as problem:
        raise OSError(
            f"{folder} cannot hold a run ({problem.strerror}); choose a run_dir that can be written to"
        ) from problem
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise ValueError(f"another process is at work in {folder}; wait for it, or choose another run_dir") from None
    file = folder / CONFIG
    if not file.exists():
        write_atomically(file, config.encode())
    return file.read_text(encoding="utf-8")


def read_config(file: Path) -> DictConfig:
    """The configuration of a run folder.  YAML has no checksum: a value that became another one is not noticed here.

    Raises: ValueError if the file is no YAML of keys and values, or a value refers to a key that there is not.
    """
    try:
        config = OmegaConf.create(file.read_text(encoding="utf-8"))
        if not isinstance(config, DictConfig):
            raise ValueError("it has no keys")
        OmegaConf.resolve(config)
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError) as problem:
        text = " ".join(str(problem).split())
        raise ValueError(f"{file} is damaged or no configuration ({text}); copy it again, or start a new run") from None
    return config
