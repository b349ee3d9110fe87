"""Generate Sudoku boards with trained weights, and judge them by depth.

    python experiments/generate.py checkpoint=runs/.../GRAM.safetensors num_boards=100000 depths=[16] halt_at=0.9
    python experiments/generate.py checkpoint=sudoku +task=boards_12 num_boards=100      # weights that serve every size

The run folder receives generation.csv, generation.json, the boards of the last depth, one a line, in boards.txt, and
figures.
"""

from gram_pyro.evaluation.board_scores import by_depth
from gram_pyro.harness.build import build_sampler
from gram_pyro.harness.study import Study, study
from gram_pyro.plots.generation import boards_figure, depth_figure
from gram_pyro.storage.atomic import write_atomically
from gram_pyro.tasks.sudoku.boards import SudokuBoards
from gram_pyro.tasks.sudoku.task import NAMES

SHOWN = 6  # boards in the picture


@study
def main(study: Study) -> None:
    config, task, folder = study.config, study.task, study.folder
    if not isinstance(task, SudokuBoards):
        raise ValueError(
            f"got checkpoint={config.checkpoint}, whose task {type(task).__name__} has no boards without clues; "
            "expected a run of svi_generation.py, or weights of candidates with a task of boards; write +task=boards_9"
        )
    draw = study.draw(build_sampler(config.sampler, task, study.program.heads))
    rows, boards = by_depth(draw, task, config.num_boards, config.depths, config.seed, study.device)
    study.report("generation", rows)
    lines = ("".join(NAMES[digit] for digit in board) for board in boards.tolist())
    write_atomically(folder / "boards.txt", "".join(f"{line}\n" for line in lines).encode())
    depth_figure(rows).savefig(folder / "depth.png", dpi=150)
    boards_figure(task, boards[:SHOWN]).savefig(folder / "boards.png", dpi=150)


if __name__ == "__main__":
    main()
