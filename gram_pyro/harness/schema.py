"""The schema of all experiments: the kind and range of every key's value.

A key is looked up as SCRIPT/KEY, then by its endings, the longest first (train.precision), then as PARENT.* where names
are free, and last by its last word (precision). Keys below a _target_ are arguments: annotations give their kinds, and
ARGUMENTS, by name, their ranges.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from gram_pyro.training.schedule import schedule


class Kind(NamedTuple):
    """A kind of value.  takes(value): whether a value is of this kind; write: what to write instead."""

    takes: Callable[[object], bool]
    write: str


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_schedule(value: object) -> bool:
    try:
        schedule(value, "")
    except (ValueError, TypeError):  # TypeError: a list, say
        return False
    return True


def whole(least: int) -> Kind:
    return Kind(
        lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= least, f"a whole number, {least} or more"
    )


def or_null(kind: Kind, meaning: str) -> Kind:
    return Kind(lambda v: v is None or kind.takes(v), f"{kind.write}, or null {meaning}")


def listed(kind: Kind, least: int = 1) -> Kind:
    """A list of `least` or more values of a kind."""
    write = f"a list [...], {'not empty, ' if least else ''}each {kind.write}"
    return Kind(lambda v: isinstance(v, list) and len(v) >= least and all(map(kind.takes, v)), write)


COUNT, NATURAL = whole(1), whole(0)
REAL = Kind(lambda v: is_number(v) and v >= 0, "a number, 0 or more")
POSITIVE = Kind(lambda v: is_number(v) and v > 0, "a number above 0")
CLIP = Kind(lambda v: v == math.inf or REAL.takes(v), REAL.write)
PROBABILITY = Kind(lambda v: is_number(v) and 0 < v < 1, "a probability between 0 and 1")
SHARE = Kind(lambda v: is_number(v) and 0 <= v <= 1, "a number from 0 to 1")
TEXT = Kind(lambda v: isinstance(v, str) and v != "", "text")
TEXT_OR_NULL = or_null(TEXT, "for none")
FILES_OR_NULL = Kind(
    lambda v: TEXT_OR_NULL.takes(v) or (isinstance(v, Mapping) and len(v) > 0 and all(map(TEXT.takes, v.values()))),
    "a file, {NAME: FILE} with a name for each of several, or null for the puzzles it was trained with",
)
FLAG = Kind(lambda v: isinstance(v, bool), "true or false")
SCHEDULE = Kind(is_schedule, "a number, 0 or more, or: linear from 0 to 1 over 1000 updates")
SECTION = Kind(lambda v: isinstance(v, Mapping), "keys and their values, {KEY: VALUE}")
SECTION_OR_NULL = or_null(SECTION, "to leave it out")
CHANGES = or_null(Kind(lambda v: SECTION.takes(v) and len(v) > 0, SECTION.write), "to leave it out")
ANY = Kind(lambda v: True, "a value")
TASK = Kind(SECTION.takes, "one of its choices by name, or a part, {_target_: MODULE.CLASS, ...}")
PART = Kind(lambda v: TASK.takes(v) and "_target_" in v, TASK.write)
PART_OR_NAME = Kind(lambda v: PART.takes(v) or TEXT.takes(v), PART.write)
COUNT_OR_NULL = or_null(COUNT, "for all there are")
COUNTS = listed(COUNT)


def by_key(keys: Mapping[Kind, str]) -> dict[str, Kind]:
    return {key: kind for kind, names in keys.items() for key in names.split()}


SCHEMA = by_key(
    {
        COUNT: "dim num_transitions num_grad_steps updates num_segments batch_size accumulate rollouts_per_puzzle "
        "every chunk num_particles num_boards num_images num_inpainted inpainting_depth smc_particles at_once most "
        "num_views num_weights iwae_width evidence_puzzles repeats width depth products.size by_size.size tokens batch "
        "count swapped queue processes scale/rows "
        "colours limits.segments limits.particles start.segments start.particles solve/num_hot hard_puzzles/n",
        NATURAL: "seed warmup guesses",
        REAL: "rollout_share learning_rate weight_decay accuracy coverage degree",
        SCHEDULE: "beta",
        CLIP: "clip",
        POSITIVE: "temperature limits.temperature rate bandwidth",
        SHARE: "ema target threshold",
        PROBABILITY: "scaling/halt_at benchmark/sampling.halt_at",
        COUNT_OR_NULL: "num_puzzles workers",
        or_null(COUNT, "for the one it was trained on"): "n",
        or_null(NATURAL, "for those it was trained with"): "num_test",
        or_null(PROBABILITY, "to run to full depth"): "halt_at",
        or_null(listed(POSITIVE, 0), "for no baseline"): "baseline_deviations",
        COUNTS: "widths depths augmentations frontier/num_hot memory.num_segments batch_sizes dims lengths sizes "
        "boards.* gpus",
        listed(COUNT, 0): "sudokus graphs",
        listed(NATURAL, 0): "seeds given",
        listed(POSITIVE): "temperatures",
        TEXT: "run_dir checkpoint device precision task_name method_name sampler_name puzzles host out name folder "
        "output about.* examples.*.* companions.*.* table/runs benchmark/weights by_size.weights kinds/weights table "
        "start.board logger.project referees/weights.* checkout script",
        TEXT_OR_NULL: "start resume save puzzle queens graph weights of task._target_ classifier_cache "
        "logger.name models/name",
        FILES_OR_NULL: "test",
        listed(TEXT, 0): "guides priors hosts selections beside verdict/baselines demo/weights",
        listed(TEXT): "verdict/runs datasets sets overrides",
        listed(SECTION): "files",
        or_null(listed(TEXT), "for all"): "only",
        FLAG: "relay compile cuda_graph trust only_failed halts rules_benchmark/memory",
        SECTION: "model train watch evaluate own own.* companions companions.* measure evidence boards samplers "
        "samplers.* limits about examples examples.* strategies strategies.* ways ways.* paper paper.* paper.*.* "
        "demo/start logger size referees/weights kinds/sets kinds/sets.* recipes recipes.*",
        or_null(SECTION, "for none"): "baselines",
        CHANGES: "baselines.*",
        ANY: "baselines.*.*",  # the program they make is checked as a whole
        SECTION_OR_NULL: "release/task step stages benchmark/precision sampling smc memory products by_size",
        TASK: "task",
        PART: "embed core prior readout guide objective rollout_loss family file",
        or_null(PART, "for GRAM"): "baseline",
        PART_OR_NAME: "sampler potential select",
    }
)
ARGUMENTS = by_key(
    {
        COUNT: "dim num_layers num_updates num_heads max_solutions n num_particles num_steps num_components rank side "
        "num_classes max_plate_nesting num_names rows columns patch channels kernel groups num_latents colours num_hot",
        NATURAL: "seed num_train num_test num_prefix max_clues min_distance",
        SHARE: "balance several_share test_share blank_share most_given known_share edge_probability "
        "wall_probability share threshold",
        POSITIVE: "temperature",
        PART: "potential sampler resample inner mixer content",
        FLAG: "_partial_",
        or_null(COUNT, "to be as wide as dim"): "hidden",
    }
)


def kind_of(place: str, script: str = "") -> Kind | None:
    """The kind of a setting, given by its dotted key, in an experiment; None: any value."""
    return next((SCHEMA[name] for name in called(place, script) if name in SCHEMA), None)


def called(place: str, script: str) -> Iterator[str]:
    """The names under which SCHEMA may list a key, the most specific first."""
    keys = place.split(".")
    free = [".".join([key, *"*" * (len(keys) - i)]) for i, key in enumerate(keys[:-1], 1)]
    yield from (f"{script}/{name}" for name in (place, *free))
    yield from (".".join(keys[i:]) for i in range(len(keys) - 1))
    yield from free
    yield keys[-1]
