"""Watched trajectories, see `app/watch.py`, as an animation."""

from pathlib import Path

from matplotlib.animation import PillowWriter
from torch import Tensor

from gram_pyro.plots.style import plt
from gram_pyro.tasks.base import Task

MOST = 6  # boards side by side


def animate(task: Task, x: Tensor, answers: Tensor, path: Path) -> None:
    """Write a .gif of the first trajectories of puzzle x [L], one board each and one frame per segment. A right answer
    has a green title.  Shapes: answers [N, K, L], after every segment.

    Raises: ValueError if the path is not a .gif.
    """
    if path.suffix != ".gif":
        raise ValueError(f"got save={path}; write a name that ends in .gif")
    num_segments, num_boards = len(answers), min(MOST, answers.shape[1])
    figure, axes = plt.subplots(1, num_boards, figsize=(2.2 * num_boards, 2.6), layout="constrained", squeeze=False)
    writer = PillowWriter(fps=2)
    with writer.saving(figure, path, dpi=80):
        for segment, boards in enumerate(answers[:, :num_boards], 1):
            for axis, answer in zip(axes[0], boards, strict=True):
                axis.clear()
                task.draw(axis, x, answer)
                right = bool(task.is_solved(x, answer))
                axis.set_title("solved" if right else "", fontsize=9, color="#009E73")
            figure.suptitle(f"segment {segment} of {num_segments}", fontsize=10)
            writer.grab_frame()
    plt.close(figure)
