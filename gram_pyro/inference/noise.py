"""Other sources of randomness at sampling time, for the same weights. Each is a model with one part wrapped.

tempered      z = m + tau (z' - m), z' ~ p(z | u), m its mean         any sampler inside
hot_start     tempered in the first segments only, where the solution is chosen       ours
ptrm          z_0 ~ N(0, sigma^2) in every segment of a deterministic recursion       PTRM (arXiv:2605.19943)
random_start  h_0, l_0 with N(0, sigma^2) added                                       EqR, selected by convergence
drawn_answers y ~ p(y | h_T), where the others take the most probable answer          paper Table 3b, stochastic decoder
"""

import pyro.distributions as dist
import torch
from pyro.distributions.transforms import AffineTransform
from torch import Tensor

from gram_pyro.inference.finite import refuse
from gram_pyro.inference.sampler import Sampler, check_sizes, run, sample
from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.model import GRAM
from gram_pyro.networks.core import Core, State
from gram_pyro.networks.readout import Readout
from gram_pyro.priors.base import Prior


class Tempered(Prior):
    """The deviation of every latent from its mean, times `temperature`.

    Raises: ValueError if the temperature is negative, or the law is discrete or has no finite mean.
    """

    def __init__(self, prior: Prior, temperature: float) -> None:
        super().__init__()
        if temperature < 0:
            raise ValueError(f"got temperature={temperature}; expected 0 or more; 1 is the prior as trained")
        self.prior, self.temperature = prior, temperature
        self.is_point_mass = prior.is_point_mass or temperature == 0

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        law = self.prior(u, t)
        try:
            mean = law.mean
        except NotImplementedError:
            mean = u.new_full((), torch.nan)
        absent = (~torch.isfinite(mean) & torch.isfinite(u)).all()
        if law.support.is_discrete or (absent and law().isfinite().all()):  # else its parameters are not finite
            raise ValueError(f"got the law {law}; expected continuous latents with a finite mean, to temper them")
        if self.temperature == 0:
            return dist.Delta(mean).to_event(2)
        move = AffineTransform((1 - self.temperature) * mean, self.temperature, event_dim=2)
        return dist.TransformedDistribution(law, [move])


class FixedNoise(Prior):
    """z_0 ~ N(0, scale^2) in the first transition of a segment, then no noise.  Raises: ValueError unless scale > 0."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        if scale <= 0:
            raise ValueError(f"got scale={scale}; expected a positive number; PTRM uses 0.3")
        self.scale = scale

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        zero = u.new_zeros(u.shape)
        return (dist.Normal(zero, self.scale) if t == 0 else dist.Delta(zero)).to_event(2)


class RandomStart(Core):
    """`core` with noise of deviation `scale` added to every cell and channel of its initial state."""

    starts_at_random = True

    def __init__(self, core: Core, scale: float) -> None:
        super().__init__()
        self.core, self.scale = core, scale

    def init(self, e: Tensor) -> State:
        h, l = self.core.init(e)  # noqa: E741
        return State(h + self.scale * torch.randn_like(h), l + self.scale * torch.randn_like(l))

    def predict(self, e: Tensor, state: State) -> State:
        return self.core.predict(e, state)

    def perturb(self, state: State, z: Tensor) -> State:
        return self.core.perturb(state, z)


class DrawnAnswers(Readout):
    """`readout` with a drawn answer. Cells are drawn independently, so they agree only if the law is nearly certain."""

    answers_at_random = True

    def __init__(self, readout: Readout) -> None:
        super().__init__()
        self.readout = readout

    def forward(self, state: State, x: Tensor | None = None) -> dist.TorchDistribution:
        return self.readout(state, x)

    def answer(self, state: State, x: Tensor | None = None) -> Tensor:
        law = self.readout(state, x)
        if law.log_prob(self.readout.answer(state, x)).isnan().any():  # torch cannot draw from it
            refuse("y", "the last segment")
        return law.sample()


def rebuilt(
    model: GRAM, *, core: Core | None = None, prior: Prior | None = None, readout: Readout | None = None
) -> GRAM:
    """A model with the same weights and another core, prior or readout; `model` itself does not change."""
    twin = GRAM(
        model.embed,
        core or model.core,
        prior or model.prior,
        readout or model.readout,
        model.num_transitions,
        model.num_grad_steps,
    )
    return twin.train(model.training)


def tempered(
    model: GRAM,
    x: Tensor,
    num_particles: int,
    num_segments: int,
    *,
    temperature: float,
    sampler: Sampler = sample,
    **kwargs: object,
) -> Trajectories:
    """Any sampler under a narrower (temperature < 1) or wider (> 1) prior."""
    twin = rebuilt(model, prior=Tempered(model.prior, temperature))
    return sampler(twin, x, num_particles, num_segments, **kwargs)


def hot_start(
    model: GRAM,
    x: Tensor,
    num_particles: int,
    num_segments: int,
    *,
    temperature: float,
    num_hot: int = 1,
    **kwargs: object,
) -> Trajectories:
    """`num_hot` segments at `temperature`, the others under the prior itself."""
    check_sizes(num_particles, num_segments)
    hot = rebuilt(model, prior=Tempered(model.prior, temperature))
    num_hot = min(max(num_hot, 0), num_segments)
    stages = [(hot, num_hot), (model, num_segments - num_hot)]
    return run([stage for stage in stages if stage[1]], x, num_particles, **kwargs)


def ptrm(
    model: GRAM, x: Tensor, num_particles: int, num_segments: int, *, scale: float = 0.3, **kwargs: object
) -> Trajectories:
    """Constant noise instead of the prior, for a model trained without noise."""
    return sample(rebuilt(model, prior=FixedNoise(scale)), x, num_particles, num_segments, **kwargs)


def random_start(
    model: GRAM, x: Tensor, num_particles: int, num_segments: int, *, scale: float = 1.0, **kwargs: object
) -> Trajectories:
    """Every trajectory starts from its own random state."""
    return sample(rebuilt(model, core=RandomStart(model.core, scale)), x, num_particles, num_segments, **kwargs)


def drawn_answers(model: GRAM, x: Tensor, num_particles: int, num_segments: int, **kwargs: object) -> Trajectories:
    """Answers drawn from the readout, for a model trained without noise."""
    return sample(rebuilt(model, readout=DrawnAnswers(model.readout)), x, num_particles, num_segments, **kwargs)
