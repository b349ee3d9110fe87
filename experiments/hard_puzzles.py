"""Make hard Sudokus from hard ones, or easier ones from random boards, as a file for training.

    python experiments/hard_puzzles.py of=sudoku_extreme/train_1k.csv count=5000 guesses=5
    python experiments/hard_puzzles.py count=20000                      # random minimal ones

Writes `out`, a CSV with columns question, answer, guesses, row by row: an interrupted file is valid. A
puzzle is left out if `of` or `out` has one of its symmetry class. `svi_sudoku.py +task.train=[FILE,...]` reads
several such files.
"""

import csv
import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path

import torch
from omegaconf import DictConfig
from tqdm import tqdm

from gram_pyro.evaluation.tables import counted
from gram_pyro.harness.command import experiment
from gram_pyro.tasks.sudoku.files import read_puzzles
from gram_pyro.tasks.sudoku.generator import symmetry_hash
from gram_pyro.tasks.sudoku.neighbours import Made, hard_ones, hard_puzzle
from gram_pyro.tasks.sudoku.rules import Geometry
from gram_pyro.tasks.sudoku.task import NAMES
from gram_pyro.tasks.workers import worker_map

BLOCK = 200  # puzzles asked for at once


def fresh(
    each: Callable[..., Iterator], work: Callable[[int], Made], geometry: Geometry, seen: set[int]
) -> Iterator[Made]:
    """Endless puzzles, each of a class that did not occur yet.  Raises: ValueError if a whole block brings none."""
    for start in count(step=BLOCK):
        before = len(seen)
        for clues, board, needed in each(work, range(start, start + BLOCK)):
            name = int(symmetry_hash(torch.tensor([clues]), geometry.relations)[0])
            if name not in seen:
                seen.add(name)
                yield clues, board, needed
        if len(seen) == before:
            raise ValueError(
                f"{BLOCK} puzzles were drawn and all are there already, but for their symmetry; write a smaller count, "
                f"or a larger n than {geometry.n}"
            )


@experiment
def main(config: DictConfig) -> None:
    geometry, parents, seen = Geometry(config.n), [], set()
    if config.of is not None:
        puzzles = read_puzzles(config.of, geometry)
        try:
            parents = hard_ones(geometry, puzzles, config.swapped, config.guesses)
        except ValueError as problem:
            raise ValueError(f"of={config.of}: {problem}") from None
        seen = set(symmetry_hash(puzzles.x, geometry.relations).tolist())
    sent = Geometry(config.n)  # without tensors; the other one makes them while a thread of the pool sends work
    work = partial(hard_puzzle, sent, parents, config.swapped, config.guesses, config.seed)
    out = Path(config.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = open(out, "x", encoding="utf-8", buffering=1, newline="")
    except FileExistsError:
        raise ValueError(f"out={out} is there already; choose another name, or delete it") from None
    with file, worker_map(config.workers or os.cpu_count()) as each:
        table = csv.writer(file)
        table.writerow(["question", "answer", "guesses"])
        drawn = islice(fresh(each, work, geometry, seen), config.count)
        for *boards, needed in tqdm(drawn, total=config.count, desc=out.name, unit="puzzle", dynamic_ncols=True):
            table.writerow(["".join(NAMES[v] for v in board) for board in boards] + [needed])
    print(f"{counted(config.count, 'puzzle')} written to {out}")


if __name__ == "__main__":
    main()
