"""Figures: what is drawn is what came. The axes are caught before the figure is closed."""

import matplotlib.pyplot as plt
import pytest
import torch

from gram_pyro.inference.trajectories import History
from gram_pyro.inference.weights import ess
from gram_pyro.plots import inference as plots_inference
from gram_pyro.plots.inference import calibration_figure, coverage_figure, lineage, particles_figure, scaling_figure


@pytest.fixture
def axes(monkeypatch):
    """The axes of the figures closed by a test; the file must be there when its figure is closed."""
    caught = []
    monkeypatch.setattr(plots_inference.plt, "close", lambda figure: caught.extend(figure.axes))
    yield caught
    monkeypatch.undo()
    plt.close("all")


def lines(axis):
    return {line.get_label(): line for line in axis.get_lines()}


def test_calibration_figure(tmp_path, axes):
    confidence = torch.tensor([0.1, 0.1, 0.9, 0.9])
    right = torch.tensor([False, True, True, True])
    calibration_figure({"vote": (confidence, right), "other": (right.double(), right)}, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    dots = axes[0].collections[0].get_offsets().tolist()
    assert dots == [pytest.approx([0.1, 0.5]), pytest.approx([0.9, 1.0])]
    assert "vote (error 0.250)" in lines(axes[0])
    curve = lines(axes[1])["vote"]
    assert curve.get_xdata().tolist() == [0.5, 1.0] and curve.get_ydata().tolist() == [1.0, 0.75]


def test_scaling_figure_draws_the_line_through_the_best(tmp_path, axes):
    def row(select, num_particles, num_segments, accuracy):
        return {
            "sampler": "smc",
            "select": select,
            "num_particles": num_particles,
            "num_segments": num_segments,
            "transitions": 3.0 * num_particles * num_segments,
            "accuracy": accuracy,
            "accuracy_se": 0.01,
        }

    rows = [row("vote", 8, 2, 0.7), row("vote", 1, 4, 0.5), row("vote", 2, 8, 0.8), row("vote", 4, 4, 0.6)]
    scaling_figure([*rows, row("draw", 1, 4, 0.4)], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    drawn = {box.get_label(): box for box in axes[0].containers}
    assert set(drawn) == {"smc, vote", "smc, draw"}
    line, points = drawn["smc, vote"].lines[0], axes[0].get_lines()
    assert list(line.get_ydata()) == [0.5, 0.8]
    assert list(line.get_xdata()) == pytest.approx([12, 48], rel=0.1)
    assert any(sorted(p.get_ydata()) == [0.5, 0.6, 0.7, 0.8] for p in points)
    assert axes[0].get_xscale() == "log"


def test_coverage_figure(tmp_path, axes):
    coverage_figure({"smc": [(4, 0.5, 0.02), (1, 0.2, 0.01)]}, [(1, 0.25), (4, 0.7)], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    drawn = lines(axes[0])
    assert drawn["smc"].get_xydata().tolist() == [[1, 0.2], [4, 0.5]]
    assert drawn["perfect sampler"].get_xydata().tolist() == [[1, 0.25], [4, 0.7]]
    band = axes[0].collections[0].get_datalim(axes[0].transData)
    assert (band.y0, band.y1) == pytest.approx((0.18, 0.54))


ANCESTORS = torch.tensor([[0, 0, 2], [1, 1, 2], [0, 1, 2]])  # after segment 1, 1 dies; after segment 2, 0 dies


def test_lineage_by_hand():
    expected = [[True, False, True], [False, True, True], [True, True, True]]
    assert lineage(ANCESTORS).tolist() == expected


def test_particles_figure(tmp_path, axes):
    log_weights = torch.randn(3, 3, 2)
    history = History(log_weights, torch.stack([torch.arange(3).expand(3, 3), ANCESTORS], -1))
    particles_figure(history, 1, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    drawn = lines(axes[0])
    assert drawn["effective sample size"].get_ydata().tolist() == pytest.approx(ess(log_weights[..., 1].T).tolist())
    assert list(drawn["K = 3"].get_ydata()) == [3, 3]
    dead, kept = ({tuple(p.vertices.flatten().tolist()) for p in c.get_paths()} for c in axes[1].collections[:2])
    assert dead == {(1, 0, 2, 0)}
    assert kept == {(1, 0, 2, 1), (1, 2, 2, 2), (2, 1, 3, 0), (2, 1, 3, 1), (2, 2, 3, 2)} | {
        (3, k, 4, k) for k in range(3)
    }
    assert "2 of the first 3" in axes[1].get_title()
