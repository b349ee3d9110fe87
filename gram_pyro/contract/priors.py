"""The contract of a prior."""

import copy

import pyro.distributions as dist
import torch
from torch import Tensor

from gram_pyro.contract.laws import (
    DIM,
    NUM_TRANSITIONS,
    ContractError,
    Laws,
    check_gradients,
    check_law,
    check_laws,
    laboratory,
    states,
)
from gram_pyro.priors.base import Prior


def check_prior(prior: Prior, dim: int = DIM) -> None:
    """Check a prior for states of width `dim`.  Raises: ContractError, with the first mistake found."""
    name = type(prior).__name__
    prior = copy.deepcopy(prior).float().cpu()

    def laws(u: Tensor) -> list[dist.TorchDistribution]:
        found = []
        for t in range(NUM_TRANSITIONS):
            found.append(prior(u, t))
            check_law(f"the law of {name}", found[-1], u)
        return found

    with laboratory():
        check_laws(name, laws, dim, "u and t")
        check_point_mass(name, prior, laws, dim)
        check_gradients(name, prior, [laws], dim)


def check_point_mass(name: str, prior: Prior, laws: Laws, dim: int) -> None:
    """Check that `is_point_mass` is True iff draws are equal."""
    u = states(dim)
    still = all(torch.equal(law.sample(), law.sample()) for law in laws(u))
    if still != prior.is_point_mass:
        raise ContractError(
            f"{name}: got is_point_mass={prior.is_point_mass} and two {'equal' if still else 'different'} draws; "
            f"expected them to agree; write is_point_mass = {still} in the class"
        )
