"""The judge of ARC answers by evidence, against sums written out and against the sampler's own likelihoods."""

import math

import pytest
import torch
from arc_files import small_task
from hydra import compose, initialize_config_dir
from scripts import CONF

from gram_pyro.evaluation.arc_evidence import MOST, Candidates, candidates, choose, evidence, judge_all
from gram_pyro.evaluation.arc_vote import Answers, draw_copies, score_all, vote
from gram_pyro.harness.build import build_model
from gram_pyro.tasks.arc.task import NAME_CELLS

CPU = torch.device("cpu")


@pytest.fixture
def small(tmp_path):
    return small_task(tmp_path)


def small_model(task, *overrides):
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("svi_arc", overrides=["run_dir=x", "task_name=arc", "method_name=gram", "experiment=arc/smoke",
                         "task.side=4", "task.num_names=4", "task.shown=[]", "task.asked=[]", *overrides])  # fmt: skip
    torch.manual_seed(0)
    return build_model(config, task).double()


def grids(small, *letters):
    """Answers [A, K, B] written as letters, every letter a grid of one colour."""
    colours = torch.tensor([[["abcdefg".index(c) for c in row] for row in copy] for copy in letters])
    boards = torch.stack([small.canvas.place(((c,),)) for c in range(7)])[colours]
    return Answers(boards.byte(), torch.zeros(colours.shape))


def test_candidates_are_the_different_answers_most_voted_first(small):
    found = candidates(grids(small, ["ab", "bb"], ["cc", "cb"]))
    assert found.boards.shape == (2, 3, 16)
    for b, expected in enumerate(("cab", "bc")):  # of equal votes, in the order of the grids
        counts = found.votes(2, 2)[b, : len(expected)].tolist()
        assert counts == ([2, 1, 1] if b == 0 else [3, 1])
        for grid, letter in zip(found.boards[b], expected, strict=False):
            assert grid.equal(small.canvas.place((("abc".index(letter),),)))
    assert found.votes(1, 1).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_of_many_answers_the_most_voted_are_kept():
    boards = torch.arange(MOST + 8).repeat(2)[None, :, None, None]
    boards[0, -1] = MOST + 6  # the one before the last has three votes, the last one, the others two
    found = candidates(Answers(boards.byte(), torch.zeros(boards.shape[:-1])))
    assert found.boards.shape == (1, MOST, 1) and found.boards[0, 0].item() == MOST + 6
    votes = found.votes(1, boards.shape[1])
    assert votes.tolist() == [[3] + [2] * (MOST - 1)] and MOST + 7 not in found.boards


def test_the_probable_grid_beats_the_one_with_more_votes(small):
    answers = grids(small, ["a"], ["a"], ["b"], ["c"])  # four copies
    found = candidates(answers)
    assert found.boards[0, :, :].equal(torch.stack([small.canvas.place(((c,),)) for c in range(3)]))
    #            a     b     c: a is excluded by the last copy, b is plausible from every side
    log_probs = torch.tensor([[-0.1, -2.0, -9.0], [-0.1, -2.0, -9.0], [-9.0, -0.5, -9.0], [-30.0, -2.0, -0.1]])
    chosen = choose(found, log_probs[:, None], 1)
    assert chosen.boards[0].equal(found.boards[0, [1, 2]]) and chosen.votes.tolist() == [[1, 1]]
    assert vote(answers).votes.tolist() == [[2, 1]]
    first = choose(found, log_probs[:2, None], 1)  # of two copies, a is the only answer
    assert first.votes.tolist() == [[2, 0]] and first.boards[0, 0].equal(found.boards[0, 0])


@pytest.mark.parametrize("method", ["gram", "colours"])
def test_evidence_is_the_mean_over_trajectories_of_every_copy(small, method):
    """Of a recursion without noise, by hand; then of K trajectories, by the readout of the states that were drawn."""
    puzzles, sizes = small.test["asked"], dict(seed=0, chunk=5, device=CPU)
    prefix = ["embed.num_prefix=2"] if method == "colours" else ["embed.num_prefix=11"]
    model = small_model(small, f"method={method}", "prior=noiseless", "guide=bootstrap", *prefix)
    boards = torch.stack([puzzles.solutions, small.canvas.place(((3, 4),)).expand(4, -1)], 1)
    found = evidence(model, small, puzzles, boards, 3, [1, 2], 2, **sizes)
    assert found.shape == (2, 3, 4, 2) and found[0].equal(found[1])
    for a, (symmetry, recolouring) in enumerate(zip(*draw_copies(3, 0), strict=True)):
        for b in range(4):
            x = small.transform(puzzles.x[b : b + 1], symmetry, recolouring)
            state = model.reason(x, model.reason(x))
            for m in range(2):
                pair = torch.cat([puzzles.x[b, :NAME_CELLS], boards[b, m]])[None]
                y = small.transform(pair, symmetry, recolouring)[:, NAME_CELLS:]
                assert model.readout(state, x).log_prob(y).item() == pytest.approx(found[0, a, b, m].item(), abs=1e-9)
    noisy = small_model(small, f"method={method}", *prefix)
    each = evidence(noisy, small, puzzles, boards, 1, [1, 3], 2, **(sizes | {"chunk": 12}))
    torch.manual_seed(0)
    rows = puzzles.x.repeat(3, 1)  # the first copy is the input itself
    law = noisy.readout(noisy.reason(rows, noisy.reason(rows)), rows)
    of_all = torch.stack([law.log_prob(boards[:, m].repeat(3, 1)).exp().view(3, 4) for m in range(2)], -1)
    torch.testing.assert_close(each[:, 0], torch.stack([of_all[0], of_all.mean(0)]).log())  # of 1e-18, say
    assert (each[1] >= each[0] - math.log(3) - 1e-9).all()  # one of three trajectories is a third of the mean


def test_scores_are_rows_as_those_of_the_vote(small):
    """A judge that knows the answer finds it wherever it is among the answers; one that is wrong does not."""
    puzzles = small.test["asked"]
    wrong = [small.canvas.place(((c,) * 3,)).expand(4, -1) for c in (3, 4)]
    boards = torch.stack([wrong[0], wrong[1], puzzles.solutions])[None].byte()
    answers = Answers(boards, torch.zeros(boards.shape[:-1]))
    found = candidates(answers)
    knows = small.is_solved(puzzles.x[:, None], found.boards).double().log()  # 0 or -inf
    for log_probs, hit in ((knows, 1.0), (-torch.nan_to_num(knows, neginf=-1.0), 0.0)):
        rows = judge_all(small, puzzles, found, log_probs.expand(2, 1, -1, -1), [1], [2, 3])
        assert [row["inputs_hit_by_evidence"] for row in rows] == [0.0, hit]
        assert rows[1]["num_solved_by_evidence"] == 2 * hit
    assert len(rows) == len(score_all(small, puzzles, answers, [1], [2, 3]))


def test_one_candidate_is_no_second_guess():
    one = Candidates(torch.ones(2, 1, 4, dtype=torch.int64), torch.zeros(1, 3, 2, dtype=torch.int64))
    assert choose(one, torch.zeros(1, 2, 1), 3).votes.tolist() == [[3, 0], [3, 0]]
