"""The guide of prior=denoising: the law of the prior, if its prediction of the answer were the answer.

    q(c_t | c_{t-1}, y) ~ prod_i (s [c_ti = c_{t-1,i}] + (1 - s) / V) (A_t [c_ti = y_i] + (1 - A_t) / V)

It has nothing to learn: it is the noise of discrete diffusion, backwards in time. Seen from y, every c_t is y with the
noise of level A_t, so a trajectory may begin at any of them.  Source: D3PM (arXiv:2107.03006).
"""

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.nn import functional as F

from gram_pyro.guide import Guide
from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.networks.patches import by_patch
from gram_pyro.priors import denoising


class Denoising(Guide):
    """Args: model.

    Raises: ValueError under another prior, under a core without the canvas of this prior, and if the prior has another
    number of symbols than the task.
    """

    def __init__(self, model: GRAM) -> None:
        super().__init__(model)
        prior, found = model.prior, getattr(model.core, "num_channels", None)
        if not isinstance(prior, denoising.Denoising):
            raise ValueError(
                f"got prior {type(prior).__name__}; expected one that draws the answer; write prior=denoising, or "
                "another guide"
            )
        if found != prior.num_channels:
            raise ValueError(
                f"got core {type(model.core).__name__} with {found or 'no'} channels that keep what is drawn; expected "
                f"{prior.num_channels}; write core=canvas, with the num_symbols and the patch of the prior"
            )
        if model.embed.num_symbols != prior.num_symbols + 1:
            raise ValueError(
                f"got prior.num_symbols={prior.num_symbols} for a task of {model.embed.num_symbols} symbols with the "
                f"blank; expected {model.embed.num_symbols - 1}; write prior.num_symbols={model.embed.num_symbols - 1}"
            )

    def cells(self, y: Tensor, like: Tensor) -> Tensor:
        """The answer as one-hot vectors of its symbols, [B, S, G, V]."""
        form = self.model.prior
        return F.one_hot(by_patch(y - 1, form.columns, form.patch), form.num_symbols).to(like)

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        cells = self.cells(y, u)
        return self.model.prior.law(u, cells.expand(*u.shape[:-1], *cells.shape[-2:]))

    @torch.no_grad()
    def start(self, x: Tensor, y: Tensor) -> State:
        prior, (h, low) = self.model.prior, self.model.start(x)
        # The depths of a batch are spread evenly: the same expectation with less noise.
        place = torch.rand(1, device=x.device) + torch.arange(len(x), device=x.device) / len(x)
        step = ((place % 1) * prior.num_steps).long().clamp(max=prior.num_steps - 1)
        h[..., : prior.num_channels] = prior.on_canvas(self.cells(y, h), step)
        return State(h, low)
