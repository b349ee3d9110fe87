"""Pictures of images and of their scores. Colours are the Okabe-Ito palette; unknown pixels are grey-blue."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from torch import Tensor

from gram_pyro.plots.style import BLACK, STYLES, legend_below, plt
from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.images import Images

PALETTE = torch.tensor([[0.55, 0.68, 0.78], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])  # unknown, black, white


def strip(images: Tensor, task: Images, gap: int = 2) -> Tensor:
    """Images [N, L] side by side in colours, [rows, N (columns + gap) - gap, 3]."""
    pictures = PALETTE[images].view(len(images), task.rows, task.columns, 3)
    framed = torch.nn.functional.pad(pictures, (0, 0, 0, gap), value=0.5)
    return torch.cat(list(framed), 1)[:, :-gap]


def grid_figure(pictures: Mapping[str, Tensor], task: Images) -> Figure:
    """A row of images [N, L] per title. Rows of one program at several depths show the same trajectories."""
    width = max(len(images) for images in pictures.values())
    size = (0.42 * width + 1.4, 0.48 * len(pictures) + 0.1)
    figure, axes = plt.subplots(len(pictures), 1, figsize=size, layout="constrained", squeeze=False)
    for axis, (title, images) in zip(axes[:, 0], pictures.items(), strict=True):
        axis.imshow(strip(images, task).numpy(), interpolation="nearest")
        axis.set(xticks=[], yticks=[])
        axis.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8)
        axis.spines[:].set_visible(False)
    return figure


def completions_figure(puzzles: Puzzles, answers: Tensor, task: Images) -> Figure:
    """A row per image: its known pixels (the rest grey-blue), K completions, and the image itself.

    Shapes: answers [K, B, L].
    """
    num, given = len(answers), answers.transpose(0, 1)
    ratios = [1, num, 1]
    figure, axes = plt.subplots(
        len(puzzles.x), 3, figsize=(0.62 * (num + 2) + 0.4, 0.66 * len(puzzles.x) + 0.4), width_ratios=ratios,
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for row, x, several, y in zip(axes, puzzles.x, given, puzzles.solutions, strict=True):
        for axis, images in zip(row, (x[None], several, y[None]), strict=True):
            axis.imshow(strip(images, task).numpy(), interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
    for axis, title in zip(axes[0], ("known", "completions", "image"), strict=True):
        axis.set_title(title, fontsize=9)
    return figure


def score_figure(rows: Sequence[Mapping]) -> Figure:
    """Both scores against depth, with two standard errors; programs without depth are horizontal lines.

    Rows have: program, depth (None if there is none), class_score, frechet and their standard errors.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    programs = list(dict.fromkeys(row["program"] for row in rows))
    styles = cycle(STYLES)
    depths = sorted({row["depth"] for row in rows if row["depth"]})
    for program in programs:
        mine = [row for row in rows if row["program"] == program]
        deep = mine[0]["depth"] is not None
        colour, style = (BLACK, "-") if program == programs[0] and not deep else next(styles)  # black: real images
        for axis, metric in zip(axes, ("class_score", "frechet"), strict=True):
            value, error = [row[metric] for row in mine], [2 * row[f"{metric}_se"] for row in mine]
            if deep:
                axis.errorbar(
                    [r["depth"] for r in mine], value, error, fmt=f"o{style}", color=colour, capsize=3, label=program
                )
            else:
                axis.axhline(value[0], color=colour, ls=style, lw=1.2, label=program)
    axes[0].set(ylabel="class score (higher is better)")
    axes[1].set(ylabel="Frechet distance (lower is better)", yscale="log")
    axes[1].yaxis.set_major_formatter(LogFormatter())  # 20, not 2 x 10^1
    axes[1].yaxis.set_minor_formatter(LogFormatter())
    for axis in axes:
        axis.set_xscale("log", base=2)
        axis.set_xticks(depths, [str(d) for d in depths])
        axis.set_xlabel("segments at test time")
        axis.grid(alpha=0.3)
    legend_below(axes[1])
    return figure
