"""One training step: the program against the same maths by hand, and where gradients are cut."""

from contextlib import contextmanager

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from tiny import D, batch, close, parameters, program, relations, seeded_loss, swiglu

from gram_pyro.training.objectives import Balanced_ELBO, ChargeOnly, Surrogate, segment_loss

OBJECTIVES = [Balanced_ELBO(), TraceMeanField_ELBO(), Trace_ELBO(), Surrogate(Balanced_ELBO()), Surrogate(Trace_ELBO())]


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
