"""A prior that draws the whole answer at every transition, each time with less noise, as discrete diffusion does.

    p(c_t | u_t) ~ prod_i (s [c_ti = c_{t-1,i}] + (1 - s) / V) (A_t p_i(c_ti) + (1 - A_t) / V),   s = A_{t-1} / A_t
    p_i = softmax(logits(u_t))_i,   A_t = sin^2(pi / 2 t / N),   after N transitions c_N stays
    z_t = w_t one-hot(c_t) - w_{t-1} one-hot(c_{t-1}),   w = log(1 + V A / (1 - A)) / 4

The first channels of the state hold w one-hot(c), and w is the evidence that a cell holds the drawn symbol, in units of
4 nats: it is nothing before the first transition, and near certainty after the last. So the state knows its level A,
and needs no count of transitions: weights that were trained with one N serve others.
Source: D3PM with uniform noise (Austin et al. 2021, arXiv:2107.03006) as the prior of a recursion, which is ours.
"""

import math
from collections.abc import Callable

import pyro.distributions as dist
import torch
from torch import Size, Tensor, nn
from torch.distributions import constraints, register_kl
from torch.nn import functional as F

from gram_pyro.distributions.uniform_noise import step_back
from gram_pyro.networks.cell_logits import TokenLogits
from gram_pyro.networks.patches import check_columns
from gram_pyro.priors.base import Prior

UNIT = 4.0  # nats of evidence per unit of the state, so that a canvas is about as large as the rest
CERTAIN = 12.0  # nats; evidence is not larger, and a canvas with so much is not changed


class Replaced(constraints.Constraint):
    """The canvas plus the latent holds the new evidence in one channel of every cell; all other channels are 0."""

    is_discrete, event_dim = True, 2

    def __init__(self, canvas: Tensor, evidence: Tensor) -> None:
        self.canvas, self.evidence = canvas, evidence

    def check(self, value: Tensor) -> Tensor:
        after, rest = changed(self.canvas, value), value[..., self.canvas.shape[-2:].numel() :]
        drawn = F.one_hot(after.argmax(-1), after.shape[-1])
        rounding = 1e-3 * self.evidence + 1e-6 * self.canvas.abs()
        same = (after - self.evidence * drawn).abs() <= rounding
        return same.flatten(-3).all(-1) & (rest == 0).flatten(-2).all(-1)


def changed(canvas: Tensor, value: Tensor) -> Tensor:
    """The canvas plus a latent.  Shapes: [..., S, G, V], [..., S, D] -> [..., S, G, V]."""
    by_cell = canvas.shape[-2:]
    return canvas + value[..., : by_cell.numel()].unflatten(-1, by_cell)


