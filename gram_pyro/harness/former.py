"""Update stored configurations of older versions, so that old checkpoints and run folders keep working.

A configuration names classes by their module. `MOVED` has the present place of every moved module. `CONSTANTS` has
keys that did not exist when a checkpoint was saved, with what the code did then. `KEYS` has the present names of
keys.
"""

import re
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

MOVED = {  # modules below gram_pyro
    "candidates": "networks.candidates",
    "core": "networks.core",
    "embed": "networks.embed",
    "heads": "networks.heads",
    "importance": "training.importance",
    "layers": "networks.layers",
    "objectives": "training.objectives",
    "patches": "networks.patches",
    "peers.autoregressive": "baselines.autoregressive",
    "peers.d3pm": "baselines.d3pm",
    "peers.masked_diffusion": "baselines.masked_diffusion",
    "peers.vae": "baselines.vae",
    "puzzle_tokens": "networks.arc_tokens",
    "readout": "networks.readout",
    "rollout_losses": "training.rollout_losses",
    "tasks.arc": "tasks.arc.task",
    "tasks.canonical_colouring": "tasks.colouring.canonical",
    "tasks.colouring": "tasks.colouring.task",
    "tasks.nqueens": "tasks.nqueens.task",
    "tasks.nqueens_pairs": "tasks.nqueens.pairs",
    "tasks.planning": "tasks.planning.task",
    "tasks.sudoku": "tasks.sudoku.task",
    "tasks.sudoku_boards": "tasks.sudoku.boards",
    "tasks.sudoku_mixture": "tasks.sudoku.mixture",
    "tasks.sudoku_sizes": "tasks.sudoku.sizes",
}
KEYS = {"rivals": "baselines", "peer": "baseline"}
TRAIN_KEYS = {"covering": "rollouts_per_puzzle", "free_share": "rollout_share"}  # of the group train
CONSTANTS = {
    "baseline": None,
    "processes": 1,
    "embed": {"_target_": "gram_pyro.networks.embed.TokenEmbedding", "_partial_": True},
    "readout": {"_target_": "gram_pyro.networks.readout.CategoricalReadout", "_partial_": True},
    "rollout_loss": {"_target_": "gram_pyro.training.rollout_losses.Set"},
}
COVERING = {"_target_": "gram_pyro.training.rollout_losses.Cover"}  # what train.covering above 1 meant


def complete(config: dict | DictConfig) -> DictConfig:
    """A stored configuration with present names and keys. Groups that did not exist when it was saved are filled in."""
    config = OmegaConf.create(config)
    rename(config)
    covering = OmegaConf.is_dict(train := config.get("train")) and train.get("covering", 1) != 1
    rename_keys(config)
    if "train" in config:
        config = OmegaConf.merge({key: value for key, value in CONSTANTS.items() if key not in config}, config)
    if covering:
        config.rollout_loss = COVERING
    return config


def rename(config: Any) -> None:
    """Replace every `_target_` by its present name, at every depth, in place."""
    if OmegaConf.is_list(config):
        for value in config:
            rename(value)
    if not OmegaConf.is_dict(config):
        return
    for key, value in config.items_ex(resolve=False):
        if key == "_target_" and isinstance(value, str):
            config[key] = name_of_today(value)
        else:
            rename(value)


def rename_keys(config: DictConfig | dict) -> None:
    """Write today's name for every key of a configuration, and of what its baselines change in it, in place."""
    train = config.get("train")
    for group, names in ((config, KEYS), (train if isinstance(train, Mapping | DictConfig) else {}, TRAIN_KEYS)):
        for old in names.keys() & group.keys():
            group[names[old]] = group.pop(old)
    baselines = config.get("baselines")
    for changes in baselines.values() if isinstance(baselines, Mapping | DictConfig) else ():
        if isinstance(changes, Mapping | DictConfig):
            rename_keys(changes)


def tensor_of_today(name: str) -> str:
    """The name of a tensor in a checkpoint: that of a baseline began with its part, peer."""
    return re.sub(r"^(average\.)?peer\.", r"\1baseline.", name)


def name_of_today(name: str) -> str:
    module, _, attribute = name.rpartition(".")
    below = module.removeprefix("gram_pyro.")
    return f"gram_pyro.{MOVED[below]}.{attribute}" if module != below and below in MOVED else name
