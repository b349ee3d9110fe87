"""Trajectories thinking: their answers after every segment, as an animation."""

from pathlib import Path

import torch
from matplotlib.animation import PillowWriter
from torch import Tensor

from gram_pyro.cloud import Cloud, from_prior
from gram_pyro.model import GRAM
from gram_pyro.plots import plt
from gram_pyro.tasks.base import Task


@torch.no_grad()
def answers_by_segment(model: GRAM, x: Tensor, num_particles: int, num_segments: int) -> Tensor:
    """What K prior trajectories of one puzzle x [L] would answer after every segment, [N, K, L]."""
    rows = x.repeat(num_particles, 1)
    cloud = Cloud(from_prior(model, rows), model.start(rows), num_particles)
    frames = []
    for _ in range(num_segments):
        cloud.advance()
        frames.append(model.readout.answer(cloud.state))
    return torch.stack(frames)


def animate(task: Task, model: GRAM, x: Tensor, num_segments: int, path: Path, num_particles: int = 6) -> None:
    """Write a .gif, one board per trajectory and one frame per segment; a right answer is framed in green.

    Raises: ValueError if the path is not a .gif.
    """
    if path.suffix != ".gif":
        raise ValueError(f"save={path} must end in .gif")
    frames = answers_by_segment(model, x, num_particles, num_segments)
    figure, axes = plt.subplots(1, num_particles, figsize=(2.2 * num_particles, 2.6), layout="constrained")
    writer = PillowWriter(fps=2)
    with writer.saving(figure, path, dpi=80):
        for segment, answers in enumerate(frames, 1):
            for axis, answer in zip(axes, answers, strict=True):
                axis.clear()
                task.draw(axis, x, answer)
                right = bool(task.is_solved(x, answer))
                axis.set_title("solved" if right else "", fontsize=9, color="#009E73")
            figure.suptitle(f"segment {segment} of {num_segments}", fontsize=10)
            writer.grab_frame()
    plt.close(figure)
