"""Files of ARC tasks whose rules are known, and a small task of them."""

import json

import numpy as np

from gram_pyro.tasks.arc.task import Arc


def random_grid(rng, rows, columns):
    return rng.integers(0, 10, (rows, columns))


def pair(grid, answer):
    return {"input": grid.tolist(), "output": answer.tolist()}


def make_file(folder, name, rules, rng=None, size=(3, 2), tests=1):
    """A file of tasks, name -> a function from an input to its output: three demonstrations each."""
    rng = rng or np.random.default_rng(0)
    tasks = {}
    for key, rule in rules.items():
        grids = [random_grid(rng, *size) for _ in range(3 + tests)]
        pairs = [pair(grid, rule(grid)) for grid in grids]
        tasks[key] = {"train": pairs[:3], "test": pairs[3:]}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(tasks))
    return path


def small_task(folder):
    """Two tasks shown in full, two asked, one of them with two test inputs and one with grids of two sizes."""
    known = make_file(folder, "known", {"copy_a": np.copy, "turn_a": np.flipud}, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    asked = make_file(folder, "asked", {"copy": np.copy, "column": lambda g: g[:, :1]}, rng, tests=2)
    return Arc([known], [asked], side=4, num_names=4)
