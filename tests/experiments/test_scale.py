"""The cost of a run, by counting: operations that can be computed by hand, and the formula of hours."""

import pytest
from hydra import initialize_config_dir
from scripts import CONF, experiment

SMALL = """
    task.n=4 task.num_train=8 task.num_test=0 +task.cache=null dim=16 core.num_layers=1 core.hidden=8
    core.mixer.num_heads=2 train.batch_size=24 train.updates=50 train.rollout_share=0
""".split()


def count(*overrides, rows=8):
    with initialize_config_dir(str(CONF), version_base=None):
        return experiment("scale").counted("svi_sudoku", [*SMALL, *overrides], rows)


def test_operations_hardly_depend_on_the_rows_they_are_counted_on(local_params, single_precision):
    """Puzzles list their solutions, and lists differ in length."""
    few, many = count(rows=8), count(rows=24)
    assert few["tflop"] == pytest.approx(many["tflop"], rel=0.01) and few["updates"] == 50
    assert count("train.batch_size=48")["tflop"] == pytest.approx(2 * few["tflop"], rel=1e-9)


def test_a_wider_hidden_layer_costs_its_products(local_params, single_precision):
    """Per row and cell: K + 1 SwiGLUs a transition, one transition of two with its gradient, twice the forward pass."""
    cells, dim, rows = 16, 16, 24
    more, few = (count(f"core.hidden={hidden}")["tflop"] * 1e12 for hidden in (24, 8))
    swiglu = 2 * cells * 3 * dim * (24 - 8)
    forward, watched = 2 * 3 * swiglu, 2 * 3 * swiglu / 8  # an eighth is rolled out for the heads, without a gradient
    backward = 2 * 3 * swiglu
    assert more - few == pytest.approx(rows * (forward + watched + backward), rel=0.02)


def test_hours_by_hand():
    work = {"updates": 3600, "tflop": 10.0, "parameters": 250e6}  # 1 GB of gradients
    hours = experiment("scale").hours
    assert hours(work, 1, 5.0, 1.0) == pytest.approx(2.0)
    assert hours(work, 4, 5.0, 1.0) == pytest.approx(0.5 + 1.5)  # 2 * 3/4 GB at 1 GB/s
