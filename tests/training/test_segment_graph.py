"""Segments as CUDA graphs: what goes in is what a segment would see; on a GPU, the same losses, noise included."""

from functools import partial

import pyro
import pytest
import torch
from members import given, members
from pyro.infer import TraceMeanField_ELBO
from tiny import D, V, program, relational
from tiny_trainer import ragged, trainer_of
from torch.utils._python_dispatch import TorchDispatchMode

import gram_pyro.priors
import guides
import guides.categorical
import guides.denoising
from gram_pyro.guide import Guide
from gram_pyro.networks.canvas import Canvas
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.networks.heads import Heads
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.priors.base import Prior
from gram_pyro.priors.categorical import Categorical
from gram_pyro.priors.denoising import Denoising
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.priors.student_t import StudentT
from gram_pyro.tasks.base import Batch
from gram_pyro.training import cuda_graph as segment_graph
from gram_pyro.training.batch_parts import Part
from gram_pyro.training.cuda_graph import WARM_UP, SegmentGraph, advance, begin, padded
from gram_pyro.training.objectives import Balanced_ELBO, MeanField_ELBO
from gram_pyro.training.rollout_losses import Cover, MultiSample, Set
from gram_pyro.training.trainer import Rows, Trainer, TrainSettings
from guides.concat import Concat
from guides.delayed import Delayed


@pytest.mark.parametrize("count, wanted", [(1, 1), (2, 2), (3, 4), (5, 8), (9, 16)])
def test_padding_changes_no_probability(count, wanted):
    model, _ = program(relational, readout=CategoricalReadout)
    x, solutions = torch.randint(V, (4, 4)), torch.randint(V, (4, count, 4))
    valid = torch.rand(4, count) < 0.7
    valid[:, 0] = True
    batch = padded(Batch(x, solutions[:, 0], solutions, valid))
    assert batch.solutions.shape == (4, wanted, 4) and batch.valid.shape == (4, wanted)
    state = model.start(x)
    each = [model.readout.log_prob_of_set(state, None, *lists) for lists in ((solutions, valid), batch[2:])]
    torch.testing.assert_close(*each)


def test_a_trajectory_begins_where_it_would(local_params):
    """From the state that `begin` makes, the loss of a segment is that of one without a state."""
    trainer, batch = trainer_of(), ragged(8)
    losses = []
    for prepared in (False, True):
        rows = Rows(trainer, batch, Part(0, 1))
        if prepared:
            begin(rows)
        pyro.set_rng_seed(3)
        losses.append(rows.advance(0).item())
    assert losses[0] == losses[1]


class Played:
    """What a recording does, without a graph: the sequence that was recorded, and no other."""

    def __init__(self, trainer, rows, segment, *_):
        self.trainer, self.segment, self.recorded = trainer, segment, rows.rollouts.valid.shape

    def replay(self, rows):
        assert self.recorded == rows.rollouts.valid.shape
        return advance(self.trainer, rows, self.segment)


def without_gpu(trainer):
    graph = object.__new__(SegmentGraph)
    graph.trainer, graph.recordings, graph.warm, graph.stream, graph.pool = trainer, {}, WARM_UP, None, None
    return graph


@pytest.mark.parametrize("num_segments, rollout_loss, count", [(1, Set(), 1), (5, MultiSample(), 1), (3, Cover(), 2)])
def test_a_trainer_that_leaves_its_segments_to_a_graph_computes_the_same(
    num_segments, rollout_loss, count, local_params, monkeypatch
):
    """The heads see the same states, all steps are counted, and there are no more recordings than kinds of segments."""
    monkeypatch.setattr(segment_graph, "record", Played)
    records = []
    for graph in (None, without_gpu):
        pyro.set_rng_seed(0)
        trainer = trainer_of(num_segments=num_segments, rollouts_per_puzzle=2, rollout_loss=rollout_loss)
        trainer.graph = graph and graph(trainer)
        records.append([trainer.train_on(ragged(8)) for _ in range(2)])
        assert trainer.updates == 2 * num_segments
    assert len(trainer.graph.recordings) == count
    for one, two in zip(*records, strict=True):
        assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


