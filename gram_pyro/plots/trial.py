"""Figures of a run."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from gram_pyro.evaluation.metrics import Tally, ceiling, per_puzzle, standard_error
from gram_pyro.plots.style import BLACK, STYLES, legend_below, plt


def read_table(path: Path) -> dict[str, list[float]]:
    """The columns of a metrics table."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def training_figure(tables: Mapping[str, Path], path: Path) -> None:
    """Losses, KL of every transition, and prior accuracy against updates, one line style per program."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.4), layout="constrained")
    for (name, file), (color, style) in zip(tables.items(), STYLES, strict=False):
        table = read_table(file)
        updates = table["updates"]
        axes[0].plot(updates, table["loss"], style, color=color, label=f"{name}: guided rows")
        for column in (c for c in table if c.endswith("_loss") and c != "heads_loss"):
            label = f"{name}: rollout rows, {column.removesuffix('_loss').replace('_', ' ')}"
            axes[0].plot(updates, table[column], style, color=color, alpha=0.45, label=label)
        for column in (c for c in table if c.startswith("kl_")):
            if any(table[column]):
                transition = int(column.removeprefix("kl_")) + 1
                axes[1].plot(
                    updates,
                    table[column],
                    STYLES[transition % 4][1],
                    color=STYLES[transition % 4][0],
                    label=f"{name}: t = {transition}",
                )
        axes[2].plot(updates, table["prior_accuracy"], style, color=color, label=name)
    axes[0].set(ylabel="loss (nats per puzzle)", yscale="log")
    axes[1].set(ylabel="KL of a transition (nats per puzzle)", yscale="log")
    axes[2].set(ylabel="accuracy of one prior trajectory", ylim=(0, 1.02))
    for axis in axes:
        axis.set_xlabel("updates")
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            legend_below(axis)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def width_figure(results: Mapping[str, Tally], path: Path, title: str) -> None:
    """Coverage, validity and distinct solutions against width, with the ceiling of a perfect sampler."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.4), layout="constrained")
    panels = (
        ("any", "any of K trajectories right"),
        ("coverage", "coverage of all solutions"),
        ("distinct", "distinct valid solutions"),
    )
    num_solutions = next(iter(results.values())).num_solutions
    widths = range(1, min(len(r.solved) for r in results.values()) + 1)  # whole answers have the last width only
    best = [ceiling(num_solutions, k) for k in widths]
    axes[1].plot(widths, [b.mean() for b in best], color=BLACK, lw=1, label="perfect sampler")
    axes[2].plot(widths, [(b * num_solutions).mean() for b in best], color=BLACK, lw=1, label="perfect sampler")
    for (name, result), (color, style) in zip(results.items(), STYLES, strict=False):
        at = result.widths(widths)
        curves = [per_puzzle(result, k) for k in at]
        for axis, (metric, _) in zip(axes, panels, strict=True):
            mean = [c[metric].mean().item() for c in curves]
            se = [2 * standard_error(c[metric], result.groups) for c in curves]
            axis.plot(at, mean, style, color=color, label=name, marker="o" if result.whole else None)
            axis.fill_between(
                at,
                [m - s for m, s in zip(mean, se, strict=True)],
                [m + s for m, s in zip(mean, se, strict=True)],
                color=color,
                alpha=0.2,
            )
    for axis, (_, label) in zip(axes, panels, strict=True):
        axis.set(xlabel="trajectories K", ylabel=label)
        axis.grid(alpha=0.3)
        legend_below(axis)
    axes[0].set_ylim(min(0.9, axes[0].get_ylim()[0]), 1.005)
    figure.suptitle(f"{title} (bands: 2 standard errors over puzzles)", fontsize=10)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def frontier_figure(table: Sequence[Mapping], path: Path) -> None:
    """Accuracy of one answer against coverage as a share of a perfect sampler's, per set of puzzles.

    Rows have: task, puzzles, method, accuracy, coverage, ceiling (per cent), their standard errors, and optionally a
    note beside the point. Points of one method look alike; those whose notes differ in a number are joined, also to the
    point without a note.
    """
    groups = sorted({(row["task"], row["puzzles"]) for row in table})
    methods = sorted({row["method"] for row in table})
    columns = min(3, len(groups))
    rows = -(-len(groups) // columns)
    width = 5.2 * columns + 2.6 * -(-len(methods) // (26 * rows))  # a column of the legend holds 26 lines in a row
    figure, axes = plt.subplots(rows, columns, figsize=(width, 4.2 * rows), layout="constrained", squeeze=False)
    for axis in axes.flat[len(groups) :]:
        axis.remove()
    entries = {}
    for axis, (task, puzzles) in zip(axes.flat, groups, strict=False):
        here = [row for row in table if (row["task"], row["puzzles"]) == (task, puzzles)]
        for index, method in enumerate(methods):
            mine = [row for row in here if row["method"] == method]
            if not mine:
                continue
            share = [100 * row["coverage"] / row["ceiling"] for row in mine]
            color = STYLES[index % 4][0]
            entries[method] = axis.errorbar(
                share,
                [row["accuracy"] for row in mine],
                xerr=[100 / row["ceiling"] * (row["coverage_se"] or 0) for row in mine],
                yerr=[row["accuracy_se"] or 0 for row in mine],
                fmt="osD^v*P<X"[index % 9],  # 9 and 4 share no factor: 36 methods look different
                color=color,
                capsize=2,
                label=method,
            )
            curves: dict[str, list[tuple[float, float]]] = {}
            for at, row in zip(share, mine, strict=True):
                note = row.get("note", "")
                axis.annotate(note, (at, row["accuracy"]), (4, 4), textcoords="offset points", fontsize=7)
                curves.setdefault(note.rstrip(".0123456789"), []).append((at, row["accuracy"]))
            plain = curves.pop("", [])
            for curve in curves.values() or [[]]:
                axis.plot(*zip(*plain, *curve, strict=True), color=color, lw=1)
        axis.axvline(100, color=BLACK, lw=1)
        axis.axhline(100, color=BLACK, lw=1)
        for low, high, limit in ((*axis.get_xlim(), axis.set_xlim), (*axis.get_ylim(), axis.set_ylim)):
            limit(low, min(high, 100 + (100 - low) / 20))
        axis.set(title=f"{task}: {puzzles}", xlabel="coverage, % of a perfect sampler's", ylabel="one answer right, %")
        axis.grid(alpha=0.3)
    handles = [entries[method] for method in methods]
    figure.legend(handles, methods, loc="outside right upper", fontsize=8, ncols=-(-len(methods) // (26 * rows)))
    figure.savefig(path, dpi=150)
    plt.close(figure)
