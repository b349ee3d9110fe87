"""Ancestral sampling: shapes, depth, and the law of what is drawn."""

import pytest
import torch
from oracle import LinearReadout, law_of_y, linear_gram
from tiny import MIXERS, B, L, V, batch, program

from gram_pyro.inference import chunks
from gram_pyro.inference.sampler import sample
from gram_pyro.priors.noiseless import Noiseless


@pytest.mark.parametrize("chunk", [1, 4, 5, 6, 1024])
def test_chunks_do_not_change_shapes(chunk):
    model, _ = program()
    x, _ = batch()
    answers = sample(model, x, num_particles=5, num_segments=2, chunk=chunk).answers
    assert answers.shape == (5, B, L) and answers.dtype == torch.int64
    assert not answers.requires_grad and (answers >= 0).all() and (answers < V).all()


@pytest.mark.parametrize("chunk", [1, 4, 1024])
def test_chunks_do_not_change_a_deterministic_answer(chunk):
    model, _ = program(prior=Noiseless())
    x, _ = batch()
    answers = sample(model, x, num_particles=5, num_segments=2, chunk=chunk).answers
    alone = torch.stack([sample(model, row[None], 1, 2).answers[0, 0] for row in x])
    assert torch.equal(answers, alone.expand(5, B, L))  # all K equal, each in the place of its puzzle


@pytest.mark.parametrize("patience, shown", [(0.0, True), (3.0, False)])
def test_a_bar_where_sampling_takes_long(monkeypatch, capsys, patience, shown):
    monkeypatch.setattr(chunks, "PATIENCE", patience)
    model, _ = program()
    x, _ = batch()
    sample(model, x, num_particles=5, num_segments=2, chunk=1)
    written = capsys.readouterr()
    assert ("sampling" in written.err) == shown and (f"/{5 * B} " in written.err) == shown and not written.out


class QuietButUndeclared(Noiseless):
    """The same point mass, without the promise that lets sampling run one trajectory for all."""

    is_point_mass = False


@pytest.mark.parametrize("chunk", [1, 4, 1024])
@pytest.mark.parametrize("prior, trajectories", [(Noiseless(), 1), (QuietButUndeclared(), 5)])
def test_one_trajectory_of_a_point_mass_stands_for_all(prior, trajectories, chunk):
    model, _ = program(prior=prior)
    x, _ = batch()
    rows = []
    reason = model.reason
    model.reason = lambda x, state: rows.append(len(x)) or reason(x, state)
    answers = sample(model, x, num_particles=5, num_segments=1, chunk=chunk).answers
    assert sum(rows) == trajectories * B and max(rows) <= chunk
    alone = torch.stack([sample(model, row[None], 1, 1).answers[0, 0] for row in x])
    assert torch.equal(answers, alone.expand(5, B, L))


def continuous(dim, num_symbols):
    """Answers that are real numbers, so that two different states never give the same one."""
    return LinearReadout(dim, 0.5)


def test_noise_makes_answers_differ_and_a_seed_fixes_them():
    model, _ = program(readout=continuous)
    x, _ = batch()
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(sample(model, x, num_particles=20, num_segments=1).answers)
    assert torch.equal(draws[0], draws[1]) and not torch.isclose(draws[0], draws[2]).any()
    assert all(len(torch.unique(draws[0][:, b], dim=0)) == 20 for b in range(B))


@pytest.mark.parametrize("mixer", MIXERS)
def test_permuted_puzzles_give_permuted_answers(mixer):
    model, _ = program(mixer, prior=Noiseless(), readout=continuous)
    x = torch.cartesian_prod(*[torch.arange(2)] * L)[:12]  # all different
    order = torch.randperm(12)
    answers = sample(model, x, 2, 2).answers
    assert torch.pdist(answers[0]).min() > 1e-6
    torch.testing.assert_close(sample(model, x[order], 2, 2).answers, answers[:, order], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("num_segments", [1, 3])
def test_answers_have_the_closed_form_law_at_every_depth(num_segments):
    """N segments of T transitions are N T transitions of the oracle; puzzles and particles are independent."""
    many = 10_000
    model = linear_gram(num_transitions=2)
    x = torch.tensor([[0], [2]])
    draws = sample(model, x, many, num_segments, chunk=3000).answers[..., 0]  # [K, B]
    e = model.embed(x)
    mean, variance, _ = law_of_y(model, e, model.core.init(e).h, 2 * num_segments)
    variance = (variance - model.readout.scale**2).item()
    assert ((draws.mean(0) - mean[:, 0]).abs() < 4 * (variance / many) ** 0.5).all()
    assert ((draws.var(0) - variance).abs() < 4 * variance * (2 / many) ** 0.5).all()
    assert abs(torch.corrcoef(draws.T)[0, 1].item()) < 4 / many**0.5
    assert abs(torch.corrcoef(torch.stack([draws[:-1, 0], draws[1:, 0]]))[0, 1].item()) < 4 / many**0.5


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (-3, 2)])
def test_nothing_to_run_is_refused(sizes):
    model, _ = program()
    x, _ = batch()
    with pytest.raises(ValueError, match="got num_particles=.*; expected 1 or more of both"):
        sample(model, x, *sizes)


def test_a_chunk_of_no_rows_is_refused():
    model, _ = program()
    with pytest.raises(ValueError, match="got chunk=0; expected 1 or more"):
        sample(model, batch()[0], 2, 1, chunk=0)
