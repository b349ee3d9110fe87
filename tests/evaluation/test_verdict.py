"""The verdict on worlds whose truth is known: how often each word is said; and by hand, and on recorded results."""

import json
import math
from collections import Counter

import pytest
import torch
from scripts import ROOT

from gram_pyro.evaluation.metrics import Tally
from gram_pyro.evaluation.statistics import Estimate
from gram_pyro.evaluation.verdict import (
    FALSIFIED,
    NO_BASELINE,
    NOT_ENOUGH_SEEDS,
    NOT_SUPPORTED,
    SUPPORTED,
    Scores,
    Seed,
    diversity,
    diversity_text,
    gains,
    gains_of_means,
    is_collapsed,
    scores,
    standing,
    verdict,
    verdict_text,
)
from gram_pyro.harness.results import read_seed

K, M, TRIALS = 20, 8, 200
RESULTS = ROOT / "experiments" / "results"
RUNS = RESULTS / "table" / "runs"

WORLDS = {  # GRAM, baseline, each (probability that an answer is right, how many of M solutions it finds); least, most
    "luck": ((0.5, M), (0.5, M), 0.0, 0.0),
    "equal laws": ((0.97, M), (0.97, M), 0.0, 0.0),
    "both perfect": ((1.0, M), (1.0, M), 0.0, 0.0),
    "covers 2 of 8 at high validity": ((0.999, 2), (0.9, M), 0.0, 0.0),
    "covers more at low validity": ((0.9, M), (0.99, 4), 0.0, 0.0),
    "a little worse in both": ((0.97, 7), (0.99, M), 0.0, 0.0),
    "truly better in accuracy": ((0.99, M), (0.9, M), 0.99, 1.0),
    "truly better in coverage": ((0.99, M), (0.99, 5), 0.99, 1.0),
}


