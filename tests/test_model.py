"""The program: gradients, independence, shapes, and equality with a step written by hand in plain PyTorch."""

from contextlib import contextmanager

import pyro
import pyro.distributions as dist
import pytest
import torch
from oracle import Exact, linear_gram, log_evidence
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
from tiny import MIXERS, B, D, L, V, batch, mixing, parameters, program, relational, relations, rotary, shake
from torch.nn import functional as F

from gram_pyro.core import Hierarchical, State
from gram_pyro.embed import TokenEmbedding
from gram_pyro.layers import Block, RelationalAttention, RotaryAttention, TokenMixing
from gram_pyro.model import GRAM
from gram_pyro.objectives import Balanced_ELBO, ChargeOnly, Surrogate, segment_loss, set_loss
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.priors.noiseless import Noiseless
from gram_pyro.readout import CategoricalReadout
from gram_pyro.tasks.base import Batch
from gram_pyro.train import Trainer, TrainSettings, decay_groups
from guides.bootstrap import Bootstrap
from guides.concat import Concat

OBJECTIVES = [Balanced_ELBO(), TraceMeanField_ELBO(), Trace_ELBO(), Surrogate(Balanced_ELBO()), Surrogate(Trace_ELBO())]


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=tolerance, check_dtype=False)


def seeded_loss(objective, model, guide, *args, seed=1):
    torch.manual_seed(seed)
    return objective.differentiable_loss(model, guide, *args)


# ---- the whole step, by hand


def swiglu(p, name, x):
    gate, up = (x @ p[f"{name}.gate_up.weight"].T).chunk(2, -1)
    return (gate * gate.sigmoid() * up) @ p[f"{name}.down.weight"].T


def rms(x):
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def attend(p, name, x, matrices, heads=2):
    """Relational attention, one head and one relation at a time."""
    size = x.shape[-1] // heads
    wq, wk, wv = p[f"{name}.qkv.weight"].chunk(3)
    out = []
    for i in range(heads):
        rows = slice(i * size, (i + 1) * size)
        scores = (x @ wq[rows].T) @ (x @ wk[rows].T).transpose(-1, -2) / size**0.5
        for r, matrix in enumerate(matrices):
            scores = scores + p[f"{name}.bias"][i, r] * matrix
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        out.append(weights @ (x @ wv[rows].T))
    return torch.cat(out, -1) @ p[f"{name}.out.weight"].T


def network(p, name, x):
    """One block: mix, norm, SwiGLU, norm."""
    y = rms(x + attend(p, f"{name}.0.mixer", x, relations(2).double()))
    return rms(y + swiglu(p, f"{name}.0.ffn", y))


def gaussian(p, name, x, initial=0.3):
    shift = torch.tensor(initial - 1e-3).expm1().log()
    return swiglu(p, f"{name}.loc", x), 1e-3 + (1 + (swiglu(p, f"{name}.raw_scale", x) + shift).exp()).log()


def log_normal(z, loc, scale):
    return (-0.5 * ((z - loc) / scale) ** 2 - scale.log() - 0.5 * torch.tensor(2 * torch.pi).log()).sum()


def step_by_hand(p, h0, l0, x, y, num_transitions, num_grad_steps, kind):
    """The loss in plain PyTorch; p maps names to parameters."""
    e = D**0.5 * p["model.embed.table.weight"][x]
    target = D**0.5 * p["guide.q_embed.table.weight"][y]
    h, low = h0.expand_as(e), l0.expand_as(e)
    charge = 0.0
    for t in range(num_transitions):
        base, k = h, low
        for _ in range(2):
            k = network(p, "model.core.low", k + base + e)
        u = network(p, "model.core.high", base + k)
        low = k
        if t < num_transitions - num_grad_steps:
            u, low = u.detach(), low.detach()
        mp, sp = gaussian(p, "model.prior.head", u)
        mq, sq = gaussian(p, "guide.q_head", torch.cat([u, target], -1))
        z = mq + sq * torch.normal(torch.zeros(mq.shape), torch.ones(mq.shape))
        if kind == "sampled":
            charge = charge + log_normal(z, mq, sq) - log_normal(z, mp, sp)
        else:
            kl = [
                ((b / a.detach() if side else b.detach() / a).log())
                + ((a.detach() if side else a) ** 2 + ((m.detach() if side else m) - (n if side else n.detach())) ** 2)
                / (2 * (b if side else b.detach()) ** 2)
                - 0.5
                for side, a, m, b, n in ((True, sq, mq, sp, mp), (False, sq, mq, sp, mp))
            ]
            charge = charge + (kind * kl[0] + (1 - kind) * kl[1]).sum()
        h = u + z
    logits = h @ p["model.readout.logits.weight"].T
    return charge - (logits - logits.logsumexp(-1, keepdim=True)).gather(-1, y[..., None]).sum()