class NoLook(TorchDispatchMode):
    """What a recording does not allow on a GPU: a look at a number."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        assert "_local_scalar_dense" not in operation.name(), "a number was looked at"
        return operation(*args, **(kwargs or {}))


def no_number(*args, device=None, make=torch.tensor, **kwargs):
    assert device is None, f"{args} is brought to a device"
    return make(*args, **kwargs)


def program_with(part):
    """With the prior or guide `part`, and what it needs beside it."""
    model, guide = program(relational, num_transitions=2, readout=CategoricalReadout, shaken=False)
    fill = {"dim": D, "inner": Gaussian(D) if issubclass(part, Prior) else partial(Concat, dim=D)}
    if part in (Denoising, guides.denoising.Denoising):
        inner, model.prior = model.core, Denoising(D, 6, V - 1)
        model.core = Canvas(lambda **_: inner, TokenEmbedding, D, V - 1)
        return model, guides.denoising.Denoising(model)
    discrete = part in (Categorical, guides.categorical.Categorical)
    if issubclass(part, Prior) or discrete:
        model.prior = Categorical(D) if discrete else part(**given(part, **fill))
    if issubclass(part, Guide) or discrete:
        guide = (guides.categorical.Categorical if discrete else part)(model, **given(part, **fill))
    return model, guide


@pytest.mark.parametrize("part", [*members(gram_pyro.priors, Prior), *members(guides, Guide)])
def test_a_segment_looks_at_no_number_and_brings_none(part, local_params, monkeypatch):
    settings = TrainSettings(100, num_segments=2, batch_size=8, rollout_share=0.25, precision="fp32", warmup=1)
    monkeypatch.setattr(torch.nn.functional, "one_hot", lambda x, n: torch.eye(n)[x])  # torch's looks on a CPU alone
    with pyro.validation_enabled(False):
        trainer = Trainer(*program_with(part), Heads(D, 6), MeanField_ELBO(), settings)
        rows = Rows(trainer, ragged(8), Part(0, 1))
        begin(rows)
        advance(trainer, rows, 0)
        monkeypatch.setattr(torch, "tensor", no_number)
        if part is StudentT:  # torch's chi-squared law does
            with pytest.raises(AssertionError, match="is brought to a device"), NoLook():
                advance(trainer, rows, 0)
        else:
            with NoLook():
                advance(trainer, rows, 0)


def test_what_fails_while_it_is_recorded_is_told(monkeypatch, local_params):
    def fails(*args):
        assert not pyro.distributions.is_validation_enabled()  # it looks at every number
        try:
            raise RuntimeError("Cannot copy between CPU and CUDA tensors\nand more")
        finally:
            raise RuntimeError("CUDA error: a recording was spoilt")

    monkeypatch.setattr(segment_graph, "Recording", fails)
    sentence = r"with the prior Gaussian and the guide Concat \(Cannot copy between CPU and CUDA tensors\); write"
    with pyro.validation_enabled(True), pytest.raises(ValueError, match=sentence):
        segment_graph.record(trainer_of(), None, 0, None, None)


def delay(trainer):
    trainer.guide = Delayed(trainer.model, lambda model: trainer.guide)


@pytest.mark.parametrize(
    "change, reason",
    [
        (
            {"objective": TraceMeanField_ELBO()},
            "the objective TraceMeanField_ELBO reads its value on the CPU in every step; mean_f",
        ),
        ({"implicit": object()}, "the task searches for solutions on the CPU"),
        ({"settings": TrainSettings(1, 1, 8, accumulate=2)}, "train.accumulate=2 is more than 1"),
        ({"settings": TrainSettings(1, 1, 8, relay=True)}, "train.relay=true replaces rows between segments"),
        (delay, "the guide Delayed depends on the segment"),
        ({}, "device=cpu has no CUDA graphs; a GPU is needed"),
    ],
)
def test_what_cannot_be_recorded_is_told(change, reason, local_params):
    trainer = trainer_of()
    change(trainer) if callable(change) else vars(trainer).update(change)
    with pytest.raises(ValueError, match=f"a segment cannot be a CUDA graph here: {reason}.*; write cuda_graph=false"):
        SegmentGraph(trainer)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("rollout_loss", [Set(), MultiSample(), Cover()])
def test_the_graph_computes_what_it_recorded(rollout_loss, local_params, single_precision):
    histories = []
    for graphed in (False, True):
        pyro.set_rng_seed(0)
        model, guide = program(relational, num_transitions=2, readout=CategoricalReadout, shaken=False)
        settings = TrainSettings(100, 5, 8, rollout_share=0.25, rollouts_per_puzzle=2, precision="fp32", warmup=1)
        parts = [part.cuda() for part in (model, guide, Heads(8, 6))]
        trainer = Trainer(*parts, Balanced_ELBO(), settings, rollout_loss)
        if graphed:
            trainer.graph = SegmentGraph(trainer)
        pyro.set_rng_seed(1)
        records = [trainer.train_on(ragged(8).to(torch.device("cuda"))) for _ in range(4)]
        histories.append(torch.stack([torch.stack([r[name] for name in sorted(r) if name != "kl"]) for r in records]))
    torch.testing.assert_close(*histories)
