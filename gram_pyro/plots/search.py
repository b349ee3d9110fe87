"""The cost of a search, and its failures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from gram_pyro.evaluation.hazard import Law
from gram_pyro.inference.search import Found
from gram_pyro.plots.style import BLUE, GREEN, RED, legend_below


def search_figure(
    rows: Sequence[Mapping],
    found: Found,
    difficulty: tuple[str, Tensor] | None,
    laws: Sequence[Law],
    title: str,
    path: Path,
) -> None:
    """Share solved against the limit and against the mean number drawn; tries of every puzzle against its difficulty.

    Args: rows with keys limit, solved, solved_se, trajectories; difficulty: its name and numbers [B], or None;
    laws, drawn beside the first.
    """
    figure, axes = plt.subplots(1, 1 + (difficulty is not None), figsize=(9, 3.6), layout="constrained", squeeze=False)
    first, shares, errors = axes[0, 0], [r["solved"] for r in rows], [2 * r["solved_se"] for r in rows]
    first.errorbar([r["limit"] for r in rows], shares, errors, fmt="o-", color=BLUE, capsize=2, label="at most K")
    first.plot([r["trajectories"] for r in rows], shares, "s--", color=GREEN, label="on average, until solved or K")
    limits = torch.arange(1, max(r["limit"] for r in rows) + 1)
    for law, style in zip(laws, ("-", "--", ":"), strict=False):
        tested = "" if law.p_value is None else f", p = {law.p_value:.1g}"
        first.plot(limits, 1 - law.unsolved(limits), style, color=RED, lw=1, label=f"forgets, {law.name}{tested}")
    first.set(xscale="log", ylim=(-0.03, 1.03), xlabel="trajectories per puzzle", ylabel="share of puzzles solved")
    legend_below(first)
    if difficulty is not None:
        name, numbers = difficulty
        for solved, color, marker, label in ((True, BLUE, "o", "solved"), (False, RED, "x", "not solved")):
            if (mine := found.solved == solved).any():
                axes[0, 1].scatter(
                    1 + numbers[mine], found.tries[mine], s=14, c=color, marker=marker, label=label, alpha=0.7
                )
        axes[0, 1].set(xscale="log", yscale="log", xlabel=f"1 + {name}", ylabel="trajectories until solved")
        legend_below(axes[0, 1])
    for axis in axes[0]:
        axis.grid(alpha=0.3)
    figure.suptitle(f"{title} (bars: 2 standard errors over puzzles)", fontsize=10)
    figure.savefig(path, dpi=150)
    plt.close(figure)
