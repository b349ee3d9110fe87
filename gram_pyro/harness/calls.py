"""Whether a part is what its key asks for, takes all that its configuration gives it by name, and lacks nothing."""

from collections.abc import Callable, Mapping
from inspect import Parameter, isclass, signature

from pyro.infer import ELBO

from gram_pyro.baselines.base import Baseline
from gram_pyro.guide import Guide
from gram_pyro.model import GRAM
from gram_pyro.networks.core import Core
from gram_pyro.networks.readout import Readout
from gram_pyro.priors.base import Prior
from gram_pyro.tasks.base import Task
from gram_pyro.training.learner import TrainSettings
from gram_pyro.training.rollout_losses import RolloutLoss

SECTIONS = {"model": GRAM, "train": TrainSettings}  # what their keys are arguments of
KINDS = {
    "task": Task,
    "core": Core,
    "prior": Prior,
    "readout": Readout,
    "guide": Guide,
    "objective": ELBO,
    "rollout_loss": RolloutLoss,
    "baseline": Baseline,
}
HYDRAS = {"_target_", "_partial_", "_recursive_", "_convert_"}
BUILT = {  # what a program is built of, and what each gets beside its configuration
    "model": ("embed", "core", "prior", "readout"),
    "train": (),
    "task": (),
    "prior": (),
    "rollout_loss": (),
    "guide": (),  # and the model, which comes first
    "embed": ("num_symbols", "dim"),
    "readout": ("num_symbols", "dim"),
    "core": ("dim", "num_cells", "relations"),
}


def check_kind(place: str, part: Callable) -> None:
    """Raises: ValueError if the part at a dotted key is one for another key; what is none for any may stand there."""
    name = place.rpartition(".")[2]
    found = [kind for kind, base in KINDS.items() if isclass(part) and issubclass(part, base)]
    if found and name not in found and name in {*KINDS, *BUILT}:
        came = f"got {place}._target_={part.__module__}.{part.__name__}"
        raise ValueError(f"{came}, a part for {found[0]}; expected one for {name}")


def check_call(place: str, part: Callable, values: Mapping) -> None:
    """Raises: ValueError if the part at a dotted key takes no argument of a name in `values`, or lacks one."""
    try:
        parameters = list(signature(part).parameters.values())
    except (ValueError, TypeError):  # of what is not written in Python nobody knows
        return
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):  # hands on what it does not know
        return
    known = {p.name: p for p in parameters if p.kind is not Parameter.VAR_POSITIONAL}
    called, hydras = getattr(part, "__name__", str(part)), HYDRAS if "_target_" in values else set()
    for key in values:
        if key not in hydras | known.keys():
            write = f"one of {', '.join(known)}" if known else f"{place} without it"
            raise ValueError(f"got {place}.{key}, and {called} takes no such argument; write {write}")
    if place in BUILT:  # in a baseline, say, it may be a part of what there is
        needed = [key for key, p in known.items() if p.default is Parameter.empty]
        needed = needed[1:] if place == "guide" else needed
        if lacking := [key for key in needed if key not in values and key not in BUILT[place]]:
            raise ValueError(f"got no {place}.{lacking[0]}, and {called} needs it; write +{place}.{lacking[0]}=...")
