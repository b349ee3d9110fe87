"""Loggers: where the rows of a metrics table go besides the .csv: `logger=none|tensorboard|wandb`.

Every trained program gets its own logger, made with (folder, program, configuration, options), which takes rows. The
packages are extras: pip install 'gram_pyro[tensorboard]'.
Source: ours.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

Write = Callable[[dict[str, float]], None]
NAMES = ("tensorboard", "wandb")


def open_logger(config: DictConfig, folder: Path, program: str) -> Write:
    """The writer of rows of `program` that `config` (key logger, optional) names; by default it does nothing.

    Raises: ValueError if the name is unknown, or its package is not installed.
    """
    options = OmegaConf.to_container(config.logger, resolve=True) if config.get("logger") else {}
    name = options.pop("name", None)
    if name is None:
        return lambda row: None
    if name not in NAMES:
        raise ValueError(f"got logger.name={name}; write logger=none, {' or '.join(f'logger={n}' for n in NAMES)}")
    try:
        module = import_module(f"gram_pyro.harness.loggers.{name}")
        return module.open_writer(folder, program, OmegaConf.to_container(config, resolve=True), **options)
    except ImportError as problem:
        raise ValueError(
            f"got logger={name}; expected its package to be installed ({problem}); write pip install "
            f"'gram_pyro[{name}]'"
        ) from None
