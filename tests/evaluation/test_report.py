"""Tables of an evaluation, for people and for programs."""

import torch

from gram_pyro.evaluation.metrics import Tally, join, report
from gram_pyro.evaluation.tables import cell, markdown
from gram_pyro.harness.results import write_rows


def sampler(num_puzzles, num_solutions, width, right):
    """Answers drawn uniformly from the solutions of each puzzle, each right with probability `right`."""
    label = torch.randint(num_solutions, (width, num_puzzles))
    return Tally((torch.rand(width, num_puzzles) >= right).long(), label, torch.full((num_puzzles,), num_solutions))


def test_join_keeps_puzzles_apart():
    a, b = sampler(3, 2, 4, 1.0), sampler(5, 1, 4, 1.0)
    joined = join([a, b])
    assert joined.solved.shape == (4, 8) and joined.num_solutions.tolist() == [2] * 3 + [1] * 5
    assert torch.equal(joined.label[:, 3:], b.label)


def test_table_has_one_row_per_width():
    table = report(sampler(6, 3, 4, 0.5), [1, 4])
    lines = markdown(table, [1, 4]).splitlines()
    assert len(lines) == 4 and lines[2].startswith("| 1 |") and f"{table['accuracy'][4]:.4f}" in lines[3]
    pooled = f"{table['coverage_pooled'][4]:.4f} ± {table['coverage_pooled_se'][4]:.4f}"
    assert pooled in lines[3]


def test_where_nothing_failed_the_table_has_the_limit_of_the_rule_of_three():
    table = report(sampler(300, 3, 4, 1.1), [4]) | {"num_puzzles": 300}
    assert cell(table, "accuracy", 4) == "1.0000 (> 0.9900)" and cell(table, "violations", 4) == "0.0000 ± 0.0000"
    table = report(sampler(300, 3, 4, -0.1), [4]) | {"num_puzzles": 300}
    assert cell(table, "any", 4) == "0.0000 (< 0.0100)"


def test_rows_with_other_columns_share_a_table(tmp_path):
    write_rows(tmp_path / "rows.csv", [{"a": 1, "b": 2}, {"b": 3, "c": 4}])
    assert (tmp_path / "rows.csv").read_text().splitlines() == ["a,b,c", "1,2,", ",3,4"]
