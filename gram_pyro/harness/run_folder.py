"""A run folder belongs to one process at a time, and to one configuration as soon as it holds something.

The claim is a lock on the file `lock`: the system lets go of it when the process ends, however it ends, and processes
that it forks do not inherit it. On a disk that knows no locks a warning takes its place.
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

from gram_pyro.harness.atomic import write_atomically

CONFIG, RESULTS = "config.yaml", "results.json"
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)  # as some network disks answer
CLAIMS: dict[Path, FileLock] = {}  # of this process, until it ends

log = logging.getLogger(__name__)


def settle(config: DictConfig) -> None:
    """Where run_dir names the time of day, make a folder of that name that nobody else has, with _2, _3, ... behind it
    if need be, and let run_dir name that.  Raises: OSError if it cannot be made."""
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


def open_folder(config: DictConfig) -> Path:
    """The folder of an experiment, a new one where run_dir names the time of day; it is this process's until that ends.

    Raises: as `hold`.
    """
    settle(config)
    folder = Path(config.run_dir)
    hold(folder)
    return folder


def is_finished(folder: Path) -> bool:
    """Whether it holds results that can be read; if so, it is said how to evaluate again."""
    try:
        json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    log.info("%s is finished; delete its %s to evaluate it again", folder, RESULTS)
    return True


def cannot_hold(folder: Path, problem: OSError) -> OSError:
    return OSError(f"{folder} cannot hold a run ({problem.strerror}); choose a run_dir that can be written to")


def hold(folder: Path) -> None:
    """Make `folder` this process's until it ends; it is made if it is not there.

    Raises: ValueError if another process is at work in it; OSError if it cannot be made or written to.
    """
    file = folder.resolve() / "lock"
    if file in CLAIMS:
        return
    lock = FileLock(file, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise ValueError(f"another process is at work in {folder}; wait for it, or choose another run_dir") from None
    except OSError as problem:
        if problem.errno not in NO_LOCKS:
            raise cannot_hold(folder, problem) from problem
        log.warning("%s is on a disk without locks; let no other process work in it.", folder)
    CLAIMS[file] = lock


def claim(folder: Path, config: str) -> str:
    """`hold` a folder, and put the configuration in it if there is none, or nothing yet that was made by it.

    Returns: the configuration it holds.
    Raises: as `hold`.
    """
    hold(folder)
    file = folder / CONFIG
    if not file.exists() or not any(chain(folder.glob("*.safetensors"), folder.glob("*.json"))):
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
