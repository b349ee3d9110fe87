"""solve.py and what it shares with the demo page: trajectories of one puzzle, judged and watched."""

import csv
import json
import math
import re
from collections import Counter
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from plain_rules import queens_solutions, sudoku_is_right
from scripts import experiment, script
from solving import TWENTY_ONE, configured, needs
from tiny import close, program, shake

from gram_pyro.app.solver import cell_entropy, judge, open_weights, solve, think
from gram_pyro.app.watch import Watch
from gram_pyro.harness.load import Program
from gram_pyro.inference.noise import hot_start
from gram_pyro.inference.potentials import value
from gram_pyro.inference.sampler import sample
from gram_pyro.inference.smc import sir, smc
from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.networks.heads import Heads
from gram_pyro.priors.noiseless import Noiseless

NONE = "1234.....5.6........................"
K, N = 5, 4
X = torch.tensor([1, 0, 2, 0])


def small(prior=None):
    model, guide = program(prior=prior)
    return Program(model, guide, shake(Heads(8), 0.5))


class AnyBoard:
    """A task of four cells whose solutions are the answers with an even sum."""

    @staticmethod
    def is_solved(x, y):
        return y.sum(-1) % 2 == 0

    @staticmethod
    def canonical(y):
        return y


def by_hand(answers, log_weights=None, halt=None):
    """Trajectories [K, 1, ...] that answer so."""
    zero = torch.zeros(len(answers), 1)
    log_weights = zero if log_weights is None else torch.tensor(log_weights)[:, None]
    halt = zero if halt is None else torch.tensor(halt)[:, None]
    return Trajectories(torch.tensor(answers)[:, None], log_weights, zero[0], zero, zero.long(), zero, halt, halt)


def test_votes_weights_and_confidence_by_hand():
    a, b, wrong = [1, 1, 2, 2], [3, 1, 2, 2], [1, 1, 2, 3]
    found = by_hand([a, b, wrong, b, a, b], [math.log(w) for w in (1, 2, 3, 4, 5, 6)], [0.1, 0.2, 0.9, 0.4, 0.5, 0.9])
    outcome = judge(AnyBoard, X, found)
    first, second = outcome.solutions
    assert first.answer.tolist() == b and second.answer.tolist() == a and (first.votes, second.votes) == (3, 2)
    close([first.weight, second.weight], [12 / 21, 6 / 21])
    close([first.confidence, second.confidence], [0.5, 0.3])
    assert outcome.right.tolist() == [True, True, False, True, True, True]


def test_nothing_valid_is_no_solution():
    outcome = judge(AnyBoard, X, by_hand([[1, 1, 1, 2], [2, 2, 2, 1]]))
    assert outcome.solutions == [] and not outcome.right.any()


def test_entropy_of_a_cell_is_that_of_its_counts():
    answers = torch.randint(5, (40, 6))
    weight = torch.rand(40).softmax(0)
    for cell, entropy in enumerate(cell_entropy(answers, weight)):
        mass = Counter()
        for symbol, w in zip(answers[:, cell].tolist(), weight.tolist(), strict=True):
            mass[symbol] += w
        close(entropy, -sum(p * math.log(p) for p in mass.values()))
    assert (cell_entropy(torch.ones(9, 3, dtype=torch.int64), torch.full((9,), 1 / 9)) < 1e-12).all()


def seeded(sampler, parts, depth, **options):
    torch.manual_seed(3)
    with torch.autocast("cpu", torch.bfloat16):
        return sampler(parts.model, X[None], K, depth, heads=parts.heads, **options)


@pytest.mark.parametrize("sampler", [sample, partial(hot_start, temperature=2.0, num_hot=2)])
def test_what_is_seen_after_a_segment_is_what_a_shorter_run_answers(sampler):
    parts = small()
    outcome, thoughts = think(AnyBoard, parts, X, sampler, K, N, seed=3)
    assert thoughts.answers.shape == (N, K, 4) and thoughts.halt.shape == (N, K)
    for depth in range(1, N + 1):
        shorter = seeded(sampler, parts, depth)
        assert torch.equal(thoughts.answers[depth - 1], shorter.answers[:, 0])
        close(thoughts.halt[depth - 1], shorter.halt[:, 0])
    assert torch.equal(outcome.answers, thoughts.answers[-1])
    assert len({tuple(a.flatten().tolist()) for a in thoughts.answers}) > 1  # they do change, or nothing was tested


def test_watching_changes_nothing():
    parts = small()
    watched, _ = think(AnyBoard, parts, X, sample, K, N, seed=3)
    alone = solve(AnyBoard, parts, X, sample, K, N, seed=3)
    assert torch.equal(watched.answers, alone.answers) and torch.equal(watched.halt, alone.halt)


