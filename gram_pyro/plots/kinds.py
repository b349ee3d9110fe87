"""What one set of weights is worth on many kinds of puzzles.

Source: ours.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gram_pyro.plots.style import BLUE, ORANGE, plt


def kinds_figure(rows: Sequence[Mapping], width: int, path: Path) -> None:
    """Write a .png: per kind the share of right trajectories, and of puzzles that any of `width` solves; a panel per
    table, in the order of `rows`."""
    tables = list(dict.fromkeys(row["table"] for row in rows))
    counts = [sum(row["table"] == table for row in rows) for table in tables]
    size = (7.0, 1.0 + 0.27 * sum(counts) + 0.4 * len(tables))
    figure, axes = plt.subplots(
        len(tables), 1, figsize=size, layout="constrained", sharex=True, squeeze=False, height_ratios=counts
    )
    for axis, table in zip(axes.flat, tables, strict=True):
        mine = [row for row in rows if row["table"] == table][::-1]
        places = range(len(mine))
        axis.barh(places, [100 * row["any"] for row in mine], color=ORANGE, height=0.7, label=f"any of {width}")
        axis.barh(places, [100 * row["right"] for row in mine], color=BLUE, height=0.35, label="one trajectory")
        axis.set_yticks(places, [row["kind"] for row in mine])
        axis.set_title(table, loc="left", fontsize=10)
    axes[-1, 0].set(xlim=(0, 100), xlabel="right, %")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=120)
    plt.close(figure)
