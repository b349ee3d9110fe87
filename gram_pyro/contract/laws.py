"""The contract of laws of priors and guides: shapes, finite numbers, dtype, gradients, independence of puzzles."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

NUM_PUZZLES, NUM_CELLS, DIM, NUM_SYMBOLS, NUM_TRANSITIONS, NUM_SEGMENTS = 3, 4, 16, 5, 3, 3
LEADING = (2, 4)  # particle dims of the widest check

Laws = Callable[[Tensor], list[dist.TorchDistribution]]  # u -> the law at every transition


class ContractError(ValueError):
    """A prior, guide, core or task breaks its contract."""


def check_law(owner: str, law: object, u: Tensor) -> None:
    """Check the type, shapes and support of a law."""
    if not isinstance(law, TorchDistributionMixin):
        raise ContractError(f"{owner}: got a {type(law).__name__}; expected a distribution of pyro.distributions")
    event, batch = u.shape[-2:], u.shape[:-2]
    if law.event_shape != event and law.batch_shape + law.event_shape == u.shape:
        raise ContractError(
            f"{owner}: got event shape {list(law.event_shape)}; expected [L, D] = {list(event)}: all cells and "
            f"channels of a latent are one event; write .to_event({2 - len(law.event_shape)})"
        )
    if law.event_shape != event or law.batch_shape != batch:
        raise ContractError(
            f"{owner}: got batch {list(law.batch_shape)} and event {list(law.event_shape)} for u {list(u.shape)}; "
            f"expected {list(batch)} and {list(event)}: act on the trailing [L, D] and keep every dim before it"
        )
    probe = 100 * torch.randn_like(u)
    if not law.support.is_discrete and not law.support.check(probe).all():
        raise ContractError(
            f"{owner}: got {law}, whose support is a part of the real line; expected all of it, or discrete points, "
            "for h = u + z; shift or transform the law, or use another family"
        )


def check_laws(name: str, laws: Laws, dim: int, arguments: str) -> None:
    """Check shapes with and without leading dims, finite numbers, dtype, repeatability, independence of puzzles."""
    plain, wide = states(dim), states(dim, *LEADING)
    for u in (plain, wide, 0 * plain, 1000 * plain):
        size = u.abs().amax().item()
        for t, (z, log_prob) in enumerate(drawn(name, laws, u)):
            for what, value, shape in (("draws", z, u.shape), ("log_prob", log_prob, u.shape[:-2])):
                if value.shape != shape:
                    raise ContractError(
                        f"{name}: got {what} of shape {list(value.shape)} at t={t}; expected {list(shape)}"
                    )
                if not torch.isfinite(value).all():
                    raise ContractError(
                        f"{name}: {what} at t={t} is not finite where |u| is up to {size:.0f}; expected finite "
                        "numbers; bound the scale, as softplus(raw) + 1e-3 does"
                    )
    with torch.autocast("cpu", torch.bfloat16):
        for law in laws(plain):
            z = law.sample()
            if {z.dtype, law.log_prob(z).dtype} != {plain.dtype}:
                raise ContractError(
                    f"{name}: got z of {z.dtype} and log_prob of {law.log_prob(z).dtype} under bf16 autocast; expected "
                    f"the {plain.dtype} of u; write .to(u.dtype) on the results of linear maps"
                )
    points = [law.sample() for law in laws(wide)]
    first = densities(laws(wide), points)
    laws(-wide)
    if not close(densities(laws(wide), points), first):
        raise ContractError(
            f"{name}: two calls with the same {arguments} gave two laws; expected a law that depends on nothing else: "
            "no dropout, counter or draw"
        )
    changed = wide.clone()
    changed[0, 0, 0] *= -3
    others = (d.flatten(1)[:, 1:] for d in (densities(laws(changed), points), first))
    check_neighbours(name, *others, "the state u")


def drawn(name: str, laws: Laws, u: Tensor) -> list[tuple[Tensor, Tensor]]:
    """A draw and its log_prob at every transition.  Raises: ContractError if anything is raised."""
    try:
        return [(z := law.sample(), law.log_prob(z)) for law in laws(u)]
    except ContractError:
        raise
    except Exception as error:
        raise ContractError(
            f"{name} fails where u has shape {list(u.shape)} and |u| is up to {u.abs().amax().item():.0f}; expected it "
            f"to accept any dims before [L, D] and any size ({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error


def check_neighbours(name: str, after: Tensor, before: Tensor, what: str) -> None:
    """Check that the densities of the puzzles that were not changed are equal before and after."""
    if not close(after, before):
        raise ContractError(
            f"{name}: changing {what} of one puzzle changed the law of another; expected no operation to mix the dims "
            "before [L, D] (a mean over the batch, a batch norm, a view)"
        )


def check_gradients(name: str, module: nn.Module, runs: list[Laws], dim: int) -> None:
    """Check that every parameter changes the law. Weights that are zero would hide others, so they get values."""
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
    """A context with its own random numbers, module-local parameters, and without validation, whose errors would come
    first."""
    with (
        torch.random.fork_rng(devices=[]),
        pyro.validation_enabled(False),
        pyro.settings.context(module_local_params=True),
    ):
        torch.manual_seed(0)
        yield
