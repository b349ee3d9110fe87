"""Every task of the package at a small size."""

from arc_files import small_task
from image_files import write_images

from gram_pyro.tasks.arc.task import Arc
from gram_pyro.tasks.candidates import families
from gram_pyro.tasks.candidates.listed import ListedGraphs, ListedQueens
from gram_pyro.tasks.candidates.task import CandidateMixture, DrawnCandidates
from gram_pyro.tasks.colouring.canonical import CanonicalColouring
from gram_pyro.tasks.colouring.task import Colouring
from gram_pyro.tasks.images import Images
from gram_pyro.tasks.nqueens.pairs import NQueensPairs
from gram_pyro.tasks.nqueens.task import NQueens
from gram_pyro.tasks.planning.task import Planning
from gram_pyro.tasks.sudoku.boards import SudokuBoards
from gram_pyro.tasks.sudoku.mixture import SudokuMixture
from gram_pyro.tasks.sudoku.sizes import SudokuSizes
from gram_pyro.tasks.sudoku.task import Sudoku


def sudoku(n=4):
    return Sudoku(n, num_train=30, num_test=4, max_solutions=12, cache=None)


def boards():
    return SudokuBoards(4, num_train=40, num_test=8, max_clues=12, test_clues=(4, 8), cache=None)


def drawn(family, num_train=12, num_test=3, **options):
    return DrawnCandidates(family(**options), num_train=num_train, num_test=num_test)


def candidates():
    """Of every family."""
    return CandidateMixture(
        {
            "sudoku": drawn(families.Sudokus, n=4),
            "latin": drawn(families.LatinSquares, n=3),
            "queens": drawn(families.Queens, n=5),
            "graphs": drawn(families.Graphs, n=5, num_colours=3, edge_probability=0.5),
            "scattered": drawn(
                families.Scattered, num_cells=4, num_symbols=3, num_exact=2, num_at_most=3, group_size=3
            ),
        }
    )


def mixture(folder):
    task = sudoku()
    files = {}
    for name, puzzles in (("train", task.train), ("test", task.test["minimal"])):
        single = puzzles.x[puzzles.num_solutions == 1]
        files[name] = folder / f"{name}.txt"
        files[name].write_text("".join("".join(map(str, x)).replace("0", ".") + "\n" for x in single.tolist()))
    test = {"minimal": files["test"]}
    return SudokuMixture(files["train"], test, n=4, num_train=40, max_clues=12, most_removed=2, cache=None)


TASKS = {  # class -> makers from a folder for files
    Arc: [small_task],
    CandidateMixture: [lambda folder: candidates()],
    DrawnCandidates: [lambda folder: drawn(families.Queens, n=6)],
    CanonicalColouring: [lambda folder: CanonicalColouring(n=6, num_train=60, num_test=6, cache=None)],
    Colouring: [
        lambda folder: Colouring(n=6, num_train=60, num_test=6, cache=None),
        lambda folder: Colouring(n=5, colours=2, edge_probability=0.3, num_train=20, num_test=4, cache=None),
    ],
    Images: [lambda folder: Images(**write_images(folder)[0])],
    ListedGraphs: [lambda folder: ListedGraphs(Colouring(n=5, num_train=20, num_test=4, cache=None))],
    ListedQueens: [lambda folder: ListedQueens(NQueens(n=6, removed=(2, 3, 4)))],
    NQueens: [
        lambda folder: NQueens(n=6, removed=(2, 3, 4)),
        lambda folder: NQueens(n=5, removed=(1, 2), split="input"),
    ],
    NQueensPairs: [lambda folder: NQueensPairs(n=6, removed=(2, 3, 4))],
    Planning: [
        lambda folder: Planning(n=4, min_distance=3, num_train=60, num_test=6, cache=None),
        lambda folder: Planning(n=3, columns=5, min_distance=3, num_train=40, num_test=4, cache=None),
    ],
    Sudoku: [lambda folder: sudoku(), lambda folder: sudoku(6)],
    SudokuBoards: [lambda folder: boards()],
    SudokuMixture: [mixture],
    SudokuSizes: [lambda folder: SudokuSizes({"small": boards(), "large": sudoku(6)}, {"small": 1, "large": 1})],
}
