"""The guide that glimpses: what it does with what it sees, and that what it sees is as good as drawn at random."""

import pytest
import torch
from tiny import B, D, L, batch, close, program, shake

from gram_pyro.priors.glimpsed import glimpse
from guides.glimpse import Glimpse


def test_glimpse_is_the_inner_guide_on_what_it_sees():
    """Cells that it does not see do not matter, those that it sees do, and another state shows others."""
    model, plain = program()
    shake(plain, 0.3)
    u, y = torch.randn(50, B, L, D), batch()[1]
    guide, all_of_it = (Glimpse(model, lambda _: plain, share) for share in (0.5, 1.0))
    seen = glimpse(u, L, 0.5)
    assert seen.any() and not seen.all() and not (seen == seen[0]).all()
    law = guide.posterior(u, y, None, 0)
    for part in range(50):
        close(law.mean[part], plain.posterior(u[part], y * seen[part], None, 0).mean)
    close(all_of_it.posterior(u, y, None, 0).mean, plain.posterior(u, y, None, 0).mean)
    other = torch.where(y == y.max(), 1, y + 1)  # no cell keeps its symbol
    moved = (guide.posterior(u, other, None, 0).mean - law.mean).abs().amax(-1)
    assert (moved[seen] > 1e-9).all() and (moved[~seen] == 0).all()


@pytest.mark.parametrize("size", [0.01, 0.3])
def test_what_is_seen_is_as_good_as_independent_draws(size):
    """Over states that differ by latents of this deviation: rates, pairs of cells, and two states that follow."""
    states, cells, share = 4000, 60, 0.15
    u = torch.randn(16, D) + size * torch.randn(states, 16, D)
    seen = glimpse(u, cells, share).double()
    error = (share * (1 - share) / states) ** 0.5
    assert (seen.mean(0) - share).abs().max() < 4 * error
    pairs = torch.corrcoef(seen.T)[*torch.triu_indices(cells, cells, 1)] * states**0.5  # standard normal if independent
    assert abs(pairs.square().mean() - 1) < 4 * (2 / len(pairs)) ** 0.5 and pairs.abs().max() < 5
    again = glimpse(u + size * torch.randn(states, 16, D), cells, share).double()
    error = (share**2 * (1 - share**2) / (states * cells)) ** 0.5
    assert abs((seen * again).mean() - share**2) < 4 * error


def test_what_is_seen_does_not_hang_on_autocast():
    u = torch.randn(B, L, D)
    plain = glimpse(u, 500, 0.3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(glimpse(u, 500, 0.3), plain)
