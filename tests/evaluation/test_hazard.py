"""Laws of a search: against simulated searches, by their own definition, and where they do not hold."""

import json
import math

import pytest
import torch
from scipy import special, stats
from scripts import ROOT

from gram_pyro.evaluation.hazard import LAWS, Curve, Law, fit, of_rows, of_tries


def searches(p, most, generator):
    """Tries and whether they came to a right one, trajectory by trajectory."""
    right = torch.rand(len(p), most, generator=generator) < p[:, None]
    solved = right.any(1)
    return of_tries(torch.where(solved, right.int().argmax(1) + 1, most), solved)


def rates(name, size, seed):
    """Of puzzles that follow a law."""
    if name == "beta":
        return torch.as_tensor(stats.beta(0.5, 1.5).rvs(size, random_state=seed))
    fast = torch.rand(size, generator=torch.Generator().manual_seed(seed)) < (0.3 if name == "two rates" else 0)
    return torch.where(fast, 0.5, 0.04)


TRUTH = {
    "one rate": {"p": 0.04},
    "beta": {"a": 0.5, "b": 1.5},
    "two rates": {"share": 0.3, "fast": 0.5, "slow": 0.04},
}


def test_beta_is_a_mean_over_puzzles():
    law, p = Law("beta", {"a": 0.7, "b": 2.0}, 0.0, None), torch.linspace(0, 1, 200_001).double()[1:-1]
    density = torch.as_tensor(stats.beta(0.7, 2.0).pdf(p.numpy()))
    for limit in (0, 1, 7, 100):
        by_integral = ((1 - p) ** limit * density).sum() / density.sum()
        by_scipy = special.beta(0.7, 2.0 + limit) / special.beta(0.7, 2.0)
        assert law.unsolved(torch.tensor(limit)).item() == pytest.approx(by_scipy)
        assert by_integral.item() == pytest.approx(by_scipy, rel=0.02)


@pytest.mark.parametrize("name", LAWS)
def test_a_law_is_recognised(name):
    """The fit finds it back, within its error over worlds, and the test is passed as often as it should be."""
    worlds = [searches(rates(name, 800, seed), 50, torch.Generator().manual_seed(seed)) for seed in range(12)]
    laws = [fit(name, world) for world in worlds]
    for key, truth in TRUTH[name].items():
        logs = torch.tensor([math.log(law.parameters[key]) for law in laws])
        assert abs(logs.mean() - math.log(truth)) < 4 * logs.std() / len(logs) ** 0.5 + 0.02
    assert 7 <= sum(law.p_value > 0.1 for law in laws) <= 12


@pytest.mark.parametrize(("name", "other"), [("beta", "one rate"), ("two rates", "beta"), ("beta", "two rates")])
def test_a_law_is_not_taken_for_another(name, other):
    world = searches(rates(name, 2000, 0), 100, torch.Generator().manual_seed(0))
    assert fit(other, world).p_value < 1e-3 < fit(name, world).p_value
    assert fit(other, world).log_likelihood < fit(name, world).log_likelihood


def test_a_search_that_learns_follows_none():
    """The more often it was wrong, the likelier it is right: no mixture of constant hazards does that."""
    generator, most = torch.Generator().manual_seed(0), 50
    right = torch.rand(800, most, generator=generator) < torch.linspace(0.02, 0.5, most)
    solved = right.any(1)
    curve = of_tries(torch.where(solved, right.int().argmax(1) + 1, most), solved)
    assert all(fit(name, curve).p_value < 1e-3 for name in LAWS)


def test_a_curve_holds_what_the_tries_say_between_its_limits():
    curve = of_tries(torch.tensor([1, 1, 3, 4, 7, 9]), torch.tensor([True, True, True, True, True, False]))
    assert curve.limits.tolist() == list(range(10)) and curve.counts.tolist() == [2, 0, 1, 1, 0, 0, 1, 0, 0, 1]
    rows = [{"limit": 1, "solved": 2 / 6}, {"limit": 5, "solved": 4 / 6}, {"limit": 9, "solved": 5 / 6}]
    coarse = of_rows(rows, 6)
    assert coarse.limits.tolist() == [0, 1, 5, 9] and coarse.counts.tolist() == [2, 2, 1, 1]


def test_chi_square_is_that_of_scipy():
    """Bins that all hold enough, so none is joined."""
    curve = Curve(torch.tensor([0, 1, 5]), torch.tensor([30, 45, 25]))
    law = fit("one rate", curve)
    p = law.parameters["p"]
    expected = [100 * p, 100 * ((1 - p) - (1 - p) ** 5), 100 * (1 - p) ** 5]
    assert law.p_value == pytest.approx(stats.chisquare([30, 45, 25], expected, ddof=1, sum_check=False).pvalue)


def test_the_search_on_sudoku_extreme():
    """What the results page says: two rates, not a Beta law."""
    found = json.loads((ROOT / "experiments" / "results" / "sudoku_extreme" / "search_200.json").read_text("utf-8"))
    laws = {name: fit(name, of_rows(found["rows"], 200)) for name in LAWS}
    assert laws["one rate"].p_value < 1e-9 and laws["beta"].p_value < 1e-4 and 0.01 < laws["two rates"].p_value < 0.1
    assert laws["two rates"].parameters == pytest.approx({"share": 0.322, "fast": 0.477, "slow": 0.0237}, rel=0.01)


@pytest.mark.parametrize(("solved", "said"), [(False, "none"), (True, "all at the first try")])
def test_what_cannot_be_fitted_is_refused(solved, said):
    curve = of_tries(torch.ones(6, dtype=torch.int64), torch.full((6,), solved))
    with pytest.raises(ValueError, match=f"got 6 puzzles of which {said} were solved; expected some of both"):
        fit("beta", curve)


def test_few_puzzles_have_no_test():
    law = fit("beta", of_tries(torch.tensor([1, 3, 9]), torch.tensor([True, True, False])))
    assert law.p_value is None and min(law.parameters.values()) > 0
