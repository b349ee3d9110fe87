"""Figures of generated boards."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from gram_pyro.plots.style import BLACK, BLUE, GREEN, legend_below, plt
from gram_pyro.tasks.sudoku.boards import SudokuBoards


def depth_figure(rows: list[dict[str, float]]) -> Figure:
    """Validity, and distance from the uniform law if it is known, against depth."""
    known = "tv" in rows[-1]
    figure, axes = plt.subplots(1, 1 + known, figsize=(4.4 * (1 + known), 3.6), layout="constrained", squeeze=False)
    depth = [row["segments"] for row in rows]
    first = axes[0, 0]
    first.errorbar(
        depth,
        [100 * r["valid"] for r in rows],
        [100 * r["valid_se"] for r in rows],
        fmt="-o",
        color=BLUE,
        label="valid",
    )
    first.plot(depth, [100 * r["distinct"] for r in rows], "--s", color=GREEN, label="of these, distinct")
    first.set(ylabel="boards (%)", ylim=(None, 101))
    if known:
        rows = [row for row in rows if "tv" in row]
        last, depth = axes[0, 1], [row["segments"] for row in rows]
        last.plot(depth, [r["tv"] for r in rows], "-o", color=BLUE, label="generated boards")
        last.errorbar(
            depth,
            [r["tv_uniform"] for r in rows],
            [r["tv_uniform_sd"] for r in rows],
            fmt="--",
            color=BLACK,
            label="as many uniform draws",
        )
        last.set(ylabel="total variation from uniform, over classes", ylim=(0, None))
    for axis in axes[0]:
        axis.set_xlabel("segments")
        axis.set_xscale("log", base=2)
        axis.grid(alpha=0.3)
        legend_below(axis)
    return figure


def boards_figure(task: SudokuBoards, boards: Tensor) -> Figure:
    """A row of boards, with mistakes in red."""
    figure, axes = plt.subplots(1, len(boards), figsize=(2.2 * len(boards), 2.3), layout="constrained", squeeze=False)
    for axis, board in zip(axes[0], boards, strict=True):
        task.draw(axis, torch.zeros_like(board), board)
    return figure
