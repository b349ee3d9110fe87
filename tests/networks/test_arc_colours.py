"""Colours as names: what the network sees of a puzzle of ARC, and that it commutes with recolouring."""

from functools import partial

import pytest
import torch
from arc_files import small_task
from tiny import close, shake

from gram_pyro.model import GRAM
from gram_pyro.networks.arc_colours import ColourMixer, ColourReadout, ColourTokens
from gram_pyro.networks.core import Hierarchical, State
from gram_pyro.priors.noiseless import Noiseless
from gram_pyro.tasks.arc.canvas import NUM_TOKENS, SAME, Canvas, draw_recolourings
from gram_pyro.tasks.base import draw_batch
from guides.concat import Concat

N, D, V, PREFIX = 4, 8, NUM_TOKENS, 3
S = PREFIX + N * N


@pytest.fixture
def program(local_params):
    """A program in double precision without noise, whose weights are all different."""
    torch.manual_seed(0)
    embed = ColourTokens(V, D, num_names=4, num_prefix=PREFIX, side=N)
    relations = embed.relations(Canvas(N).relations)
    mixer = partial(ColourMixer, num_heads=2)
    core = Hierarchical(D, embed.num_tokens(N * N), relations, mixer, hidden=D)
    model = GRAM(embed, core, Noiseless(), ColourReadout(V, D, PREFIX), num_transitions=2).double()
    guide = Concat(model, D, hidden=D).double()
    shake(model), shake(guide)
    return model, guide


def recoloured(x, recolouring):
    """Puzzles in which every colour is drawn with another token, with their names."""
    board = recolouring.gather(-1, x[:, 11:])
    return torch.cat([x[:, :2], recolouring.gather(-1, x[:, 2:11]), board], -1)


def moved(vectors, recolouring):
    """Tokens [B, V S, D] whose symbols are renamed."""
    symbols = vectors.unflatten(-2, (V, -1))
    order = recolouring.argsort(-1)[..., None, None].expand(symbols.shape)
    return symbols.gather(-3, order).flatten(-3, -2)


@pytest.mark.parametrize("seed", range(5))
def test_recolouring_a_puzzle_recolours_everything(program, tmp_path, seed):
    """To 1e-10: tokens, states, the law of the answer, what the guide reads."""
    task, generator, (model, guide) = small_task(tmp_path), torch.Generator().manual_seed(seed), program
    batch = task.augment(draw_batch(task.train, torch.arange(6), generator), generator)
    recolouring = draw_recolourings(6, generator)
    x = recoloured(batch.x, recolouring)
    close(model.embed(x), moved(model.embed(batch.x), recolouring), 1e-10)
    target = guide.q_embed
    close(target(recolouring.gather(-1, batch.y)), moved(target(batch.y), recolouring), 1e-10)
    with torch.no_grad():
        states = model.reason(batch.x), model.reason(x)
        close(states[1].h, moved(states[0].h, recolouring), 1e-10)
        laws = [model.readout(state).base_dist.logits for state in states]
        renamed = recolouring.argsort(-1)[:, None].expand(laws[0].shape)
        close(laws[1], laws[0].gather(-1, renamed), 1e-10)
        answers = [model.readout.answer(state) for state in states]
        assert answers[1].equal(recolouring.gather(-1, answers[0]))


def test_what_is_no_colour_keeps_its_meaning(program):
    """Pad, the edge and colour 0 are not names: an exchange of two of them is another puzzle."""
    model, _ = program
    x = torch.cat([torch.tensor([[0, 0]]), SAME[None, 3:], torch.arange(N * N)[None] % V], -1)
    exchanged = x.clone()
    exchanged[:, 11:] = torch.tensor([0, 2, 1, *range(3, V)])[x[:, 11:]]
    symbols = [model.embed(puzzle).unflatten(-2, (V, -1)) for puzzle in (x, exchanged)]
    assert (symbols[1][:, [0, 2, 1, *range(3, V)]] - symbols[0]).abs().max() > 0.1


def test_a_task_knows_its_colours_by_role(program):
    """The vectors of a task follow the colour to the token that it is drawn with."""
    embed = program[0].embed
    x = torch.cat([torch.tensor([[2, 0]]), SAME[None, 3:], torch.zeros(1, N * N, dtype=torch.long)], -1)
    drawn = x.clone()
    drawn[0, 2], drawn[0, 6] = x[0, 6], x[0, 2]  # role 3 is drawn with token 7, and the reverse
    first, second = (embed(puzzle).unflatten(-2, (V, -1))[0, :, : PREFIX - 1] for puzzle in (x, drawn))
    table = D**0.5 * embed.task.weight[2].view(V, PREFIX - 1, D)
    close(first, table)
    close(second[[3, 7]], table[[7, 3]])


def test_colours_are_alike_at_the_start():
    embed = ColourTokens(V, D, num_names=4, num_prefix=PREFIX, side=N)
    roles = embed.task.weight.view(4, V, -1)
    assert roles[:, 3:].eq(roles[:, 3, None]).all() and not roles[:, 2].eq(roles[:, 3]).any()


def test_places_of_the_prefix():
    embed = ColourTokens(V, D, num_names=4, num_prefix=PREFIX, side=N)
    relations = embed.relations(Canvas(N).relations)
    assert relations.shape == (7, S, S) and embed.num_tokens(N * N) == V * S
    assert relations[1:, PREFIX:, PREFIX:].equal(Canvas(N).relations) and not relations[1:, :PREFIX].any()
    assert relations[0].all(0).nonzero().flatten().tolist() == list(range(PREFIX))
    assert embed.relations(None) is None


def test_mistakes_get_a_sentence():
    with pytest.raises(ValueError, match="got num_prefix=1; .*write 2 or more"):
        ColourTokens(V, D, num_names=4, num_prefix=1, side=N)
    with pytest.raises(ValueError, match="got core=colours with 16 tokens of 16 places; .*embed=colours"):
        ColourMixer(D, 16, Canvas(N).relations, num_heads=2)


def test_the_readout_reads_the_cells_alone():
    readout = ColourReadout(V, D, PREFIX)
    state = State(torch.randn(2, 3, V * S, D), torch.randn(2, 3, V * S, D))
    law = readout(state)
    assert law.batch_shape == (2, 3) and law.event_shape == (N * N,) and law.base_dist.logits.shape[-1] == V
    prefix = state.h.unflatten(-2, (V, S)).clone()
    prefix[..., :PREFIX, :] = 100.0
    close(readout(State(prefix.flatten(-3, -2), state.l)).base_dist.logits, law.base_dist.logits)
    y = readout.answer(state)
    close(readout.log_prob_each(state, None, y[0][:, None])[0, :, 0], law.log_prob(y)[0])
