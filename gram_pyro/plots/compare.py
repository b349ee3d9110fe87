"""The figure of a comparison: a row per entry, a panel per question; means and standard errors over seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gram_pyro.plots.style import BLACK, BLUE, RED, legend_below, plt


def comparison_figure(lines: Sequence[Mapping], path: Path, iwae_width: int) -> None:
    """Args: lines of `compare.summarise`; entries are drawn from top to bottom in their order."""
    num_transitions = sum(name.startswith("kl_") and not name.endswith("_se") for name in lines[0])
    transitions = {f"kl_{t}": f"t = {t + 1}" for t in range(num_transitions)}
    panels = (
        ("bound on log p(y | x) (nats)", {"elbo": "ELBO", "iwae": f"IWAE, K = {iwae_width}"}),
        ("KL of a transition (nats)", transitions),
        ("ESS of guided trajectories (share of K)", {"ess": ""}),
        ("Pareto k of their weights (median)", {"pareto_k": ""}),
        ("prior trajectories that are right (share)", {"accuracy": ""}),
        ("coverage (share of the ceiling)", {"coverage": ""}),
        ("calibration error of the value head", {"calibration": ""}),
        ("training (minutes)", {"minutes": ""}),
    )
    size = (15, 2.4 + 0.6 * len(lines))
    figure, axes = plt.subplots(2, 4, figsize=size, layout="constrained", sharey=True)
    for axis, (title, series) in zip(axes.flat, panels, strict=True):
        shift = [0.18 * (i - (len(series) - 1) / 2) for i in range(len(series))]
        looks = zip("osD^vP", (BLUE, RED, BLACK) * 2, strict=True)
        for (name, label), offset, (marker, color) in zip(series.items(), shift, looks, strict=False):
            known = [(row, line) for row, line in enumerate(lines) if line[name] is not None]
            axis.errorbar(
                [line[name] for _, line in known],
                [row + offset for row, _ in known],
                xerr=[line[f"{name}_se"] or 0 for _, line in known],
                fmt=marker,
                color=color,
                capsize=2,
                ms=5,
                label=label,
            )
        if len(series) > 1:
            legend_below(axis)
        axis.set(xlabel=title, yticks=range(len(lines)), ylim=(len(lines) - 0.5, -0.5))
        axis.set_yticklabels([line["entry"] for line in lines])
        axis.grid(alpha=0.3)
    axes[0, 0].axvline(lines[0]["perfect"], color=BLACK, lw=1)
    axes[0, 3].axvline(0.7, color=BLACK, lw=1)
    figure.suptitle(
        "means and standard errors over seeds; lines: the ELBO of a perfect model, the Pareto k where weights fail",
        fontsize=10,
    )
    figure.savefig(path, dpi=150)
    plt.close(figure)
