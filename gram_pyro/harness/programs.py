"""Which programs a run trains: GRAM, and each of its baselines, which is GRAM's configuration with changes.

    baselines:
      NAME: {prior: PART, train: {updates: 400}}    a part takes the place of another, single settings are changed
      NAME: null                                    left out
"""

from collections.abc import Mapping
from difflib import get_close_matches

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

GRAM = "GRAM"


def programs(config: DictConfig) -> dict[str, DictConfig]:
    """The configuration of every program, by name, GRAM first.

    Raises: ValueError if a baseline is called GRAM, or as `changed`.
    """
    named = config.get("baselines") or {}
    if GRAM in named:
        raise ValueError(f"got baselines.{GRAM}; expected another name, since {GRAM} is what is compared; write one")
    beside = {name: changes for name, changes in named.items() if changes is not None}
    return {GRAM: config} | {name: changed(config, its, f"baselines.{name}") for name, its in beside.items()}


def changed(config: DictConfig, changes: Mapping[str, object], where: str) -> DictConfig:
    """`config` with parts (prior, guide, ...) replaced and single settings (of train, ...) changed, all else equal.

    Its weights are at random unless `changes` name a start; it is a recursion unless they name a program under the key
    baseline. Args: where, the dotted key at which `changes` stand.
    Raises: ValueError if they name a key that there is not.
    """
    new = config.copy()
    new.start = new.baseline = None
    for key, change in changes.items():
        if key not in new:
            nearest = get_close_matches(str(key), list(map(str, new)), n=1, cutoff=0) or list(new)
            raise ValueError(f"got {where}.{key}; expected a key of the configuration; did you mean {nearest[0]}?")
        is_settings = OmegaConf.is_dict(change) and "_target_" not in change and OmegaConf.is_dict(new[key])
        try:
            new[key] = OmegaConf.merge(new[key], change) if is_settings else change
        except OmegaConfBaseException as problem:
            reason = str(problem).partition("\n")[0]
            raise ValueError(f"got {where}.{key}, which cannot be ({reason}); write keys that exist") from None
    return new
