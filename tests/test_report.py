"""The verdict: it must be able to fall either way, and its arithmetic is done again by hand."""

import math

import torch

from gram_pyro.metrics import Gain, Tally, join
from gram_pyro.report import (
    THRESHOLD,
    Ruling,
    gains_over,
    gains_text,
    markdown,
    verdict,
    verdict_text,
    write_rows,
)


def sampler(num_puzzles, num_solutions, width, right):
    """Answers drawn uniformly from the solutions of each puzzle, each right with probability `right`."""
    label = torch.randint(num_solutions, (width, num_puzzles))
    return Tally((torch.rand(width, num_puzzles) >= right).long(), label, torch.full((num_puzzles,), num_solutions))


def test_a_diverse_sampler_is_supported_and_a_point_mass_is_falsified():
    diverse = sampler(200, 8, 20, right=0.9)
    same = Tally(diverse.violations[:1].expand(20, -1), diverse.label[:1].expand(20, -1), diverse.num_solutions)
    gains, supported = verdict(diverse, same, 20)
    assert supported and len(gains) == 4
    gains, supported = verdict(same, None, 20)
    assert not supported and all(r.gain.mean == 0 and r.gain.sigmas == 0 for r in gains.values())


def test_gains_by_hand():
    solved = torch.tensor([[1, 0, 0, 1], [1, 1, 0, 1]]).bool()
    label = torch.tensor([[0, 2, 3, 5], [1, 4, 3, 5]])
    gains, _ = verdict(Tally((~solved).long(), label, torch.tensor([2, 2, 2, 1])), None, 2)
    validity, diversity = (ruling.gain for ruling in gains.values())
    assert math.isclose(validity.mean, 0.125) and math.isclose(validity.se, 0.125)  # differences 0, 1/2, 0, 0
    assert math.isclose(diversity.mean, 0.5)  # the three with two solutions: 2 - 1, 1 - 1/2, 0


def test_gains_over_another_sampler_by_hand():
    """Four puzzles, the last with one solution; two answers each."""
    solutions, label = torch.tensor([2, 2, 2, 1]), torch.tensor([[0, 2, 3, 5], [1, 4, 3, 5]])
    mine = torch.tensor([[1, 0, 1, 1], [1, 1, 1, 1]])
    its = torch.tensor([[1, 0, 0, 1], [0, 0, 0, 1]])
    gains = gains_over(Tally(1 - mine, label, solutions), Tally(1 - its, label, solutions), 2)
    assert math.isclose(gains["accuracy"].mean, (0.5 + 0.5 + 1 + 0) / 4)
    assert math.isclose(gains["any"].mean, (0 + 1 + 1 + 0) / 4)
    assert math.isclose(gains["distinct"].mean, (1 + 1 + 1) / 3) and gains["distinct"].se == 0
    text = gains_text("a rival", gains, 2)
    assert text.startswith("  beside it, GRAM over a rival: one answer right +0.5000 ± ")
    assert "any of 2 right +0.5000 ± 0.2887" in text and text.endswith("distinct solutions +1.0000 ± 0.0000")
    unique = Tally(1 - mine, label, torch.ones(4, dtype=torch.int64))
    assert list(gains_over(unique, unique, 2)) == ["accuracy", "any"]


def test_diversity_is_not_on_trial_where_solutions_are_unique():
    gains, _ = verdict(sampler(50, 1, 4, right=0.5), None, 4)
    assert list(gains) == ["validity: any of 4 over one"]


def test_validity_at_its_limit_is_not_held_against_width_and_diversity_never_is():
    """Every answer right: the verdict hangs on distinct solutions. One of 1000 wrong: no gain of validity is shown."""
    perfect = sampler(1000, 8, 20, right=1.1)
    rulings, supported = verdict(perfect, None, 20)
    assert supported and [r.at_limit for r in rulings.values()] == [True, False]
    assert "at its limit" in verdict_text(rulings, supported)
    same = Tally(perfect.violations, perfect.label[:1].expand(20, -1), perfect.num_solutions)
    assert not verdict(same, None, 20)[1]
    failing = perfect.violations.clone()
    failing[:, 0] = 1
    rulings, supported = verdict(Tally(failing, perfect.label, perfect.num_solutions), None, 20)
    assert not supported and not any(r.at_limit for r in rulings.values())


def test_one_puzzle_proves_nothing():
    gains, supported = verdict(Tally(torch.tensor([[0], [0]]), torch.tensor([[0], [1]]), torch.tensor([2])), None, 2)
    assert not supported and math.isnan(next(iter(gains.values())).gain.se)


def test_sigmas():
    assert Gain(1.0, 0.5).sigmas == 2 and Gain(0.0, 0.0).sigmas == 0
    assert Gain(-1.0, 0.0).sigmas == -math.inf and Gain(1.0, 0.0).sigmas == math.inf


def test_text_states_the_word_and_the_threshold():
    text = verdict_text({"validity": Ruling(Gain(0.5, 0.1), at_limit=False)}, True)
    assert "SUPPORTED" in text and f"{THRESHOLD:g}" in text and "(5.0 standard errors)" in text


def test_join_keeps_puzzles_apart():
    a, b = sampler(3, 2, 4, 1.0), sampler(5, 1, 4, 1.0)
    joined = join([a, b])
    assert joined.solved.shape == (4, 8) and joined.num_solutions.tolist() == [2] * 3 + [1] * 5
    assert torch.equal(joined.label[:, 3:], b.label)


def test_table_has_one_row_per_width():
    from gram_pyro.metrics import report

    table = report(sampler(6, 3, 4, 0.5), [1, 4])
    lines = markdown(table, [1, 4]).splitlines()
    assert len(lines) == 4 and lines[2].startswith("| 1 |") and f"{table['accuracy'][4]:.4f}" in lines[3]


def test_rows_with_other_columns_share_a_table(tmp_path):
    write_rows(tmp_path / "rows.csv", [{"a": 1, "b": 2}, {"b": 3, "c": 4}])
    assert (tmp_path / "rows.csv").read_text().splitlines() == ["a,b,c", "1,2,", ",3,4"]
