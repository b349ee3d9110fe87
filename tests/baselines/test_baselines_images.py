"""Baselines that take the task's embedding and readout: D3PM and the VAE against enumeration and quadrature."""

from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from tiny import close, mixing, shake
from torch.nn import functional as F

from gram_pyro.baselines.d3pm import D3PM, cosine_schedule
from gram_pyro.baselines.train import BaselineTrainer
from gram_pyro.baselines.vae import VAE
from gram_pyro.evaluation.evidence import bound
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.networks.patches import PatchEmbedding, patch_readout
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.tasks.base import Batch
from gram_pyro.training.learner import TrainSettings

L, V, D, N = 2, 3, 8, 3
BOARDS = {"embed": TokenEmbedding, "readout": CategoricalReadout}
GRID = {"rows": 2, "columns": 4, "patch": 2}
PATCHES = {
    "embed": partial(PatchEmbedding, **GRID, channels=4, kernel=3, groups=2),
    "readout": partial(patch_readout, **GRID),
}
ANSWERS = torch.tensor(list(product(range(V), repeat=L)))
PUZZLES = torch.tensor([[0, 1], [2, 0]])


def d3pm(num_cells=L, num_symbols=V, parts=BOARDS, **options):
    options = {"num_layers": 1, "num_steps": N} | options
    return D3PM(num_cells, num_symbols, None, D, mixer=mixing, **parts, **options)


def vae(num_cells=L, num_symbols=V, parts=BOARDS, **options):
    options = {"num_layers": 1, "num_latents": 1} | options
    return VAE(num_cells, num_symbols, None, D, mixer=mixing, **parts, **options)


def conforms(answers, law):
    """Draws [N, L] against probabilities of ANSWERS, each frequency within 4 standard errors."""
    count = torch.bincount((answers * torch.tensor([V, 1])).sum(-1), minlength=len(ANSWERS)).double()
    expected = len(answers) * law.double()
    assert ((count - expected).abs() < 4 * (expected * (1 - law)).sqrt() + 1).all()


# ---------------------------------------------------------------------------------------------- D3PM


def transitions(baseline):
    """q(y_t | y_{t-1}) as matrices [N, V, V], from the schedule: row y_{t-1}."""
    kept = cosine_schedule(baseline.num_steps)
    rates = kept[1:] / kept[:-1]
    return torch.stack([rate * torch.eye(V) + (1 - rate) / V for rate in rates])


def test_the_schedule_goes_from_the_answer_to_noise():
    kept = cosine_schedule(10)
    assert kept[0] == 1 and kept[-1] == 0 and (kept.diff() < 0).all()
    close(kept[5], torch.tensor(0.5), 1e-12)


@pytest.mark.parametrize("t", [1, 2, 3])
def test_the_way_back_is_bayes_rule_in_the_chain(t):
    baseline, matrices = d3pm(), transitions(d3pm())
    before = torch.eye(V)
    for matrix in matrices[: t - 1]:
        before = before @ matrix  # q(y_{t-1} | y_0)
    joint = before[:, :, None] * matrices[t - 1][None]  # y_0, y_{t-1}, y_t
    for start, seen in product(range(V), repeat=2):
        clean = F.one_hot(torch.tensor([[start]]), V).double()
        law = baseline.back(clean, torch.tensor([[seen]]), torch.tensor([t]))[0, 0]
        if joint[start, :, seen].sum() > 0:
            close(law, joint[start, :, seen] / joint[start, :, seen].sum(), 1e-10)


@torch.no_grad()
def chain(baseline, x):
    """p(y_{t-1} | y_t) over all V^L answers, [N, V^L, V^L]: row y_t."""
    num = len(ANSWERS)
    laws = []
    for t in range(1, baseline.num_steps + 1):
        times = torch.full((num,), t)
        cells = baseline.back(baseline(x.expand(num, L), ANSWERS, times), ANSWERS, times)  # [y_t, L, V]
        laws.append(torch.stack([cells[:, torch.arange(L), answer].prod(-1) for answer in ANSWERS], -1))
    return torch.stack(laws)


def law_of(baseline, x):
    """p(y | x), [V^L]: uniform noise, taken back step by step."""
    law = torch.full((len(ANSWERS),), 1 / len(ANSWERS))
    for step in reversed(chain(baseline, x)):
        law = law @ step
    return law


@torch.no_grad()
def test_d3pm_draws_follow_the_law_of_the_chain():
    baseline = shake(d3pm(), 0.5)
    draws = baseline.draw(PUZZLES.repeat(10_000, 1)).view(-1, 2, L)
    laws = [law_of(baseline, x) for x in PUZZLES]
    assert draws.dtype == torch.int64 and (laws[0] - laws[1]).abs().max() > 0.02
    for i, law in enumerate(laws):
        close(law.sum(), torch.tensor(1.0), 1e-6)
        conforms(draws[:, i], law)


@torch.no_grad()
def test_d3pm_loss_is_the_bound_summed_over_steps_and_noise():
    baseline = shake(d3pm(), 0.5)
    x, y = PUZZLES[0], torch.tensor([2, 1])
    place = int((ANSWERS == y).all(-1).nonzero())
    cells, back = transitions(baseline), chain(baseline, x)
    whole = [torch.stack([torch.stack([m[a, b].prod() for b in ANSWERS]) for a in ANSWERS]) for m in cells]
    at = torch.eye(len(ANSWERS))[place]
    exact = 0.0
    for t in range(N):
        pairs = at[:, None] * whole[t]  # q(y_{t-1}, y_t | y_0)
        at = pairs.sum(0)
        q = pairs / at.clamp(min=1e-300)  # q(y_{t-1} | y_t, y_0), column y_t
        kl = torch.xlogy(q, q) - torch.xlogy(q, back[t].T)
        exact += (at * kl.sum(0)).sum()
    losses = torch.stack([baseline.loss(x.expand(60, L), y.expand(60, L)) for _ in range(400)]).double()
    error = losses.std() / len(losses) ** 0.5
    assert error < 0.04 and abs(losses.mean() - exact) < 4 * error
    assert exact > -law_of(baseline, x)[place].log() + 1e-3  # a bound, and here not tight