@pytest.mark.parametrize(
    "objective, kind", [(Trace_ELBO(), "sampled"), (Balanced_ELBO(balance=0.8), 0.8), (Balanced_ELBO(balance=0.5), 0.5)]
)
@pytest.mark.parametrize("num_grad_steps", [1, 2, 3])
def test_a_step_equals_the_same_maths_in_plain_pytorch(objective, kind, num_grad_steps):
    model, guide = program(num_transitions=3, num_grad_steps=num_grad_steps)
    x, y = batch()
    named = parameters(model, guide)
    loss = seeded_loss(objective, model, guide, x, y)
    torch.manual_seed(1)
    by_hand = step_by_hand(named, model.core.h0, model.core.l0, x, y, 3, num_grad_steps, kind)
    close(loss, by_hand)
    actual = torch.autograd.grad(loss, list(named.values()))
    expected = torch.autograd.grad(by_hand, list(named.values()))
    for name, a, b in zip(named, actual, expected, strict=True):
        assert b.abs().max() > 0, name
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8, msg=lambda text, name=name: f"{name}: {text}")


# ---- truncation


@pytest.mark.parametrize("objective", [Balanced_ELBO(), Trace_ELBO(), Surrogate(Balanced_ELBO())])
def test_truncation_changes_gradients_and_not_the_value(objective):
    pyro.set_rng_seed(5)
    model, guide = program(num_transitions=3)
    x, y = batch()
    core = list(model.core.parameters())
    losses, grads = [], []
    for steps in (1, 2, 3):
        model.num_grad_steps = steps
        losses.append(seeded_loss(objective, model, guide, x, y))
        grads.append(torch.cat([g.flatten() for g in torch.autograd.grad(losses[-1], core)]))
    close(losses[1], losses[0])
    close(losses[2], losses[0])
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert (grads[a] - grads[b]).abs().max() > 1e-6


@contextmanager
def no_answer():
    """Mask the likelihood, so that what is left is the KL."""

    class Mute(poutine.messenger.Messenger):
        def _pyro_sample(self, msg):
            if msg["name"] == "y":
                msg["mask"] = False

    with Mute():
        yield


@pytest.mark.parametrize("num_grad_steps", [1, 2])
@pytest.mark.parametrize("charged", [0, 1, 2])
def test_heads_learn_at_every_transition_and_the_core_only_at_the_last(charged, num_grad_steps):
    model, guide = program(num_transitions=3, num_grad_steps=num_grad_steps)
    x, y = batch()
    with no_answer(), ChargeOnly(f"z_{charged}"):
        loss = seeded_loss(TraceMeanField_ELBO(), model, guide, x, y)
    for head in (model.prior, guide.q_head):
        assert all(g.abs().max() > 0 for g in torch.autograd.grad(loss, list(head.parameters()), retain_graph=True))
    core = torch.autograd.grad(loss, [*model.core.parameters(), model.embed.table.weight], allow_unused=True)
    reaches = [g is not None and g.abs().max() > 0 for g in core]
    assert all(reaches) if charged >= 3 - num_grad_steps else not any(reaches)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("num_transitions", [1, 4])
def test_one_core_call_per_transition(objective, num_transitions):
    model, guide = program(num_transitions=num_transitions)
    x, y = batch()
    predict, calls = model.core.predict, []

    def counted(e, state):
        calls.append(torch.is_grad_enabled())
        return predict(e, state)

    model.core.predict = counted
    loss, _ = segment_loss(objective, model, guide, x, y, None)
    loss.backward()
    assert calls == [False] * (num_transitions - 1) + [True]


