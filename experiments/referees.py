"""Use puzzles and the judge of another package: reasoning-gym, made for training language models.

    pip install 'gram_pyro[referees]'
    python experiments/referees.py datasets=[n_queens] num_puzzles=500

Shipped weights answer its puzzles, and `score_answer` of its data sets judges the text of every answer. Our rules judge
the same answers, and the same with one cell changed; `disagreements` counts where the two judges differ. (For a Sudoku,
reasoning-gym accepts only the solution from which it made the puzzle.) The run folder receives referees.json and
referees.csv, which grow row by row.
"""

import json
from collections.abc import Callable
from itertools import combinations
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor

from gram_pyro.evaluation.metrics import standard_error
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.build import choose_device
from gram_pyro.harness.command import experiment
from gram_pyro.harness.load import load
from gram_pyro.harness.results import write_table
from gram_pyro.harness.resume import open_folder
from gram_pyro.inference.sampler import sample
from gram_pyro.tasks.nqueens.rules import BLANK, QUEEN
from gram_pyro.training.precision import AUTO, autocast

Entry = dict[str, Any]  # a puzzle of reasoning-gym


class Dialect(NamedTuple):
    """The format of a kind of puzzle in reasoning-gym: options of its data set and of our task; entry -> cells [L];
    answer [L] -> text."""

    options: dict[str, Any]
    changes: dict[str, Any]
    cells: Callable[[Entry], list[int]]
    text: Callable[[list[int]], str]


def grid_text(side: int, symbols: Callable[[int], str]) -> Callable[[list[int]], str]:
    """One row per line, cells separated by spaces."""
    return lambda answer: "\n".join(
        " ".join(map(symbols, answer[start : start + side])) for start in range(0, side * side, side)
    )


def digits(entry: Entry) -> list[int]:
    return [digit for row in entry["metadata"]["puzzle"] for digit in row]


def queens(entry: Entry) -> list[int]:
    return [QUEEN if cell == "Q" else BLANK for row in entry["metadata"]["puzzle"] for cell in row]


VERTICES = 8
PAIRS = list(combinations(range(VERTICES), 2))


def graph(entry: Entry) -> list[int]:
    """Every pair, 1 without and 2 with an edge, then the blank vertices; see gram_pyro/tasks/colouring/task.py."""
    edges = {tuple(sorted(edge)) for edge in entry["metadata"]["puzzle"]["edges"]}
    return [2 if pair in edges else 1 for pair in PAIRS] + [0] * VERTICES


def colours(answer: list[int]) -> str:
    """Our symbols of colours are 3, 4, 5; those of reasoning-gym 1, 2, 3."""
    return json.dumps({str(vertex): symbol - 2 for vertex, symbol in enumerate(answer[len(PAIRS) :])})


DIALECTS = {
    "mini_sudoku": Dialect({}, {"n": 4, "num_train": 1, "num_test": 1}, digits, grid_text(4, str)),
    "sudoku": Dialect({}, {"n": 9, "num_train": 1, "num_test": 1}, digits, grid_text(9, str)),
    "n_queens": Dialect({"n": 8}, {}, queens, grid_text(8, lambda symbol: "Q" if symbol == QUEEN else "_")),
    "graph_color": Dialect(
        {"num_colors": 3, "min_num_vertices": VERTICES, "max_num_vertices": VERTICES, "edge_probability": 0.4},
        {}, graph, colours,
    ),
}  # fmt: skip


def changed(answers: Tensor, x: Tensor) -> Tensor:
    """Every answer with another symbol of free cells in its first free cell.

    Shapes: answers [K, B, L], x [B, L], 0 where free.
    """
    wrong = answers.clone()
    for b, free in enumerate(x == 0):
        cells = free.nonzero().squeeze(1)
        symbols = answers[:, b, cells].unique()
        if len(symbols) > 1:
            at = torch.searchsorted(symbols, answers[:, b, cells[0]].contiguous())
            wrong[:, b, cells[0]] = symbols[(at + 1) % len(symbols)]
    return wrong


def referee(name: str, config: DictConfig) -> dict[str, object]:
    """One data set: how often its judge accepts answers, and how often our rules disagree.

    Raises: ValueError if reasoning-gym is not installed.
    """
    try:
        import reasoning_gym
    except ImportError as problem:
        raise ValueError(f"the judges are not there ({problem}); write pip install 'gram_pyro[referees]'") from None
    dialect = DIALECTS[name]
    judge = reasoning_gym.create_dataset(name, size=config.num_puzzles, seed=config.seed, **dialect.options)
    entries = [judge[i] for i in range(config.num_puzzles)]
    task, program = load(config.weights[name], **dialect.changes)
    device = choose_device(config.device)
    x = torch.tensor([dialect.cells(entry) for entry in entries])
    torch.manual_seed(config.seed)
    with autocast(AUTO, device):
        answers = sample(
            program.to(device).model, x.to(device), config.num_particles, config.num_segments,
            heads=program.heads.to(device), halt_at=config.halt_at, chunk=config.chunk,
        ).answers.cpu()  # fmt: skip

    def theirs(candidates: Tensor) -> Tensor:
        return torch.tensor([
            [judge.score_answer(dialect.text(y), entry) == 1.0 for y, entry in zip(ys, entries, strict=True)]
            for ys in candidates.tolist()
        ])  # fmt: skip

    said, wrong = theirs(answers), changed(answers, x)
    differ = (said != task.is_solved(x, answers)).sum() + (theirs(wrong) != task.is_solved(x, wrong)).sum()
    one = said.double().mean(0)
    return {
        "dataset": name,
        "weights": config.weights[name],
        "puzzles": len(entries),
        "right": one.mean().item(),
        "right_se": standard_error(one),
        "any": said.any(0).double().mean().item(),
        "disagreements": int(differ),
        "judged": 2 * said.numel(),
    }


@experiment
def main(config: DictConfig) -> None:
    if unknown := [name for name in config.datasets if name not in DIALECTS]:
        raise ValueError(f"got datasets={unknown}; expected names among {', '.join(DIALECTS)}")
    folder, rows = open_folder(config), []
    for name in config.datasets:
        rows.append(referee(name, config))
        write_table(folder, "referees", rows, config)
    print(rows_markdown(rows))
    print(f"\ntables are in {folder}")


if __name__ == "__main__":
    main()
