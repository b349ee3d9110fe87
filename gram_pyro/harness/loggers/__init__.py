"""Where the rows of a metrics table go beside it: `logger=none|tensorboard|wandb`.

A logger is made for every program that is trained, with (folder, program, configuration, options), and takes rows; the
packages it needs are extras: pip install 'gram_pyro[tensorboard]'.
Source: ours.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

Write = Callable[[dict[str, float]], None]
NAMES = ("tensorboard", "wandb")


def open_logger(config: DictConfig, folder: Path, program: str) -> Write:
    """What takes the rows of `program`: the logger that `config` (key logger, may be missing) names, or nothing does.

    Raises: ValueError on a name that there is not, or if its package is not installed.
    """
    options = OmegaConf.to_container(config.logger, resolve=True) if config.get("logger") else {}
    name = options.pop("name", None)
    if name is None:
        return lambda row: None
    if name not in NAMES:
        raise ValueError(f"logger.name={name} came; write logger=none, {' or '.join(f'logger={n}' for n in NAMES)}")
    try:
        module = import_module(f"gram_pyro.harness.loggers.{name}")
        return module.open_writer(folder, program, OmegaConf.to_container(config, resolve=True), **options)
    except ImportError as problem:
        raise ValueError(
            f"logger={name} needs a package that is not there ({problem}); write pip install 'gram_pyro[{name}]'"
        ) from None
