"""Trajectories of one puzzle drawn: planes, endings and entropies by hand, and figures that show what came."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from gram_pyro.plots import trajectories as plots_trajectories
from gram_pyro.plots.inference import COLORS, GREY
from gram_pyro.plots.trajectories import Plane, cell_entropy, endings, paths_figure, principal_plane, split_figure


@pytest.fixture
def figures(monkeypatch):
    """The figures closed by a test; the file must be there when its figure is closed."""
    caught = []
    monkeypatch.setattr(plots_trajectories.plt, "close", caught.append)
    yield caught
    monkeypatch.undo()
    plt.close("all")


def test_the_plane_is_that_of_the_covariance():
    h = torch.randn(4, 3, 2, 5) * torch.tensor([3.0, 0.1, 2.0, 0.2, 0.1]) + 7
    flat = h.reshape(12, 10).numpy()
    variance, direction = np.linalg.eigh(np.cov(flat.T))  # of channels, where the code takes that of states
    expected = (flat - flat.mean(0)) @ direction[:, [-1, -2]]
    plane = principal_plane(h)
    assert plane.coordinates.shape == (4, 3, 2)
    assert plane.share.tolist() == pytest.approx((variance[[-1, -2]] / variance.sum()).tolist())
    found = plane.coordinates.reshape(12, 2).numpy()
    for axis in range(2):  # an axis has no sign
        np.testing.assert_allclose(found[:, axis] * np.sign(found[0, axis] * expected[0, axis]), expected[:, axis])


def test_states_that_lie_in_a_plane_keep_their_distances():
    points = torch.randn(6, 2)
    axes, _ = torch.linalg.qr(torch.randn(12, 2))
    plane = principal_plane((points @ axes.T + 3).view(6, 4, 3))
    assert plane.share.sum().item() == pytest.approx(1)
    torch.testing.assert_close(torch.cdist(plane.coordinates, plane.coordinates), torch.cdist(points, points))


def test_two_states_span_no_plane():
    with pytest.raises(ValueError, match="got 2 states; expected 3 or more for a plane; give more trajectories"):
        principal_plane(torch.randn(2, 4, 3))


def test_endings_by_hand():
    answers = torch.tensor([[1, 2], [3, 4], [1, 2], [5, 5], [3, 4], [3, 4], [9, 9], [5, 5]])
    right = torch.tensor([True, True, True, False, True, True, True, False])
    assert endings(answers, right).tolist() == [1, 0, 1, -1, 0, 0, 2, -1]
    assert endings(answers, torch.zeros(8, dtype=torch.bool)).tolist() == [-1] * 8


def test_cell_entropy_by_hand():
    answers = torch.tensor([[0, 2, 1], [0, 2, 1], [0, 1, 2], [0, 1, 1]])
    quarter = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert cell_entropy(answers, 3).tolist() == pytest.approx([0, math.log(2), quarter])
    assert cell_entropy(torch.stack([answers, 0 * answers]), 3).sum(-1).tolist() == pytest.approx(
        [math.log(2) + quarter, 0]
    )


def test_paths_figure(tmp_path, figures):
    coordinates = torch.arange(12.0).view(2, 3, 2)
    plane = Plane(coordinates, torch.tensor([0.6, 0.3]))
    larger = Plane(10 * coordinates, plane.share)
    panels = {"one": (plane, torch.tensor([0, -1, 0])), "other": (larger, torch.tensor([2, 2, 2]))}
    paths_figure(panels, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    one, other = figures[0].axes
    assert (one.get_title(), one.get_xlabel(), one.get_ylabel()) == (
        "one",
        "component 1 (60% of variance)",
        "component 2 (30% of variance)",
    )
    drawn = {
        tuple(map(tuple, line.get_xydata())): line.get_color() for line in one.get_lines() if len(line.get_xdata())
    }
    assert drawn == {((0, 1), (6, 7)): COLORS[0], ((2, 3), (8, 9)): GREY, ((4, 5), (10, 11)): COLORS[0]}
    assert [text.get_text() for text in one.get_legend().texts] == ["wrong: 1", "solution 1: 2"]
    assert [text.get_text() for text in other.get_legend().texts] == ["solution 3: 3"]
    first, last = one.collections[2], one.collections[3]  # of the solution, after the wrong one
    assert first.get_offsets().tolist() == [[0, 1], [4, 5]] and last.get_offsets().tolist() == [[6, 7], [10, 11]]
    assert one.get_xlim() == other.get_xlim()


def test_split_figure(tmp_path, figures):
    entropy = torch.rand(8, 9)
    split_figure(entropy, torch.arange(8), 50, 3, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    total, right, *boards, bar = figures[0].axes
    assert total.get_lines()[0].get_ydata().tolist() == pytest.approx(entropy.sum(1).tolist())
    assert right.get_lines()[0].get_ydata().tolist() == list(range(8))
    assert right.get_ylabel() == "right answers of 50" and "nats" in bar.get_ylabel()
    assert [board.get_title() for board in boards] == [f"segment {n}" for n in (1, 2, 3, 5, 8)]
    for board, segment in zip(boards, (1, 2, 3, 5, 8), strict=True):
        image = board.get_images()[0]
        np.testing.assert_allclose(image.get_array(), entropy[segment - 1].view(3, 3))
        assert image.get_clim() == (0, entropy.max().item())


def test_split_figure_of_one_segment_on_which_all_agree(tmp_path, figures):
    split_figure(torch.zeros(1, 4), torch.tensor([3]), 3, 2, tmp_path / "figure.png")
    assert [axis.get_title() for axis in figures[0].axes if axis.get_images()] == ["segment 1"]