@pytest.mark.parametrize("right_after, wanted", [(1, 1), (3, 3), (9, 4)])
def test_others_are_drawn_as_long_as_none_is_right(right_after, wanted):
    parts, calls = small(), []

    def is_solved(x, answers):
        calls.append(answers.shape)
        return torch.full(answers.shape[:-1], len(calls) >= right_after)

    task = SimpleNamespace(is_solved=is_solved, canonical=AnyBoard.canonical)
    outcome = solve(task, parts, X, sample, K, N, seed=3, most=3 * K + 2)
    torch.manual_seed(3)
    for size in (K, K, K, 2)[:wanted]:
        expected = sample(parts.model, X[None], size, N, heads=parts.heads)
    assert torch.equal(outcome.answers, expected.answers[:, 0]) and outcome.earlier == (wanted - 1) * K
    assert bool(outcome.solutions) == (right_after <= wanted)


@pytest.mark.parametrize("size", [(0, N), (K, 0)])
def test_nothing_is_not_run(size):
    with pytest.raises(ValueError, match=f"got num_particles={size[0]}, num_segments={size[1]}; expected 1 or more"):
        solve(AnyBoard, small(), X, sample, *size)


def test_a_halted_trajectory_stays_as_it_was():
    parts = small()
    free = think(AnyBoard, parts, X, sample, K, N, seed=3)[1]
    threshold = free.halt[0].median().item()
    outcome, thoughts = think(AnyBoard, parts, X, sample, K, N, seed=3, halt_at=threshold)
    assert len(outcome.depth.unique()) > 1 and len(thoughts.answers) == outcome.depth.max()
    assert torch.equal(thoughts.answers[-1], outcome.answers)
    close(thoughts.halt[-1], outcome.halt)
    for k, depth in enumerate(outcome.depth.tolist()):
        assert (thoughts.halt[: depth - 1, k] <= threshold).all()
        assert (thoughts.answers[depth - 1 :, k] == outcome.answers[k]).all()


def test_a_resampled_trajectory_has_the_past_of_its_ancestors():
    parts = small()
    for sampler, threshold in ((smc, {"threshold": 1.0}), (sir, {})):
        steer = partial(sampler, potential=value(AnyBoard, parts.heads, strength=20.0), **threshold)
        with Watch(parts, X) as watch:
            found = seeded(steer, parts, N, chunk=K)
        thoughts = watch.replay(found)
        assert torch.equal(thoughts.answers[-1], found.answers[:, 0])
        close(thoughts.halt[-1], found.halt[:, 0])
        moved = 0
        for k in range(K):
            at = k
            for segment in reversed(range(N)):
                at = found.history.ancestors[segment, at, 0].item()
                assert torch.equal(thoughts.answers[segment, k], watch.answers[segment][at])
                moved += at != k
        assert moved


def test_a_sampler_that_resamples_is_not_watched_while_it_halts():
    parts = small()
    steer = partial(smc, potential=value(AnyBoard, parts.heads))
    some = think(AnyBoard, parts, X, sample, K, N, seed=3)[1].halt[0].median().item()
    with pytest.raises(ValueError, match="cannot be watched while it halts; leave out halt_at"):
        think(AnyBoard, parts, X, steer, K, N, seed=3, halt_at=some)


def test_of_a_recursion_without_noise_all_trajectories_are_one():
    outcome, thoughts = think(AnyBoard, small(Noiseless()), X, sample, K, N)
    assert (thoughts.answers == thoughts.answers[:, :1]).all() and (outcome.entropy < 1e-12).all()
    assert thoughts.answers.shape == (N, K, 4) and len(outcome.solutions) <= 1


def test_weights_are_a_name_or_a_file(tmp_path):
    with pytest.raises(ValueError, match="no weights named 'chess' are shipped"):
        open_weights("chess")
    with pytest.raises(FileNotFoundError, match="nowhere.safetensors"):
        open_weights(str(tmp_path / "nowhere.safetensors"))


@pytest.mark.parametrize(
    "text", ["123434122143432.", "1.30000000000000", "0." + "0" * 34, "1" * 36, "3.......", "true"]
)
def test_a_puzzle_is_read_letter_by_letter(text):
    """Hydra reads the first ones as numbers, and would change them."""
    with configured(f"puzzle={text}") as config:
        assert experiment("solve").asked(config) == (text, None)


