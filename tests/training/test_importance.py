"""IWAE, DReG and RWS: against Pyro's RenyiELBO, by hand, against each other and against the closed-form evidence."""

import math

import pyro.distributions as dist
import pytest
import torch
from oracle import Affine, law_from_start, law_of_y, linear_gram, log_evidence
from pyro.infer import RenyiELBO
from tiny import B, D, L, batch, close, parameters, program, seeded_loss
from torch import nn

from gram_pyro.guide import Guide
from gram_pyro.training.importance import IWAE, RWS, DReG

OBJECTIVES = [IWAE, DReG, RWS]
pytestmark = pytest.mark.filterwarnings("ignore:got num_grad_steps=1 with objective")  # what is meant here


def gradients(objective, model, guide, *args, seed=1):
    """Value and gradient of every parameter of model and guide, by name; zeros where there is none."""
    named = parameters(model, guide)
    torch.manual_seed(seed)
    for p in named.values():
        p.grad = None
    value = objective.loss_and_grads(model, guide, *args)
    return value, {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in named.items()}


def flat(grads):
    return torch.cat([g.flatten() for g in grads.values()])


@pytest.mark.parametrize("num_grad_steps", [1, 3])
@pytest.mark.parametrize("size", [1, B])
@pytest.mark.parametrize("particles", [1, 4])
def test_iwae_is_renyi_elbo_at_alpha_zero(particles, size, num_grad_steps):
    """Pyro's takes the log puzzle by puzzle only while every site is in the plate, which ours insists on. Its particles
    must be a plate, as ours are: then one seed draws the same latents."""
    model, guide = program(num_grad_steps=num_grad_steps)
    x, y = batch(size)
    renyi = RenyiELBO(alpha=0, num_particles=particles, vectorize_particles=True, max_plate_nesting=1)
    value, grads = gradients(IWAE(num_particles=particles), model, guide, x, y)
    expected, by_pyro = gradients(renyi, model, guide, x, y)
    close(value, expected)
    for name, grad in grads.items():
        close(grad, by_pyro[name])
        assert grad.abs().max() > 0, name


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("particles", [1, 5])
def test_value_is_the_log_mean_of_hand_made_weights(objective, particles):
    model, guide = program()
    x, y = batch()
    loss = seeded_loss(objective(num_particles=particles), model, guide, x, y)
    weights = 0
    for t in range(3):
        site = guide.trace.nodes[f"z_{t}"]
        assert site["value"].shape == (particles, B, L, D)
        for law, sign in ((site["infer"]["prior"].base_dist, 1), (site["fn"].base_dist, -1)):
            density = (
                -0.5 * ((site["value"] - law.loc) / law.scale) ** 2 - law.scale.log() - 0.5 * math.log(2 * math.pi)
            )
            weights = weights + sign * density.sum((-1, -2))
    logits = model.readout.logits(guide.final_state().h)
    weights = weights + logits.log_softmax(-1).gather(-1, y.expand(particles, B, L)[..., None]).sum((-1, -2))
    close(loss, -sum(math.log(sum(math.exp(w) for w in column) / particles) for column in weights.T.tolist()))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_entry_of_an_objective_has_one_value(objective):
    model, guide = program()
    x, y = batch()
    loss = seeded_loss(objective(num_particles=4), model, guide, x, y)
    torch.manual_seed(1)
    plain = objective(num_particles=4).loss(model, guide, x, y)
    close(plain, loss)
    value, grads = gradients(objective(num_particles=4), model, guide, x, y)
    close(value, loss)
    named = parameters(model, guide)
    for (name, by_backward), grad in zip(
        grads.items(), torch.autograd.grad(loss, list(named.values()), allow_unused=True), strict=True
    ):
        close(by_backward, torch.zeros_like(by_backward) if grad is None else grad)
        assert by_backward.abs().max() > 0, name
    assert isinstance(value, float) and isinstance(plain, float)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_traces_hold_the_weights_of_every_particle(objective):
    model, guide = program()
    x, y = batch()
    loss = seeded_loss(objective(num_particles=4), model, guide, x, y)
    torch.manual_seed(1)
    weights = torch.zeros(4, B)
    for trace, sign in zip(objective(num_particles=4)._get_trace(model, guide, (x, y), {}), (1, -1), strict=True):
        trace.compute_log_prob()
        weights = weights + sign * sum(
            site["log_prob"] for site in trace.nodes.values() if site["type"] == "sample" and site["log_prob"].ndim
        )
    close(loss, -(weights.logsumexp(0) - math.log(4)).sum())


