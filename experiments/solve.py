"""Solve puzzles with shipped weights: all solutions found, the votes for each, and the model's confidence.

    python experiments/solve.py puzzle=5..3.6..3..........1........14..2...
    python experiments/solve.py puzzle=3....... save=thinking.gif        # a board of queens
    python experiments/solve.py puzzle=puzzles.txt      # or .csv, .jsonl, also .gz, .xz; - is the standard input
    python experiments/solve.py queens=boards.txt       # where the symbols do not tell what they are
    python experiments/solve.py puzzle=timetable.yaml   # it states its own rules; or a folder of such files
    python experiments/solve.py graph=myciel3.col colours=3 save=answers.png     # or graph6, or edges 1-2,2-3,1-3

The number of solutions is printed if an exact solver can count them quickly; if it is 0, nothing is drawn. Only answers
that obey the rules are shown; their confidence is the mean halt probability of the trajectories that agree. While no
trajectory is right, `num_particles` others are drawn, up to `most`; then the puzzle is left unanswered, and the exit
status is 1. For several puzzles, the run folder receives solve.jsonl, a line per finished puzzle; at the end or when
interrupted solve.csv and solve.json, a row per solution (an unanswered puzzle has one row without). The same command
with that run_dir continues with the interrupted puzzle.
"""

import shutil
import sys
import time
from functools import partial
from pathlib import Path

from omegaconf import DictConfig
from torch import Tensor
from tqdm import tqdm

from gram_pyro.app.puzzle import Board, Puzzle, as_text, check_puzzle, shipped_weights, with_rules
from gram_pyro.app.reading import read_puzzles
from gram_pyro.app.solution_count import count_solutions, in_words
from gram_pyro.app.solver import Outcome, open_weights, solve, think
from gram_pyro.evaluation.tables import counted, rows_markdown
from gram_pyro.harness.command import experiment
from gram_pyro.harness.journal import identity, journal_of
from gram_pyro.harness.load import Program, weights_file
from gram_pyro.harness.results import write_table
from gram_pyro.harness.resume import open_folder
from gram_pyro.inference.noise import hot_start
from gram_pyro.tasks.base import Task
from gram_pyro.tasks.candidates.task import Candidates
from gram_pyro.tasks.candidates.written import WrittenPuzzle

COLUMNS = ("line", "puzzle", "solutions", "exist", "drawn", "right", "votes", "confidence", "seconds", "solution")
ABSTENTION = "no trajectory found a solution; give a larger most= or num_segments="


def asked(config: DictConfig) -> tuple[str, str | None]:
    """The given text, and its kind of puzzle if stated.  Raises: ValueError unless there is exactly one."""
    given = {None: config.puzzle, "queens": config.queens, "graph": config.graph}
    texts = [(str(text), kind) for kind, text in given.items() if text is not None]
    if len(texts) != 1:
        raise ValueError("write one of puzzle=..., queens=... and graph=...")
    return texts[0]


def open_for(
    puzzles: list[Puzzle], weights: str | None, trust: bool
) -> tuple[list[tuple[Puzzle, Task, Program]], list[Path]]:
    """Every puzzle with its task and program, each loaded once, and their files.

    For weights with the rules as an input, the puzzle has its rules in x.
    Raises: ValueError, with the line, if one does not fit.
    """
    loaded: dict[tuple[str, Board], tuple[Task, Program]] = {}
    chosen = []
    for line, puzzle in enumerate(puzzles, 1):
        try:
            key = weights or shipped_weights(puzzle), puzzle.board
            if key not in loaded:
                loaded[key] = open_weights(*key, trust)
            task, program = loaded[key]
            if isinstance(task, Candidates):
                puzzle = with_rules(puzzle)
                task = WrittenPuzzle(puzzle.rules)
            check_puzzle(puzzle, task)
        except ValueError as problem:
            raise ValueError(f"line {line}: {problem}" if len(puzzles) > 1 else str(problem)) from None
        chosen.append((puzzle, task, program))
    return chosen, [weights_file(name) for name, _ in loaded]


def answer_text(task: Task, puzzle: Puzzle, answer: Tensor) -> str:
    """A solution as text: the board, or the vertices of a graph with their colours."""
    return task.render(puzzle.x, answer) if puzzle.kind == "graph" else task.render(answer)


