"""Training with importance weights: discrete latents, chained segments, the Trainer, and what is refused."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from tiny import B, D, L, V, batch, close, parameters, program, seeded_loss, shake
from tiny_trainer import ragged
from torch import nn

from gram_pyro.guide import Guide
from gram_pyro.networks.core import State
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.networks.heads import Heads
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.priors.base import Prior
from gram_pyro.tasks.base import Batch
from gram_pyro.training.importance import IWAE, RWS, DReG
from gram_pyro.training.objectives import Surrogate, segment_loss
from gram_pyro.training.trainer import Trainer, TrainSettings

OBJECTIVES = [IWAE, DReG, RWS]
pytestmark = pytest.mark.filterwarnings("ignore:got num_grad_steps=1 with objective")  # what is meant here


class Coins(Prior):
    """Latents of zeros and ones."""

    def __init__(self, dim):
        super().__init__()
        self.net = nn.Linear(dim, dim)

    def forward(self, u, t):
        return dist.Bernoulli(logits=self.net(u)).to_event(2)


class CoinGuide(Guide):
    def __init__(self, model, dim):
        super().__init__(model)
        self.q_net, self.q_embed = nn.Linear(2 * dim, dim), TokenEmbedding(V, dim)

    def posterior(self, u, y, prior, t):
        return dist.Bernoulli(logits=self.q_net(torch.cat([u, self.q_embed(y).expand_as(u)], -1))).to_event(2)


def discrete_program():
    model, _ = program(prior=Coins(D))
    return model, shake(CoinGuide(model, D))


@pytest.mark.parametrize("objective", [IWAE, DReG])
def test_discrete_latents_are_refused_where_a_gradient_must_pass(objective):
    model, guide = discrete_program()
    with pytest.raises(
        ValueError,
        match="got the latent 'z_0' drawn "
        f"from Independent.* objective {objective.__name__.lower()} needs; write objective=rws, or objective=trace_e",
    ):
        objective(num_particles=3).differentiable_loss(model, guide, *batch())


@pytest.mark.parametrize("objective", [RWS(num_particles=3), Trace_ELBO()])
def test_discrete_latents_train(objective):
    model, guide = discrete_program()
    optimiser = torch.optim.Adam([*model.parameters(), *guide.parameters()], lr=0.05)
    x, y = batch()
    with torch.no_grad():
        before = IWAE(num_particles=300).loss(model, guide, x, y)
    named = {n: p.detach().clone() for n, p in parameters(model, guide).items()}
    for _ in range(12):
        optimiser.zero_grad()
        loss, _ = segment_loss(objective, model, guide, x, y, None)
        loss.backward()
        optimiser.step()
    assert not [n for n, p in parameters(model, guide).items() if torch.equal(p, named[n])]
    if isinstance(objective, RWS):  # a score function alone is too noisy to promise this
        assert IWAE(num_particles=300).loss(model, guide, x, y) < before - 3


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_segments_are_chained_particle_by_particle(objective):
    """A segment ends in a state for each of K x B trajectories, and the next goes on from it."""
    model, guide = program(num_transitions=2)
    x, y = batch()
    first, state = segment_loss(objective(num_particles=4), model, guide, x, y, None)
    assert state.h.shape == state.l.shape == (4, B, L, D) and not state.h.requires_grad and not state.l.requires_grad
    z = guide.trace.nodes["z_1"]["value"]
    close(state.h, guide.trace.nodes["u_1"]["value"] + z)
    assert (z[0] - z[1]).abs().min() > 0  # trajectories of their own
    second, end = segment_loss(objective(num_particles=4), model, guide, x, y, state)
    close(guide.trace.nodes["u_0"]["value"], model.core.predict(model.embed(x), state).h)
    assert end.h.shape == (4, B, L, D) and torch.isfinite(first + second) and guide.kl().shape == (2,)
    moved = State(state.h[[2, 0, 3, 1]], state.l[[2, 0, 3, 1]])  # the bound does not know the order of particles
    with torch.no_grad():
        values = [objective(num_particles=4).loss(model, guide, x, y, s) for s in (state, moved)]
    assert values[0] != values[1]  # other noise for the same state
    loss = seeded_loss(objective(num_particles=4), model, guide, x, y)
    torch.manual_seed(1)
    close(segment_loss(objective(num_particles=4), model, guide, x, y, None)[0], loss / B)


def trainer_of(objective, rollout_share=0.25, num_grad_steps=1):
    model, guide = program(num_transitions=2, num_grad_steps=num_grad_steps, readout=CategoricalReadout, shaken=False)
    settings = TrainSettings(
        100, num_segments=3, batch_size=8, rollout_share=rollout_share, precision="fp32", warmup=1, weight_decay=0.0
    )
    return Trainer(model, guide, Heads(D, 6), objective, settings)


@pytest.mark.parametrize("rollout_share", [0.0, 0.25])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_trainer_moves_every_parameter(local_params, objective, rollout_share):
    trainer = trainer_of(objective(num_particles=3), rollout_share)
    named = parameters(trainer.model, trainer.guide, trainer.heads)
    before = {name: p.detach().clone() for name, p in named.items()}
    record = trainer.train_on(ragged(8))
    assert [name for name, p in named.items() if torch.equal(p, before[name])] == []
    assert trainer.updates == 3 and record["kl"].shape == (2,) and ("set_loss" in record) == (rollout_share > 0)
    assert all(torch.isfinite(value).all() for value in record.values())
    assert len(pyro.get_param_store()) == 0


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_stock_svi_moves_every_parameter(objective):
    model, guide = program(num_transitions=2, readout=CategoricalReadout, shaken=False)
    named = parameters(model, guide)
    before = {name: p.detach().clone() for name, p in named.items()}
    x = torch.arange(V).repeat(L, 1).T.contiguous()
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), objective(num_particles=3))
    losses = [svi.step(x, x) for _ in range(3)]
    assert all(torch.isfinite(torch.tensor(losses))) and isinstance(svi.evaluate_loss(x, x), float)
    assert [name for name, p in named.items() if torch.equal(p, before[name])] == []


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_bf16_keeps_weights_in_full_precision(local_params, objective):
    torch.set_default_dtype(torch.float32)
    try:
        trainer = trainer_of(objective(num_particles=3))
        x, y, *_ = ragged(2)
        with torch.autocast("cpu", torch.bfloat16):
            loss, state = segment_loss(trainer.objective, trainer.model, trainer.guide, x, y, None)
        assert loss.dtype == state.h.dtype == torch.float32 and torch.isfinite(loss)
        loss.backward()
    finally:
        torch.set_default_dtype(torch.float64)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_penalty_is_no_bound(objective):
    model, guide = program()
    x, y = batch()
    message = "got site 'z_0' scaled by 0.5 .*: .*; expected sites without scale and mask, for with beta != 1 there"
    with pytest.raises(ValueError, match=message):
        segment_loss(objective(num_particles=3), model, guide, x, y, None, beta=0.5)
    with pytest.raises(ValueError, match="got site 'z_0' scaled by 1.0 .mask: False.; .* there is no bound"):
        Surrogate(objective(num_particles=3)).differentiable_loss(model, guide, x, y)
    assert torch.isfinite(segment_loss(objective(num_particles=3), model, guide, x, y, None, beta=1.0)[0])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_site_outside_the_plate_is_refused(objective):
    """Pyro's RenyiELBO takes it, and then the log of the mean is taken once for the whole batch."""
    model, guide = program()

    def with_a_global(*args):
        pyro.sample("everywhere", dist.Normal(0.0, 1.0))
        return model(*args)

    guide._model = (with_a_global,)
    with pytest.raises(
        ValueError,
        match="got site 'everywhere' outside the plate 'puzzles', so that the whole batch would share",
    ):
        objective(num_particles=3).differentiable_loss(model, guide, *batch())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_particles_and_no_solution(objective):
    with pytest.raises(ValueError, match="got num_particles=0; expected 1 or more"):
        objective(num_particles=0)
    model, guide = program()
    with pytest.raises(ValueError, match="got no solution y; expected one, .*; write guide.x, y."):
        objective(num_particles=2).differentiable_loss(model, guide, batch()[0])
    x, y = batch()
    torch.manual_seed(1)
    by_name = objective(num_particles=2).differentiable_loss(model, guide, x, y=y)
    close(by_name, seeded_loss(objective(num_particles=2), model, guide, x, y))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_solution_that_is_impossible_stops_training(local_params, objective):
    """Weights that are all zero give a loss that is not finite, and the trainer says so; nothing is repaired."""
    trainer = trainer_of(objective(num_particles=3), 0.0)
    trainer.model.readout.logits.weight.data[:] = torch.nan
    y = torch.zeros(8, L, dtype=torch.long)
    with pytest.raises((FloatingPointError, ValueError), match="nan"):
        trainer.train_on(Batch(y, y, y[:, None], torch.ones(8, 1, dtype=torch.bool)))
