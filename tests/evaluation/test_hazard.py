"""The law of a search: against simulated searches, by its own definition, and where it does not hold."""

import math

import pytest
import torch
from scipy import special, stats

from gram_pyro.evaluation.hazard import Law, fit


def searches(p, most, generator):
    """Tries and whether they came to a right one, trajectory by trajectory."""
    right = torch.rand(len(p), most, generator=generator) < p[:, None]
    solved = right.any(1)
    return torch.where(solved, right.int().argmax(1) + 1, most), solved


def beta(a, b, size, seed):
    return torch.as_tensor(stats.beta(a, b).rvs(size, random_state=seed))


def test_the_law_is_a_mean_over_puzzles():
    law, p = Law(0.7, 2.0, None), torch.linspace(0, 1, 200_001).double()[1:-1]
    density = torch.as_tensor(stats.beta(0.7, 2.0).pdf(p.numpy()))
    for limit in (0, 1, 7, 100):
        by_integral = ((1 - p) ** limit * density).sum() / density.sum()
        by_scipy = special.beta(0.7, 2.0 + limit) / special.beta(0.7, 2.0)
        assert law.unsolved(torch.tensor(limit)).item() == pytest.approx(by_scipy)
        assert by_integral.item() == pytest.approx(by_scipy, rel=0.02)


@pytest.mark.parametrize(("a", "b"), [(0.5, 1.5), (2.0, 6.0)])
def test_a_search_that_forgets_is_recognised(a, b):
    """The fit finds the law back, within its error over ten worlds, and the test is passed as often as it should be."""
    laws = [fit(*searches(beta(a, b, 800, seed), 50, torch.Generator().manual_seed(seed))) for seed in range(20)]
    for name, truth in (("a", a), ("b", b)):
        logs = torch.tensor([math.log(getattr(law, name)) for law in laws])
        assert abs(logs.mean() - math.log(truth)) < 4 * logs.std() / 20**0.5 + 0.02
    passed = sum(law.p_value > 0.1 for law in laws)
    assert 13 <= passed <= 20


def test_a_search_that_learns_is_not():
    """The more often it was wrong, the likelier it is right: no mixture of constant hazards does that."""
    generator, most = torch.Generator().manual_seed(0), 50
    right = torch.rand(800, most, generator=generator) < torch.linspace(0.02, 0.5, most)
    solved = right.any(1)
    assert fit(torch.where(solved, right.int().argmax(1) + 1, most), solved).p_value < 1e-3


def test_puzzles_that_are_never_right_and_others_that_always_are():
    generator = torch.Generator().manual_seed(0)
    p = torch.cat([torch.zeros(300), torch.full((500,), 0.3)])
    assert fit(*searches(p, 50, generator)).p_value < 1e-3


@pytest.mark.parametrize(("solved", "said"), [(False, "none"), (True, "all at the first try")])
def test_what_cannot_be_fitted_is_refused(solved, said):
    with pytest.raises(ValueError, match=f"got 6 puzzles of which {said} came out right; expected some of both"):
        fit(torch.ones(6, dtype=torch.int64), torch.full((6,), solved))


def test_few_puzzles_have_no_test():
    law = fit(torch.tensor([1, 3, 9]), torch.tensor([True, True, False]))
    assert law.p_value is None and law.a > 0 and law.b > 0
