"""Resume a run: it continues with the configuration of its folder, except for keys that do not make it another run.

    run_dir=FOLDER and overrides   must equal the configuration of the folder, in every experiment; otherwise the
                                   differing keys are named
    resume=FOLDER                  takes the configuration of the folder. Overrides may change how it is computed,
                                   watched and evaluated, and increase the updates; then the cosine of the learning rate
                                   is stretched

A folder without results, of a command that failed before training, takes any configuration.
"""

import logging
from itertools import count
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from gram_pyro.harness import run_folder, trusted
from gram_pyro.harness.check_config import leaves, refers
from gram_pyro.harness.former import complete
from gram_pyro.storage.atomic import write_atomically

CHANGEABLE = ("device", "processes", "compile", "cuda_graph", "watch", "evaluate", "train.updates")
JUDGED = ("evaluate", "train.updates")  # what results depend on
NAMED = 6  # keys that a sentence names at most

log = logging.getLogger(__name__)


def open_folder(config: DictConfig) -> Path:
    """The folder of an experiment that trains nothing, a new one where run_dir names the time of day.

    What another configuration made, a training run above all, is not written over.  Raises: as `claim_folder`.
    """
    run_folder.settle(config)
    return claim_folder(config)


def claim_folder(config: DictConfig) -> Path:
    """The run folder with the resolved configuration in it. This process holds it until it ends.

    If `resume` changes keys that results depend on, the old results are kept under another name.
    Raises: ValueError if the folder has a run of another configuration, or another process holds it; OSError if it
    cannot be written to.
    """
    for place, _, value in leaves(OmegaConf.to_container(config, resolve=True)):
        if refers(value):
            raise ValueError(f"got {place}={value}; expected no '${{', in files a reference; write another name")
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
    """The values of two configurations by dotted key, where they differ and make another run."""
    one, other = what_counts(there), what_counts(here)
    pairs = {key: (one.get(key, "absent"), other.get(key, "absent")) for key in one | other}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def what_counts(config: DictConfig) -> dict[str, object]:
    """A configuration by dotted key, without the keys run_dir, resume and trust."""
    found: dict[str, list] = {}
    for place, _, value in leaves(OmegaConf.to_container(config, resolve=True)):
        if place not in ("run_dir", "resume", "trust"):
            found.setdefault(place, []).append(value)
    return {place: values[0] if len(values) == 1 else values for place, values in found.items()}


def is_one_of(key: str, names: tuple[str, ...]) -> bool:
    """Whether a dotted key is one of `names`, or below one."""
    return any(f"{key}.".startswith(f"{name}.") for name in names)


def put_aside(file: Path) -> None:
    """Rename a file, if it exists, to a free name."""
    if file.exists():
        aside = next(name for n in count(1) if not (name := file.with_stem(f"{file.stem}_{n}")).exists())
        file.rename(aside)
        log.info("%s is kept as %s.", file, aside.name)


def resumed(config: DictConfig) -> DictConfig:
    """The configuration of the run folder that `resume` names, with the given overrides (null: `config` itself).

    Raises: FileNotFoundError if the folder has no run; ValueError if an override makes it another run, or if it names
    foreign parts and `trust` is not true.
    """
    if config.get("resume") is None:
        return config
    file = Path(config.resume) / run_folder.CONFIG
    if not file.is_file():
        raise FileNotFoundError(f"there is no run in {config.resume}: it has no {file.name}; write resume=RUN_FOLDER")
    held = complete(run_folder.read_config(file))
    trust = config.get("trust", False)
    if "train" not in held:
        raise ValueError(f"the run in {config.resume} is of another kind, which trains nothing; repeat its command")
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
            f"got {', '.join(others)} with resume={config.resume}; expected no change of that run's configuration but "
            f"of {', '.join(CHANGEABLE)}; leave it out, or start a new run"
        )
    if isinstance(held.train.updates, int) and held.train.updates < planned:
        raise ValueError(f"got train.updates={held.train.updates}; expected more than the {planned} of that run")
    held.run_dir, held.resume, held.trust = config.resume, config.resume, trust
    return held
