"""Time and memory against the number of pairs (candidate, group)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gram_pyro.plots.style import BLUE, ORANGE, legend_below, plt

PANELS = {"ms": "milliseconds", "mib": "peak memory, MiB"}
STYLES = {"transition": "o-", "step": "s--"}


def rules_figure(rows: Sequence[Mapping], path: Path) -> None:
    """A panel for time and one for memory, a line per kind of puzzle and way; sizes are beside the points."""
    panels = {unit: title for unit, title in PANELS.items() if f"step_{unit}" in rows[0]}
    figure, axes = plt.subplots(1, len(panels), figsize=(5.5 * len(panels), 4), layout="constrained", squeeze=False)
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    for axis, (unit, title) in zip(axes.flat, panels.items(), strict=True):
        for kind, color in zip(kinds, (BLUE, ORANGE), strict=False):
            mine = [row for row in rows if row["kind"] == kind]
            pairs = [row["pairs"] for row in mine]
            for way, style in STYLES.items():
                values = [row[f"{way}_{unit}"] for row in mine]
                axis.plot(pairs, values, style, color=color, label=f"{kind}, {way}")
            for row in mine:
                axis.annotate(str(row["size"]), (row["pairs"], row[f"step_{unit}"]), fontsize=7, va="bottom")
        axis.set(xscale="log", yscale="log", xlabel="pairs (candidate, group)", ylabel=title)
    legend_below(axes.flat[0])
    figure.savefig(path, dpi=150)
    plt.close(figure)
