"""Numbers of a configuration, checked by name before anything is built: a typing error costs a sentence, not a run.

Names that are not here belong to components that check for themselves. Source: ours.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from omegaconf import MISSING, DictConfig, OmegaConf

from gram_pyro.training.schedule import schedule

AT_LEAST_ONE = (
    "dim hidden num_layers num_updates num_heads num_transitions num_grad_steps updates num_segments batch_size "
    "accumulate rollouts_per_puzzle every num_puzzles widths chunk max_solutions n num_particles num_steps "
    "num_components rank num_classes depths augmentations num_images num_inpainted inpainting_depth num_boards"
).split()
AT_LEAST_ZERO = "seed warmup num_train num_test max_plate_nesting".split()
REAL = "free_share learning_rate weight_decay clip ema balance several_share test_share".split()
NULLABLE = ("hidden", "num_puzzles", "baseline_deviations", "halt_at")  # null: as wide as dim; all there are; none


def task_name(choice: str, target: str) -> str:
    """What tables call a task: the choice, or the class where it is `own`.

    A resolver of configurations, ${task_name:choice,target}, of every process that imports this file.
    """
    return target.rpartition(".")[2] if choice == "own" else choice


OmegaConf.register_new_resolver("task_name", task_name, replace=True)


def check_given(config: DictConfig) -> None:
    """Raises: ValueError if a value that has to be given is not: the class of a part of one's own."""
    for place, _, value in leaves(OmegaConf.to_container(config, resolve=False)):
        if value == MISSING:
            raise ValueError(f"got no {place}; expected a class of your own; write {place}=my_file.MyClass")


def check_numbers(config: DictConfig) -> None:
    """Raises: ValueError if a number is not whole where it counts something, or below what makes sense, or no number;
    or if a part is built for another width than `dim`."""
    found = leaves(OmegaConf.to_container(config, resolve=True))
    for place, name, value in sorted(found, key=lambda leaf: leaf[0].count(".")):  # dim before what is made of it
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None and name in NULLABLE:
            continue
        if name in AT_LEAST_ONE + AT_LEAST_ZERO:
            least = int(name in AT_LEAST_ONE)
            if not isinstance(value, int) or not number or value < least:
                raise ValueError(f"{place}={value} came; write a whole number, {least} or more")
        elif name in REAL and not (number and 0 <= value and (math.isfinite(value) or name == "clip")):
            raise ValueError(f"{place}={value} came; write a number, 0 or more")
        elif name == "beta":
            schedule(value, place)
        elif name == "baseline_deviations" and value != [] and not (number and 0 < value < math.inf):
            raise ValueError(f"{place}={value} came; write numbers above 0, or null for no baseline")
        elif name == "halt_at" and not (number and 0 < value < 1):
            raise ValueError(f"{place}={value} came; write a probability between 0 and 1, or null to run to full depth")
        if name == "dim" and value != config.dim:
            raise ValueError(f"{place}={value} came beside dim={config.dim}; leave it out, all parts have one width")


def leaves(value: object, place: str = "", name: str = "") -> Iterator[tuple[str, str, object]]:
    """Where every value stands, the last key on the way there, and the value; of a list each, or [] if it is empty."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from leaves(below, f"{place}.{key}" if place else str(key), str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str) and len(value):
        for below in value:
            yield from leaves(below, place, name)
    else:
        yield place, name, value