def test_no_graph_where_gradients_are_off():
    model, _ = program()
    with torch.no_grad():
        assert not model(batch()[0]).h.requires_grad


# ---- independence and shapes


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
            values[f"kl_{t}"] = torch.distributions.kl_divergence(guide_trace.nodes[f"z_{t}"]["fn"], model_trace.nodes[f"z_{t}"]["fn"])
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
    """In a model without noise in the guide's laws the two could differ only by bookkeeping; use the oracle's exactness."""
    model = linear_gram(num_transitions=1)
    x, y = torch.randint(3, (4, 2)), torch.randn(4, 2)
    elbo = Surrogate(Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1))
    close(elbo.differentiable_loss(model, Exact(model), x, y), -log_evidence(model, x, y).sum())


# ---- both ways of training move every parameter


def unmoved(before, named):
    return [name for name, p in named.items() if torch.equal(before[name], p)]


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("loss", [Trace_ELBO(), TraceMeanField_ELBO(), Balanced_ELBO()])
def test_stock_svi_moves_every_parameter(mixer, loss):
    model, guide = program(mixer, num_transitions=2, readout=CategoricalReadout, shaken=False)
    x, y = torch.arange(V).repeat(L, 1).T.contiguous(), torch.arange(V).repeat(L, 1).T.contiguous()
    named = parameters(model, guide)
    before = {name: p.detach().clone() for name, p in named.items()}
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), loss)
    losses = [svi.step(x, y) for _ in range(4)]
    assert all(torch.isfinite(torch.tensor(losses)))
    assert unmoved(before, named) == []
    assert len(pyro.get_param_store()) == len(named)  # nothing shared by name


def ragged(size):
    x, y = torch.arange(size)[:, None].expand(size, L) % V, torch.randint(V, (size, L))
    return Batch(x, y, torch.stack([y, (y + 1) % V], 1), torch.ones(size, 2, dtype=torch.bool))


def trainer_of(free_share=0.25, mixer=relational, objective=None, size=8, **options):
    model, guide = program(mixer, num_transitions=2, readout=CategoricalReadout, shaken=False)
    settings = dict(updates=100, num_segments=2, batch_size=size, free_share=free_share, weight_decay=0.0, precision="fp32", warmup=1)
    return Trainer(model, guide, objective or Balanced_ELBO(), TrainSettings(**(settings | options)))


@pytest.mark.parametrize("free_share", [0.0, 0.25])
@pytest.mark.parametrize("mixer", MIXERS)
def test_trainer_moves_every_parameter(local_params, mixer, free_share):
    trainer = trainer_of(free_share, mixer, ema=0.5)
    named = parameters(trainer.model, trainer.guide)
    average = parameters(trainer.averaged_model, trainer.ema.module["guide"])
    assert named.keys() == average.keys() and len(list(trainer.program.parameters())) == len(named)
    before = {name: p.detach().clone() for name, p in named.items()}
    records = [trainer.trajectory(ragged(8)) for _ in range(2)]
    assert unmoved(before, named) == [] and unmoved(before, average) == []
    assert trainer.updates == 4
    assert len(pyro.get_param_store()) == 0  # no name of a parameter leaves its module
    for record in records:
        assert record["kl"].shape == (2,) and ("set_loss" in record) == (free_share > 0)
        assert all(torch.isfinite(value).all() for value in record.values())


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_first_segment_of_the_trainer_is_the_weighted_loss(local_params, beta):
    """rho = 1/4: the guided rows are the last six, and the loss of a batch is the mean over its rows."""
    trainer = trainer_of(num_segments=1, beta=beta)
    shake(trainer.program)  # where it starts the KL is zero, and beta would not show
    data = ragged(8)
    seen = []
    trainer.step = lambda loss: seen.append(loss)
    torch.manual_seed(1)
    record = trainer.trajectory(data)
    torch.manual_seed(1)
    with torch.no_grad():
        trainer.guide(data.x[2:], data.y[2:], None)
        kl = trainer.guide.kl().sum()
        bound = beta * kl - trainer.model.readout(trainer.guide.final_state()).log_prob(data.y[2:]).mean()
        end = trainer.model(data.x[:2])
        law = trainer.model.readout(end)
        miss = -torch.logaddexp(law.log_prob(data.solutions[:2, 0]), law.log_prob(data.solutions[:2, 1])).mean()
    assert kl > 0.1
    close(record["loss"], bound, 1e-6)
    close(record["kl"].sum(), kl)
    close(record["set_loss"], miss, 1e-6)
    close(seen[0], (6 * bound + 2 * miss) / 8, 1e-6)


