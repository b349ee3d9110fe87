"""A run folder belongs to one process at a time, and to one configuration once it holds results.

The process locks the file `lock`. The system releases the lock when the process ends, in any way; forked processes do
not inherit it. On a disk without locks there is a warning instead.
"""

import errno
import json
import logging
from itertools import chain, count
from pathlib import Path

import yaml
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gram_pyro.storage.atomic import write_atomically

CONFIG, RESULTS = "config.yaml", "results.json"
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)  # as some network disks answer
CLAIMS: dict[Path, FileLock] = {}  # locks that this process holds until it ends

log = logging.getLogger(__name__)


def settle(config: DictConfig) -> None:
    """If run_dir contains the time of day, create a new folder, with _2, _3, ... appended if the name is taken, and set
    run_dir to it.  Raises: OSError if it cannot be created."""
    written = OmegaConf.to_container(config, resolve=False)["run_dir"]
    if "${now:" not in str(written):
        return
    wanted = Path(config.run_dir)
    for folder in chain([wanted], (wanted.with_name(f"{wanted.name}_{n}") for n in count(2))):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as problem:
            raise cannot_hold(folder, problem) from problem
        config.run_dir = str(folder)
        return


def is_finished(folder: Path) -> bool:
    """Whether the folder has readable results. If so, the log says how to evaluate again."""
    try:
        json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    log.info("%s is finished; delete its %s to evaluate it again", folder, RESULTS)
    return True


def cannot_hold(folder: Path, problem: OSError) -> OSError:
    return OSError(f"{folder} cannot hold a run ({problem.strerror}); write a run_dir that can be written to")


def hold(folder: Path) -> None:
    """Lock `folder` for this process until it ends, and create it if needed.

    Raises: ValueError if another process has locked it; OSError if it cannot be created or written to.
    """
    file = folder.resolve() / "lock"
    if file in CLAIMS:
        return
    lock = FileLock(file, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise ValueError(f"another process is at work in {folder}; wait for it, or write another run_dir") from None
    except OSError as problem:
        if problem.errno not in NO_LOCKS:
            raise cannot_hold(folder, problem) from problem
        log.warning("%s is on a disk without locks; let no other process work in it.", folder)
    CLAIMS[file] = lock


def claim(folder: Path, config: str) -> str:
    """`hold` a folder, and write the configuration into it if it has none, or no results yet.

    Returns: the configuration in the folder, as text.
    Raises: as `hold`.
    """
    hold(folder)
    file = folder / CONFIG
    if not file.exists() or not any(chain(folder.glob("*.safetensors"), folder.glob("*.json"))):
        write_atomically(file, config.encode())
    return file.read_text(encoding="utf-8")


def read_config(file: Path) -> DictConfig:
    """The configuration of a run folder.  YAML has no checksum: a changed value is not noticed here.

    Raises: ValueError if the file is not YAML with keys and values, or a value refers to an unknown key.
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
