"""The contract of a guide."""

import copy
from collections.abc import Callable

import pyro.distributions as dist
import torch
from torch import Tensor

from gram_pyro.contract.laws import (
    DIM,
    LEADING,
    NUM_CELLS,
    NUM_PUZZLES,
    NUM_SEGMENTS,
    NUM_SYMBOLS,
    NUM_TRANSITIONS,
    ContractError,
    check_gradients,
    check_law,
    check_laws,
    check_neighbours,
    densities,
    laboratory,
    states,
)
from gram_pyro.guide import Guide, family
from gram_pyro.model import GRAM
from gram_pyro.networks.core import Core, State
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.priors.base import Prior
from gram_pyro.priors.gaussian import Gaussian


def check_guide(
    make: Callable[[GRAM], Guide], prior: Prior | None = None, around: Callable[[Core], Core] | None = None
) -> None:
    """Check a guide, given as a function of the model: its class, or a partial of it.

    The model has width 16, 4 cells, 5 symbols with the blank and, by default, a Gaussian prior. Its core predicts what
    the check asks for; `around` puts it into another, if the guide needs one that keeps some channels.
    Raises: ContractError, with the first mistake found.
    """
    with laboratory():
        guide = build(make, copy.deepcopy(prior) or Gaussian(DIM, 16), around)
        name = type(guide).__name__
        y = torch.randint(1, NUM_SYMBOLS, (NUM_PUZZLES, NUM_CELLS))
        check_names(name, guide)
        check_path(name, guide, y)
        check_start(name, guide, y)
        check_laws(name, lambda u: guided(guide, u, y), DIM, "u, y and t")
        check_answers(name, guide, y)
        segments = [lambda u, n=n: guided(guide, u, y, n) for n in range(NUM_SEGMENTS)]
        check_gradients(name, guide, segments, DIM)
        check_support(name, make, y)


class Echo(Core):
    """Predicts the first h, whatever was drawn, so that the check chooses u_t."""

    def init(self, e: Tensor) -> State:
        return State(e, e)

    def predict(self, e: Tensor, state: State) -> State:
        return State(state.l, state.l)


class Discrete(Prior):
    """In every cell one channel is 1 and the others are 0."""

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        return dist.OneHotCategorical(logits=u).to_event(1)


def build(make: Callable[[GRAM], Guide], prior: Prior, around: Callable[[Core], Core] | None = None) -> Guide:
    """A guide of the small model.  Raises: ContractError if `make` returns something else."""
    embed, readout = TokenEmbedding(NUM_SYMBOLS, DIM), CategoricalReadout(DIM, NUM_SYMBOLS)
    model = GRAM(embed, around(Echo()) if around else Echo(), prior, readout, NUM_TRANSITIONS).float()
    guide = make(model)
    if not isinstance(guide, Guide):
        raise ContractError(f"got a {type(guide).__name__} from {make}; expected a gram_pyro.Guide")
    return guide.float()


def guided(guide: Guide, u: Tensor, y: Tensor, segment: int = NUM_SEGMENTS - 1) -> list[dist.TorchDistribution]:
    """Run the program from u.  Returns: the law of `posterior_in` at every transition, checked."""
    found, posterior = [], guide.posterior_in

    def watched(*args: object) -> dist.TorchDistribution:
        found.append(posterior(*args))
        check_law(f"the posterior of {type(guide).__name__}", found[-1], u)
        return found[-1]

    guide.posterior_in = watched
    try:
        guide(torch.zeros_like(y), y, State(u, u), segment)
    finally:
        del guide.posterior_in
    return found


def check_names(name: str, guide: Guide) -> None:
    """Pyro's global store keys parameters by attribute name; a shared name would leave one of the two untrained."""
    ours, theirs = (
        {attribute for attribute in [*m._modules, *m._parameters, *m._buffers]} for m in (guide, guide.model)
    )
    if shared := sorted(ours & theirs):
        raise ContractError(
            f"{name}: got attributes {', '.join(shared)}, which the model has too, so that Pyro would train one of the "
            f"two only; expected other names; write q_{shared[0]}"
        )
    owned = {id(p) for p in guide.model.parameters()}
    if any(id(p) in owned for p in guide.parameters()):
        raise ContractError(
            f"{name}: got parameters of the model among its own, which would be trained and stored twice; expected "
            "none; write self.model.NAME where they are needed"
        )


def check_path(name: str, guide: Guide, y: Tensor) -> None:
    """Check that draws are reparameterised if the prior's draws are."""
    u = states(DIM)
    for law in guided(guide, u, y):
        if not law.has_rsample and guide.model.prior(u, 0).has_rsample:
            raise ContractError(
                f"{name}: got {family(law)}, which has no rsample, under a prior whose draws are reparameterised: most "
                "objectives would get wrong gradients; expected a law with rsample"
            )


def check_start(name: str, guide: Guide, y: Tensor) -> None:
    """Check that a guide that says where training begins returns a state of the core."""
    begun, first = guide.start(torch.zeros_like(y), y), guide.model.start(torch.zeros_like(y))
    if begun is not None and [t.shape for t in begun] != [t.shape for t in first]:
        raise ContractError(
            f"{name}: got start(x, y) of shapes {[list(t.shape) for t in begun]}; expected "
            f"{[list(t.shape) for t in first]}; begin with self.model.start(x), and change what the guide knows"
        )


def check_answers(name: str, guide: Guide, y: Tensor) -> None:
    """Check that another solution of the first puzzle changes the law of the first puzzle only."""
    u, other = states(DIM, *LEADING), y.clone()
    other[0] = y[0] % (NUM_SYMBOLS - 1) + 1  # no blank
    points = [law.sample() for law in guided(guide, u, y)]
    others = (densities(guided(guide, u, solution), points)[..., 1:] for solution in (other, y))
    check_neighbours(name, *others, "the solution y")


def check_support(name: str, make: Callable[[GRAM], Guide], y: Tensor) -> None:
    """Check that under a discrete prior the draws lie in its support, or a ValueError is raised."""
    u = states(DIM)
    try:
        laws = guided(build(make, Discrete()), u, y)
    except ContractError:
        raise
    except ValueError:
        return
    support = Discrete()(u, 0).support
    if not all(support.check(law.sample()).all() for law in laws):
        raise ContractError(
            f"{name}: got draws outside the support of a discrete prior; expected draws in it; build the law from the "
            "argument `prior`, or raise a ValueError if prior.support.is_discrete"
        )
