"""Every metric against plain Python that counts one group at a time."""

import math
from collections import Counter

import pytest
import torch

from gram_pyro.evaluation.metrics import (
    METRICS,
    Tally,
    ceiling,
    join,
    per_puzzle,
    pooled,
    report,
    standard_error,
    tally,
)
from gram_pyro.tasks.base import Puzzles, Task


def random_tally(num_answers, num_puzzles):
    """Answers drawn from a few labels; the first `num_solutions` labels of a puzzle are right."""
    num_solutions = torch.randint(1, 5, (num_puzzles,))
    label = torch.randint(0, 7, (num_answers, num_puzzles))
    solved = label < num_solutions
    violations = torch.randint(1, 4, solved.shape).masked_fill(solved, 0)
    return Tally(violations, label + 10 * torch.arange(num_puzzles), num_solutions)


def brute_force(result, width, puzzle):
    """The metrics of one puzzle, averaged over the disjoint groups of `width` answers."""
    solved, label = result.solved[:, puzzle].tolist(), result.label[:, puzzle].tolist()
    broken = result.violations[:, puzzle].tolist()
    total = result.num_solutions[puzzle].item()
    groups = []
    for start in range(0, len(solved) - width + 1, width):
        right, names = solved[start : start + width], label[start : start + width]
        found = {name for name, ok in zip(names, right, strict=True) if ok}
        counts = Counter(names)
        groups.append(
            {
                "accuracy": sum(right) / width,
                "any": float(any(right)),
                "vote": float(counts.most_common(1)[0][0] in found),  # of equals, the one that came first
                "coverage": len(found) / total,
                "distinct": len(found),
                "entropy": -sum(c / width * math.log(c / width) for c in counts.values()),
                "violations": sum(broken[start : start + width]) / width,
            }
        )
    return {name: sum(g[name] for g in groups) / len(groups) for name in groups[0]}


@pytest.mark.parametrize("num_answers, width", [(1, 1), (12, 1), (12, 3), (12, 12), (13, 4), (20, 7)])
def test_every_metric_equals_brute_force(num_answers, width):
    for _ in range(5):
        result = random_tally(num_answers, 6)
        values = per_puzzle(result, width)
        assert tuple(values) == METRICS
        for puzzle in range(6):
            expected = brute_force(result, width, puzzle)
            assert {n: v[puzzle].item() for n, v in values.items()} == pytest.approx(expected, abs=1e-12)


def test_answers_beyond_the_last_whole_group_are_not_counted():
    result = random_tally(7, 4)
    cut = Tally(result.violations[:6], result.label[:6], result.num_solutions)
    for name, value in per_puzzle(result, 3).items():
        assert torch.equal(value, per_puzzle(cut, 3)[name])


@pytest.mark.parametrize("width", [4, 100])
def test_too_wide(width):
    with pytest.raises(
        ValueError, match=f"got 3 answers per puzzle; expected at least the width {width}; write a larger num_p"
    ):
        per_puzzle(random_tally(3, 2), width)


@pytest.mark.parametrize("num_solutions, width", [(1, 1), (4, 1), (4, 5), (12, 20), (50, 8)])
def test_ceiling_is_what_a_perfect_sampler_covers(num_solutions, width):
    many = 20_000
    draws = torch.randint(num_solutions, (width, many))
    result = Tally(torch.zeros_like(draws), draws, torch.full((many,), num_solutions))
    coverage = per_puzzle(result, width)["coverage"]
    expected = ceiling(result.num_solutions[:1], width).item()
    assert abs(coverage.mean().item() - expected) <= 4 * standard_error(coverage) + 1e-12


def test_pooled_coverage_counts_every_solution_as_a_row():
    coverage, num_solutions = torch.tensor([0.5, 1.0, 0.25]), torch.tensor([2, 1, 4])
    rows = [(c * m, m) for c, m in zip(coverage.tolist(), num_solutions.tolist(), strict=True) for _ in range(m)]
    expected = sum(found for found, _ in rows) / sum(size for _, size in rows)
    assert pooled(coverage, num_solutions).mean == pytest.approx(expected, abs=1e-12)
    assert pooled(torch.ones(3), num_solutions).mean == pytest.approx(1.0)