def test_segments_are_chained_through_the_detached_state(local_params, monkeypatch):
    """Guided and free rows start once from the initial state, and every later segment where their own last one ended."""
    trainer = trainer_of(num_segments=3)
    starts, ends = {"guided": [], "free": []}, {"guided": [], "free": []}

    def watch(kind, function, position):
        def watched(*args):
            starts[kind].append(args[position])
            loss, state = function(*args)
            ends[kind].append(state)
            return loss, state

        return watched

    monkeypatch.setattr("gram_pyro.train.segment_loss", watch("guided", segment_loss, 5))
    monkeypatch.setattr("gram_pyro.train.set_loss", watch("free", set_loss, 4))
    trainer.trajectory(ragged(8))
    for kind, rows in (("guided", 6), ("free", 2)):
        assert len(starts[kind]) == 3 and starts[kind][0] is None
        for end, start in zip(ends[kind], starts[kind][1:], strict=False):
            assert start is end and start.h.shape == (rows, L, D)
            assert not start.h.requires_grad and not start.l.requires_grad
        assert not torch.equal(ends[kind][0].h, ends[kind][1].h)


def test_bf16_step_keeps_laws_in_full_precision(local_params):
    torch.set_default_dtype(torch.float32)
    try:
        trainer = trainer_of(precision="bf16")
        record = trainer.trajectory(ragged(8))
        assert all(torch.isfinite(value).all() and value.dtype == torch.float32 for value in record.values())
        site = trainer.guide.trace.nodes["z_1"]
        assert site["value"].dtype == site["fn"].base_dist.scale.dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float64)


def test_learning_rate_warms_up_and_ends_at_zero(local_params):
    trainer = trainer_of(learning_rate=2.0, warmup=10, updates=110)
    rates = []
    for trainer.updates in range(111):
        rates.append(trainer.learning_rate())
    assert rates[:11] == pytest.approx([2.0 * (i + 1) / 11 for i in range(11)])
    assert rates[60] == pytest.approx(1.0) and rates[110] == pytest.approx(0.0, abs=1e-12)
    assert all(a >= b for a, b in zip(rates[10:], rates[11:], strict=False))


def test_only_matrices_decay():
    model, guide = program()
    decays, rest = decay_groups(torch.nn.ModuleDict({"model": model, "guide": guide}), 0.1)
    named = {id(p): name for name, p in parameters(model, guide).items()}
    free = {named[id(p)] for p in rest["params"]}
    assert free == {n for n in named.values() if n.endswith(("table.weight", ".bias"))} and len(free) == 4
    assert {named[id(p)] for p in decays["params"]} == set(named.values()) - free
    assert (decays["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)


def test_a_gradient_that_is_not_finite_stops_the_run(local_params):
    trainer = trainer_of()
    before = [p.detach().clone() for p in trainer.program.parameters()]
    loss = sum((p * float("inf")).sum() for p in trainer.program.parameters())
    with pytest.raises(FloatingPointError, match="at update 0; lower learning_rate or use precision=fp32"):
        trainer.step(loss)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.program.parameters(), strict=True))


# ---- misuse


@pytest.mark.parametrize("call", [(), (None,)])
def test_guide_without_a_solution(call):
    model, guide = program()
    with pytest.raises(ValueError, match=r"needs a solution and got none: call it as guide\(x, y\)"):
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
    with pytest.raises(ValueError, match=rf"num_grad_steps={steps} must be between 1 and num_transitions=3"):
        program(num_transitions=3, num_grad_steps=steps)


