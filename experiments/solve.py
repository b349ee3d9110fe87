"""Solve a puzzle with shipped weights: every solution found, how many trajectories agree, how sure the model is.

    python experiments/solve.py puzzle=5..3.6..3..........1........14..2...
    python experiments/solve.py queens=3.......
    python experiments/solve.py puzzle=... save=thinking.gif

Only answers that obey the rules are shown. If there is none, it says so and exits with 1.
"""

import sys
import time
from pathlib import Path

import hydra
import pyro
import torch
from omegaconf import DictConfig

from gram_pyro.animation import animate
from gram_pyro.build import build_task
from gram_pyro.command import plain_errors
from gram_pyro.learner import autocast
from gram_pyro.load import load, load_program, stored_config
from gram_pyro.noise import hot_start
from gram_pyro.puzzle import read_queens, read_sudoku


def run(config: DictConfig) -> bool:
    start = time.monotonic()
    if (config.puzzle is None) == (config.queens is None):
        raise ValueError("write puzzle=..., a Sudoku, or queens=..., a board, and not both")
    name, x = read_sudoku(str(config.puzzle)) if config.puzzle is not None else read_queens(str(config.queens))
    weights = config.weights or name
    if str(weights).endswith(".safetensors"):
        task = build_task(stored_config(weights), DictConfig({}))
        program = load_program(weights, task)
    else:
        task, program = load(weights)
    if x.shape[1] != task.num_cells:
        raise ValueError(f"the puzzle has {x.shape[1]} cells and weights={weights} are for {task.num_cells}")
    torch.manual_seed(config.seed)
    options = {"heads": program.heads, "halt_at": config.halt_at}
    options |= {"temperature": config.temperature, "num_hot": config.num_hot}
    with autocast("bf16", x.device):
        found = hot_start(program.model, x, config.num_particles, config.num_segments, **options)
        if config.save is not None:
            animate(task, program.model, x[0], config.num_segments, Path(config.save))
    answers = found.answers[:, 0]
    right = task.is_solved(x[0], answers)
    print(task.render(x[0]))
    distinct, label, count = answers[right].unique(dim=0, return_inverse=True, return_counts=True)
    for index in count.argsort(descending=True).tolist():
        sure = found.halt[:, 0][right][label == index].mean()
        print(f"\n{count[index]} of {len(answers)} trajectories, halt head {sure:.3f} on average")
        print(task.render(distinct[index]))
    seconds = time.monotonic() - start
    depth = found.depth.double().mean()
    print(
        f"\n{len(distinct)} distinct solutions, {right.double().mean():.0%} of {len(answers)} trajectories right, "
        f"{depth:.1f} segments on average, {seconds:.1f} s"
    )
    if not len(distinct):
        print("no trajectory found a solution: the puzzle may have none, or needs more num_particles and num_segments")
    return bool(len(distinct))


@hydra.main(version_base=None, config_path="conf", config_name="solve")
def main(config: DictConfig) -> None:
    pyro.enable_validation(False)
    with plain_errors():
        solved = run(config)
    if not solved:
        sys.exit(1)


if __name__ == "__main__":
    main()
