"""Overrides of numbers, sensible and not: a program that is built, trains and answers, or one sentence."""

import pyro
import pytest
import torch
from fuzzing import fuzz_reader
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from hypothesis import strategies as st
from killed import CONF, CPU, OPTIONS
from omegaconf import OmegaConf

from gram_pyro.harness.build import build_learner
from gram_pyro.harness.check_config import check_settings, leaves


def composed(*overrides):
    with initialize_config_dir(str(CONF), version_base=None):
        return compose("svi_sudoku", overrides=[*OPTIONS, "run_dir=x", *overrides])


PLAIN = composed()
NUMBERS = {
    place: value
    for place, _, value in leaves(OmegaConf.to_container(PLAIN, resolve=True))
    if isinstance(value, int | float) and not isinstance(value, bool) and place != "evaluate.widths"
}


def changed(**values):
    config = PLAIN.copy()
    for place, value in values.items():
        OmegaConf.update(config, place.replace("__", "."), value)
    return config


def test_what_is_shipped_passes():
    check_settings(PLAIN)
    check_settings(changed(core__hidden=None, evaluate__num_puzzles=None, train__beta=0, train__learning_rate=1))


@pytest.mark.parametrize(
    ("place", "values", "sentence"),
    [
        ("dim", (0, -1, 2.5, "many", None, True, float("nan")), "write a whole number, 1 or more"),
        ("evaluate.chunk", (0, -1, 0.5), "write a whole number, 1 or more"),
        ("evaluate.widths", ([1, 0], [1.5], []), "write a list [...], not empty, each a whole number, 1 or more"),
        ("evaluate.depths", ([], [0], None, 4), "write a list [...], not empty, each a whole number, 1 or more"),
        ("evaluate.num_inpainted", (0, 0.5), "write a whole number, 1 or more"),
        ("evaluate.halt_at", (0, 1, 2.5, "sure"), "write a probability between 0 and 1, or null to run to full depth"),
        ("evaluate.baseline_deviations", ([0.1, 0], [-1], "few"), "each a number above 0, or null for no baseline"),
        ("train.num_segments", (0, -3, 1.5, float("inf")), "write a whole number, 1 or more"),
        ("core.hidden", (0, -1, 0.5), "write a whole number, 1 or more, or null to be as wide as dim"),
        ("seed", (-1, 0.5, None), "write a whole number, 0 or more"),
        ("task.num_train", (-1, 1.5, None), "write a whole number, 0 or more"),
        ("train.beta", (-0.1, float("nan"), float("inf"), None, "half"), "or: linear from 0 to 1 over 1000 updates"),
        ("train.weight_decay", (-0.1, float("inf"), None), "write a number, 0 or more"),
        ("evaluate", (None, "abc", True), "write keys and their values, {KEY: VALUE}"),
        ("baselines.deterministic", (1, "abc"), "write keys and their values, {KEY: VALUE}, or null to leave it out"),
        ("compile", (0, "yes", None), "write true or false"),
        ("run_dir", (2026, None, ""), "write text"),
        ("task.max_solutions", ([1], "many", True), "write a whole number, 1 or more"),
        ("task.several_share", ("half", {"a": 1}), "write a number from 0 to 1"),
        ("core.mixer", (1, "abc", None), "or a part, {_target_: MODULE.CLASS, ...}"),
        ("core._target_", (1, None, "???"), "write text"),
        ("core._target_", ("gram_pyro.a.B", "abc"), "which is not the name of a class or function; write MODULE.CLASS"),
        ("prior.dim", (8,), "with dim=16; leave it out, all parts have one width"),
    ],
)
def test_a_number_that_makes_no_sense_is_one_sentence(place, values, sentence):
    for value in values:
        config = changed()
        OmegaConf.update(config, place, value, force_add=True)
        with pytest.raises(ValueError, match=rf"^got {place}=") as told:
            check_settings(config)
        assert str(told.value).endswith(sentence)


@pytest.fixture(scope="module")
def task():
    return instantiate(PLAIN.task)


WORDS = ["nan", "inf", "-inf", "null", "true", "text", "1e-9", "0.5", "-0.5", "1.5"]
VALUE = st.one_of(st.integers(1, 6), st.integers(1, 6), st.integers(-3, 6), st.sampled_from(WORDS))


NONSENSE = {"nan", "inf", "-inf", "text", "-0.5", *map(str, range(-3, 0))}  # for every number there is


@fuzz_reader(
    24,
    read=0.25,
    refused=0.25,
    overrides=st.dictionaries(st.sampled_from(sorted(NUMBERS)), VALUE, min_size=1, max_size=2),
)
def test_any_override_of_numbers_runs_or_is_refused(task, overrides):
    """From the command line to an answer, as an experiment does."""
    torch.set_default_dtype(torch.float32)
    pyro.enable_validation(False)
    try:
        with pyro.settings.context(module_local_params=True):
            config = composed(*(f"{place}={value}" for place, value in overrides.items()))
            check_settings(config)
            if any(place.startswith("task.") for place in overrides):
                task = instantiate(config.task)
            learner = build_learner(config, task, CPU)
            batches = task.batches(config.train.batch_size, torch.Generator().manual_seed(config.seed))
            record = learner.train_on(next(batches))
            assert all(torch.isfinite(value).all() for value in record.values())
            x = task.train.x[:2]
            answers = learner.sample(x, 2, config.evaluate.num_segments, chunk=config.evaluate.chunk).answers
            assert answers.shape == (2, *x.shape) and NONSENSE.isdisjoint(map(str, overrides.values())), overrides
            return True
    except (ValueError, InstantiationException) as problem:
        told = problem.__cause__ if isinstance(problem, InstantiationException) else problem
        assert isinstance(told, ValueError) and any(place.rpartition(".")[2] in str(told) for place in overrides), told
        return False
    finally:
        torch.set_default_dtype(torch.float64)
        pyro.enable_validation(True)