class Redrawn(dist.TorchDistribution):
    """Independent symbols of all cells, as the change of the canvas that they make.

    Args: log_probs [..., S, G, V] of the G cells of S tokens; canvas [..., S, G, V] before; evidence [..., S, 1, 1]
    after; dim D, at least G V.
    Shapes: batch [...], event [S, D].

    Its maths is written out: those of torch's categorical laws take three times as long where symbols are few.
    """

    arg_constraints = {}
    has_rsample = True  # straight-through

    def __init__(self, log_probs: Tensor, canvas: Tensor, evidence: Tensor, dim: int) -> None:
        self.log_probs, self.canvas, self.evidence, self.dim = log_probs, canvas, evidence, dim
        super().__init__(log_probs.shape[:-3], Size([log_probs.shape[-3], dim]), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        return Replaced(self.canvas, self.evidence)

    def expand(self, batch_shape: Size, _instance: "Redrawn | None" = None) -> "Redrawn":
        shape = Size(batch_shape)
        parts = (t.expand(shape + t.shape[-3:]) for t in (self.log_probs, self.canvas, self.evidence))
        return Redrawn(*parts, self.dim)

    def rsample(self, sample_shape: Size = torch.Size()) -> Tensor:  # noqa: B008 - torch's signature
        probs = self.log_probs.exp().expand(Size(sample_shape) + self.log_probs.shape)
        below = torch.rand_like(probs[..., :1]) > probs.cumsum(-1)[..., :-1]
        drawn = F.one_hot(below.sum(-1), probs.shape[-1]) + (probs - probs.detach())
        z = (self.evidence * drawn - self.canvas).flatten(-2)
        return F.pad(z, (0, self.dim - z.shape[-1]))

    def log_prob(self, value: Tensor) -> Tensor:
        drawn = F.one_hot(changed(self.canvas, value).argmax(-1), self.canvas.shape[-1])
        found = (self.log_probs * drawn).sum((-3, -2, -1))
        return found.masked_fill(~self.support.check(value), -torch.inf)


@register_kl(Redrawn, Redrawn)
def _kl_redrawn(q: Redrawn, p: Redrawn) -> Tensor:
    """Of two laws that change the same canvas."""
    return (q.log_probs.exp() * (q.log_probs - p.log_probs)).sum((-3, -2, -1))


class Denoising(Prior):
    """Args: dim D; num_steps N; num_symbols V, the blank not counted; hidden D_h; of an image, its columns and the side
    P of its patches: a token then holds P^2 cells. By default a token is a cell; logits, a function that builds what
    gives the logits of p_i from u and the canvas, see cell_logits.py.

    Raises: ValueError unless N is 1 or more, the patches tile the image, and V P^2 is below D.
    Train it with core=canvas and guide=denoising.
    """

    def __init__(
        self,
        dim: int,
        num_steps: int = 50,
        num_symbols: int = 2,
        hidden: int = 64,
        columns: int = 1,
        patch: int = 1,
        logits: Callable[..., nn.Module] = TokenLogits,
    ) -> None:
        super().__init__()
        if num_steps < 1:
            raise ValueError(f"got prior.num_steps={num_steps}; expected 1 or more, the transitions of an answer")
        check_columns(columns, patch)
        self.dim, self.num_steps, self.num_symbols = dim, num_steps, num_symbols
        self.columns, self.patch, self.num_channels = columns, patch, num_symbols * patch**2
        if not self.num_channels < dim:
            raise ValueError(
                f"got dim={dim}; expected more than {self.num_channels}: a token of {patch**2} cells holds one channel "
                f"for each of {num_symbols} symbols of each; write a larger dim, or smaller patches"
            )
        self.logits = logits(dim=dim, hidden=hidden, num_symbols=num_symbols, columns=columns, patch=patch)

    def forward(self, u: Tensor, t: int) -> Redrawn:
        return self.law(u, self.predicted(u))

    def predicted(self, u: Tensor) -> Tensor:
        """The law of the answer, p_i.  Shapes: [..., S, D] -> [..., S, G, V]."""
        logits = self.logits(u, self.canvas(u)).to(u.dtype)
        return logits.movedim(-1, 0).softmax(0).movedim(0, -1)  # on a CPU much faster than softmax(-1) of few symbols

    def canvas(self, u: Tensor) -> Tensor:
        """The channels of a state that hold the drawn symbols, without gradient.  Shapes: as for `predicted`."""
        return u[..., : self.num_channels].detach().unflatten(-1, (self.patch**2, self.num_symbols))

    def law(self, u: Tensor, clean: Tensor) -> Redrawn:
        """The law of z_t if the answer has the law `clean`.  Shapes: [..., S, D], [..., S, G, V]."""
        canvas = self.canvas(u)
        before = self.level(canvas.sum(-1, keepdim=True).mean(-2, keepdim=True))
        after = self.kept((2 / math.pi * self.num_steps * before.sqrt().asin()).round() + 1)
        drawn = F.one_hot(canvas.argmax(-1), self.num_symbols)
        clean = torch.where(before < 1, clean, drawn)  # what is certain stays
        law = step_back(drawn, clean, before / after, after)
        return Redrawn(law.clamp(min=1e-9).log(), canvas, self.evidence(after), self.dim)

    def kept(self, step: Tensor) -> Tensor:
        """A_t, the share of cells that hold the answer for sure after t transitions."""
        return (math.pi / 2 * step.clamp(max=self.num_steps) / self.num_steps).sin().square()

    def evidence(self, kept: Tensor) -> Tensor:
        """w of a level A."""
        odds = self.num_symbols * kept / (1 - kept).clamp(min=1e-9)
        return odds.log1p().clamp(max=CERTAIN) / UNIT

    def level(self, evidence: Tensor) -> Tensor:
        """A of an evidence w."""
        nats = UNIT * evidence.clamp(0, CERTAIN / UNIT)
        odds = nats.expm1()
        return torch.where(nats > CERTAIN - 1e-3, 1.0, odds / (self.num_symbols + odds))

    def on_canvas(self, cells: Tensor, step: Tensor) -> Tensor:
        """A canvas after `step` [B] transitions towards answers of one-hot `cells` [B, S, G, V] -> [B, S, G V]."""
        kept = self.kept(step)[:, None, None, None]
        law = kept * cells + (1 - kept) / self.num_symbols
        drawn = dist.OneHotCategorical(probs=law).sample()
        return (self.evidence(kept) * drawn).flatten(-2)