@pytest.mark.parametrize(
    "mixer, options, advice",
    [(RelationalAttention, {"num_heads": 3}, "multiple of 3"), (RotaryAttention, {"num_heads": 4}, "multiple of 8"),
     (RotaryAttention, {"num_heads": 3}, "multiple of 6")],
)
def test_heads_that_do_not_divide_the_width(mixer, options, advice):
    with pytest.raises(ValueError, match=rf"dim=20 does not split .* write a dim that is a {advice}"):
        mixer(20, L, relations(2), **options)


def test_relational_attention_without_relations():
    with pytest.raises(ValueError, match="needs the task's relation matrices, and this task has none"):
        RelationalAttention(D, L, None)


@pytest.mark.parametrize(
    "options, message",
    [({"free_share": 1.0}, "free_share=1.0 must be at least 0 and below 1"), ({"free_share": -0.1}, "free_share=-0.1"),
     ({"precision": "fp16"}, "precision='fp16' is unknown; write one of bf16, fp32")],
)
def test_train_settings_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        TrainSettings(updates=1, num_segments=1, batch_size=2, **options)


# ---- layers


@pytest.mark.parametrize("mixer", [relational, rotary, mixing, None])
def test_any_leading_dims(mixer):
    module = shake(mixer(D, L, relations(2)) if mixer else Block(D, 6, relational(D, L, relations(2))))
    x = torch.randn(2, 3, B, L, D)
    together = module(x)
    assert together.shape == x.shape
    for i in range(2):
        for j in range(3):
            for b in range(B):
                close(together[i, j, b], module(x[i, j, b]))


@pytest.mark.parametrize("mixer", MIXERS)
def test_core_takes_any_leading_dims(mixer):
    core = shake(Hierarchical(D, L, relations(2), mixer, num_layers=2, num_updates=3))
    e, state = torch.randn(2, B, L, D), State(torch.randn(2, B, L, D), torch.randn(2, B, L, D))
    together = core.predict(e, state)
    for i in range(2):
        for b in range(B):
            alone = core.predict(e[i, b], State(state.h[i, b], state.l[i, b]))
            close(together.h[i, b], alone.h)
            close(together.l[i, b], alone.l)
    start = core.init(e)
    assert start.h.shape == start.l.shape == e.shape and not torch.equal(start.h, start.l)


def board_permutation(side):
    """Shuffled rows and columns: a symmetry of the relations."""
    rows, columns = torch.randperm(side), torch.randperm(side)
    return (rows[:, None] * side + columns).flatten()


def core_discrepancy(mixer, permutation, side=3):
    core = shake(Hierarchical(D, side * side, relations(side), mixer, num_layers=2, num_updates=2, hidden=6))
    e, state = torch.randn(B, side * side, D), State(torch.randn(B, side * side, D), torch.randn(B, side * side, D))
    a = core.predict(e, state)
    b = core.predict(e[:, permutation], State(state.h[:, permutation], state.l[:, permutation]))
    return max((a.h[:, permutation] - b.h).abs().max().item(), (a.l[:, permutation] - b.l).abs().max().item())


def test_relational_core_is_equivariant_to_what_preserves_the_relations():
    for _ in range(3):
        assert core_discrepancy(relational, board_permutation(3)) < 1e-10
    swapped = torch.arange(9)
    swapped[[0, 4]] = swapped[[4, 0]]
    assert core_discrepancy(relational, swapped) > 1e-3  # breaks rows and columns


@pytest.mark.parametrize("mixer", [rotary, mixing])
def test_other_cores_know_positions(mixer):
    assert core_discrepancy(mixer, board_permutation(3)) > 1e-3


def test_rotary_scores_depend_on_the_distance_only():
    attention = RotaryAttention(8, 7, None, num_heads=1)
    q, k = attention.rotate(torch.randn(8).expand(7, 8)), attention.rotate(torch.randn(8).expand(7, 8))
    scores = q @ k.T
    for offset in range(-6, 7):
        diagonal = scores.diagonal(offset)
        close(diagonal, diagonal[:1].expand_as(diagonal))
    assert (scores[0, 1:] - scores[0, 0]).abs().min() > 1e-6
    close(q.norm(dim=-1), q.norm(dim=-1)[:1].expand(7))


