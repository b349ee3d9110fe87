"""A larger network that computes what a smaller one computes, to go on training from its weights.

    down' (silu(gate' x) * up' x) = down (silu(gate x) * up x)
    down' = [down, 0],   gate' = [gate; any],   up' = [up; any]

New hidden units have their weights of the start, and nothing of what they say is heard until training says so. A SwiGLU
that the smaller network lacks is one that had no hidden units.
Source: ours; growth that keeps the function: Net2Net (arXiv:1511.05641), whose units are copies.
"""

import torch
from torch import Tensor, nn

from gram_pyro.networks.layers import SwiGLU


def grown(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """`weights` of a smaller network, with the hidden units that `network` has more.

    Weights that fit, and those that no new units make fit, are returned as they are.
    """
    larger = dict(weights)
    for name, module in network.named_modules(remove_duplicate=False):
        if isinstance(module, SwiGLU):
            larger |= widened(module, f"{name}." if name else "", weights)
    return larger


def widened(net: SwiGLU, prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of one SwiGLU, or nothing if `weights` has as many hidden units, more, or others around them."""
    own_gate_up, own_down = net.gate_up.weight.detach(), net.down.weight.detach()
    gate_up = weights.get(f"{prefix}gate_up.weight", own_gate_up[:0])
    down = weights.get(f"{prefix}down.weight", own_down[:, :0])
    more = own_down.shape[1] - down.shape[1]
    if more <= 0 or gate_up.shape[1] != own_gate_up.shape[1] or len(down) != len(own_down):
        return {}
    parts = zip(gate_up.chunk(2), own_gate_up.chunk(2), strict=True)
    halves = [torch.cat([old.to(new), new[len(old) :]]) for old, new in parts]
    silent = torch.zeros_like(own_down[:, :more])
    return {
        f"{prefix}gate_up.weight": torch.cat(halves),
        f"{prefix}down.weight": torch.cat([down.to(silent), silent], dim=1),
    }