def answers(num_puzzles, right, found, alike=1):
    """TRIALS x 3 seeds of a method that is right with probability `right` and then draws uniformly from `found` of M
    solutions.  Returns: accuracy and coverage, [TRIALS, 3, B]; of every `alike` puzzles in a row they are the same."""
    shape = (TRIALS, 3, num_puzzles // alike)
    label = torch.randint(found, (*shape, K)).masked_fill(torch.rand(*shape, K) >= right, M)
    seen = torch.zeros(*shape, M + 1).scatter_(-1, label, 1.0)[..., :M]
    parts = ((label < M).double().mean(-1), seen.double().mean(-1))
    return [part.repeat_interleave(alike, -1) for part in parts]


def rates(gram, baseline, groups=None):
    """How often each word is said of three seeds; and how often one seed supports the claim."""
    words, single = Counter(), 0
    num_solutions = torch.full(gram[0].shape[-1:], M)
    for trial in range(TRIALS):
        seeds = []
        for seed in range(3):
            mine, its = (
                Scores(K, a[trial, seed], c[trial, seed], a[0, 0], num_solutions, groups) for a, c in (gram, baseline)
            )
            seeds.append(Seed(seed, "noise", gains(mine, its)))
        words[verdict(seeds)] += 1
        single += sum(seed.supports for seed in seeds)
    return {word: count / TRIALS for word, count in words.items()}, single / TRIALS / 3


@pytest.mark.parametrize(("gram", "baseline", "least", "most"), WORLDS.values(), ids=WORLDS)
def test_rates_of_worlds_with_known_truth(gram, baseline, least, most):
    """500 puzzles, 200 trials of three seeds."""
    words, single = rates(answers(500, *gram), answers(500, *baseline))
    assert least <= words.get(SUPPORTED, 0) <= most
    assert single > 0.98 if least else single < 0.01
    if baseline[0] - gram[0] > 0.015 or (gram[1] < 7 and most == 0):
        assert words == {FALSIFIED: 1.0}


@pytest.mark.parametrize("num_puzzles", [5, 30])
def test_few_puzzles_seldom_support_what_is_not_true(num_puzzles):
    for gram, baseline, _, most in WORLDS.values():
        words, single = rates(answers(num_puzzles, *gram), answers(num_puzzles, *baseline))
        assert words.get(SUPPORTED, 0) < 0.03 and (most or single < 0.01)


def test_images_of_one_puzzle_are_one_observation():
    """Of 480 puzzles in 60 classes, all of a class alike, equal laws seem different where every puzzle counts."""
    law = (0.97, M)
    gram, baseline = answers(480, *law, alike=8), answers(480, *law, alike=8)
    groups = torch.arange(60).repeat_interleave(8)
    assert rates(gram, baseline, groups)[1] < 0.01 < 0.05 < rates(gram, baseline)[1]


def tally(solved, label, num_solutions):
    return Tally(1 - torch.tensor(solved), torch.tensor(label), torch.tensor(num_solutions))


def test_gains_by_hand():
    """Four puzzles, the last with one solution; two answers each."""
    label, solutions = [[0, 2, 3, 5], [1, 4, 3, 5]], [2, 2, 4, 1]
    mine = scores(tally([[1, 0, 1, 1], [1, 1, 1, 1]], label, solutions), 2)
    its = scores(tally([[1, 0, 0, 1], [0, 0, 0, 1]], label, solutions), 2)
    found = gains(mine, its)
    assert found["accuracy"].mean == pytest.approx((0.5 + 0.5 + 1 + 0) / 4)
    best = [1 - 0.5**2, 1 - 0.5**2, 1 - 0.75**2]
    assert found["coverage"].mean == pytest.approx((0.5 + 0.5 + 0.25) / sum(best)) and found["coverage"].num_groups == 3
    unique = Scores(2, mine.accuracy, mine.coverage, mine.vote, torch.ones(4))
    assert list(gains(unique, unique)) == ["accuracy"]  # coverage is not on trial
    assert gains(unique, unique)["accuracy"].se == 1 / (2 * 4)  # of one answer in eight
    uncounted = unique._replace(num_solutions=torch.full((4,), math.nan))
    assert list(gains(uncounted, uncounted)) == ["accuracy"]
    with pytest.raises(ValueError, match="got 4 puzzles at K=2 and 4 at K=2; expected the same puzzles"):
        gains(mine, unique)


def seed_of(number, accuracy, coverage, count=10**6):
    pairs = {"accuracy": accuracy, "coverage": coverage}
    return Seed(number, "noise", {name: Estimate(*pair, count) for name, pair in pairs.items() if pair})


def test_standings_and_what_a_seed_says():
    for mean, word in ((0.031, "superior"), (0.029, "not inferior"), (0.021, "not inferior"), (-0.05, "inferior")):
        assert standing("accuracy", Estimate(mean, 0.01, 10**6)) == word
    assert standing("accuracy", Estimate(0.019, 0.01, 10**6)) == "undecided"
    assert standing("coverage", Estimate(0.011, 0.01, 10**6)) == "not inferior"
    good, same, bad, wide = (0.1, 0.001), (0.0, 0.001), (-0.1, 0.001), (0.0, 0.1)
    said = {
        "supports": [(good, good), (good, same), (same, good), (good, None)],
        "opposes": [(good, bad), (bad, good), (same, same), (same, None), (wide, bad)],
        "cannot tell": [(good, wide), (wide, good), (wide, wide), (wide, same), ((0.1, math.nan), None)],
    }
    for word, cases in said.items():
        assert all(seed_of(0, *case).says == word for case in cases)


def test_a_claim_needs_three_seeds_that_agree():
    good, bad, open_ = ((0.1, 0.001), None), ((0.0, 0.001), None), ((0.0, 0.1), None)
    assert verdict([]) == NO_BASELINE
    assert verdict([seed_of(0, *good)]) == verdict([seed_of(n % 2, *good) for n in range(4)]) == NOT_ENOUGH_SEEDS
    assert verdict([seed_of(n, *good) for n in range(3)]) == SUPPORTED
    assert verdict([seed_of(n, *bad) for n in range(3)]) == FALSIFIED
    for last in (bad, open_):
        assert verdict([seed_of(0, *good), seed_of(1, *good), seed_of(2, *good), seed_of(3, *last)]) == NOT_SUPPORTED


def test_the_verdict_in_sentences():
    text = verdict_text([seed_of(7, (0.1, 0.001), (0.0, 0.001))], 20)
    head, says = text.splitlines()
    pool = "to pool them: gram-pyro verdict runs=[FOLDER,FOLDER,FOLDER]"
    assert head == f"VERDICT: NOT ENOUGH SEEDS - a claim needs 3 training seeds; {pool}"
    assert says == (
        "  seed 7 speaks for it: one answer right +10.00 ± 0.10 %, superior; coverage@20 +0.00 ± 0.10 %, not inferior; "
        "over noise"
    )
    assert "seed 7 speaks against it: " in verdict_text([seed_of(7, (0.0, 0.001), None)], 20)
    assert verdict_text([], 20, "do this").splitlines()[1] == "  to train a baseline: do this"


def test_diversity_is_a_diagnostic_of_collapse():
    label = torch.randint(8, (20, 200))
    spread = Tally((torch.rand(20, 200) >= 0.9).long(), label, torch.full((200,), 8))
    same = Tally(*(field[:1].expand(20, -1) for field in spread[:2]), spread.num_solutions)
    assert not is_collapsed(diversity(spread, 20)) and is_collapsed(diversity(same, 20))
    assert diversity(same, 20)["any"].mean == diversity(same, 20)["distinct"].mean == 0
    unique = diversity(spread._replace(num_solutions=torch.ones(200)), 20)
    assert list(unique) == ["any"] and diversity_text(unique, 20).startswith("  not collapsed: any of 20 right +0.")


def test_a_gain_of_three_standard_errors_is_not_above_them():
    assert is_collapsed({"any": Estimate(0.75, 0.25, 100)}) and not is_collapsed({"any": Estimate(0.7501, 0.25, 100)})


def test_means_without_numbers_per_puzzle_are_compared_unpaired():
    def table(accuracy, coverage, count, best):
        both = {"accuracy": accuracy, "coverage": coverage, "ceiling": best}
        return {n: {"5": v} for n, v in both.items()} | {
            "accuracy_se": {"5": 0.03},
            "coverage_se": {"5": 0.03},
            "num_puzzles": count,
        }

    mine = {"one": table(0.9, 0.9, 100, 1.0), "several": table(0.8, 0.5, 300, 0.6)}
    its = {"one": table(0.7, 0.7, 100, 1.0), "several": table(0.7, 0.2, 300, 0.6)}
    found = gains_of_means(mine, its, 5)
    assert (
        found["accuracy"].mean == pytest.approx((100 * 0.2 + 300 * 0.1) / 400) and found["accuracy"].num_groups == 400
    )
    assert found["accuracy"].se == pytest.approx(math.sqrt(2 * 0.03**2 * (100**2 + 300**2)) / 400)
    assert found["coverage"].mean == pytest.approx(0.3 / 0.6) and found["coverage"].num_groups == 300
    assert found["coverage"].se == pytest.approx(math.sqrt(2) * 0.03 / 0.6)
    with pytest.raises(ValueError, match="got widths 5; expected 20 among them"):
        gains_of_means(mine, its, 20)


def test_what_was_called_a_failure_in_prose_and_supported_by_its_run_is_not_supported():
    """Colouring by the plain bound: 80 % right, 43 % of the ceiling. It has nothing to be compared with."""
    file = RESULTS / "colouring_8" / "mean_field_seed0.json"
    assert json.loads(file.read_text())["verdict"]["supported"]  # by the verdict of before
    assert read_seed(file, K) is None


def test_no_recorded_run_is_supported_without_a_baseline():
    texts = {file: file.read_text() for file in RESULTS.glob("**/*.json")}
    files = [file for file, text in texts.items() if '"verdict"' in text and '"baseline"' not in text]
    assert len(files) > 5 and all(read_seed(file, K) is None for file in files)


def test_a_recorded_run_says_again_what_it_said():
    """From its numbers per puzzle, rounded; the baseline has no way to tell one colour from another."""
    for file in (RESULTS / "colouring_8").glob("listed_seed*.json"):
        (then,) = json.loads(file.read_text())["verdict"]["seeds"]
        now = read_seed(file, K)
        assert (now.baseline, now.says) == (then["baseline"], then["says"]) == (now.baseline, "supports")
        for name, gain in now.gains.items():
            assert gain.mean == pytest.approx(then["gains"][name]["mean"], abs=1e-4)
            assert gain.se == pytest.approx(then["gains"][name]["se"], abs=1e-4)


def test_recorded_nqueens_ties_with_random_starts_and_plans_do_not():
    """As README says. The baselines have one seed, so that these are no claims."""
    queens, plans = RUNS / "nqueens_8_input", RUNS / "planning_6"
    for seed in range(3):
        said = read_seed(queens / "gram" / f"seed{seed}", K, queens / "trm_random_start_0.2" / "seed0")
        assert not said.supports and said.baseline == "trm, random_start 0.2, means only" and said.seed == seed
        for noise in ("random_start", "ptrm"):
            said = read_seed(plans / "gram" / f"seed{seed}", K, plans / f"hrm_{noise}_0.3" / "seed0")
            assert said.supports and {standing(*gain) for gain in said.gains.items()} == {"superior"}


def test_recorded_sudokus_beat_noise_that_was_never_trained_with():
    noise = json.loads((RESULTS / "sudoku_6x6" / "noise_at_test_time.json").read_text())["programs"]
    for seed in range(3):
        gram = json.loads((RESULTS / "sudoku_6x6" / f"heads_seed{seed}.json").read_text())["programs"]["GRAM"]
        for name in ("random_start_0.1", "random_start_0.3", "ptrm_0.3", "ptrm_0.5"):
            assert Seed(seed, name, gains_of_means(gram["tests"], noise[f"hrm_{name}"]["tests"], K)).supports, name
