"""The program: independence of puzzles, sites, shapes, particles, and what is said on misuse."""

import pytest
import torch
from oracle import Exact, linear_gram, log_evidence
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from tiny import MIXERS, B, D, L, V, batch, close, program, relations

from gram_pyro.networks.core import State
from gram_pyro.networks.layers import RelationalAttention, RotaryAttention
from gram_pyro.priors.noiseless import Noiseless
from gram_pyro.training.objectives import Balanced_ELBO, Surrogate, segment_loss
from gram_pyro.training.trainer import TrainSettings

OBJECTIVES = [Balanced_ELBO(), TraceMeanField_ELBO(), Trace_ELBO(), Surrogate(Balanced_ELBO()), Surrogate(Trace_ELBO())]


@pytest.mark.parametrize("mixer", MIXERS)
def test_puzzles_of_a_batch_do_not_depend_on_each_other(mixer):
    model, guide = program(mixer)
    x, y = batch(4)

    def run(x, y):
        torch.manual_seed(2)
        guide(x, y)
        nodes = guide.trace.nodes
        law = model.readout(State(nodes["h"]["value"], nodes["l"]["value"]))
        model_trace, guide_trace = guide.get_traces()
        values = {name: site["value"].double() for name, site in guide.trace.nodes.items() if site["type"] == "sample"}
        values["lik"] = law.log_prob(y)
        for t in range(3):
            values[f"kl_{t}"] = torch.distributions.kl_divergence(
                guide_trace.nodes[f"z_{t}"]["fn"], model_trace.nodes[f"z_{t}"]["fn"]
            )
        return {n: v.detach() for n, v in values.items() if v.dim() and len(v) == 4}

    before = run(x, y)
    assert {"z_0", "z_2", "lik", "kl_0"} <= set(before)
    others = torch.tensor([0, 1, 3])
    for x2, y2 in ((x.clone(), y), (x, y.clone())):
        changed = x2 if y2 is y else y2
        changed[2] = (changed[2] + 1) % V
        after = run(x2, y2)
        for name, value in after.items():
            close(value[others], before[name][others])
        assert (after["z_2"][2] - before["z_2"][2]).abs().max() > 1e-3


@pytest.mark.parametrize("mixer", MIXERS)
def test_gradient_of_one_puzzle_stays_in_its_row(mixer):
    model, guide = program(mixer)
    x, y = batch(4)
    embeddings = []

    class Spy(torch.nn.Module):
        num_symbols = V

        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            embeddings.append(self.inner(x).detach().requires_grad_())
            return embeddings[-1]

    model.embed = Spy(model.embed)
    guide(x, y)
    model_trace, guide_trace = guide.get_traces()
    model_trace.compute_log_prob()
    guide_trace.compute_log_prob()
    bound = sum(model_trace.nodes[n]["log_prob"] for n in ("y", "z_0", "z_1", "z_2"))
    bound = bound - sum(guide_trace.nodes[f"z_{t}"]["log_prob"] for t in range(3))
    rows = torch.autograd.grad(bound[1], embeddings[-1])[0].abs().amax((-1, -2))
    assert rows[1] > 0 and (rows[[0, 2, 3]] == 0).all()


@pytest.mark.parametrize("num_transitions", [1, 3])
def test_site_names_and_shapes(num_transitions):
    model, guide = program(num_transitions=num_transitions)
    x, y = batch()
    steps = range(num_transitions)
    order = [f"{kind}_{t}" for t in steps for kind in "uz"] + ["h", "l", "y"]
    free = poutine.trace(model).get_trace(x)
    guided, answers = guide.get_traces() if guide(x, y) else None
    for trace, is_free in ((free, True), (guided, False)):
        sites = {n: s for n, s in trace.nodes.items() if s["type"] == "sample" and n != "puzzles"}
        assert list(sites) == order
        for name, site in sites.items():
            assert site["fn"].batch_shape == (B,), name
            assert site["fn"].event_shape == ((L,) if name == "y" else (L, D)), name
            assert site["value"].shape == ((B, L) if name == "y" else (B, L, D)), name
            assert [frame.name for frame in site["cond_indep_stack"]] == ["puzzles"], name
            latent = name.startswith("z_") or (name == "y" and is_free)
            assert site["is_observed"] is not latent, name
    assert [n for n, s in answers.nodes.items() if s["type"] == "sample"] == [f"z_{t}" for t in steps]
    last = num_transitions - 1
    close(free.nodes["h"]["value"], free.nodes[f"u_{last}"]["value"] + free.nodes[f"z_{last}"]["value"])
    assert (free.nodes["y"]["value"] >= 0).all() and (free.nodes["y"]["value"] < V).all()