def test_report_holds_means_errors_and_shares():
    result = random_tally(12, 9)
    table = report(result, [1, 4])
    for width in (1, 4):
        values = [brute_force(result, width, b) for b in range(9)]
        for name in METRICS:
            column = [v[name] for v in values]
            mean = sum(column) / 9
            se = math.sqrt(sum((c - mean) ** 2 for c in column) / 8 / 9)
            assert table[name][width] == pytest.approx(mean, abs=1e-12)
            assert table[f"{name}_se"][width] == pytest.approx(se, abs=1e-12)
        sizes = result.num_solutions.tolist()
        best = [1 - (1 - 1 / m) ** width for m in sizes]
        assert table["ceiling"][width] == pytest.approx(sum(best) / 9)
        assert table["coverage_share"][width] == pytest.approx(table["coverage"][width] / table["ceiling"][width])
        squares = sum(m * m for m in sizes)
        for name, column in (("coverage_pooled", [v["coverage"] for v in values]), ("ceiling_pooled", best)):
            assert table[name][width] == pytest.approx(
                sum(c * m * m for c, m in zip(column, sizes, strict=True)) / squares
            )


def test_answers_weighed_together_are_judged_at_their_own_number_only():
    whole = random_tally(12, 9)._replace(whole=True)
    table = report(whole, [1, 4, 12])
    assert all(list(by_width) == [12] for by_width in table.values())
    assert table["any"][12] == report(whole._replace(whole=False), [12])["any"][12]
    with pytest.raises(ValueError, match="got width 4 of 12 answers that were weighted together; .*num_particles=4"):
        per_puzzle(whole, 4)


def test_join_keeps_groups_of_different_sets_apart():
    a, b, c = (random_tally(4, count) for count in (3, 2, 4))
    assert join([a, b]).groups is None
    joined = join([a._replace(groups=torch.tensor([7, 7, 2])), b, c._replace(groups=torch.tensor([7, 2, 2, 7]))])
    first, second, third = joined.groups.split([3, 2, 4])
    assert first[0] == first[1] != first[2] and second[0] != second[1]
    assert third[0] == third[3] != third[1] == third[2]
    assert len(joined.groups.unique()) == 2 + 2 + 2 and joined.label.shape == (4, 9) and not joined.whole
    assert join([a, b._replace(whole=True)]).whole


def test_puzzles_of_one_group_count_once_in_the_errors_of_a_report():
    one = random_tally(8, 9)
    four = Tally(*(field.repeat_interleave(4, -1) for field in one[:3]), torch.arange(9).repeat_interleave(4))
    once, grouped, apart = (report(t, [2]) for t in (one, four, four._replace(groups=None)))
    for name in ("accuracy", "coverage", "coverage_pooled"):
        assert grouped[name][2] == pytest.approx(once[name][2])
        assert grouped[f"{name}_se"][2] == pytest.approx(once[f"{name}_se"][2])
        assert apart[f"{name}_se"][2] < 0.6 * once[f"{name}_se"][2]


class Even(Task):
    """A solution has an even sum and keeps the clues."""

    train, test = None, {}

    def is_solved(self, x, y):
        return (y.sum(-1) % 2 == 0) & ((x == 0) | (x == y)).all(-1)

    def augment(self, batch, generator):
        return batch


def test_tally_judges_by_the_rules_and_labels_equal_answers_alike():
    puzzles = Puzzles.from_lists([[1, 0, 0], [0, 0, 2]], [[[1, 1, 2], [1, 2, 1]], [[1, 1, 2]]])
    answers = torch.randint(1, 3, (40, 2, 3))
    result = tally(Even(), puzzles, answers)
    assert result.num_solutions.tolist() == [2, 1]
    for k in range(40):
        for b, clue in enumerate(([1, None, None], [None, None, 2])):
            y = answers[k, b].tolist()
            assert result.solved[k, b].item() == (
                sum(y) % 2 == 0 and all(c in (None, v) for c, v in zip(clue, y, strict=True))
            )
            for j in range(40):
                assert (result.label[k, b] == result.label[j, b]).item() == (y == answers[j, b].tolist())
