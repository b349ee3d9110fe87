"""Rules as an input: sums over groups by hand, exact symmetry, and batches of puzzles with different rules."""

import random
from copy import deepcopy
from functools import partial

import networkx as nx
import pyro
import pytest
import torch
from small_guides import GUIDES
from tiny import close, shake

from gram_pyro.inference.sampler import sample
from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.networks.exact_cover import (
    CoverEmbedding,
    CoverReadout,
    ExactCover,
    GroupMixer,
    OneOfEach,
    list_sums,
)
from gram_pyro.networks.heads import Heads
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.tasks.candidates.importers import colouring, sudoku
from gram_pyro.tasks.candidates.packed import groups_of, pack, pack_all, stack, unpack, violations, widen
from gram_pyro.tasks.candidates.puzzle import IN, OUT, Group, make_puzzle
from gram_pyro.tasks.candidates.search import Search
from gram_pyro.tasks.candidates.shorthands import queens
from gram_pyro.training.compiler import compile_parts
from gram_pyro.training.objectives import Balanced_ELBO, segment_loss

D = 8
GRAPHS = [colouring(nx.gnp_random_graph(7, p, seed), 3) for seed, p in enumerate((0.0, 0.3, 0.6))]
PUZZLES = {
    "sudoku": [sudoku([1, 0, 0, 3, 0, 4, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1]), sudoku([0] * 16)],
    "queens": [queens(5), queens(5, [2] + [0] * 23 + [1])],
    "graphs": GRAPHS,
}
KINDS = pytest.mark.parametrize("kind", PUZZLES)


def program(num_transitions=2, dim=D):
    model = GRAM(
        CoverEmbedding(3, dim), ExactCover(dim, num_layers=1, hidden=6), Gaussian(dim, 6), CoverReadout(dim, 3),
        num_transitions,
    )  # fmt: skip
    return shake(model, 0.3), shake(GUIDES["concat"](model), 0.3), shake(Heads(dim, 6), 0.3)


def moved(puzzle, seed):
    """The puzzle with its cells and their candidates in another order: candidate j of the new one is `order[j]`."""
    rng, width = random.Random(seed), len(puzzle.symbols)
    cells = rng.sample(range(len(puzzle.cells)), len(puzzle.cells))
    order = [cell * width + c for cell in cells for c in rng.sample(range(width), width)]
    place = {old: new for new, old in enumerate(order)}
    groups = [Group(g.exact, tuple(sorted(place[c] for c in g.candidates))) for g in puzzle.groups]
    rng.shuffle(groups)
    return puzzle._replace(groups=tuple(groups), roles=tuple(puzzle.roles[c] for c in order)), torch.tensor(order)


# ---- rows of numbers


@KINDS
def test_what_is_packed_is_unpacked(kind):
    puzzles = PUZZLES[kind]
    x = pack_all(puzzles)
    for row, puzzle in zip(x, puzzles, strict=True):
        assert groups_of(row) == list(puzzle.all_groups)
        assert row[: len(puzzle.roles)].tolist() == list(puzzle.roles)
        assert groups_of(widen(row, len(row) + 5)) == list(puzzle.all_groups)


def test_both_lists_say_the_same():
    (by_group, by_candidate, kind) = unpack(pack_all(GRAPHS)).incidence
    num_groups, num_candidates = len(kind), 3 * 21
    one, other = torch.zeros(2, num_groups, num_candidates)
    for lists, table in ((by_group, one), (by_candidate, other.mT)):
        for i, (first, last) in enumerate(zip(lists.starts, lists.starts[1:], strict=False)):
            table[i, lists.index[first:last]] += 1
    assert one.equal(other) and one.sum(1)[kind == 1].eq(2).all()


def test_violations_are_counted():
    for puzzle in (*GRAPHS, PUZZLES["queens"][1], PUZZLES["sudoku"][0]):
        y = torch.randint(OUT, IN + 1, (3, 5, len(puzzle.roles)))
        expected = [
            sum((row[list(g.candidates)] == IN).sum() not in ((1,) if g.exact else (0, 1)) for g in puzzle.all_groups)
            + sum(role not in (0, int(v)) for role, v in zip(puzzle.roles, row, strict=True))
            for row in y.flatten(0, 1)
        ]
        found = violations(pack(puzzle), y)
        assert found.flatten().tolist() == expected and violations(pack(puzzle).expand(5, -1), y).equal(found)
        solutions = torch.tensor(list(Search.of(puzzle).solutions(puzzle.roles))[:9])
        assert not violations(pack(puzzle), solutions).any()
        assert violations(pack(puzzle), torch.zeros_like(solutions)).min() >= len(puzzle.roles)