def test_all_objectives_agree_on_one_puzzle_after_the_other():
    """The bound of a batch is the sum over puzzles: nothing is pooled before the log."""
    model, x, y, guide, _ = affine_problem()
    for objective in OBJECTIVES:
        loss = seeded_loss(objective(num_particles=6), model, guide, x, y)
        weights = sum(
            (s["infer"]["prior"].log_prob(s["value"]) - s["fn"].log_prob(s["value"]))
            for n, s in guide.trace.nodes.items()
            if n.startswith("z_")
        ) + model.readout(guide.final_state()).log_prob(y)
        close(loss, -(weights.logsumexp(0) - math.log(6)).sum())


def affine_problem(perturb=0.0, replicas=1, offset=0.7):
    """One puzzle of the linear oracle, whose posterior the guide has in parameters of its own."""
    with torch.random.fork_rng():  # the problem is one, whatever the seed of the draws
        torch.manual_seed(0)
        model = linear_gram(num_transitions=2, num_grad_steps=2, readout_scale=0.6)
        x = torch.tensor([[1, 2]])
        guide = Affine(model, x)
        with torch.no_grad():
            for p in guide.parameters():
                p += perturb * torch.randn_like(p) * (p != 0)
    mean, variance = law_from_start(model, x)
    y = (mean + offset * variance.sqrt()).detach()
    return model, x.expand(replicas, 2), y.expand(replicas, 2), guide, log_evidence(model, x, y)


def replicated(objective, model, guide, x, y, groups=50):
    """The gradient per puzzle in every group of replicas, [groups, parameters]."""
    return torch.stack([flat(gradients(objective, model, guide, x, y, seed=s)[1]) for s in range(groups)]) / len(x)


def evidence_gradient(model, guide, x, y):
    """-grad log p(y | x) of the model, by autograd through the closed form; the guide has none."""
    e = model.embed(x)
    mean, variance, _ = law_of_y.__wrapped__(model, e, model.core.init(e).h, model.num_transitions)
    loss = -dist.Normal(mean, variance.sqrt()).log_prob(y).sum()
    named = parameters(model, guide)
    grads = torch.autograd.grad(loss, list(named.values()), materialize_grads=True, allow_unused=True)
    return flat(dict(zip(named, grads, strict=True)))


def of_guide(model, guide):
    return torch.cat([torch.full((p.numel(),), n.startswith("guide.")) for n, p in parameters(model, guide).items()])


@pytest.mark.parametrize("perturb", [0.05, 0.2])
def test_dreg_has_the_mean_of_iwae_and_less_noise(perturb):
    """For every parameter of model and guide; u_t depends on the model, so its gradient has a path through q too."""
    model, x, y, guide, _ = affine_problem(perturb, replicas=250)
    iwae, dreg = (replicated(o(num_particles=4), model, guide, x, y) for o in (IWAE, DReG))
    error = ((iwae.var(0) + dreg.var(0)) / 50).sqrt()
    assert ((iwae.mean(0) - dreg.mean(0)).abs() <= 4 * error).all()
    assert (dreg.mean(0).abs() > 4 * dreg.std(0) / 50**0.5).double().mean() > 0.6  # most are far from zero
    chosen = of_guide(model, guide) & (iwae.std(0) > 0)
    if perturb == 0.05:  # near the exact guide, where it is meant to help
        assert (dreg.std(0) < iwae.std(0))[chosen].double().mean() > 0.8
        assert dreg.var(0)[chosen].sum() < 0.5 * iwae.var(0)[chosen].sum()