@needs("sudoku_6x6")
def test_a_file_of_puzzles_gets_a_table_and_abstains_honestly(tmp_path):
    (tmp_path / "puzzles.txt").write_text(f"{TWENTY_ONE}\n{NONE}\n")
    overrides = [f"puzzle=@{tmp_path / 'puzzles.txt'}", "num_particles=8", "most=24", f"run_dir={tmp_path}"]
    done = script("solve", *overrides, check=False)
    assert done.returncode == 1 and "1 of 2 puzzles solved" in done.stdout and "Traceback" not in done.stderr
    with (tmp_path / "solve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{k: "" if v is None else str(v) for k, v in r.items()} for r in json_rows(tmp_path)]
    *solved, abstained = rows
    assert abstained["puzzle"] == NONE and abstained["solution"] == "" and abstained["solutions"] == "0"
    answers = [row["solution"] for row in solved]
    assert all(row["puzzle"] == TWENTY_ONE and int(row["solutions"]) == len(answers) for row in solved)
    assert len(set(answers)) == len(answers) > 1
    assert all(sudoku_is_right(TWENTY_ONE, answer, 2, 3) for answer in answers)
    votes = [int(row["votes"]) for row in solved]
    assert votes == sorted(votes, reverse=True) and sum(votes) == round(8 * float(solved[0]["right"]))
    assert solved[0]["drawn"] == "8" and abstained["drawn"] == "0"  # nothing is drawn where there is no solution
    assert solved[0]["exist"] == "21" and abstained["exist"] == "none"
    assert all(0 < float(row["confidence"]) <= 1 for row in solved)


def json_rows(folder):
    return json.loads((folder / "solve.json").read_text())["rows"]


@needs("sudoku_6x6")
def test_a_file_of_one_puzzle_is_shown_as_a_typed_one(tmp_path, capsys):
    grid = "\n".join(" ".join(TWENTY_ONE[i : i + 6]) for i in range(0, 36, 6))
    (tmp_path / "mine.txt").write_text(grid)
    outputs = []
    for text in (str(tmp_path / "mine.txt"), TWENTY_ONE):
        with configured(f"puzzle={text}", "num_particles=4", f"run_dir={tmp_path / 'run'}") as config:
            assert experiment("solve").run(config)
        outputs.append(capsys.readouterr().out.rpartition(",")[0])  # the time is left out
    assert outputs[0] == outputs[1] and "+-------+-------+" in outputs[0] and not (tmp_path / "run").exists()


@needs("nqueens_8")
def test_a_board_is_solved_and_animated(tmp_path, capsys):
    small = ("num_particles=4", "num_segments=6", f"save={tmp_path / 'thinking.gif'}")
    with configured("queens=2.1.....", *small) as config:
        assert experiment("solve").run(config)
    output = capsys.readouterr().out
    boards = [line for line in output.splitlines() if line.startswith("|")]
    found = set()
    for block in [boards[i : i + 8] for i in range(8, len(boards), 8)]:  # the puzzle comes first
        for column in range(len(block[0].split("   "))):
            rows = [line.split("   ")[column].strip("| ").split() for line in block]
            found.add("".join(str(row.index("Q")) for row in rows))
    assert found and found <= queens_solutions("2.1.....")
    assert f"{len(found)} distinct solutions of {len(queens_solutions('2.1.....'))}" in output
    with Image.open(tmp_path / "thinking.gif") as picture:
        assert picture.n_frames > 1


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ((), "write one of puzzle=..., queens=... and graph=..."),
        (("puzzle=" + "." * 36, "queens=........"), "write one of puzzle=..."),
        (("puzzle=123434122143432.", "weights=sudoku_6x6"), "got a 4x4 Sudoku; expected a puzzle of these weights"),
        (("puzzle=@puzzles.txt", "save=a.gif"), "there is no file puzzles.txt; write the path of a file"),
        (("puzzle=abc",), "got 'abc', a board of 3 rows; write 4 to 10 characters"),
        (("puzzle=........", "save=a.xyz"), "got save=a.xyz; write a name that ends in .png, or in .gif"),
        (("puzzle=........", "save=nowhere/a.png"), "got save=nowhere/a.png, and there is no folder nowhere; make it"),
    ],
)
def test_what_cannot_be_solved_gets_one_sentence(overrides, sentence):
    with configured(*overrides) as config, pytest.raises((ValueError, FileNotFoundError), match=re.escape(sentence)):
        experiment("solve").run(config)


def test_an_animation_is_of_one_puzzle(tmp_path):
    (tmp_path / "puzzles.txt").write_text(f"{TWENTY_ONE}\n{TWENTY_ONE}\n")
    with configured(f"puzzle=@{tmp_path / 'puzzles.txt'}", "save=a.gif") as config:
        with pytest.raises(ValueError, match="got save=a.gif with several puzzles; .*; write it in place of @"):
            experiment("solve").run(config)
