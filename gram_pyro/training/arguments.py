"""Checks that an objective runs and trains the model and guide that it is given.

The guide of a GRAM runs its own model (pyro.poutine.guide.GuideMessenger), and Pyro's ELBOs then use no other. They
would silently ignore a second model, or a handler around the model. Moreover, SVI trains the tensor that Pyro's global
store holds under the name of a parameter, which may be another model's. Both cases are refused here, for Pyro's ELBOs
and ours: all of them call `_get_traces`.

Source: ours.
"""

import warnings
from collections.abc import Iterator
from functools import wraps

from pyro import poutine
from pyro.infer import ELBO, TraceEnum_ELBO
from pyro.infer.tracetmc_elbo import TraceTMC_ELBO
from pyro.nn import PyroModule
from pyro.params.param_store import normalize_param_name
from pyro.poutine.guide import GuideMessenger
from pyro.poutine.runtime import _PYRO_STACK
from pyro.poutine.trace_messenger import TraceMessenger
from pyro.poutine.trace_struct import Trace

from gram_pyro.model import GRAM


def check_model(model: object, guide: object) -> None:
    """Raises: ValueError unless `model` is the model that the guide runs, and no handler is around the guide."""
    runs = poutine.unwrap(guide)
    if not isinstance(runs, GuideMessenger) or not isinstance(own := poutine.unwrap(runs.model), GRAM):
        return
    if guide is not runs or (model is not runs.model and poutine.unwrap(model) is own):
        raise ValueError(
            f"got a handler around the {'guide' if guide is not runs else 'model'}, which would be ignored, for the "
            "guide runs its own model; expected model and guide without handlers; write the handler as a context "
            "around the objective, as in: with poutine.scale(scale=2)"
        )
    if model is not runs.model:
        raise ValueError(
            f"got another model than the guide's, which would be ignored; expected the model that the "
            f"{type(runs).__name__} was made of; write {type(runs).__name__}(model, ...) for this one"
        )


def check_names(model: object, guide: object) -> None:
    """Call it after a run.  Raises: ValueError if SVI would train other tensors instead of parameters of these two."""
    if not isinstance(poutine.unwrap(model), GRAM):
        return
    for heard in (handler.trace for handler in _PYRO_STACK if listens(handler)):
        trained = {normalize_param_name(name): site["value"].unconstrained() for name, site in params(heard)}
        for module in map(poutine.unwrap, (model, guide)):
            for name, own in module.named_parameters() if isinstance(module, PyroModule) else ():
                if own.requires_grad and trained.get(name, own) is not own:
                    raise ValueError(
                        f"got another tensor in Pyro's global store under the name of parameter {name!r} of this "
                        f"{type(module).__name__}, which would never be trained; expected a name of its own; write "
                        "pyro.clear_param_store() before a second model, and q_... for attributes of a guide"
                    )


def check_reparameterised(objective: str, guide_trace: Trace) -> None:
    """Raises: ValueError if a latent was drawn without a path for the gradient."""
    for name, site in guide_trace.nodes.items():
        if site["type"] == "sample" and not site["is_observed"] and not site["fn"].has_rsample:
            raise ValueError(
                f"got the latent {name!r} drawn from {site['fn']}; expected a reparameterised sample, which objective "
                f"{objective} needs; write objective=rws, or objective=trace_elbo"
            )


def warn_of_truncation(objective: str, model: GRAM) -> None:
    """Warn if the gradient is not the gradient of the bound."""
    if model.num_grad_steps < model.num_transitions - 1:
        warnings.warn(
            f"got num_grad_steps={model.num_grad_steps} with objective {objective}, whose gradient is then biased; "
            f"expected num_transitions - 1 or more; write num_grad_steps={model.num_transitions - 1} or objective=rws",
            stacklevel=2,
        )


def listens(handler: object) -> bool:
    """Whether SVI uses this handler to find the parameters."""
    return isinstance(handler, TraceMessenger) and handler.param_only


def params(trace: Trace) -> list[tuple[str, dict]]:
    return [(name, site) for name, site in trace.nodes.items() if site["type"] == "param"]


def watch(objective: type[ELBO]) -> None:
    """Check every run of `objective`."""
    traces = objective._get_traces

    @wraps(traces)
    def checked(self: ELBO, model: object, guide: object, args: tuple, kwargs: dict) -> Iterator[tuple[Trace, Trace]]:
        check_model(model, guide)
        for run in traces(self, model, guide, args, kwargs):
            check_names(model, guide)
            yield run

    objective._get_traces = checked


for each in (ELBO, TraceEnum_ELBO, TraceTMC_ELBO):  # the classes that define it; the others inherit it
    watch(each)
