"""Prefix tokens: a puzzle's name and cells as its program reads them, cell by cell."""

from functools import partial

import pytest
import torch
from arc_files import small_task
from tiny import close

from gram_pyro.networks.arc_tokens import ContentReadout, PlacedTokens, PuzzleTokens
from gram_pyro.networks.core import State
from gram_pyro.tasks.arc.canvas import Canvas
from gram_pyro.tasks.base import draw_batch


@pytest.fixture
def small(tmp_path):
    return small_task(tmp_path)


def tokens(content=PlacedTokens, num_prefix=12):
    return PuzzleTokens(12, 8, num_names=4, num_prefix=num_prefix, content=partial(content, side=4))


def test_tokens_are_the_names_and_the_cells(small):
    embed = tokens()
    batch = small.augment(draw_batch(small.train, torch.arange(6), torch.Generator()), torch.Generator())
    e = embed(batch.x)
    assert e.shape == (6, embed.num_tokens(16), 8) == (6, 28, 8)
    state = dict(embed.named_parameters())
    for row, x in zip(e, batch.x.tolist(), strict=True):
        close(row[:2], 8**0.5 * state["task.weight"][x[0]].view(2, 8))
        close(row[2], 8**0.5 * state["symmetry.weight"][x[1]])
        for k in range(9):
            both = state["drawn_with.weight"][x[2 + k]] + state["colour.weight"][k]
            close(row[3 + k], 8**0.5 * both / 2**0.5)
        for cell in range(16):
            place = state["content.row.weight"][cell // 4] + state["content.column.weight"][cell % 4]
            close(row[12 + cell], (8 / 3) ** 0.5 * (state["content.symbol.weight"][x[11 + cell]] + place))
    target = embed.for_target()
    assert not target(batch.y)[:, :12].any() and target(batch.y)[:, 12:].equal(target.content(batch.y))
    assert not {id(p) for p in target.parameters()} & {id(p) for p in embed.parameters()}


def test_relations_of_the_prefix():
    relations = tokens().relations(Canvas(4).relations)
    assert relations.shape == (8, 28, 28) and relations.dtype == torch.bool
    assert relations[2:, 12:, 12:].equal(Canvas(4).relations) and not relations[2:, :12].any()
    assert not relations[2:, :, :12].any()
    assert relations[0].nonzero()[:, 1].unique().tolist() == [0, 1]
    assert relations[1].nonzero()[:, 1].unique().tolist() == list(range(2, 12))
    assert relations[:2].any(0)[:, :12].all()
    assert tokens().relations(None) is None
    with pytest.raises(ValueError, match="got num_prefix=10; .*write 11 or more"):
        tokens(num_prefix=10)


def test_the_readout_reads_the_cells_alone():
    readout = ContentReadout(12, 8, num_prefix=12)
    state = State(torch.randn(2, 3, 28, 8), torch.randn(2, 3, 28, 8))
    y = torch.randint(12, (3, 16))
    logits = state.h[:, :, 12:] @ readout.cells.logits.weight.T
    expected = logits.log_softmax(-1).gather(-1, y.expand(2, -1, -1)[..., None]).sum((-1, -2))
    close(readout(state).log_prob(y), expected, 1e-5)
    close(readout.log_prob_each(state, None, y[:, None])[..., 0], expected, 1e-5)
    assert readout.answer(state).equal(logits.argmax(-1))
