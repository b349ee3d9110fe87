"""Which configuration a run folder goes on with: its own, but for what does not make it another run.

    run_dir=FOLDER and overrides   that of the folder, or refused with the keys that differ
    resume=FOLDER                  that of the folder; beside it may come how it is computed, watched and evaluated, and
                                   more updates, over which the cosine of the learning rate is then stretched

A folder with nothing to keep in it, of a command that failed before it trained, takes any configuration.
"""

import logging
from itertools import count
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from gram_pyro.harness import run_folder, trusted
from gram_pyro.harness.atomic import write_atomically
from gram_pyro.harness.check_config import leaves
from gram_pyro.harness.former import complete

CHANGEABLE = ("device", "compile", "cuda_graph", "watch", "evaluate", "train.updates")
JUDGED = ("evaluate", "train.updates")  # what results depend on
NAMED = 6  # keys, in a sentence

log = logging.getLogger(__name__)


def claim_folder(config: DictConfig) -> Path:
    """The run folder, with the resolved configuration in it; it is this process's until that ends.

    Where `resume` changes what results depend on, those that are there are kept under another name.
    Raises: ValueError if it holds a run of another configuration, or another process is at work in it; OSError if it
    cannot be written to.
    """
    folder, text = Path(config.run_dir), OmegaConf.to_yaml(config, resolve=True)
    run_folder.claim(folder, text)
    differ = differences(complete(run_folder.read_config(folder / run_folder.CONFIG)), config)
    if config.get("resume") is not None and all(is_one_of(key, CHANGEABLE) for key in differ):
        if any(is_one_of(key, JUDGED) for key in differ):
            put_aside(folder / run_folder.RESULTS)
        write_atomically(folder / run_folder.CONFIG, text.encode())
    elif differ:
        said = [f"{key} is {there} there and {here} here" for key, (there, here) in differ.items()]
        more = f" and {len(said) - NAMED} more" if len(said) > NAMED else ""
        raise ValueError(
            f"{folder} holds a run with another configuration ({', '.join(said[:NAMED])}{more}); repeat its overrides "
            "to continue it, or choose a run_dir"
        )
    return folder


def differences(there: DictConfig, here: DictConfig) -> dict[str, tuple[object, object]]:
    """By dotted key what two configurations hold, where that is not the same and makes another run."""
    one, other = what_counts(there), what_counts(here)
    pairs = {key: (one.get(key, "absent"), other.get(key, "absent")) for key in one | other}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def what_counts(config: DictConfig) -> dict[str, object]:
    """A configuration by dotted key, without the place of the run, and without how it was asked for."""
    found: dict[str, list] = {}
    for place, _, value in leaves(OmegaConf.to_container(config, resolve=True)):
        if place not in ("run_dir", "resume", "trust"):
            found.setdefault(place, []).append(value)
    return {place: values[0] if len(values) == 1 else values for place, values in found.items()}


def is_one_of(key: str, names: tuple[str, ...]) -> bool:
    """Whether a dotted key is one of them, or below one."""
    return any(f"{key}.".startswith(f"{name}.") for name in names)


def put_aside(file: Path) -> None:
    """Give a file, if it is there, a name that is free."""
    if file.exists():
        aside = next(name for n in count(1) if not (name := file.with_stem(f"{file.stem}_{n}")).exists())
        file.rename(aside)
        log.info("%s is kept as %s.", file, aside.name)


def resumed(config: DictConfig) -> DictConfig:
    """The configuration of the run folder that `resume` names, with the overrides beside it (null: `config` itself).

    Raises: FileNotFoundError if there is no run in it; ValueError if an override makes another run of it, or if it
    names what is no part of this package and `trust` is not true.
    """
    if config.get("resume") is None:
        return config
    file = Path(config.resume) / run_folder.CONFIG
    if not file.is_file():
        raise FileNotFoundError(f"there is no run in {config.resume}: it has no {file.name}; give resume=RUN_FOLDER")
    held = complete(run_folder.read_config(file))
    trust = config.get("trust", False)
    trusted.check(held, file, trust)
    planned, others = held.train.updates, []
    for text in HydraConfig.get().overrides.task:
        override = OverridesParser.create().parse_override(text)
        if is_one_of(override.key_or_group, CHANGEABLE) and not override.is_delete():
            OmegaConf.update(held, override.key_or_group, override.value(), merge=True, force_add=True)
        elif override.key_or_group not in ("resume", "trust"):
            others.append(text)
    if others:
        raise ValueError(
            f"resume={config.resume} takes the configuration of that run, and {', '.join(others)} came beside it; "
            f"leave that out, or start a new run: only {', '.join(CHANGEABLE)} may be other than they were"
        )
    if isinstance(held.train.updates, int) and held.train.updates < planned:
        raise ValueError(f"train.updates={held.train.updates} came; expected more than the {planned} of that run")
    held.run_dir, held.resume, held.trust = config.resume, config.resume, trust
    return held
