"""One step back of uniform noise on symbols.

    p(y_{t-1} | y_t) ~ (s [y_{t-1} = y_t] + (1 - s) / V) (A p_0(y_{t-1}) + (1 - A) / V)

p_0 is the law of the symbol without noise. Step t leaves a symbol as it is with probability s and else draws any of V;
the steps before t leave it with probability A.  Source: D3PM (Austin et al. 2021, arXiv:2107.03006).
"""

from torch import Tensor


def step_back(seen: Tensor, clean: Tensor, stays: Tensor, kept: Tensor) -> Tensor:
    """The law of the symbol a step earlier.  Shapes: one-hot seen, clean p_0 [..., V]; stays s, kept A [..., 1]."""
    num_symbols = clean.shape[-1]
    law = (stays * seen + (1 - stays) / num_symbols) * (kept * clean + (1 - kept) / num_symbols)
    return law / law.sum(-1, keepdim=True)
