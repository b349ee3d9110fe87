"""A Gaussian prior that knows which cells the guide sees next.

    p(z_t | u_t) = N(mu([u_t, 2 W m_t]), diag sigma^2([u_t, 2 W m_t])),   m_t = glimpse(u_t), as in `guides.glimpse`

With guide=glimpse the latent tells a few cells of the answer, chosen by the state. A prior that does not look which
ones must be wide in all cells, and pays for not knowing the choice. The choice is a function of u_t, so this is a prior
of u_t like any other, and generation needs no guide.  Source: ours.
"""

from functools import cache

import pyro.distributions as dist
import torch
from torch import Tensor

from gram_pyro.distributions.gaussian import GaussianHead
from gram_pyro.networks.layers import Linear
from gram_pyro.networks.patches import by_patch, check_columns
from gram_pyro.priors.base import Prior

PERIODS = 1000.0  # of m per unit of the state: a latent of usual size moves the state through many of them


class Glimpsed(Prior):
    """Args: dim D; share r of the cells seen, that of guide=glimpse; hidden D_h; scale: initial deviation; of an image,
    its columns and the side of its patches. By default a token is a cell.

    Raises: ValueError unless the patches tile the image.
    """

    def __init__(
        self, dim: int, share: float = 0.12, hidden: int = 64, scale: float = 0.3, columns: int = 1, patch: int = 1
    ) -> None:
        super().__init__()
        check_columns(columns, patch)
        self.share, self.columns, self.patch = share, columns, patch
        self.seen = Linear(patch**2, dim)
        self.head = GaussianHead(2 * dim, hidden, dim, scale)

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        cells = glimpse(u.detach(), u.shape[-2] * self.patch**2, self.share).to(u.dtype)
        tokens = by_patch(cells, self.columns, self.patch)
        told = 2 * self.seen(tokens).to(u.dtype)  # twice: about as large as u, which has a mean square of 1
        return self.head(torch.cat([u, told], -1))


def glimpse(u: Tensor, num_cells: int, share: float) -> Tensor:
    """Which cells the guide sees from a state.  Shapes: u [..., L', D] -> [..., num_cells] bool.

    m_i = 1 where frac(1000 |<w_i, mean_cells u_t>|) < r, else 0,   w_i drawn once from N(0, 1)
    """
    return phases(u, num_cells) < share


def phases(u: Tensor, num_cells: int) -> Tensor:
    """A number from 0 to 1 for every cell, as good as drawn at random, but a function of the state.

    Shapes: u [..., L', D] -> [..., num_cells].
    """
    with torch.autocast(u.device.type, enabled=False):  # in bf16 these numbers have no fractional digits
        phase = PERIODS * u.float().mean(-2) @ directions(u.shape[-1], num_cells, u.device)
    return phase.frac().abs()


@cache
def directions(dim: int, num_cells: int, device: torch.device) -> Tensor:
    """The fixed vectors w_i, [D, num_cells]."""
    return torch.randn(dim, num_cells, generator=torch.Generator().manual_seed(0), dtype=torch.float32).to(device)
