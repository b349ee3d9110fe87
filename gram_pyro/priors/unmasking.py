"""A prior that tells a few cells of the answer at a time, as masked diffusion does.

    z_t = one-hot(y_i) in the channels of cell i where m_ti = 1, else 0
    p(z_t | u_t) = prod_{i: m_ti = 1} softmax(net(u_t))_i[y_i]
    m_ti = 1 where cell i is blank on the canvas and frac(1000 |<w_i, mean u_t>|) < n / number of blank cells

The cells told next are chosen by the state, about n at a time (see `gram_pyro.priors.glimpsed`), until none is blank.
With core=canvas they stay told. The cells of one transition are drawn apart: fewer at a time follow each other better,
and need more transitions.  Source: ours; after masked diffusion (arXiv:2406.07524), whose steps are transitions here,
and whose network has a state.
"""

import pyro.distributions as dist
import torch
from torch import Size, Tensor
from torch.distributions import constraints, kl_divergence, register_kl
from torch.nn import functional as F

from gram_pyro.networks.layers import SwiGLU
from gram_pyro.networks.patches import by_patch, check_columns
from gram_pyro.priors.base import Prior
from gram_pyro.priors.glimpsed import phases


class Told(constraints.Constraint):
    """One-hot in the channels of every cell that is told; all other channels are 0."""

    is_discrete, event_dim = True, 2

    def __init__(self, told: Tensor, num_symbols: int) -> None:
        self.told, self.num_symbols = told, num_symbols

    def check(self, value: Tensor) -> Tensor:
        width = self.told.shape[-1] * self.num_symbols
        hot = value[..., :width].unflatten(-1, (-1, self.num_symbols))
        binary = ((value == 0) | (value == 1)).flatten(-2).all(-1)
        one_each, rest = (hot.sum(-1) == self.told).flatten(-2), (value[..., width:] == 0).flatten(-2)
        return binary & one_each.all(-1) & rest.all(-1)


class Unmasked(dist.TorchDistribution):
    """Independent symbols in the cells that are told.

    Args: logits [..., S, G, V] of the G cells of S tokens; told [..., S, G] bool; dim D, at least G V.
    Shapes: batch [...], event [S, D].
    """

    arg_constraints = {}
    has_rsample = True  # straight-through

    def __init__(self, logits: Tensor, told: Tensor, dim: int) -> None:
        self.cells, self.told, self.dim = dist.OneHotCategoricalStraightThrough(logits=logits), told, dim
        super().__init__(logits.shape[:-3], Size([logits.shape[-3], dim]), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        return Told(self.told, self.cells.event_shape[-1])

    def expand(self, batch_shape: Size, _instance: "Unmasked | None" = None) -> "Unmasked":
        shape, logits, told = Size(batch_shape), self.cells.logits, self.told
        return Unmasked(logits.expand(shape + logits.shape[-3:]), told.expand(shape + told.shape[-2:]), self.dim)

    def rsample(self, sample_shape: Size = torch.Size()) -> Tensor:  # noqa: B008 - torch's signature
        z = (self.cells.rsample(sample_shape) * self.told[..., None]).flatten(-2)
        return F.pad(z, (0, self.dim - z.shape[-1]))

    def log_prob(self, value: Tensor) -> Tensor:
        num_cells, num_symbols = self.cells.logits.shape[-2:]
        hot = value[..., : num_cells * num_symbols].unflatten(-1, (num_cells, num_symbols))
        found = torch.where(hot > 0, self.cells.logits, 0).sum((-3, -2, -1))
        return found.masked_fill(~self.support.check(value), -torch.inf)


@register_kl(Unmasked, Unmasked)
def _kl_unmasked(q: Unmasked, p: Unmasked) -> Tensor:
    """Of two laws that tell the same cells."""
    return (kl_divergence(q.cells, p.cells) * q.told).sum((-2, -1))


class Unmasking(Prior):
    """Args: dim D; num_cells n told at a transition, in the mean; num_symbols V, the blank not counted; hidden D_h; of
    an image, its columns and the side P of its patches: a token then holds P^2 cells. By default a token is a cell.

    Raises: ValueError unless n > 0, the patches tile the image, and V P^2 is below D.
    Train it with core=canvas and guide=unmasking.
    """

    def __init__(
        self,
        dim: int,
        num_cells: float = 16,
        num_symbols: int = 2,
        hidden: int = 64,
        columns: int = 1,
        patch: int = 1,
    ) -> None:
        super().__init__()
        if not num_cells > 0:
            raise ValueError(f"got prior.num_cells={num_cells}; expected the cells told at a transition, more than 0")
        check_columns(columns, patch)
        self.dim, self.num_cells, self.num_symbols = dim, num_cells, num_symbols
        self.columns, self.patch, self.num_channels = columns, patch, num_symbols * patch**2
        if not self.num_channels < dim:
            raise ValueError(
                f"got dim={dim}; expected more than {self.num_channels}: a token of {patch**2} cells holds one channel "
                f"for each of {num_symbols} symbols of each; write a larger dim, or smaller patches"
            )
        self.net = SwiGLU(dim, hidden, self.num_channels)

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        by_cell = (self.patch**2, self.num_symbols)
        blank = u[..., : self.num_channels].detach().unflatten(-1, by_cell).sum(-1) < 0.5
        share = self.num_cells / blank.sum((-2, -1), keepdim=True).clamp(min=1)
        phase = phases(u.detach(), u.shape[-2] * self.patch**2)
        told = blank & (by_patch(phase, self.columns, self.patch) < share)
        return Unmasked(self.net(u).to(u.dtype).unflatten(-1, by_cell), told, self.dim)
