"""What an objective is given is what it runs and trains, or it is refused."""

import copy

import pyro
import pytest
import torch
from oracle import Exact, linear_problem, log_evidence
from pyro import poutine
from pyro.infer import SVI, Importance, RenyiELBO, Trace_ELBO, TraceGraph_ELBO, TraceMeanField_ELBO
from pyro.infer.importance import vectorized_importance_weights
from tiny import B, D, L, batch, close, parameters, program, seeded_loss
from tiny_trainer import ragged
from torch import nn

from gram_pyro.evaluation.evidence import log_weights
from gram_pyro.networks.heads import Heads
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.training.importance import IWAE, RWS, DReG
from gram_pyro.training.learner import TrainSettings
from gram_pyro.training.objectives import Balanced_ELBO, MeanField_ELBO, Surrogate
from gram_pyro.training.trainer import Trainer
from guides.bootstrap import Bootstrap
from guides.concat import Concat

STOCK = [Trace_ELBO(), TraceMeanField_ELBO(), TraceGraph_ELBO(), RenyiELBO(num_particles=2)]
OURS = [MeanField_ELBO(), Balanced_ELBO(), Surrogate(Trace_ELBO()), IWAE(), DReG(), RWS()]
VECTORISED = [Trace_ELBO(num_particles=2, vectorize_particles=True), Balanced_ELBO(num_particles=2)]
names = lambda objective: type(objective).__name__  # noqa: E731
objectives = pytest.mark.parametrize("objective", [*STOCK, *OURS, *VECTORISED], ids=names)


@objectives
def test_the_model_beside_a_guide_is_its_own(objective):
    model, guide = program(num_grad_steps=2)
    args = batch()
    for ask in (objective.loss, objective.loss_and_grads):
        assert isinstance(ask(model, guide, *args), float)
        for other in (program()[0], lambda *args: None, poutine.scale(program()[0], scale=2.0)):
            with pytest.raises(ValueError, match=r"got another model than the guide's.*write Concat\(model, ...\)"):
                ask(other, guide, *args)


WRAPPED = {
    "scale": lambda program: poutine.scale(program, scale=2.0),
    "condition": lambda program: poutine.condition(program, data={"z_0": torch.zeros(B, L, D)}),
    "block": lambda program: poutine.block(program, hide=["z_0"]),
    "do": lambda program: poutine.do(program, data={"u_0": torch.zeros(B, L, D)}),
    "plate": lambda program: pyro.plate("some", 100, subsample_size=B, dim=-2)(program),
    "two": lambda program: poutine.mask(poutine.scale(program, scale=2.0), mask=False),
}


@pytest.mark.parametrize("which", [0, 1], ids=["model", "guide"])
@pytest.mark.parametrize("handler", WRAPPED)
@objectives
def test_a_handler_around_model_or_guide_is_refused(objective, handler, which):
    pair = list(program(num_grad_steps=2))
    pair[which] = WRAPPED[handler](pair[which])
    with pytest.raises(ValueError, match=f"a handler around the {['model', 'guide'][which]}, which would be ignored"):
        objective.loss(*pair, *batch())


@objectives
def test_svi_refuses_what_its_objective_refuses(objective):
    model, guide = program(num_grad_steps=2)
    svi = SVI(program()[0], guide, pyro.optim.Adam({"lr": 1e-2}), objective)
    for ask in (svi.step, svi.evaluate_loss):
        with pytest.raises(ValueError, match="got another model than the guide's"):
            ask(*batch())


def test_a_handler_as_a_context_acts():
    model, guide = program()
    x, y = batch()
    plain = seeded_loss(Trace_ELBO(), model, guide, x, y)
    with poutine.scale(scale=2.0):
        close(seeded_loss(Trace_ELBO(), model, guide, x, y), 2 * plain)


def test_what_a_guide_was_made_of_may_have_a_handler():
    """Then the guide runs it, and it acts."""
    model, _ = program()
    x, y = batch()
    scaled = poutine.scale(model, scale=2.0)
    twice = seeded_loss(Trace_ELBO(), scaled, Bootstrap(scaled), x, y)
    close(twice, 2 * seeded_loss(Trace_ELBO(), model, Bootstrap(model), x, y))


