"""The guide of prior=unmasking: it tells the cells that the prior asks for, as they are in the solution.

    q(z_t | u_t, y) = [z_t = one-hot(y_i) where m_ti = 1, else 0]

It has nothing to learn: KL(q || p) = -sum_{i: m_ti = 1} log p_i(y_i | u_t), nats. When all cells are told the bound is
that of masked diffusion, one term for every cell.  Source: ours; after masked diffusion (arXiv:2406.07524).
"""

import pyro.distributions as dist
from torch import Tensor
from torch.nn import functional as F

from gram_pyro.guide import Guide
from gram_pyro.model import GRAM
from gram_pyro.networks.patches import by_patch
from gram_pyro.priors import unmasking

CERTAIN = 1e4  # a difference of logits that leaves the other symbols no probability


class Unmasking(Guide):
    """Args: model.

    Raises: ValueError under another prior, under a core without the canvas of this prior, and if the prior has another
    number of symbols than the task.
    """

    def __init__(self, model: GRAM) -> None:
        super().__init__(model)
        prior, found = model.prior, getattr(model.core, "num_channels", None)
        if not isinstance(prior, unmasking.Unmasking):
            raise ValueError(
                f"got prior {type(prior).__name__}; expected one that tells cells; write prior=unmasking, or another "
                "guide"
            )
        if found != prior.num_channels:
            raise ValueError(
                f"got core {type(model.core).__name__} with {found or 'no'} channels that keep what is told; expected "
                f"{prior.num_channels}; write core=canvas, with the num_symbols and the patch of the prior"
            )
        if model.embed.num_symbols != prior.num_symbols + 1:
            raise ValueError(
                f"got prior.num_symbols={prior.num_symbols} for a task of {model.embed.num_symbols} symbols with the "
                f"blank; expected {model.embed.num_symbols - 1}; write prior.num_symbols={model.embed.num_symbols - 1}"
            )

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        form, logits = self.model.prior, prior.cells.logits
        cells = by_patch(y - 1, form.columns, form.patch)  # without the blank
        hot = CERTAIN * F.one_hot(cells, form.num_symbols).to(logits.dtype)
        return unmasking.Unmasked(hot.expand_as(logits), prior.told, form.dim)
