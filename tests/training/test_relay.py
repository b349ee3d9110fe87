"""Puzzles that come and go: who leaves, what states go on, how their trajectories ended; against a list in Python."""

import math
from collections import Counter

import pytest
import torch
from tiny import close
from tiny_trainer import ragged, trainer_of

from gram_pyro.networks.core import State
from gram_pyro.tasks.base import Batch
from gram_pyro.training.relay import Runners, joined
from gram_pyro.training.rollout_losses import Cover, MultiSample

P, M, N = 4, 2, 3  # puzzles, rollouts of each, segments


def tagged(first):
    """A batch whose rollout puzzles have the numbers `first`, `first` + 1, .. in y, which rollouts do not use."""
    data = ragged(10)
    data.y[:P] = torch.arange(first, first + P)[:, None]
    return data


def tags(rollouts):
    assert torch.equal(rollouts.y[::M], rollouts.y[1::M])  # the rollouts of a puzzle are together
    return rollouts.y[::M, 0].tolist()


@pytest.mark.parametrize("chance", [0.1, 0.6, 1.0])
def test_a_relay_against_a_list(local_params, monkeypatch, chance):
    """Eight batches. Whether a rollout is right is drawn at random, with more and fewer right ones."""
    trainer = trainer_of(
        0.8, size=10, relay=True, rollouts_per_puzzle=M, num_segments=N, rollout_loss=MultiSample(), learning_rate=0.0
    )
    before, after, drawn = [], [], []
    reason = trainer.model.reason

    def watched(x, state=None):
        before.append(state)
        after.append(reason(x, state))
        return after[-1]

    def are_right(self, state, rollouts):
        drawn.append((tags(rollouts), torch.rand(P * M) < chance))
        return drawn[-1][1]

    monkeypatch.setattr(trainer.model, "reason", watched)
    monkeypatch.setattr(Runners, "are_right", are_right)
    inside: dict[int, int] = {}  # the age of every puzzle that is in
    solved: set[int] = set()
    states: dict[int, State] = {}
    stays = Counter()
    for number in range(8):
        waiting = list(range(number * P, (number + 1) * P))
        if number == 0:
            inside, waiting = dict.fromkeys(waiting, 0), []
        data = tagged(number * P)
        starts = {tag: trainer.model.start(data.x[tag % P].expand(M, -1)) for tag in waiting}
        for calls in (before, after, drawn):
            calls.clear()
        trainer.train_on(data)
        ends, all_right = {}, []
        for segment in range(N):
            count = min(len(waiting), max(math.ceil(len(waiting) / (N - segment)), len(solved)))
            leaving = sorted(inside, key=lambda tag: (tag not in solved, -inside[tag]))[:count]
            left = len(inside) - count
            kept_ages = sorted(age for tag, age in inside.items() if tag not in leaving)
            here, right = drawn[segment]
            for tag in set(inside) - set(here):  # ties in age may be broken either way
                stays[inside.pop(tag)] += 1
            assert sorted(inside.values()) == kept_ages and len(inside) == left
            assert all(tag not in here for tag in solved if tag in leaving)
            inside |= dict.fromkeys(waiting[:count], 0)
            waiting = waiting[count:]
            assert sorted(here) == sorted(inside) and len(here) == P
            for place, tag in enumerate(here):
                rows = slice(place * M, (place + 1) * M)
                given = before[segment]
                if given is not None:
                    expected = starts[tag] if inside[tag] == 0 else states[tag]
                    close(given.h[rows], expected.h, 1e-6), close(given.l[rows], expected.l, 1e-6)
                states[tag] = State(after[segment].h[rows].detach(), after[segment].l[rows].detach())
                inside[tag] += 1
                ends[tag] = right[rows]
            solved = {tag for place, tag in enumerate(here) if right[place * M : (place + 1) * M].all()}
            all_right.append((here, right))
        assert not waiting  # every puzzle of the batch came in
        right, at_end = trainer.runners[0].right()
        assert torch.equal(right, torch.stack([right for _, right in all_right]))
        for row, (here, _) in zip(at_end, all_right, strict=True):
            assert torch.equal(row, torch.cat([ends[tag] for tag in here]))
    assert set(stays) == {N} if chance == 1.0 else len(stays) > 1


def test_with_one_segment_it_is_the_plain_trainer(local_params):
    """Then every puzzle leaves after its only segment."""
    ends = []
    for relay in (False, True):
        torch.manual_seed(1)
        trainer = trainer_of(0.5, relay=relay, num_segments=1)
        torch.manual_seed(2)
        records = [trainer.train_on(ragged(8)) for _ in range(3)]
        ends.append([torch.stack([record["set_loss"] for record in records]), *trainer.program.parameters()])
    for a, b in zip(*ends, strict=True):
        assert torch.equal(a, b)


def test_parts_have_rows_of_their_own(local_params):
    trainer = trainer_of(0.5, relay=True, accumulate=2, num_segments=2)
    for _ in range(3):
        record = trainer.train_on(ragged(8))
        assert [len(runners.rollouts.x) for runners in trainer.runners] == [2, 2]
        assert all(value.isfinite().all() for value in record.values())


def test_lists_of_different_lengths_are_joined():
    one, other = ragged(2), ragged(3)
    other = Batch(other.x, other.y, other.solutions[:, :1], other.valid[:, :1])
    both = joined(one, other)
    assert both.valid.tolist() == [[True, True]] * 2 + [[True, False]] * 3
    assert torch.equal(both.solutions[:2], one.solutions) and torch.equal(both.solutions[2:, :1], other.solutions)


def test_a_loss_that_knows_the_first_segment_is_refused():
    with pytest.raises(ValueError, match="got train.relay=true with rollout_loss=Cover, which is another loss"):
        trainer_of(0.5, relay=True, rollout_loss=Cover())
