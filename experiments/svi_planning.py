"""Train GRAM on planning, where a map has several shortest plans, and test its claim.

    python experiments/svi_planning.py                         6x6 maps
    python experiments/svi_planning.py task=planning_8         8x8 maps

The run folder is that of svi_sudoku.py and, for a recursion, plans.png: its answers on unseen maps.
"""

from functools import partial
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from gram_pyro.evaluation.evaluate import roll_out
from gram_pyro.harness.build import choose_device
from gram_pyro.harness.claim import Claim
from gram_pyro.harness.load import build_program
from gram_pyro.harness.trial import run, trial
from gram_pyro.inference.sampler import sample
from gram_pyro.plots.style import plt
from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.planning.task import Planning

MOST_MAPS = 4


def plans_figure(task: Planning, maps: Puzzles, answers: torch.Tensor, path: Path) -> None:
    """The plans in K answers to each of B maps, a panel per map.  Shapes: answers [K, B, L]."""
    figure, axes = plt.subplots(1, len(maps.x), figsize=(4.2 * len(maps.x), 3.6), layout="constrained", squeeze=False)
    for axis, x, given, total in zip(axes[0], maps.x, answers.unbind(1), maps.num_solutions.tolist(), strict=True):
        task.draw_plans(axis, x, given)
        right = given[task.is_solved(x, given)]
        found = len(right.unique(dim=0))
        axis.set_title(f"{len(right)} of {len(given)} answers right, {found} of {total} plans", fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)


@trial
def main(config: DictConfig) -> None:
    run(config, Claim)
    if config.baseline:  # has no trajectories
        return
    task, folder, device = instantiate(config.task), Path(config.run_dir), choose_device(config.device)
    (maps,) = task.test.values()
    maps = maps.select((maps.num_solutions > 1).nonzero().flatten()[:MOST_MAPS])
    if not len(maps.x):
        return
    model = build_program(config, task, folder / "GRAM.safetensors").model.to(device)
    size, depth = max(config.evaluate.widths), config.evaluate.num_segments
    draw = partial(sample, model, chunk=config.evaluate.chunk)
    plans_figure(task, maps, roll_out(draw, maps, size, depth, config.seed, device)[0].answers, folder / "plans.png")


if __name__ == "__main__":
    main()