def test_rows_of_several_shapes_are_refused():
    with pytest.raises(ValueError, match=r"got puzzles of 2 shapes \(cells, symbols\) \[\(5, 5\), \(7, 3\)\]; exp"):
        pack_all([GRAPHS[0], queens(5)])
    for x in (stack([pack(GRAPHS[0]), pack(queens(5))]), torch.zeros(2, 9, dtype=torch.int64)):
        with pytest.raises(ValueError, match="got x that holds no packed puzzles of one shape; expected some"):
            unpack(x)


# ---- parts


@KINDS
def test_a_mixer_by_hand(kind):
    puzzles = PUZZLES[kind]
    mixer, groups = shake(GroupMixer(D)), unpack(pack_all(puzzles)).incidence
    x = torch.randn(2, len(puzzles), len(puzzles[0].roles), D)
    expected, number = torch.zeros_like(x), torch.zeros(x.shape[1:3])
    for b, puzzle in enumerate(puzzles):
        for group in puzzle.all_groups:
            members = list(group.candidates)
            heard = x[:, b, members].sum(1) / 3 + mixer.kind.weight[0 if group.exact else 1]
            bounded = heard / (heard.square().mean(-1, keepdim=True) + 1e-5).sqrt()
            expected[:, b, members] += mixer.message(bounded)[:, None]
            number[b, members] += 1
    close(mixer(x, groups), 2 / 3 * expected / number.sqrt()[..., None])


def test_the_gradient_of_sums():
    by_group, by_candidate, _ = unpack(pack_all(GRAPHS)).incidence
    x = torch.randn(63, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: list_sums(x, *by_group, *by_candidate), x)


@KINDS
def test_the_program_moves_with_the_candidates(kind):
    """Cells in another order, and the symbols of each cell in an order of its own: in double precision to 1e-10."""
    model, guide, heads = (part.double() for part in program())
    puzzles = PUZZLES[kind]
    x, size = pack_all(puzzles), len(puzzles[0].roles)
    state = State(*torch.randn(2, 2, len(puzzles), size, D, dtype=torch.float64))
    for seed in range(3):
        changed = [moved(puzzle, seed) for puzzle in puzzles]
        new_x, order = pack_all([puzzle for puzzle, _ in changed]), changed[0][1]
        new = State(*(part[..., order, :] for part in state))
        e, new_e = model.embed(x), model.embed(new_x)
        assert new_e.e.equal(e.e[:, order])
        after, new_after = model.core.predict(e, state), model.core.predict(new_e, new)
        for mine, its in zip(new_after, after, strict=True):
            assert (mine - its[..., order, :]).abs().max() < 1e-10 and its.std() > 0.1
        assert (heads(new_after).halt - heads(after).halt).abs().max() < 1e-10
        law, new_law = model.readout(after, x), model.readout(new_after, new_x)
        y = law.sample()
        assert (new_law.log_prob(y[..., order]) - law.log_prob(y)).abs().max() < 1e-10
        answer = model.readout.answer(after, x)
        assert model.readout.answer(new_after, new_x).equal(answer[..., order]) and (answer == IN).any()


def test_what_keeps_no_groups_is_no_symmetry():
    model, *_ = program()
    puzzle = PUZZLES["sudoku"][1]
    x, state = pack(puzzle)[None], State(*torch.randn(2, 1, 64, D))
    order = torch.randperm(64)
    mixed = State(*(part[..., order, :] for part in state))
    e = model.embed(x)
    assert (model.core.predict(e, mixed).h - model.core.predict(e, state).h[:, order]).abs().max() > 1e-2


def test_rows_and_symbols_of_a_latin_square_change_places():
    """The kind of a group is all that is known of it: what is a cell and what is a rule is the same to the core."""
    n = 3
    cells = [Group(True, tuple(n * n * i + n * j + k for i in range(n))) for j in range(n) for k in range(n)]
    rows = [Group(True, tuple(n * n * i + n * j + k for j in range(n))) for i in range(n) for k in range(n)]
    puzzle = make_puzzle([f"{i}{j}" for i in range(n) for j in range(n)], "abc", cells + rows)
    model, *_ = program()
    order = torch.arange(27).view(3, 3, 3).permute(2, 0, 1).flatten()
    e, state = model.embed(pack(puzzle)[None]), State(*torch.randn(2, 1, 27, D))
    new = State(*(part[..., order, :] for part in state))
    close(model.core.predict(e, new).h, model.core.predict(e, state).h[..., order, :])