def test_evidence_refuses_another_model():
    _, guide = program()
    with pytest.raises(ValueError, match="got another model than the guide's"):
        log_weights(program()[0], guide, *batch(), 2, 1)


def test_a_conditioned_latent_is_scored_by_the_prior():
    """log p(z_0 | u_0) + log p(y | h), nothing of it by the guide."""
    model, guide = program(num_transitions=1)
    x, y = batch()
    z = torch.randn(B, L, D)
    with poutine.condition(data={"z_0": z}):
        loss = Trace_ELBO().loss(model, guide, x, y)
        assert guide.get_traces()[1].stochastic_nodes == []
        close(MeanField_ELBO().loss(model, guide, x, y), loss)
    state = model.core.predict(model.embed(x), model.start(x))
    by_hand = model.prior(state.h, 0).log_prob(z) + model.readout(model.core.perturb(state, z), x).log_prob(y)
    close(loss, -by_hand.sum())


# ---------------------------------------------------------------------------------------------- names in Pyro's store


def trainer(model, guide, *args, objective=None):
    return SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), objective or Trace_ELBO())


def still(model, guide, work):
    """The parameters that `work` does not move."""
    named = parameters(model, guide)
    before = {name: p.detach().clone() for name, p in named.items()}
    work()
    return [name for name, p in named.items() if torch.equal(p, before[name])]


def small():
    return program(num_transitions=2, readout=CategoricalReadout, shaken=False)


@pytest.mark.parametrize("objective", [Trace_ELBO(), Balanced_ELBO(), IWAE()], ids=names)
def test_a_second_model_of_the_same_names_is_refused_by_svi(objective):
    x = torch.arange(5).repeat(L, 1).T.contiguous()
    first, second = small(), small()
    svi = trainer(*first, objective=objective)
    for _ in range(3):  # the first goes on as before
        svi.step(x, x)
    message = "parameter 'embed.table.weight' of this GRAM, which would never be trained.*pyro.clear_param_store"
    with pytest.raises(ValueError, match=message):
        trainer(*second, objective=objective).step(x, x)
    pyro.clear_param_store()
    svi = trainer(*second, objective=objective)
    assert still(*second, lambda: [svi.step(x, x) for _ in range(3)]) == []


def test_a_copy_and_a_guide_of_a_new_start_are_second_models():
    x, y = batch()
    model, guide = small()
    trainer(model, guide).step(x, x)
    twins = copy.deepcopy(nn.ModuleDict({"model": model, "guide": guide}))
    with pytest.raises(ValueError, match="of this GRAM, which would never be trained"):
        trainer(twins["model"], twins["guide"]).step(x, x)
    with pytest.raises(ValueError, match="'q_embed.table.weight' of this Concat, which would never be trained"):
        trainer(model, Concat(model, D, 6)).step(x, x)


def test_a_name_that_model_and_guide_share_is_refused():
    class Sharing(Concat):
        def __init__(self, model):
            super().__init__(model, D, 6)
            self.embed = model.embed.for_target()

        def posterior(self, u, y, prior, t):
            return super().posterior(u + self.embed(y), y, prior, t)

    model, _ = small()
    with pytest.raises(ValueError, match="'embed.table.weight' of this Sharing.*and q_... for attributes of a guide"):
        trainer(model, Sharing(model)).step(*batch())


def test_parameters_of_one_module_each_are_no_second_model(local_params):
    """Nothing is shared where parameters belong to their module, and an optimiser of torch's trains what it holds."""
    x, y = batch()
    objective = Trace_ELBO()
    for model, guide in (small(), small()):
        objective.loss_and_grads(model, guide, x, x)
        assert all(p.grad is not None for p in parameters(model, guide).values())
    with pyro.settings.context(module_local_params=False):
        for model, guide in (small(), small()):
            objective.loss_and_grads(model, guide, x, x)
            assert all(p.grad is not None for p in parameters(model, guide).values())


