"""Figures of inference: calibration, accuracy against compute, coverage, and resampling."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, ScalarFormatter
from torch import Tensor

from gram_pyro.evaluation.calibration import calibration_error, reliability, risk_curve
from gram_pyro.inference.trajectories import History
from gram_pyro.inference.weights import ess, normalise
from gram_pyro.plots.style import BLACK, BLUE, GREEN, ORANGE, RED, legend_below, plt

SKY, PURPLE, GREY = "#56B4E9", "#CC79A7", "#BBBBBB"
COLORS, LINES, MARKERS = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK, "#8C564B"), ("-", "--", "-.", ":"), "osD^vPX*<>"


def style(color: int, line: int) -> dict[str, str]:
    """Colour, line and marker of a curve, by two indices from 0, which wrap around."""
    return {
        "color": COLORS[color % len(COLORS)],
        "linestyle": LINES[line % len(LINES)],
        "marker": MARKERS[line % len(MARKERS)],
    }


def powers_of_two(axis: Axes, values: Sequence[float]) -> None:
    """A logarithmic x axis with plain numbers as labels."""
    axis.set_xscale("log", base=2)
    low, high = min(values), max(values)
    ticks = [2**i for i in range(31) if low / 1.5 <= 2**i <= high * 1.5]
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(ScalarFormatter())


def calibration_figure(by_method: Mapping[str, tuple[Tensor, Tensor]], path: Path) -> None:
    """Reliability, and accuracy against the share answered, of methods by name: confidence [N] and right [N] bool."""
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 4.4), layout="constrained")
    axes[0].plot([0, 1], [0, 1], color=BLACK, lw=1, label="what is said is true")
    for i, (name, (confidence, right)) in enumerate(by_method.items()):
        look = style(i, i)
        bins = reliability(confidence, right)
        area = 15 + 185 * bins.count / len(confidence)
        error = calibration_error(confidence, right)
        axes[0].plot(bins.confidence, bins.accuracy, **look | {"marker": ""}, lw=1, alpha=0.6)
        dot = {"s": area, "color": look["color"], "marker": look["marker"], "edgecolors": "white", "lw": 0.5}
        axes[0].scatter(bins.confidence, bins.accuracy, **dot)
        axes[0].plot([], [], **look, ms=5, label=f"{name} (error {error:.3f})")
        curve = risk_curve(confidence, right)
        if len(curve.threshold) > 30:
            look["marker"] = ""
        axes[1].plot(curve.answered, curve.accuracy, **look, ms=4, label=name)
    axes[0].set(xlabel="confidence", ylabel="accuracy", xlim=(-0.02, 1.02), ylim=(-0.04, 1.04))
    axes[0].set_title("how many are right, by confidence; larger: more answers", fontsize=9)
    axes[1].set(xlabel="share of puzzles answered, most confident first", ylabel="accuracy among those answered")
    axes[1].set(xlim=(-0.02, 1.02))
    axes[1].set_title("what abstaining buys: the right end answers everything", fontsize=9)
    for axis in axes:
        axis.grid(alpha=0.3)
        legend_below(axis)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def scaling_figure(rows: Sequence[Mapping], path: Path) -> None:
    """Accuracy of the selected answer against the transitions that were run: a line per sampler and selection.

    Rows have: sampler, select, transitions (mean per puzzle, of halted trajectories until they halt), accuracy,
    accuracy_se. A line joins the points (depth, width) that no cheaper point beats; the others are faint.
    """
    figure, axis = plt.subplots(figsize=(9.5, 4.8), layout="constrained")
    strategies: dict[tuple[str, str], list[Mapping]] = {}
    for row in sorted(rows, key=lambda row: (row["transitions"], -row["accuracy"])):
        strategies.setdefault((row["sampler"], row["select"]), []).append(row)
    samplers, selections = (sorted(set(names)) for names in zip(*strategies, strict=True))
    for i, ((sampler, select), mine) in enumerate(sorted(strategies.items())):
        look = style(samplers.index(sampler), selections.index(select))
        shift = 1.015 ** (i - (len(strategies) - 1) / 2)  # so that error bars do not hide each other
        best = [r for n, r in enumerate(mine) if all(r["accuracy"] > cheaper["accuracy"] for cheaper in mine[:n])]
        at, accuracy, se = zip(
            *((r["transitions"] * shift, r["accuracy"], r["accuracy_se"]) for r in best), strict=True
        )
        axis.errorbar(at, accuracy, se, **look, ms=4.5, lw=1.3, elinewidth=1, capsize=2, label=f"{sampler}, {select}")
        at, accuracy = zip(*((r["transitions"] * shift, r["accuracy"]) for r in mine), strict=True)
        axis.plot(at, accuracy, **look | {"linestyle": ""}, ms=4.5, alpha=0.35, mew=0)
    powers_of_two(axis, [row["transitions"] for row in rows])
    axis.set(xlabel="transitions run per puzzle (all trajectories)", ylabel="accuracy of the one selected answer")
    axis.set_title("bars: 1 standard error over puzzles; faint: splits that a cheaper one equals or beats", fontsize=9)
    axis.grid(alpha=0.3)
    figure.legend(
        loc="outside right center", fontsize=8, title="sampler, selection", title_fontsize=8, handlelength=3.5
    )
    figure.savefig(path, dpi=150)
    plt.close(figure)


def coverage_figure(
    curves: Mapping[str, Sequence[tuple[int, float, float]]], ceiling: Sequence[tuple[int, float]], path: Path
) -> None:
    """Coverage of all solutions against K: (K, mean, standard error) of samplers by name, and (K, mean) of a perfect
    one."""
    figure, axis = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    axis.plot(*zip(*sorted(ceiling), strict=True), color=BLACK, lw=1.2, label="perfect sampler")
    for i, (name, points) in enumerate(curves.items()):
        widths, mean, se = torch.tensor(sorted(points), dtype=torch.float64).T
        look = style(i, i)
        axis.plot(widths, mean, **look, ms=4, label=name)
        axis.fill_between(widths, mean - 2 * se, mean + 2 * se, color=look["color"], alpha=0.2, lw=0)
    powers_of_two(axis, [point[0] for points in (ceiling, *curves.values()) for point in points])
    axis.set(xlabel="trajectories K", ylabel="share of all solutions found", ylim=(0, None))
    axis.set_title("coverage@K; bands: 2 standard errors over puzzles", fontsize=9)
    axis.grid(alpha=0.3)
    legend_below(axis)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def lineage(ancestors: Tensor) -> Tensor:
    """Which particles of each segment have a descendant at the end.  Shapes: ancestors [N, K] -> [N, K] bool."""
    alive = torch.zeros_like(ancestors, dtype=torch.bool)
    survivors = torch.arange(ancestors.shape[1])
    for segment in reversed(range(len(ancestors))):
        survivors = ancestors[segment][survivors]
        alive[segment, survivors] = True
    return alive


def particles_figure(history: History, puzzle: int, path: Path) -> None:
    """One puzzle under resampling: effective sample size by segment, and ancestors; legible up to K = 50."""
    log_weights, ancestors = history.log_weights[..., puzzle], history.ancestors[..., puzzle]
    num_segments, num_particles = ancestors.shape
    segments = torch.arange(1, num_segments + 1)
    figure, axes = plt.subplots(
        2, 1, figsize=(8, 6.4), layout="constrained", sharex=True, gridspec_kw={"height_ratios": [1, 2.4]}
    )
    axes[0].plot(segments, ess(log_weights.T), color=BLUE, marker="o", ms=4, label="effective sample size")
    axes[0].axhline(num_particles, color=BLACK, ls=":", label=f"K = {num_particles}")
    axes[0].set(ylabel="particles", ylim=(0, 1.1 * num_particles))
    legend_below(axes[0])
    survives = lineage(ancestors).flatten()
    to_survivor = torch.cat([survives[num_particles:], torch.ones(num_particles, dtype=torch.bool)])
    segment, particle = (t.flatten() for t in torch.meshgrid(segments, torch.arange(num_particles), indexing="ij"))
    ends = torch.stack([segment, ancestors.flatten(), segment + 1, particle], -1).view(-1, 2, 2).numpy()
    for chosen, color, width in ((~to_survivor, GREY, 0.7), (to_survivor, BLUE, 1.3)):
        axes[1].add_collection(LineCollection(ends[chosen], colors=color, linewidths=width))
    area, color = 6 + 60 * normalise(log_weights.T).T.flatten(), [BLUE if yes else GREY for yes in survives]
    axes[1].scatter(segment, particle, area, color, zorder=2)
    axes[1].set(xlabel="segment; beyond the last, the particles kept", ylabel="particle")
    axes[1].set_xlim(0.5, num_segments + 1.2)
    for axis in (axes[1].xaxis, axes[1].yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    founders = int(survives[:num_particles].sum())
    axes[0].set_title(f"puzzle {puzzle}", fontsize=9)
    axes[1].set_title(
        f"blue: has a descendant in the end, as {founders} of the first {num_particles} have; larger dot: more weight",
        fontsize=9,
    )
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    plt.close(figure)
