"""Legends lie under their axis and cover no curve."""

import re

import pytest
import torch
from scripts import ROOT

from gram_pyro.evaluation.metrics import Tally
from gram_pyro.plots.style import legend_below, plt
from gram_pyro.plots.trial import width_figure


def covers(axis):
    """Whether the legend of an axis reaches into it, or into its label."""
    axis.figure.canvas.draw()
    legend = axis.get_legend().get_window_extent()
    return legend.overlaps(axis.get_window_extent()) or legend.overlaps(axis.xaxis.label.get_window_extent())


@pytest.mark.parametrize("height", [2.5, 6])
@pytest.mark.parametrize("lines", [2, 3])
def test_a_legend_covers_neither_the_axis_nor_its_label(height, lines):
    figure, axes = plt.subplots(1, 2, figsize=(8, height), layout="constrained")
    for axis in axes:
        for name in ("one", "another"):
            axis.plot([0, 1], [0, 1], label=name)
        axis.set_xlabel("segments")
        axis.set_xticks([0, 1], ["0\n(3)" if lines == 3 else "0", "1"])
        legend_below(axis, lines)
    assert not any(covers(axis) for axis in axes)
    plt.close(figure)


def test_the_figure_of_a_run_shows_its_curves(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(plt, "close", kept.append)
    label = torch.randint(8, (20, 30))
    result = Tally((torch.rand(20, 30) > 0.8).long(), label, torch.full((30,), 8.0))
    width_figure({"GRAM": result, "deterministic": result}, tmp_path / "a.png", "puzzles")
    (figure,) = kept
    monkeypatch.undo()
    assert len(figure.axes) == 3 and not any(covers(axis) for axis in figure.axes)
    plt.close(figure)


def test_no_figure_has_a_legend_of_its_own_place():
    for file in (ROOT / "gram_pyro" / "plots").glob("*.py"):
        if file.name != "style.py":
            found = re.findall(r"(\w+)\.legend\(", file.read_text(encoding="utf-8"))
            assert set(found) <= {"figure"}, file  # that of a figure is loc="outside ..."