def test_rotary_attention_by_hand():
    attention = shake(rotary(D, L, None))
    x = torch.randn(L, D)
    wq, wk, wv = attention.qkv.weight.chunk(3)
    turned, out = {}, []
    for i in range(2):
        rows = slice(4 * i, 4 * i + 4)
        for name, w in (("q", wq), ("k", wk)):
            v = x @ w[rows].T
            pairs = torch.complex(v[:, :2], v[:, 2:])
            angle = torch.arange(L)[:, None] * 1e4 ** (-torch.arange(2) / 2)
            turned[name] = pairs * torch.polar(torch.ones(L, 2), angle.double())
        scores = (turned["q"][:, None] * turned["k"].conj()[None]).real.sum(-1) / 2
        out.append(scores.softmax(-1) @ x @ wv[rows].T)
    close(attention(x), torch.cat(out, -1) @ attention.out.weight.T)


def test_token_mixing_by_hand_treats_channels_alike():
    module = shake(TokenMixing(D, L, None, hidden=6))
    x = torch.randn(L, D)
    columns = [swiglu(dict(module.named_parameters()), "net", x[:, c]) for c in range(D)]
    close(module(x), torch.stack(columns, -1))


def test_blocks_leave_unit_rms():
    x = Block(D, 6, relational(D, L, relations(2)))(torch.randn(B, L, D))
    close(x.square().mean(-1), torch.ones(B, L), 1e-4)


def test_initialisation():
    table = TokenEmbedding(2000, 16)
    x = table(torch.arange(2000)).detach()
    assert abs(x.var().item() - 1) < 4 * (2 / x.numel()) ** 0.5
    prior = Gaussian(D, 6, scale=0.3)
    law = prior(torch.randn(B, L, D), 0)
    assert law.batch_shape == (B,) and law.event_shape == (L, D)
    close(law.mean, torch.zeros(B, L, D))
    close(law.stddev, torch.full((B, L, D), 0.3))
    model, _ = program(shaken=False)
    close(Concat(model, D, 6, scale=0.3).posterior(torch.randn(B, L, D), batch()[1], law, 0).stddev, torch.full((B, L, D), 0.3))


def test_categorical_readout_by_hand():
    readout = CategoricalReadout(D, V)
    h, y = torch.randn(2, B, L, D), torch.randint(V, (B, L))
    law = readout(State(h, h))
    assert law.batch_shape == (2, B) and law.event_shape == (L,)
    logits = h @ readout.logits.weight.T
    expected = F.log_softmax(logits, -1).gather(-1, y.expand(2, B, L)[..., None]).squeeze(-1).sum(-1)
    close(law.log_prob(y), expected, 1e-5)
    assert torch.equal(readout.answer(State(h, h)), logits.argmax(-1))


def test_noiseless_prior_with_the_bootstrap_guide():
    """A point mass: the bound is the likelihood of one deterministic path, and its gradient is finite."""
    model, _ = program(prior=Noiseless())
    guide = Bootstrap(model)
    x, y = batch()
    for objective in (Trace_ELBO(), TraceMeanField_ELBO(), Balanced_ELBO()):
        loss = objective.differentiable_loss(model, guide, x, y)
        close(loss, -model.readout(model(x)).log_prob(y).sum())
        assert (guide.kl() == 0).all()
        loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("objective", [Balanced_ELBO(), TraceMeanField_ELBO(), Trace_ELBO()])
def test_bootstrap_guide_pays_no_kl(objective):
    model, _ = program()
    guide = Bootstrap(model)
    x, y = batch()
    loss = objective.differentiable_loss(model, guide, x, y)
    end = State(guide.upstream_value("h"), guide.upstream_value("l"))
    close(loss, -model.readout(end).log_prob(y).sum())
    close(guide.kl(), torch.zeros(3))


def test_a_prior_may_be_of_any_family():
    class HeavyTail(Gaussian):
        def forward(self, u, t):
            return dist.StudentT(4.0, u, torch.ones_like(u)).to_event(2)

    model, guide = program(prior=HeavyTail(D, 6))
    assert isinstance(model, GRAM)
    loss, _ = segment_loss(Trace_ELBO(), model, guide, *batch(), None)
    assert torch.isfinite(loss)
