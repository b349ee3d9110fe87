"""Figures of many trajectories of one puzzle: the paths of their states, and the cells in which their answers differ.

c_nk = (h_nk - mean h) V          V [L D, 2]: the two directions of largest variance        paper Figs. 18, 19
H_n(i) = -sum_v f_v log f_v       f_v: share of the trajectories with v in cell i after segment n; nats
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gram_pyro.plots.inference import COLORS, GREY
from gram_pyro.plots.style import legend_below, plt

MOST_BOARDS = 6


class Plane(NamedTuple):
    """States in the plane of largest variance.

    Shapes: coordinates [..., 2], in the unit of h; share [2], of the variance along each axis, larger first.
    """

    coordinates: Tensor
    share: Tensor


def principal_plane(h: Tensor) -> Plane:
    """The two principal components of states h [..., L, D], all cells and channels of a state taken as one vector.

    Raises: ValueError if there are fewer than 3 states, which span no plane.
    """
    flat = h.flatten(-2).flatten(0, -2).double()
    if len(flat) < 3:
        raise ValueError(f"got {len(flat)} states; expected 3 or more for a plane; give more trajectories or segments")
    centred = flat - flat.mean(0)
    variance, direction = torch.linalg.eigh(centred @ centred.T)  # there are fewer states than cells times channels
    largest, along = variance[-2:].flip(0).clamp(min=0), direction[:, -2:].flip(1)
    return Plane((along * largest.sqrt()).unflatten(0, h.shape[:-2]), largest / variance.sum())


def endings(answers: Tensor, right: Tensor) -> Tensor:
    """A number for every right answer, 0 for the most frequent one, and -1 for every wrong answer.

    Shapes: answers [K, L], right [K] bool -> [K] int64.
    """
    label = torch.full_like(right, -1, dtype=torch.int64)
    if right.any():
        _, same, count = answers[right].unique(dim=0, return_inverse=True, return_counts=True)
        label[right] = count.argsort(descending=True, stable=True).argsort()[same]
    return label


def paths_figure(panels: Mapping[str, tuple[Plane, Tensor]], path: Path) -> None:
    """Paths of K trajectories, a panel per program, all on one scale: (plane with coordinates [N, K, 2] of the states
    after every segment, endings [K]). Hollow: after the first segment; filled: after the last. One colour per solution;
    dashed grey: a wrong answer."""
    options = {"squeeze": False, "sharex": True, "sharey": True, "layout": "constrained"}
    figure, axes = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 4.6), **options)
    for axis, (title, (plane, ending)) in zip(axes[0], panels.items(), strict=True):
        for group in ending.unique().tolist():
            mine = plane.coordinates[:, ending == group]
            color, line = (COLORS[group % len(COLORS)], "-") if group >= 0 else (GREY, "--")
            name = f"solution {group + 1}" if group >= 0 else "wrong"
            axis.plot(*mine.unbind(-1), color=color, linestyle=line, lw=0.8, alpha=0.6)
            axis.scatter(*mine[0].T, s=16, facecolors="none", edgecolors=color, lw=0.8, zorder=3)
            axis.scatter(*mine[-1].T, s=24, color=color, edgecolors="white", lw=0.4, zorder=4)
            axis.plot([], [], color=color, linestyle=line, marker="o", ms=4, label=f"{name}: {mine.shape[1]}")
        first, second = (f"component {n} ({part:.0%} of variance)" for n, part in enumerate(plane.share.tolist(), 1))
        axis.set(title=title, xlabel=first, ylabel=second)
        axis.tick_params(labelleft=True)
        axis.grid(alpha=0.3)
        legend_below(axis, title="ends in", title_fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def cell_entropy(answers: Tensor, num_symbols: int) -> Tensor:
    """Entropy of every cell over K trajectories.  Shapes: answers [..., K, L] -> [..., L], nats."""
    share = one_hot(answers, num_symbols).double().mean(-3)
    return -torch.xlogy(share, share).sum(-1)


def split_figure(entropy: Tensor, num_right: Tensor, num_particles: int, side: int, path: Path) -> None:
    """Disagreement of trajectories and the number of right ones, by segment; below, the disagreement about each cell on
    the board, at more early than late segments.

    Shapes: entropy [N, L] of the answers after each segment, nats, L = side^2; num_right [N], of num_particles.
    """
    num_segments = len(entropy)
    shown = torch.logspace(0, torch.tensor(num_segments).log2(), MOST_BOARDS, base=2).round().long().unique().tolist()
    figure = plt.figure(figsize=(9.6, 5.6), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.2, 1])
    total, segments = entropy.sum(-1), range(1, num_segments + 1)
    left, right = top.subplots(1, 2)
    left.plot(segments, total, color=COLORS[0], marker="o", ms=4)
    left.set(ylabel="sum of cell entropies (nats)", ylim=(0, 1.08 * max(total.max().item(), 1e-9)))
    right.plot(segments, num_right, color=COLORS[2], marker="s", ms=4)
    right.set(ylabel=f"right answers of {num_particles}", ylim=(0, 1.08 * num_particles))
    for axis in (left, right):
        axis.set_xlabel("segment")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    boards = bottom.subplots(1, len(shown), squeeze=False)[0]
    for axis, segment in zip(boards, shown, strict=True):
        limits = {"vmin": 0, "vmax": max(entropy.max().item(), 1e-9), "cmap": "cividis"}
        image = axis.imshow(entropy[segment - 1].view(side, side).numpy(), **limits)
        axis.set(title=f"segment {segment}", xticks=[], yticks=[])
    bottom.colorbar(image, ax=boards.tolist(), label="entropy of a cell (nats)", shrink=0.8)
    figure.savefig(path, dpi=150)
    plt.close(figure)