def test_a_program_built_with_parameters_of_its_own_trains_beside_another():
    """As in the notebooks: built inside the context, trained by the Trainer outside of it."""
    settings = TrainSettings(updates=9, num_segments=3, batch_size=8, precision="fp32", warmup=1, weight_decay=0.0)
    for _ in range(2):
        with pyro.settings.context(module_local_params=True):
            model, guide = small()
        learner = Trainer(model, guide, Heads(D, 6), TraceMeanField_ELBO(), settings)
        assert still(model, guide, lambda learner=learner: learner.train_on(ragged(8))) == []


def test_frozen_parameters_are_not_missed():
    x, _ = batch()
    trainer(*small()).step(x, x)
    model, guide = small()
    model.requires_grad_(False), guide.requires_grad_(False)
    model.eval(), guide.eval()
    assert still(model, guide, lambda: trainer(model, guide).step(x, x))


# ---------------------------------------------------------------------------------------------- Pyro's own samplers


def test_importance_sampling_by_the_exact_guide_is_the_evidence():
    model, x, y = linear_problem()
    found = Importance(model, Exact(model), num_samples=3).run(x, y)
    close(found.get_log_normalizer(), log_evidence(model, x, y).sum())


def test_importance_sampling_by_the_prior_is_unbiased():
    model, x, y = linear_problem(size=1, cells=1, readout_scale=1.0)
    log_w, _, _ = vectorized_importance_weights(model, Bootstrap(model), x, y, num_samples=20_000, max_plate_nesting=1)
    w, truth = log_w.detach().exp(), log_evidence(model, x, y).exp().item()
    assert abs(w.mean().item() - truth) < 4 * w.std().item() / len(w) ** 0.5
    assert w.std().item() > 0.01 * truth


def test_who_traces_a_guide_sees_its_latents_alone():
    model, guide = program()
    x, y = batch()
    trace = poutine.trace(guide).get_trace(x, y)
    assert [name for name, site in trace.nodes.items() if site["type"] == "sample"] == ["puzzles", "z_0", "z_1", "z_2"]
    assert {"u_0", "h", "l", "y"} <= set(guide.trace.nodes)  # it knows them


# ---------------------------------------------------------------------------------------------- interventions


@pytest.mark.parametrize("site", ["u_0", "u_1", "h", "l"])
@pytest.mark.parametrize("value", [torch.randn(B, L, D), torch.randn(D), 0.5, 2])
def test_what_is_done_to_a_state_is_what_the_program_goes_on_with(site, value):
    """Against the same recursion by hand, in which the site is overwritten."""
    model, _ = program(num_transitions=2)
    x, y = batch()

    def written(name, state):
        new = torch.as_tensor(value, dtype=torch.float64).expand_as(state.h)
        return state._replace(**{"l" if name == "l" else "h": new}) if name == site else state

    pyro.set_rng_seed(3)
    e, state = model.embed(x), model.start(x)
    for t in range(2):
        state = written(f"u_{t}", model.core.predict(e, state))
        state = model.core.perturb(state, model.prior(state.h, t).sample())
    state = written("l", written("h", state))
    pyro.set_rng_seed(3)
    trace = poutine.trace(poutine.do(model, data={site: value})).get_trace(x, y)
    found = trace.nodes["_RETURN"]["value"]
    close(found.h, state.h), close(found.l, state.l)
    close(trace.nodes["y"]["fn"].log_prob(y), model.readout(state, x).log_prob(y))


@pytest.mark.parametrize("site", ["u_1", "z_1", "h"])
def test_an_intervention_around_a_guide_is_refused(site):
    model, guide = program()
    x, y = batch()
    for work in (lambda: guide(x, y), lambda: Trace_ELBO().loss(model, guide, x, y)):
        with (
            poutine.do(data={site: torch.zeros(B, L, D)}),
            pytest.raises(ValueError, match=f"poutine.do of '{site}' around the guide Concat.*write poutine.do.model"),
        ):
            work()
