"""Conditional coupling flows: one half of the channels is moved by a map whose scale and shift depend on the rest.

    y_1 = x_1,   y_2 = shift(x_1, c) + exp(log_scale(x_1, c)) x_2,   log |det| = sum log_scale

The networks read tanh(x_1) of the cell and its mean over all cells, so cells can depend on each other. log_scale is a
tanh too. Without these bounds, a stack of networks that grow as x^2 would send rare draws to infinity.
Source: RealNVP (Dinh et al. 2017), through Pyro's AffineCoupling; the mean over cells and the bounds are ours.
"""

from functools import partial

import pyro.distributions as dist
import torch
from pyro.distributions.transforms import AffineCoupling, Permute
from torch import Tensor, nn

from gram_pyro.networks.layers import SwiGLU


class CouplingFlow(nn.Module):
    """A stack of layers given a context c. A layer has two couplings, one per half. It starts as the identity.

    Args: dim D, even; dim_context; hidden; num_layers.
    Shapes: law with batch [...] and event [L, D], context [..., L, dim_context] -> batch [...], event [L, D].
    Raises: ValueError on an odd D, or without a layer.
    """

    def __init__(self, dim: int, dim_context: int, hidden: int, num_layers: int) -> None:
        super().__init__()
        if dim % 2 or num_layers < 1:
            raise ValueError(
                f"got dim={dim}, num_layers={num_layers}; expected an even dim and 1 layer or more"
            )
        self.nets = nn.ModuleList(SwiGLU(dim + dim_context, hidden, dim) for _ in range(2 * num_layers))
        self.half = dim // 2
        self.register_buffer("reverse", torch.arange(dim - 1, -1, -1), persistent=False)
        for net in self.nets:
            nn.init.zeros_(net.down.weight)

    def forward(self, law: dist.TorchDistribution, context: Tensor) -> dist.TorchDistribution:
        transforms = []
        for net in self.nets:
            transforms += [AffineCoupling(self.half, partial(shift_and_log_scale, net, context)), Permute(self.reverse)]
        return dist.TransformedDistribution(law, transforms)


def shift_and_log_scale(net: nn.Module, context: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """Shapes: half [..., L, D / 2] -> two of [..., L, D / 2]."""
    own = torch.tanh(half)
    everywhere = own.mean(-2, keepdim=True).expand_as(own)
    shift, raw = net(torch.cat([own, everywhere, context.expand(*half.shape[:-1], -1)], -1)).to(half.dtype).chunk(2, -1)
    return shift, torch.tanh(raw)
