"""What every prior and guide keeps to, checked on random inputs in a second; a mistake is named in one sentence.

    check_prior(MyPrior(dim=16))                  check_guide(partial(MyGuide, dim=16))

    z_t ~ a law with batch [..., B] and event [L, D], any leading dims, on all of R^(L x D) or on discrete points of it;
    draws and densities finite, also at u = 0 and |u| ~ 1000, and of u's dtype under bf16 autocast; a function of
    (u, t), for a guide of (u, y, t), puzzle by puzzle; every parameter gets a gradient.

What is checked is a float32 copy on the CPU; the random state is left as it was.  Source: ours.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from gram_pyro.core import Core, State
from gram_pyro.embed import TokenEmbedding
from gram_pyro.guide import Guide
from gram_pyro.model import GRAM
from gram_pyro.priors.base import Prior
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.readout import CategoricalReadout

NUM_PUZZLES, NUM_CELLS, DIM, NUM_SYMBOLS, NUM_TRANSITIONS, NUM_SEGMENTS = 3, 4, 16, 5, 3, 3
LEADING = (2, 4)  # particle dims of the widest check

Laws = Callable[[Tensor], list[dist.TorchDistribution]]  # u -> the law at every transition


class ContractError(ValueError):
    """A prior or guide does not do what the rest of the program relies on."""


def check_prior(prior: Prior, dim: int = DIM) -> None:
    """Check a prior of states of width `dim`.  Raises: ContractError, with the first mistake found."""
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


def check_guide(make: Callable[[GRAM], Guide], prior: Prior | None = None) -> None:
    """Check a guide, given as what builds it from a model: a class, or a partial that lacks the model alone.

    The model has width 16, 4 cells, 5 symbols and, unless another one comes, a Gaussian prior.
    Raises: ContractError, with the first mistake found.
    """
    with laboratory():
        guide = build(make, copy.deepcopy(prior) or Gaussian(DIM, 16))
        name = type(guide).__name__
        y = torch.randint(NUM_SYMBOLS, (NUM_PUZZLES, NUM_CELLS))
        check_names(name, guide)
        check_laws(name, lambda u: guided(guide, u, y), DIM, "u, y and t")
        check_answers(name, guide, y)
        segments = [lambda u, n=n: guided(guide, u, y, n) for n in range(NUM_SEGMENTS)]
        check_gradients(name, guide, segments, DIM)
        check_support(name, make, y)


# ---- what priors and guides share


def check_law(owner: str, law: object, u: Tensor) -> None:
    """One law: its type, shapes and support."""
    if not isinstance(law, TorchDistributionMixin):
        raise ContractError(f"{owner} is a {type(law).__name__}; return a distribution of pyro.distributions")
    event, batch = u.shape[-2:], u.shape[:-2]
    if law.event_shape != event and law.batch_shape + law.event_shape == u.shape:
        raise ContractError(
            f"{owner} has event shape {list(law.event_shape)}, and [L, D] = {list(event)} is expected: all cells and "
            f"channels of a latent are one event; write .to_event({2 - len(law.event_shape)})"
        )
    if law.event_shape != event or law.batch_shape != batch:
        raise ContractError(
            f"{owner} has batch {list(law.batch_shape)} and event {list(law.event_shape)} for u {list(u.shape)}, and "
            f"{list(batch)} and {list(event)} are expected: act on the trailing [L, D] and keep every dim before it"
        )
    probe = 100 * torch.randn_like(u)
    if not law.support.is_discrete and not law.support.check(probe).all():
        raise ContractError(
            f"{owner} lives on a part of the real line only, and h = u + z needs latents on all of it (or on discrete "
            f"points): shift or transform {law}, or use another family"
        )


def check_laws(name: str, laws: Laws, dim: int, arguments: str) -> None:
    """Shapes with and without leading dims, finite numbers, dtype, repeatability, independence of puzzles."""
    plain, wide = states(dim), states(dim, *LEADING)
    for u in (plain, wide, 0 * plain, 1000 * plain):
        size = u.abs().amax().item()
        for t, (z, log_prob) in enumerate(drawn(name, laws, u)):
            for what, value, shape in (("draws", z, u.shape), ("log_prob", log_prob, u.shape[:-2])):
                if value.shape != shape:
                    raise ContractError(
                        f"{name}: {what} of shape {list(value.shape)} came at t={t}, and {list(shape)} is expected"
                    )
                if not torch.isfinite(value).all():
                    raise ContractError(
                        f"{name}: {what} at t={t} is not finite where u is up to {size:.0f} in size: bound what the "
                        "network says of the scale, as softplus(raw) + 1e-3 does"
                    )
    with torch.autocast("cpu", torch.bfloat16):
        for law in laws(plain):
            z = law.sample()
            if {z.dtype, law.log_prob(z).dtype} != {plain.dtype}:
                raise ContractError(
                    f"{name}: u is {plain.dtype}, and under bf16 autocast z is {z.dtype} and its log_prob "
                    f"{law.log_prob(z).dtype}; write .to(u.dtype) on what linear maps return"
                )
    points = [law.sample() for law in laws(wide)]
    first = densities(laws(wide), points)
    laws(-wide)
    if not close(densities(laws(wide), points), first):
        raise ContractError(
            f"{name}: two calls with the same {arguments} gave two laws, and a law may depend on nothing else: "
            "no dropout, counter or draw of its own"
        )
    changed = wide.clone()
    changed[0, 0, 0] *= -3
    others = (d.flatten(1)[:, 1:] for d in (densities(laws(changed), points), first))
    check_neighbours(name, *others, "the state u")


def drawn(name: str, laws: Laws, u: Tensor) -> list[tuple[Tensor, Tensor]]:
    """A draw and its log_prob at every transition.  Raises: ContractError where anything is raised."""
    try:
        return [(z := law.sample(), law.log_prob(z)) for law in laws(u)]
    except ContractError:
        raise
    except Exception as error:
        raise ContractError(
            f"{name} fails where u has shape {list(u.shape)} and is up to {u.abs().amax().item():.0f} in size, and any "
            f"dims before [L, D] and any size must do ({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error


def check_neighbours(name: str, after: Tensor, before: Tensor, what: str) -> None:
    """Whether the laws of the puzzles that were left alone, given by their densities, stayed as they were."""
    if not close(after, before):
        raise ContractError(
            f"{name}: changing {what} of one puzzle changed the law of another; no operation may mix the dims before "
            "[L, D] (a mean over the batch, a batch norm, a view)"
        )


def check_gradients(name: str, module: nn.Module, runs: list[Laws], dim: int) -> None:
    """Whether every parameter moves the law. Weights that are zero at the start would hide others: they are moved."""
    learning = {n: p for n, p in module.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for p in learning.values():
            p.copy_(torch.where(p == 0, 0.1 * torch.randn_like(p), p))
    module.zero_grad()
    loss = torch.zeros((), requires_grad=True)
    for laws in runs:
        for law in laws(states(dim)):
            z = law.rsample() if law.has_rsample else law.sample()
            loss = loss + law.log_prob(z.detach()).sum() + z.sum()
    loss.backward()
    if still := [n for n, p in learning.items() if p.grad is None or not p.grad.any()]:
        raise ContractError(
            f"{name}: no gradient reaches {', '.join(still)}; use it in the law, or leave it out (look for detach, "
            "no_grad or .data)"
        )


def states(dim: int, *leading: int) -> Tensor:
    """Random predicted states, [..., B, L, D]."""
    return torch.randn(*leading, NUM_PUZZLES, NUM_CELLS, dim, dtype=torch.float32)


def densities(laws: list[dist.TorchDistribution], points: list[Tensor]) -> Tensor:
    """log p of one point per transition, [T, ..., B], nats."""
    return torch.stack([law.log_prob(z) for law, z in zip(laws, points, strict=True)]).detach()


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4, atol=1e-4)


@contextmanager
def laboratory() -> Iterator[None]:
    """Own random numbers, no validation (its errors would come first), and parameters that belong to their module."""
    with (
        torch.random.fork_rng(devices=[]),
        pyro.validation_enabled(False),
        pyro.settings.context(module_local_params=True),
    ):
        torch.manual_seed(0)
        yield


# ---- priors


def check_point_mass(name: str, prior: Prior, laws: Laws, dim: int) -> None:
    u = states(dim)
    still = all(torch.equal(law.sample(), law.sample()) for law in laws(u))
    if still != prior.is_point_mass:
        raise ContractError(
            f"{name}: is_point_mass is {prior.is_point_mass}, and two draws were {'equal' if still else 'different'}; "
            "where it is True one trajectory is run and counted K times"
        )


# ---- guides


class Echo(Core):
    """Predicts the h it was given first, whatever was drawn, so that u_t is chosen from outside."""

    def init(self, e: Tensor) -> State:
        return State(e, e)

    def predict(self, e: Tensor, state: State) -> State:
        return State(state.l, state.l)


class Discrete(Prior):
    """One channel of every cell is 1, the others 0."""

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        return dist.OneHotCategorical(logits=u).to_event(1)


def build(make: Callable[[GRAM], Guide], prior: Prior) -> Guide:
    """A guide of the tiny model.  Raises: ContractError if something else is made."""
    embed, readout = TokenEmbedding(NUM_SYMBOLS, DIM), CategoricalReadout(DIM, NUM_SYMBOLS)
    model = GRAM(embed, Echo(), prior, readout, NUM_TRANSITIONS).float()
    guide = make(model)
    if not isinstance(guide, Guide):
        raise ContractError(f"{make} made a {type(guide).__name__} of the model, and a gram_pyro.Guide is expected")
    return guide.float()


def guided(guide: Guide, u: Tensor, y: Tensor, segment: int = NUM_SEGMENTS - 1) -> list[dist.TorchDistribution]:
    """Run the program from u and return what `posterior` answered at every transition, checked."""
    found, posterior = [], guide.posterior

    def watched(*args: object) -> dist.TorchDistribution:
        found.append(posterior(*args))
        check_law(f"the posterior of {type(guide).__name__}", found[-1], u)
        return found[-1]

    guide.posterior, guide.segment = watched, segment
    try:
        guide(torch.zeros_like(y), y, State(u, u))
    finally:
        del guide.posterior
    return found


def check_names(name: str, guide: Guide) -> None:
    """Pyro's global store keys parameters by attribute name; a shared name would leave one of the two untrained."""
    ours, theirs = (
        {attribute for attribute in [*m._modules, *m._parameters, *m._buffers]} for m in (guide, guide.model)
    )
    if shared := sorted(ours & theirs):
        raise ContractError(
            f"{name}: the model has attributes of the same name, {', '.join(shared)}, and Pyro would train one of the "
            f"two only; write q_{shared[0]}"
        )
    owned = {id(p) for p in guide.model.parameters()}
    if any(id(p) in owned for p in guide.parameters()):
        raise ContractError(
            f"{name}: parameters of the model are registered as its own, and would be trained and stored twice; reach "
            "them through self.model when they are needed"
        )


def check_answers(name: str, guide: Guide, y: Tensor) -> None:
    """Another solution of the first puzzle may change the law of the first alone."""
    u, other = states(DIM, *LEADING), y.clone()
    other[0] = (y[0] + 1) % NUM_SYMBOLS
    points = [law.sample() for law in guided(guide, u, y)]
    others = (densities(guided(guide, u, solution), points)[..., 1:] for solution in (other, y))
    check_neighbours(name, *others, "the solution y")


def check_support(name: str, make: Callable[[GRAM], Guide], y: Tensor) -> None:
    """Under a discrete prior: draws that the prior could have made, or a ValueError."""
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
            f"{name}: under a discrete prior its draws are none the prior could make; build the law on the `prior` it "
            "is given, or raise a ValueError where prior.support.is_discrete"
        )
