"""The benchmark's instruments against what is known: a sleep, another sum, a machine without /proc."""

import sys
import time

import pytest
import torch
from tiny_trainer import ragged, trainer_of

from gram_pyro.benchmark import clock as clock_module
from gram_pyro.benchmark import stages, step
from gram_pyro.benchmark.clock import compared, now, take_turns
from gram_pyro.benchmark.memory import peak
from gram_pyro.training.trainer import Rows

CPU = torch.device("cpu")
BOUND = Rows.guided_loss


@pytest.mark.parametrize(("threads", "counts"), [(1, False), (2, True)])
def test_waiting_counts_on_several_threads_only(monkeypatch, threads, counts):
    """One thread is timed by its own work: others may have the machine meanwhile."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    start = now(CPU)
    time.sleep(0.2)
    assert (now(CPU) - start >= 0.2) == counts


def test_ways_take_turns_under_the_same_seeds_and_medians_are_of_what_follows_the_warmup(monkeypatch):
    clock, log = [0.0], []
    monkeypatch.setattr(clock_module, "now", lambda device: clock[0])

    def way(name, seconds):
        def work():
            log.append((name, torch.initial_seed()))
            clock[0] += next(seconds)

        return work

    ways = {"a": way("a", iter([100.0, 1.0, 5.0, 2.0])), "b": way("b", iter([9.0, 9.0, 8.0, 7.0]))}
    assert take_turns(ways, 1, 3, CPU) == {"a": 2.0, "b": 8.0}
    assert log == [(name, repeat) for repeat in range(4) for name in "ab"]
    assert [line.ratio for line in compared("g", {"a": 2.0, "b": 8.0}, "s")] == [1, 4]


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_peak_memory_is_that_of_what_was_allocated():
    small, large = (peak(lambda size=size: torch.ones(size, dtype=torch.uint8), CPU) for size in (1, 400 << 20))
    assert 360 < large - small < 460  # a busy machine may take pages of the libraries back in between


def test_peak_memory_elsewhere_than_on_linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(OSError, match="read from /proc, which darwin does not have; write memory=null"):
        peak(lambda: None, CPU)


def test_ways_that_do_other_maths_are_not_compared(local_params, monkeypatch):
    trainer, batch = trainer_of(0.0), ragged(8)
    guided, rollout = step.WAYS["Pyro"]
    monkeypatch.setattr(step, "WAYS", {"one": (guided, rollout), "same": (guided, rollout)})
    step.check_same_maths(trainer, batch, 0)
    twice = lambda *arguments: 1.01 * guided(*arguments)  # noqa: E731
    monkeypatch.setitem(step.WAYS, "other", (twice, rollout))
    with pytest.raises(ValueError, match="expected equal ones, of the same maths"):
        step.check_same_maths(trainer, batch, 0)


def test_a_stage_within_another_stops_its_clock(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(stages, "now", lambda device: clock[0])

    def wait(seconds):
        clock[0] += seconds

    watch = stages.Stopwatch(CPU)
    wait(1)
    with watch.stage("outer"):
        wait(2)
        watch.timed("inner", wait)(4)
        with pytest.raises(ValueError), watch.stage("inner"):
            wait(8)
            raise ValueError
        wait(16)
    wait(32)
    watch.turn()
    assert watch.seconds == {stages.REST: 33, "outer": 18, "inner": 12}


def test_every_stage_of_training_is_seen_and_none_changes_it(local_params):
    torch.manual_seed(0)
    trainer, other = trainer_of(), trainer_of()
    other.program.load_state_dict(trainer.program.state_dict())
    torch.manual_seed(1)
    batch = ragged(8)
    lines = stages.measure_stages("as it is", trainer, iter([batch, batch]), 1, 1, CPU)
    torch.manual_seed(1)
    ragged(8)
    for _ in range(2):
        other.train_on(batch)
    for a, b in zip(trainer.program.parameters(), other.program.parameters(), strict=True):
        assert torch.equal(a, b)
    whole, *parts = lines
    assert len({line.way for line in parts}) == 14 and all(line.value > 0 for line in parts)
    assert sum(line.ratio for line in parts) == pytest.approx(1) and whole.ratio == 1
    assert Rows.guided_loss is BOUND and "predict" not in vars(trainer.model.core)  # nothing is watched any more
