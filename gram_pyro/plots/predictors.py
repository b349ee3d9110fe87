"""The figure of predictors of validity: a row per predictor, a mark per set of puzzles."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from gram_pyro.plots.style import BLACK, BLUE, GREEN, ORANGE, RED, legend_below, plt

MARKS = [(BLUE, "o"), (RED, "s"), (GREEN, "D"), (ORANGE, "^")]


def predictors_figure(rows: Sequence[Mapping], path: Path) -> None:
    """AUROC of predictors, pooled and within puzzles; bars are one standard error.

    Rows have: test, solutions (mean number), predictor, auroc, auroc_se, within, within_se.
    """
    names = list(dict.fromkeys(row["predictor"] for row in rows))
    tests = list(dict.fromkeys(row["test"] for row in rows))
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 0.5 * len(names) + 1.6), layout="constrained", sharey=True)
    for i, test in enumerate(tests):
        mine = {row["predictor"]: row for row in rows if row["test"] == test}
        color, marker = MARKS[i % len(MARKS)]
        label = f"{test}: {mine[names[0]]['solutions']:.3g} solutions on average"
        for axis, key in zip(axes, ("auroc", "within"), strict=True):
            at = [names.index(name) + 0.2 * (i - (len(tests) - 1) / 2) for name in mine]
            values, errors = (
                [math.nan if row[column] is None else row[column] for row in mine.values()]
                for column in (key, f"{key}_se")
            )
            axis.errorbar(values, at, xerr=errors, color=color, marker=marker, ls="", ms=5, capsize=2, label=label)
    for axis, title in zip(axes, ("over all puzzles", "among the answers of one puzzle"), strict=True):
        axis.axvline(0.5, color=BLACK, lw=0.8, ls=":")
        axis.set(xlabel="AUROC of validity (0.5: chance)", title=title)
        axis.grid(alpha=0.3)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    legend_below(axes[0])
    figure.savefig(path, dpi=150)
    plt.close(figure)