def show(task: Task, puzzle: Puzzle, outcome: Outcome, exist: int | None, seconds: float) -> None:
    """Print the puzzle and every solution, as many side by side as fit."""
    votes, of = len(outcome.answers), "" if exist is None else f" of {in_words(exist)}"
    blocks = [
        f"{s.votes} of {votes} agree\nconfidence {s.confidence:.3f}\n{answer_text(task, puzzle, s.answer)}".splitlines()
        for s in outcome.solutions
    ]
    if blocks:
        columns = max(map(len, blocks[0])) + 3
        across = max(1, shutil.get_terminal_size().columns // columns)
        for row in (blocks[i : i + across] for i in range(0, len(blocks), across)):
            lines = ("".join(f"{part:{columns}}" for part in parts).rstrip() for parts in zip(*row, strict=True))
            print("\n" + "\n".join(lines))
    print(
        f"\n{counted(len(blocks), 'distinct solution')}{of}, {outcome.right.double().mean():.0%} of "
        f"{counted(votes, 'trajectory', 'trajectories')} right, "
        f"{outcome.depth.double().mean():.1f} segments on average, {seconds:.1f} s"
    )
    if outcome.earlier:
        print(f"before these {counted(outcome.earlier, 'other')}, none of them right")
    if not blocks:
        print(ABSTENTION + (" (it may have none)" if exist is None else ""))


def check_picture(path: Path) -> None:
    """Raises: ValueError unless a picture can be written there."""
    if path.suffix not in (".png", ".gif"):
        raise ValueError(f"got save={path}; write a name that ends in .png, or in .gif for an animation")
    if not path.parent.is_dir():
        raise ValueError(f"got save={path}, and there is no folder {path.parent}; make it, or write another name")


def draw(task: Task, puzzle: Puzzle, outcome: Outcome, path: Path) -> None:
    """Write a picture of every solution.  Raises: OSError if it cannot be written."""
    from gram_pyro.plots.answers import answers_figure

    titles = [f"{s.votes} of {len(outcome.answers)} agree" for s in outcome.solutions]
    answers_figure(task, puzzle.x, [s.answer for s in outcome.solutions], titles, path)


def rows_of(
    line: int, puzzle: Puzzle, outcome: Outcome | None, exist: int | None, seconds: float
) -> list[dict[str, object]]:
    """A row of the table per solution, the most frequent first; one without a solution if none was found.

    `outcome` is None if nothing was drawn, because there is no solution.
    """
    common = {"line": line, "puzzle": as_text(puzzle, puzzle.x), "exist": in_words(exist), "seconds": round(seconds, 3)}
    if outcome is None:
        return [common | {"solutions": 0, "drawn": 0, "right": 0.0, "votes": 0, "confidence": None, "solution": None}]
    common |= {
        "solutions": len(outcome.solutions),
        "drawn": outcome.earlier + len(outcome.answers),
        "right": round(outcome.right.double().mean().item(), 4),
    }
    found = [
        {"votes": s.votes, "confidence": round(s.confidence, 4), "solution": as_text(puzzle, s.answer)}
        for s in outcome.solutions
    ]
    return [common | row for row in found or [{"votes": 0, "confidence": None, "solution": None}]]


def print_table(tables: list[list[dict[str, object]]], folder: Path) -> None:
    """A line per puzzle."""
    best = [table[0] if table[0]["votes"] else table[0] | {"solution": "none found"} for table in tables]
    print(rows_markdown(best, COLUMNS))
    solved = sum(table[0]["votes"] > 0 for table in tables)
    print(f"\n{solved} of {counted(len(tables), 'puzzle')} solved; all solutions are in {folder / 'solve.csv'}")


def solve_all(
    puzzles: list[tuple[Puzzle, Task, Program]], weights: list[Path], size: tuple, config: DictConfig
) -> bool:
    """Solve the puzzles of a file, one after the other.  Returns: whether all are solved."""
    folder, tables = open_folder(config), []

    def rows(line: int, puzzle: Puzzle, task: Task, program: Program) -> list[dict[str, object]]:
        began = time.monotonic()
        exist, outcome = count_solutions(puzzle, task), None
        if exist != 0:
            outcome = solve(task, program, puzzle.x, *size, most=config.most, seed=config.seed)
        return rows_of(line, puzzle, outcome, exist, time.monotonic() - began)

    try:
        with journal_of(folder / "solve.jsonl", identity(config, *weights)) as journal:
            for line, (puzzle, *parts) in enumerate(tqdm(puzzles, unit="puzzle"), 1):
                key = f"{line} {as_text(puzzle, puzzle.x)}"
                tables.append(journal.once(key, partial(rows, line, puzzle, *parts)))
            write_table(folder, "solve", sum(tables, []), config)
    except KeyboardInterrupt:
        write_table(folder, "solve", sum(tables, []), config)
        done = f"{len(tables)} of {counted(len(puzzles), 'puzzle')} done, in {folder}"
        sys.exit(f"interrupted; {done}; to continue: the same with run_dir={folder}")
    print_table(tables, folder)
    return all(table[0]["votes"] for table in tables)


def run(config: DictConfig) -> bool:
    start = time.monotonic()
    text, kind = asked(config)
    puzzles = read_puzzles(text, kind, config.colours)
    several = len(puzzles) > 1
    if several and config.save is not None:
        raise ValueError(f"got save={config.save} with several puzzles; expected one; write it in place of {text}")
    if config.save is not None:
        check_picture(Path(config.save))
    chosen, weights = open_for(puzzles, config.weights, config.trust)
    hot = {"temperature": config.temperature, "num_hot": config.num_hot, "halt_at": config.halt_at}
    size = (partial(hot_start, **hot), config.num_particles, config.num_segments)
    if not several:
        ((puzzle, task, program),) = chosen
        print(task.render(puzzle.x))
        exist = count_solutions(puzzle, task)
        if exist == 0:
            print("\nthis puzzle has no solution")
            return False
        if config.save is not None and Path(config.save).suffix == ".gif":
            outcome, thoughts = think(task, program, puzzle.x, *size, seed=config.seed)
        else:
            outcome, thoughts = solve(task, program, puzzle.x, *size, most=config.most, seed=config.seed), None
        show(task, puzzle, outcome, exist, time.monotonic() - start)
        if thoughts is not None:
            from gram_pyro.plots.animation import animate  # pyplot takes a fifth of the start-up time

            animate(task, puzzle.x, thoughts.answers, Path(config.save))
        elif config.save is not None:
            draw(task, puzzle, outcome, Path(config.save))
        return bool(outcome.solutions)
    return solve_all(chosen, weights, size, config)


@experiment
def main(config: DictConfig) -> None:
    if not run(config):
        sys.exit(1)


if __name__ == "__main__":
    main()
