"""Puzzles near others, against all 288 boards of 4x4; and the file that the experiment writes."""

import csv
from random import Random

import pytest
from omegaconf import OmegaConf
from plain_sudoku import backtrack
from scripts import work

from gram_pyro.tasks.sudoku import neighbours
from gram_pyro.tasks.sudoku.files import read_puzzles
from gram_pyro.tasks.sudoku.generator import minimal, symmetry_hash
from gram_pyro.tasks.sudoku.neighbours import guesses, hard_puzzle, neighbour
from gram_pyro.tasks.sudoku.rules import Geometry

FOUR = Geometry(4)
SETTINGS = {"n": 4, "of": None, "count": 6, "guesses": 0, "swapped": 2, "workers": 1, "seed": 0}


@pytest.fixture(scope="module")
def boards():
    return backtrack(4, [0] * 16)


def solved_by(boards, clues):
    return [y for y in boards if all(a in (0, b) for a, b in zip(clues, y, strict=True))]


@pytest.mark.parametrize("swapped", [1, 2])
def test_a_neighbour_has_its_board_alone_and_no_clue_to_spare(boards, swapped):
    rng, found = Random(swapped), 0
    for _ in range(30):
        clues, (board,) = minimal(FOUR, rng)
        new = neighbour(FOUR, clues, board, swapped, rng)
        if new is None:
            continue
        found += 1
        assert new != clues and solved_by(boards, new) == [board]
        for cell in range(16):
            if new[cell]:
                assert len(solved_by(boards, new[:cell] + [0] + new[cell + 1 :])) > 1
    assert found > 10


def test_a_swapped_clue_does_not_come_back(boards):
    """Taking off all clues but one, and forbidding them: what is left of the old puzzle is at most that one."""
    rng = Random(0)
    for _ in range(20):
        clues, (board,) = minimal(FOUR, rng)
        count = 16 - clues.count(0)
        new = neighbour(FOUR, clues, board, count - 1, rng)
        assert new is None or sum(a != 0 and b != 0 for a, b in zip(clues, new, strict=True)) <= 1


def test_guesses_are_the_inner_nodes_of_the_search():
    """A tree whose inner nodes have 2 or more branches has fewer inner nodes than leaves, and here every leaf of the
    4x4 search is a solution: what the constraints leave open on 4x4 can always be completed."""
    assert guesses(FOUR, [1, 2, 3, 4, 3, 4, 1, 2, 2, 1, 4, 3, 4, 3, 2, 1]) == 0
    blank = guesses(FOUR, [0] * 16)
    assert 288 / 4 < blank < 288
    two = [1, 2, 3, 4, 3, 4, 0, 0, 2, 1, 4, 3, 4, 3, 0, 0]  # the last two columns of two rows may be swapped
    assert len(backtrack(4, two)) == 2 and guesses(FOUR, two) == 1


def test_the_experiment_writes_puzzles_of_new_classes(tmp_path, capsys):
    make, first, second = work("hard_puzzles"), tmp_path / "first.csv", tmp_path / "second.csv"
    make(OmegaConf.create(SETTINGS | {"out": str(first)}))
    make(OmegaConf.create(SETTINGS | {"out": str(second), "of": str(first), "seed": 1}))
    assert f"6 puzzles written to {second}" in capsys.readouterr().out
    made = [read_puzzles(path) for path in (first, second)]
    hashes = [h for puzzles in made for h in symmetry_hash(puzzles.x, FOUR.relations).tolist()]
    assert len(set(hashes)) == 12
    for puzzles in made:
        assert puzzles.num_solutions.tolist() == [1] * 6
        assert all(backtrack(4, x) == [y] for x, y in zip(puzzles.x.tolist(), puzzles.solutions.tolist(), strict=True))
    with open(second, encoding="utf-8") as file:
        assert all(int(row["guesses"]) == guesses(FOUR, list(map(int, clues_of(row)))) for row in csv.DictReader(file))


def clues_of(row):
    return row["question"].replace(".", "0")


def test_what_cannot_be_made_is_told(tmp_path):
    make, out = work("hard_puzzles"), tmp_path / "out.csv"
    out.write_text("question,answer\n1.34341221434321,1234341221434321\n")
    for changes, message in (
        ({"out": str(out)}, "is there already; choose another name, or delete it"),
        ({"out": "x.csv", "of": str(out), "swapped": 16}, f"^of={out}: got swapped=16, and a puzzle of 15 clues; "),
        ({"out": "x.csv", "of": str(out), "guesses": 3}, f"^of={out}: got no puzzle of one solution and guesses=3 or"),
    ):
        with pytest.raises(ValueError, match=message):
            make(OmegaConf.create(SETTINGS | changes))
    assert out.read_text().count("\n") == 2


def test_a_hardness_that_is_never_met_ends_with_a_sentence(monkeypatch):
    monkeypatch.setattr(neighbours, "TRIES", 5)
    with pytest.raises(
        ValueError, match="got no puzzle that needs guesses=99 among 5; write a smaller number, or of=FILE"
    ):
        hard_puzzle(FOUR, [], 2, 99, 0, 0)


def test_a_board_with_few_classes_does_not_hang(tmp_path):
    make, out = work("hard_puzzles"), tmp_path / "out.csv"
    with pytest.raises(
        ValueError, match="all are there already, but for their symmetry; write a smaller count, or a la"
    ):
        make(OmegaConf.create(SETTINGS | {"out": str(out), "count": 37}))
    assert 30 < read_puzzles(out).num_puzzles <= 36  # what was made stays; 4x4 has 36 classes of minimal puzzles