@pytest.mark.parametrize("mixer", MIXERS)
def test_leading_particle_dims_of_the_state_run_side_by_side(mixer):
    model, _ = program(mixer, prior=Noiseless())
    x, _ = batch()
    start = State(torch.randn(2, 5, B, L, D), torch.randn(2, 5, B, L, D))
    end = model(x, state=start)
    assert end.h.shape == end.l.shape == (2, 5, B, L, D)
    for i in range(2):
        for k in range(5):
            alone = model(x, state=State(start.h[i, k], start.l[i, k]))
            close(end.h[i, k], alone.h)
            close(end.l[i, k], alone.l)


def test_leading_particle_dims_get_noise_of_their_own():
    model, _ = program()
    x, _ = batch()
    end = model(x, state=State(torch.zeros(4, B, L, D), torch.zeros(4, B, L, D)))
    noise = end.h.detach().flatten(0, 1).flatten(1)
    assert (torch.pdist(noise) > 1e-3).all()


@pytest.mark.parametrize("objective", [Trace_ELBO, TraceMeanField_ELBO, Balanced_ELBO])
@pytest.mark.parametrize("nesting", [{"max_plate_nesting": 1}, {}])
def test_vectorised_particles(objective, nesting):
    """Finite, and the mean over particles: with K equal the loop's expectation on the oracle."""
    model, guide = program()
    x, y = batch()
    elbo = objective(num_particles=3, vectorize_particles=True, **nesting)
    loss, state = segment_loss(elbo, model, guide, x, y, None)
    assert torch.isfinite(loss) and state.h.shape == (3, B, L, D)
    assert (state.h[0] - state.h[1]).abs().min() > 0
    loss, state = segment_loss(elbo, model, guide, x, y, state)
    assert torch.isfinite(loss) and state.h.shape == (3, B, L, D)
    assert guide.kl().shape == (3,)
    loss.backward()


def test_vectorised_surrogate_charges_what_the_looped_one_charges():
    """Without noise in the guide's laws the two could differ only by bookkeeping; use the oracle's exactness."""
    model = linear_gram(num_transitions=1)
    x, y = torch.randint(3, (4, 2)), torch.randn(4, 2)
    elbo = Surrogate(Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1))
    close(elbo.differentiable_loss(model, Exact(model), x, y), -log_evidence(model, x, y).sum())


@pytest.mark.parametrize("call", [(), (None,)])
def test_guide_without_a_solution(call):
    model, guide = program()
    with pytest.raises(ValueError, match=r"got no solution y; expected one, .*; write guide\(x, y\)"):
        guide(batch()[0], *call)


def test_guide_takes_y_by_name():
    model, guide = program()
    x, y = batch()
    torch.manual_seed(1)
    a = guide(x, y)["z_2"]
    torch.manual_seed(1)
    close(a, guide(x, y=y)["z_2"])


@pytest.mark.parametrize("steps", [0, 4, -1])
def test_num_grad_steps_out_of_range(steps):
    with pytest.raises(ValueError, match=rf"got num_grad_steps={steps}; expected a number from 1 to num_transitions=3"):
        program(num_transitions=3, num_grad_steps=steps)


@pytest.mark.parametrize(
    "mixer, options, advice",
    [
        (RelationalAttention, {"num_heads": 3}, "multiple of 3"),
        (RotaryAttention, {"num_heads": 4}, "multiple of 8"),
        (RotaryAttention, {"num_heads": 3}, "multiple of 6"),
    ],
)
def test_heads_that_do_not_divide_the_width(mixer, options, advice):
    with pytest.raises(ValueError, match=rf"got dim=20; expected num_heads=.* write a dim that is a {advice}"):
        mixer(20, L, relations(2), **options)


def test_relational_attention_without_relations():
    with pytest.raises(ValueError, match="got a task without relations; expected the relation matrices"):
        RelationalAttention(D, L, None)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rollout_share": 1.0}, "got rollout_share=1.0; expected 0 or more and below 1"),
        ({"rollout_share": -0.1}, "rollout_share=-0.1"),
        ({"precision": "fp16"}, "got precision='fp16'; expected a known one; write auto, bf16, fp32"),
    ],
)
def test_train_settings_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        TrainSettings(updates=1, num_segments=1, batch_size=2, **options)
