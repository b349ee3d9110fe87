"""Generate Sudoku boards with trained weights, and judge them by depth.

    python experiments/generate.py checkpoint=runs/.../GRAM.safetensors num_boards=100000 depths=[16] halt_at=0.9

The run folder receives generation.csv, generation.json, the boards of the last depth, one a line, in boards.txt, and
figures.
"""

from functools import partial

import hydra
from omegaconf import DictConfig

from gram_pyro.evaluation.board_scores import by_depth
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.atomic import write_atomically
from gram_pyro.harness.build import build_sampler
from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.study import Study, run_study, save_study, say_where
from gram_pyro.plots.generation import boards_figure, depth_figure
from gram_pyro.tasks.sudoku.boards import SudokuBoards
from gram_pyro.tasks.sudoku.task import NAMES

SHOWN = 6  # boards in the picture


def run(study: Study, config: DictConfig) -> None:
    task, program, device, precision, folder, _ = study
    if not isinstance(task, SudokuBoards):
        raise ValueError(
            f"{config.checkpoint} solves puzzles of {type(task).__name__}; give the checkpoint of a run of "
            "svi_generation.py"
        )
    sampler = build_sampler(config.sampler, task, program.heads)
    options = {"heads": program.heads, "halt_at": config.halt_at, "chunk": config.chunk}
    with precision:
        draw = partial(sampler, program.model, **options)
        rows, boards = by_depth(draw, task, config.num_boards, config.depths, config.seed, device)
    save_study(study, config, "generation", rows)
    lines = ("".join(NAMES[digit] for digit in board) for board in boards.tolist())
    write_atomically(folder / "boards.txt", "".join(f"{line}\n" for line in lines).encode())
    print(f"\n{rows_markdown(rows)}")
    depth_figure(rows).savefig(folder / "depth.png", dpi=150)
    boards_figure(task, boards[:SHOWN]).savefig(folder / "boards.png", dpi=150)
    say_where(study)


@hydra.main(version_base=None, config_path="conf", config_name="generate")
def main(config: DictConfig) -> None:
    run_study(config, run)


if __name__ == "__main__":
    plain_arguments()
    main()
