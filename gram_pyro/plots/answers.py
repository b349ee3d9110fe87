"""The answers to one puzzle, side by side.

Source: ours.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from gram_pyro.plots.style import plt
from gram_pyro.tasks.base import Task

MOST = 24  # boards of a figure
ACROSS = 6


def answers_figure(task: Task, x: Tensor, answers: Sequence[Tensor], titles: Sequence[str], path: Path) -> None:
    """Write a .png of the first answers [L] to puzzle x [L], each under its title; the puzzle alone if there are none.

    Raises: ValueError if the path is not a .png.
    """
    if path.suffix != ".png":
        raise ValueError(f"got save={path}; write a name that ends in .png, or in .gif for an animation")
    boards = list(zip(answers, titles, strict=True))[:MOST] or [(None, "no solution found")]
    across = min(ACROSS, len(boards))
    down = math.ceil(len(boards) / across)
    figure, axes = plt.subplots(
        down, across, figsize=(2.2 * across, 2.5 * down), layout="constrained", squeeze=False
    )  # fmt: skip
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (answer, title) in zip(axes.flat, boards, strict=False):
        axis.set_axis_on()
        task.draw(axis, x, answer)
        axis.set_title(title, fontsize=9)
    figure.savefig(path, dpi=120)
    plt.close(figure)
