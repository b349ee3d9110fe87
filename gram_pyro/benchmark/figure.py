"""The table of the benchmark as bars: one panel per group, every bar compared with the first of its group."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from gram_pyro.benchmark.clock import Line
from gram_pyro.plots.style import BLUE, ORANGE, plt

COLUMNS = 3


def benchmark_figure(lines: Sequence[Line], path: Path) -> None:
    """One panel per group of lines; the number beside a bar is its ratio to the first bar (orange)."""
    groups = [(name, list(members)) for name, members in groupby(lines, lambda line: line.group)]
    rows = -(-len(groups) // COLUMNS)
    heights = [max(len(m) for _, m in groups[COLUMNS * r : COLUMNS * r + COLUMNS]) + 3 for r in range(rows)]
    figure, axes = plt.subplots(
        rows,
        COLUMNS,
        figsize=(15, 0.27 * sum(heights)),
        layout="constrained",
        squeeze=False,
        gridspec_kw={"height_ratios": heights},
    )
    for axis in axes.flat[len(groups) :]:
        axis.remove()
    for axis, (name, members) in zip(axes.flat, groups, strict=False):
        values = [line.value for line in members]
        colors = [ORANGE if line.ratio == 1 else BLUE for line in members]
        bars = axis.barh([line.way for line in members], values, color=colors)
        axis.bar_label(bars, [f"{line.ratio:.2f}" for line in members], padding=3, fontsize=8)
        axis.set(title=name, xlabel=members[0].unit, xlim=(0, 1.15 * max(values)))
        axis.invert_yaxis()
        axis.tick_params(axis="y", labelsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)