def test_dreg_of_an_exact_guide_has_no_noise():
    model, x, y, guide, truth = affine_problem(replicas=20)
    value, grads = gradients(DReG(num_particles=4), model, guide, x, y)
    close(value, -20 * truth.item(), 1e-8)
    for name, grad in grads.items():
        if name.startswith("guide."):
            assert grad.abs().max() < 1e-9, name
    _, noisy = gradients(IWAE(num_particles=4), model, guide, x, y)
    assert noisy["guide.q_bias"].abs().max() > 1e-2


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_model_gradient_of_an_exact_guide_is_that_of_the_evidence(objective):
    model, x, y, guide, _ = affine_problem(replicas=250)
    grads = replicated(objective(num_particles=3), model, guide, x, y, groups=50)
    error = (grads.mean(0) - evidence_gradient(model, guide, x[:1], y[:1])).abs()
    assert (error <= 4 * grads.std(0) / 50**0.5 + 1e-9).all()


class Moved(Guide):
    """The prior, moved and stretched: a guide through which gradients could reach the model."""

    def __init__(self, model):
        super().__init__(model)
        self.q_shift, self.q_stretch = nn.Parameter(torch.randn(D)), nn.Parameter(torch.tensor(1.3))

    def posterior(self, u, y, prior, t):
        return dist.Normal(prior.mean + self.q_shift, prior.stddev * self.q_stretch).to_event(2)


def law_of_concat(guide, u, y, p):
    q = guide.q_head(torch.cat([u, guide.q_embed(y).expand_as(u)], -1)).base_dist
    return q.loc, q.scale


def law_of_moved(guide, u, y, p):
    return p.loc.detach() + guide.q_shift, p.scale.detach() * guide.q_stretch


@pytest.mark.parametrize("guide_of, law_of", [(None, law_of_concat), (Moved, law_of_moved)])
@pytest.mark.parametrize("num_grad_steps", [1, 3])
def test_rws_gradients_by_hand(num_grad_steps, guide_of, law_of):
    """-sum_k v_k grad log p(y, z_k) for the model, -sum_k v_k grad log q(z_k | u, y) for the guide, u and p numbers."""
    model, guide = program(num_grad_steps=num_grad_steps)
    guide = guide_of(model) if guide_of else guide
    x, y = batch()
    _, grads = gradients(RWS(num_particles=5), model, guide, x, y)
    drawn = [guide.trace.nodes[f"z_{t}"]["value"] for t in range(3)]
    assert not any(z.requires_grad for z in drawn)
    e, state = model.embed(x), model.core.init(model.embed(x))
    log_p, log_q = 0, 0
    for t, z in enumerate(drawn):
        with torch.set_grad_enabled(t >= 3 - num_grad_steps):
            state = model.core.predict(e, state)
        p = model.prior(state.h, t).base_dist
        loc, scale = law_of(guide, state.h.detach(), y, p)
        log_p = log_p + dist.Normal(p.loc, p.scale).log_prob(z).sum((-1, -2))
        log_q = log_q + dist.Normal(loc, scale).log_prob(z).sum((-1, -2))
        state = model.core.perturb(state, z)
    log_p = log_p + model.readout(state).log_prob(y)
    share = (log_p - log_q).detach().softmax(0)
    for loss, part, module in ((-(share * log_p).sum(), "model", model), (-(share * log_q).sum(), "guide", guide)):
        by_hand = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)
        for (name, _), grad in zip(module.named_parameters(), by_hand, strict=True):
            close(grads[f"{part}.{name}"], grad, 1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("objective", [IWAE, DReG])
def test_the_guides_gradient_is_exact_from_one_step_less_than_transitions(objective):
    """With T - 1 steps it is that with all, and with fewer it is another; then, and only then, a warning says so."""
    grads = {}
    for steps in (1, 2, 3):
        torch.manual_seed(0)
        model, guide = program(num_grad_steps=steps)
        x, y = batch()
        if steps == 1:
            with pytest.warns(UserWarning, match="got num_grad_steps=1 with.*biased;.*write num_grad_steps=2 or"):
                _, grads[steps] = gradients(objective(num_particles=3), model, guide, x, y)
        else:
            _, grads[steps] = gradients(objective(num_particles=3), model, guide, x, y)
    by_guide = [name for name in grads[1] if name.startswith("guide.")]
    for name in by_guide:
        close(grads[2][name], grads[3][name])
    assert any((grads[1][name] - grads[3][name]).abs().max() > 1e-3 for name in by_guide)
