"""The delayed guide knows its segment: in training, in evidence, and when a trajectory starts."""

import pyro.distributions as dist
import pytest
import torch
from oracle import law_from_start, linear_gram, log_evidence
from small_guides import MEAN_FIELD, TRACE, concat
from tiny import B, D, L, batch, close, program, shake

from gram_pyro.evaluation.evidence import guided_filter, log_weights
from gram_pyro.networks.heads import Heads
from gram_pyro.tasks.base import Batch
from gram_pyro.training.importance import RWS, DReG
from gram_pyro.training.learner import TrainSettings
from gram_pyro.training.trainer import Trainer
from guides.bootstrap import Bootstrap
from guides.delayed import Delayed


def delayed(num_segments, **options):
    model, _ = program(**options)
    return model, shake(Delayed(model, concat, num_segments))


def test_delayed_is_the_prior_and_then_the_inner_guide():
    model, guide = delayed(2)
    u, y = torch.randn(B, L, D), batch()[1]
    prior = model.prior(u, 0)
    for segment in range(4):
        law = guide.posterior_in(segment, u, y, prior, 0)
        if segment < 2:
            assert law is prior
        else:
            close(law.mean, guide.q_inner.posterior(u, y, prior, 0).mean)


@pytest.mark.filterwarnings("ignore:got num_grad_steps=1 with objective dreg")
@pytest.mark.parametrize(
    "objective", [MEAN_FIELD, TRACE, DReG(num_particles=2), RWS(num_particles=2)], ids=lambda o: type(o).__name__
)
def test_delayed_knows_the_segment_in_training(local_params, objective):
    """DReG runs the program twice per segment and RWS asks the guide once more: a count of calls would be wrong."""
    model, guide = delayed(2)
    settings = TrainSettings(updates=8, num_segments=4, batch_size=4, rollout_share=0.5, precision="fp32")
    trainer = Trainer(model, guide, Heads(D), objective, settings)
    seen, posterior = [], guide.posterior_in

    def watched(segment, u, y, prior, t):
        law = posterior(segment, u, y, prior, t)
        seen.append((segment, law is prior))
        return law

    guide.posterior_in = watched
    x, y = batch(4)
    for _ in range(2):
        record = trainer.train_on(Batch(x, y, y[:, None], torch.ones(4, 1, dtype=torch.bool)))
    per_segment = len(seen) // 8
    assert [s for s, _ in seen] == [s for _ in range(2) for s in range(4) for _ in range(per_segment)]
    assert all(is_prior == (segment < 2) for segment, is_prior in seen)
    assert (record["kl"] > 0).all()


def test_delayed_knows_the_segment_in_evidence():
    """Weights of a trajectory whose guide is the prior for m segments, on the oracle: those segments weigh nothing, a
    guide that is exact afterwards leaves the evidence unbiased, and chunks do not count as segments."""
    model = linear_gram(num_transitions=2, readout_scale=0.8)
    x = torch.randint(3, (3, 2))
    mean, variance = law_from_start(model, x, num_segments=2)
    y = (mean + 0.7 * variance.sqrt() * torch.randn(3, 2)).detach()
    guide = Delayed(model, Bootstrap, 1)
    for chunk in (7, 1024):
        weights = log_weights(model, guide, x, y, 400, 2, chunk=chunk)
        truth = log_evidence(model, x, y, num_segments=2)
        estimate = weights.exp()
        assert ((estimate.mean(0) - truth.exp()).abs() < 4.5 * estimate.std(0) / 20).all()
    segments, posterior = [], guide.posterior_in

    def watched(segment, *args):
        segments.append(segment)
        return posterior(segment, *args)

    guide.posterior_in = watched
    guided_filter(model, guide, x, y, 4, 3, chunk=5)
    assert segments == [s for s in range(3) for _ in range(2 * 3)]  # 12 rows are 3 chunks


def test_delayed_evidence_is_that_of_the_inner_guide_from_where_it_starts():
    """A trajectory with m = 1 of N = 2: the weight is p(y | h) p / q of the last segment alone."""
    model, guide = delayed(1, num_transitions=2)
    x, y = batch()
    ratios, posterior = [], guide.posterior_in

    def watched(segment, u, y, prior, t):
        law = posterior(segment, u, y, prior, t)
        z = law.rsample()
        ratios.append(prior.log_prob(z) - law.log_prob(z))
        return dist.Delta(z, law.log_prob(z), event_dim=2)

    guide.posterior_in = watched
    particles = guided_filter(model, guide, x, y, 5, 2, threshold=0.0)
    assert all(r.eq(0).all() for r in ratios[:2]) and all((r != 0).all() for r in ratios[2:])
    answer = model.readout(particles.cloud.state).log_prob(y.repeat(5, 1))
    close(particles.log_weights, (answer + sum(ratios)).view(5, 3))


def test_the_segment_comes_with_the_call_and_stays_with_no_one():
    model, guide = delayed(1)
    x, y = batch()
    guide(x, y, None, 3)
    assert (guide.kl() > 1e-3).all()
    guide(x, y, guide.final_state())
    assert guide.kl().eq(0).all()  # a first one, unless something else is said
    guide(x, y, state=guide.final_state(), segment=1)
    assert (guide.kl() > 1e-3).all()


def test_only_a_guide_that_acts_on_the_segment_depends_on_it():
    model, guide = delayed(1)
    assert guide.depends_on_segment and not guide.q_inner.depends_on_segment