@torch.no_grad()
def test_d3pm_of_one_step_is_a_guess_from_noise():
    """With N = 1 nothing of the answer is seen: the loss is a cross-entropy averaged over uniform noise."""
    baseline = shake(d3pm(num_steps=1), 0.5)
    x, y = PUZZLES[0], torch.tensor([2, 1])
    clean = baseline(x.expand(9, L), ANSWERS, torch.ones(9, dtype=torch.int64))
    exact = -clean[:, torch.arange(L), y].log().sum(-1).mean()
    losses = torch.stack([baseline.loss(x.expand(60, L), y.expand(60, L)) for _ in range(200)]).double()
    assert abs(losses.mean() - exact) < 4 * losses.std() / 200**0.5 + 1e-9


def test_d3pm_needs_a_step():
    with pytest.raises(ValueError, match="num_steps=0"):
        d3pm(num_steps=0)


# ---------------------------------------------------------------------------------------------- VAE

NODES, WEIGHTS = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(80))
WEIGHTS = WEIGHTS / WEIGHTS.sum()  # of N(0, 1)


@torch.no_grad()
def decoded(baseline, x, z):
    """log p(y | x, z) of every answer, [Z, V^L], for z [Z]."""
    rows = x.expand(len(z), L)
    law = baseline.readout(baseline.decode(rows, z[:, None]), rows)
    return torch.stack([law.log_prob(y.expand(len(z), L)) for y in ANSWERS], -1)


@torch.no_grad()
def test_vae_loss_and_weights_against_quadrature():
    baseline = shake(vae(), 0.7)
    x, y = PUZZLES[1], torch.tensor([2, 1])
    place = int((ANSWERS == y).all(-1).nonzero())
    q = baseline.posterior(x[None], y[None]).base_dist
    loc, scale = q.loc.double().item(), q.scale.double().item()
    p_y = (WEIGHTS[:, None] * decoded(baseline, x, NODES).double().exp()).sum(0)  # p(y | x)
    assert abs(p_y.sum() - 1) < 1e-5
    kl = 0.5 * (scale**2 + loc**2 - 1) - np.log(scale)
    elbo = (WEIGHTS * decoded(baseline, x, loc + scale * NODES)[:, place]).sum() - kl
    rows = (x.expand(200, L), y.expand(200, L))
    losses = torch.stack([baseline.loss(*rows) for _ in range(100)]).double()
    assert abs(losses.mean() + elbo) < 4 * losses.std() / 10 + 1e-6
    weights = baseline.log_weights(*rows, 500)
    assert weights.shape == (500, 200)
    ratio = weights.double().exp().flatten()
    assert abs(ratio.mean() - p_y[place]) < 4 * ratio.std() / len(ratio) ** 0.5
    assert abs(bound(weights, 1).mean() - elbo) < 4 * weights.std() / len(ratio) ** 0.5
    assert p_y[place].log() - elbo > 1e-3  # the bound is not tight here


@torch.no_grad()
def test_vae_draws_are_the_most_probable_answers_of_latents_from_the_prior():
    baseline = shake(vae(), 2.0)
    fine = torch.linspace(-6, 6, 4001)
    mass = torch.distributions.Normal(0.0, 1.0).log_prob(fine).exp()
    draws = baseline.draw(PUZZLES.repeat(5_000, 1)).view(-1, 2, L)
    for i, x in enumerate(PUZZLES):
        best = decoded(baseline, x, fine).argmax(-1)
        law = torch.stack([mass[best == a].sum() for a in range(len(ANSWERS))]) / mass.sum()
        conforms(draws[:, i], law)
    assert len(draws.unique(dim=0)) > 1


# ---------------------------------------------------------------------------------------------- both


@pytest.mark.parametrize("make", [d3pm, vae])
@pytest.mark.parametrize(("parts", "num_cells"), [(BOARDS, 8), (PATCHES, 8)])
def test_baselines_of_boards_and_of_patches_learn_to_copy(make, parts, num_cells):
    settings = TrainSettings(
        updates=120, num_segments=1, batch_size=32, precision="fp32", warmup=2, ema=0.8, learning_rate=2e-2,
        weight_decay=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    baseline = make(num_cells, V, parts, **({"num_latents": 4} if make is vae else {"num_steps": 4}))
    trainer = BaselineTrainer(baseline, settings)
    start = {name: p.detach().clone() for name, p in baseline.named_parameters()}
    sides = torch.tensor([[1] * 8, [2] * 8])  # two images, and puzzles that show half of one
    puzzles = sides * (torch.arange(8) < 4)
    losses = []
    for _ in range(120):
        which = torch.randint(2, (32,))
        x, y = puzzles[which], sides[which]
        losses.append(trainer.train_on(Batch(x, y, y[:, None], torch.ones(32, 1, dtype=torch.bool)))["loss"])
    still = [n for n, p in baseline.named_parameters() if torch.equal(p, start[n])]
    assert still == [] and torch.stack(losses[-10:]).mean() < 0.25 * torch.stack(losses[:3]).mean()
    answers = trainer.sample(puzzles, 10, 1).answers
    assert answers.shape == (10, 2, 8) and (answers == sides).double().mean() > 0.9
