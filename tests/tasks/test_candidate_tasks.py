"""Tasks of candidates: what is drawn is solved, batches of every kind train one set of weights, and mistakes."""

from random import Random

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from plain_sudoku import units_of
from scripts import CONF
from small_tasks import candidates, drawn

from gram_pyro.harness.trusted import foreign
from gram_pyro.tasks.candidates import families
from gram_pyro.tasks.candidates.packed import groups_of, pack, shape_of
from gram_pyro.tasks.candidates.puzzle import BLANK, IN, OUT
from gram_pyro.tasks.candidates.referee import Referee
from gram_pyro.tasks.candidates.task import CandidateMixture, DrawnCandidates, draw, give_some

DIFFERENT = families.Different(num_cells=9, num_symbols=3, num_sets=6)


@pytest.mark.parametrize("name", ["sudoku", "latin", "queens", "graphs", "scattered", "different"])
def test_what_is_drawn_is_solved(name):
    """By an exact solver that was not asked when it was drawn."""
    family = DIFFERENT if name == "different" else candidates().parts[name].family
    rng = Random(0)
    for _ in range(5):
        puzzle, y = draw(family, rng)
        assert y in Referee(puzzle).solutions(1000)


def test_a_sudoku_is_one():
    task = drawn(families.Sudokus, n=4)
    digits = (task.train.solutions.view(-1, 16, 4) == IN).int().argmax(-1)
    assert all(digits[:, unit].sort().values.equal(torch.arange(4).expand(12, 4)) for unit in units_of(4))
    assert len(digits.unique(dim=0)) > 6


def test_some_cells_are_given():
    task = drawn(families.Queens, n=5, num_train=200)
    x, y = task.train.x, task.train.solutions
    given = give_some(x, y, torch.Generator().manual_seed(0))
    roles = given[:, :25].view(-1, 5, 5)
    whole = (roles != BLANK).all(-1)
    assert whole.equal((roles != BLANK).any(-1)) and given[:, 25:].equal(x[:, 25:])
    assert ((roles == y.view(-1, 5, 5)) | ~whole[..., None]).all()
    counts = whole.sum(1).bincount(minlength=6)
    assert counts[5] == 0 and counts[:5].min() > 20


def test_shares_of_cells_that_are_given_and_of_blanks():
    task = drawn(families.Queens, n=5, num_train=200)
    x, y = task.train.x, task.train.solutions
    roles = give_some(x, y, torch.Generator().manual_seed(0), blank_share=0.5, most_given=0.5)[:, :25].view(-1, 5, 5)
    counts = (roles != BLANK).all(-1).sum(1).bincount(minlength=6)
    assert counts[3:].sum() == 0 and 90 < counts[0] < 170 and counts[1:3].min() > 15
    given = give_some(x, y, torch.Generator().manual_seed(0), blank_share=1.0)
    assert given.equal(x)
    with pytest.raises(ValueError, match="got blank_share=2, most_given=0.7; expected shares, 0 to 1"):
        DrawnCandidates(families.Queens(5), blank_share=2)


def test_the_size_of_a_task_is_known_before_its_puzzles():
    task = DrawnCandidates(families.Queens(5), num_train=10**9)
    assert CandidateMixture({"queens": task}).num_cells == 25


def test_excluded_candidates_stay_out():
    puzzle = families.Queens(5)(Random(0))._replace(roles=(OUT,) + (BLANK,) * 24)
    y = torch.tensor(next(y for y in Referee(puzzle).solutions(99)))[None]
    for seed in range(5):
        assert give_some(pack(puzzle)[None], y, torch.Generator().manual_seed(seed))[0, 0] == OUT


def test_near_is_what_the_rules_of_each_row_allow():
    """Graphs differ from row to row; what is believed is kept where it can be."""
    task = drawn(families.Graphs, n=5, num_colours=3, edge_probability=0.5)
    x, y = task.train.x[:6], task.train.solutions[:6]
    assert len({tuple(groups_of(row)) for row in x}) > 3
    belief = torch.stack([y == 0, y == OUT, y == IN], -1).double().log()
    found, valid = task.near(x, belief)
    assert valid.all() and found[:, 0].equal(y)
    other, valid = task.near(x, torch.randn(6, 15, 3))
    assert valid.all() and task.is_solved(x[:, None], other).all() and not other.equal(found)


def test_every_batch_is_of_one_part():
    task = candidates()
    batches = task.batches(4, torch.Generator().manual_seed(0))
    shapes = [shape_of(next(batches).x) for _ in range(40)]
    assert set(shapes) == {shape_of(part.train.x) for part in task.parts.values()}
    kept = CandidateMixture({"queens": task.parts["queens"]})
    assert shape_of(next(kept.batches(3, torch.Generator())).x) == (5, 5)


def test_rows_of_one_length_are_of_one_shape():
    """Test sets are found again by the length of a row: two shapes of one length are told apart by padding."""
    task = drawn(families.Queens, n=5)
    width = task.test["completions"].x.shape[-1]
    other = drawn(families.LatinSquares, n=3)
    puzzles = other.test["completions"]
    wide = torch.cat([puzzles.x[:, :-2], torch.zeros(3, width - puzzles.x.shape[-1], dtype=torch.int64)], 1)
    other.__dict__["test"] = {"completions": puzzles._replace(x=torch.cat([wide, puzzles.x[:, -2:]], 1))}
    sets = CandidateMixture({"queens": task, "latin": other}).test
    assert sorted(s.x.shape[-1] for s in sets.values()) == [width, width + 1]
    for puzzles in sets.values():
        assert task.is_solved(puzzles.x, puzzles.solutions).all()


def test_a_puzzle_as_text():
    task = drawn(families.Queens, n=5)
    x, y = task.test["completions"].x[0], task.test["completions"].solutions[0]
    puzzle, answer = task.render(x, y).splitlines()
    assert sorted(answer.split()) == list("12345")
    assert all(a in (b, ".") for a, b in zip(puzzle.split(), answer.split(), strict=True))


def test_mistakes():
    with pytest.raises(ValueError, match="got num_train=0, num_test=3; expected 1 or more of each"):
        drawn(families.Queens, num_train=0, n=5)
    with pytest.raises(ValueError, match="got 1000 rules without a solution that is found; expected one; write looser"):
        draw(families.Queens(3), Random(0))
    sizes = iter(range(4, 100))
    several = DrawnCandidates(lambda rng: families.Queens(next(sizes))(rng), num_train=2, num_test=1)
    with pytest.raises(ValueError, match=r"got a family of shapes \[\(4, 4\), \(5, 5\), "):
        several.train  # noqa: B018
    task = candidates()
    with pytest.raises(ValueError, match=r"puzzles of several shapes are not one set; write task.parts\[NAME\].train"):
        task.train  # noqa: B018
    with pytest.raises(ValueError, match=r"shares=\{'sudoku': 1\}; expected a share above 0 for each part"):
        CandidateMixture(task.parts, {"sudoku": 1})


def test_what_the_configurations_name_may_be_opened():
    """Weights of such a run load without trust=true."""
    for name in ("constraints", "constraints_small"):
        config = OmegaConf.load(CONF / "task" / f"{name}.yaml")
        assert not foreign(OmegaConf.to_container(config)), name
        for part in instantiate(config).parts.values():
            puzzle = part.family(Random(0))
            assert set(puzzle.roles) == {BLANK} and puzzle.groups
