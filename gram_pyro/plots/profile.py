"""Metrics against a property of the puzzles."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
from torch import Tensor

from gram_pyro.evaluation.metrics import standard_error
from gram_pyro.plots.style import STYLES, legend_below

MOST_BINS = 6


def bins(measure: Tensor) -> list[Tensor]:
    """Indices of puzzles [B] in at most MOST_BINS bins of about equal size, lowest measure first. Puzzles with equal
    measure are in one bin."""
    order = measure.double().argsort(stable=True)
    ranked = measure[order]
    cuts = {int((ranked < ranked[len(order) * i // MOST_BINS]).sum()) for i in range(1, MOST_BINS)} - {0}
    return list(order.tensor_split(sorted(cuts)))


def profile_figure(
    measures: Mapping[str, Tensor], metrics: Mapping[str, Tensor], title: str, path: Path
) -> list[dict[str, object]]:
    """A panel per measure [B], of all metrics [B] by its bins, with bars of two standard errors.

    Returns: one row per measure and bin: its bounds, the number of puzzles, means and standard errors.
    """
    rows = []
    figure, axes = plt.subplots(1, len(measures), figsize=(5 * len(measures), 3.6), layout="constrained", squeeze=False)
    for axis, (name, measure) in zip(axes[0], measures.items(), strict=True):
        parts = bins(measure)
        bounds = [(measure[part].min().item(), measure[part].max().item()) for part in parts]
        for part, (low, high) in zip(parts, bounds, strict=True):
            row = {"measure": name, "from": low, "to": high, "num_puzzles": len(part)}
            for metric, value in metrics.items():
                row |= {metric: value[part].mean().item(), f"{metric}_se": standard_error(value[part])}
            rows.append(row)
        mine = [row for row in rows if row["measure"] == name]
        for metric, (color, style) in zip(metrics, STYLES, strict=False):
            heights, errors = [r[metric] for r in mine], [2 * r[f"{metric}_se"] for r in mine]
            axis.errorbar(range(len(mine)), heights, errors, fmt=f"o{style}", color=color, capsize=2, label=metric)
        names = [f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, high in bounds]
        axis.set_xticks(range(len(mine)), [f"{n}\n({len(p)})" for n, p in zip(names, parts, strict=True)], fontsize=8)
        axis.set(xlabel=f"{name} (puzzles)", ylabel="share right", ylim=(-0.03, 1.03))
        axis.grid(alpha=0.3)
        legend_below(axis, label_lines=3)
    figure.suptitle(f"{title} (bars: 2 standard errors over puzzles)", fontsize=10)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return rows