# ---- programs


@KINDS
def test_puzzles_of_a_batch_do_not_meet(kind):
    """A batch of puzzles with different rules is what each is alone, whatever the padding; so are particles."""
    model, *_ = program()
    puzzles = PUZZLES[kind]
    x, size = pack_all(puzzles), len(puzzles[0].roles)
    state = State(*torch.randn(2, 4, len(puzzles), size, D))
    together = model.core.predict(model.embed(x), state)
    for b, puzzle in enumerate(puzzles):
        e = model.embed(pack(puzzle)[None])
        for k in range(4):
            alone = model.core.predict(e, State(*(part[k, b : b + 1] for part in state)))
            close(alone.h[0], together.h[k, b])


def test_the_law_of_an_answer():
    logits = torch.randn(2, 3, 4)
    law = OneOfEach(logits)
    ways = torch.cartesian_prod(*[torch.arange(4)] * 3)
    y = 1 + torch.nn.functional.one_hot(ways, 4).flatten(1)
    close(law.log_prob(y[:, None]).logsumexp(0), torch.zeros(2))
    expected = sum(logits.log_softmax(-1)[:, cell, ways[:, cell]] for cell in range(3))
    close(law.log_prob(y[:, None]), expected.mT)
    marginal = law.base_dist.logits
    close(marginal[..., IN].exp(), logits.softmax(-1).flatten(1)), close(marginal.exp().sum(-1), torch.ones(2, 12))
    y[0, :4] = OUT
    assert law.log_prob(y[0]).isneginf().all()
    assert law.sample((5,)).shape == (5, 2, 12) and law.log_prob(law.sample((5,))).isfinite().all()


@KINDS
def test_a_segment_learns(kind):
    model, guide, heads = program()
    puzzles = PUZZLES[kind]
    x = pack_all(puzzles)
    y = torch.tensor([next(Search.of(puzzle).solutions(puzzle.roles)) for puzzle in puzzles])
    loss, state = segment_loss(Balanced_ELBO(), model, guide, x, y, None)
    loss.backward()
    silent = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert loss.isfinite() and not silent - {"embed.roles.table.weight"}
    close(model.readout.log_prob_each(state, x, y[:, None])[:, 0], model.readout(state, x).log_prob(y))
    found = sample(model, x, 3, 2, heads=heads).answers
    clues = x[:, : y.shape[1]]
    assert found.shape == (3, *y.shape) and ((clues == 0) | (clues == found)).all()


def test_half_precision():
    model, *_ = program(dim=16)
    model, x = model.float(), pack_all(GRAPHS)
    state = State(*torch.randn(2, 3, 21, 16, dtype=torch.float32))
    expected = model.core.predict(model.embed(x), state).h
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model.core.predict(model.embed(x), state).h
    assert half.dtype == torch.float32 and 0 < (half - expected).abs().mean() < 0.05


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's tracer
def test_compiled_it_is_the_same(monkeypatch, caplog):
    """As one graph, with a gradient, and for batches with other rules; without the C++ that would come of it."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager", fullgraph=True))
    validation = pyro.settings.get("validate_distributions_torch")  # torch's tracer turns it off, once
    plain, *_ = program()
    model, x, state = deepcopy(plain), pack_all(GRAPHS), State(*torch.randn(2, 3, 21, D))
    compile_parts(model, torch.device("cpu"))
    for rows in ([0, 1, 2], [2, 1], [1, 2]):
        found = []
        for core in (plain.core, model.core):
            after = core.predict(model.embed(x[rows]), state.select(torch.tensor(rows))).h
            found.append((after, *torch.autograd.grad(after.square()[..., 0].sum(), core.parameters())))
        for mine, its in zip(*found, strict=True):
            close(mine, its)
    pyro.settings.set(validate_distributions_torch=validation)
    torch._dynamo.reset()
    assert "uncompiled" not in caplog.text


# ---- what cannot be


def test_parts_that_do_not_belong_together():
    with pytest.raises(ValueError, match="got puzzles of 5 symbols; expected puzzles of candidates, whose 3 symbols"):
        CoverEmbedding(5, D)
    e = TokenEmbedding(3, D)(torch.zeros(1, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match="got core=exact_cover with an embedding that gives no groups"):
        ExactCover(D).init(e)
    with pytest.raises(ValueError, match="got no puzzle x; expected one, which readout=exact_cover reads"):
        CoverReadout(D, 3)(State(*torch.randn(2, 1, 4, D)))
