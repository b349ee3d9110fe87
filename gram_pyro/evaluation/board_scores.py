"""Quality of generated boards: validity, diversity, and the distance of their law from a uniform sampler's.

    valid    = share of the N boards that obey the rules
    distinct = different boards among the valid ones / valid ones
    tv       = 1/2 sum_c |f_c - p_c|,  f: classes of the valid boards, p: law of a uniform sampler over the classes

N draws of a perfect sampler repeat some boards and have a tv above zero. `distinct_uniform`, exact, and `tv_uniform`,
by simulation, are the values of a perfect sampler.
Source: validity and distinctness, paper D.5; classes: ours.
"""

import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from gram_pyro.evaluation.evaluate import Draw
from gram_pyro.evaluation.metrics import Tally, standard_error, tally
from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.sudoku.boards import SudokuBoards
from gram_pyro.tasks.sudoku.classes import LARGEST, BoardClasses

SIMULATIONS = 100
GROUP = 20  # boards that are judged together


def generate(
    draw: Draw, task: SudokuBoards, num_boards: int, num_segments: int, seed: int, device: torch.device
) -> tuple[Tensor, dict[str, float]]:
    """Boards [N, L] from the blank one, and their cost: depth allowed, mean segments run, seconds."""
    torch.manual_seed(seed)
    start = time.monotonic()
    blank = torch.zeros(num_boards, task.num_cells, dtype=torch.long, device=device)
    drawn = draw(blank, 1, num_segments)
    cost = {"run": drawn.depth.double().mean().item(), "seconds": round(time.monotonic() - start, 2)}
    return drawn.answers[0].cpu(), {"segments": num_segments} | cost


def by_depth(
    draw: Draw, task: SudokuBoards, num_boards: int, depths: Sequence[int], seed: int, device: torch.device
) -> tuple[list[dict[str, float]], Tensor]:
    """A row with the quality of `num_boards` boards for every depth, and the boards of the last depth."""
    classes = BoardClasses(task.geometry) if task.n <= LARGEST else None
    rows = []
    for depth in tqdm(depths, desc="generating", unit="depth", dynamic_ncols=True):
        boards, cost = generate(draw, task, num_boards, depth, seed, device)
        rows.append(cost | quality(task, boards, classes))
    return rows, boards


def total_variation(counts: Tensor, law: Tensor) -> Tensor:
    """Shapes: counts [..., C] of N draws, law [C] -> [...]."""
    return (counts / counts.sum(-1, keepdim=True) - law).abs().sum(-1) / 2


def quality(task: SudokuBoards, boards: Tensor, classes: BoardClasses | None) -> dict[str, float]:
    """The numbers above for boards [N, L]; without those of classes if `classes` is None or no board is valid."""
    rules_broken = task.violations(torch.zeros_like(boards), boards)
    valid = boards[rules_broken == 0]
    right = (rules_broken == 0).double()
    row = {
        "num_boards": len(boards),
        "valid": right.mean().item(),
        "valid_se": standard_error(right),
        "violations": rules_broken.double().mean().item(),
        "distinct": len(valid.unique(dim=0)) / len(valid) if len(valid) else float("nan"),
    }
    if classes is not None and len(valid):
        law = classes.law
        counts = classes(valid).bincount(minlength=len(law)).double()
        generator = torch.Generator().manual_seed(0)
        perfect = torch.multinomial(law.expand(SIMULATIONS, -1), len(valid), replacement=True, generator=generator)
        chance = total_variation(torch.stack([p.bincount(minlength=len(law)).double() for p in perfect]), law)
        total = classes.num_boards
        row |= {
            "distinct_uniform": total * -math.expm1(len(valid) * math.log1p(-1 / total)) / len(valid),
            "classes": int((counts > 0).sum()),
            "tv": total_variation(counts, law).item(),
            "tv_uniform": chance.mean().item(),
            "tv_uniform_sd": chance.std().item(),
        }
    return row


def check_num_boards(num_boards: int) -> None:
    """Raises: ValueError if they are too few for `claim`."""
    if num_boards < GROUP:
        raise ValueError(f"got num_boards={num_boards}; expected {GROUP} or more, judged together; write more")


def claim(task: SudokuBoards, boards: Tensor) -> Tally:
    """Boards in groups of GROUP, as answers to one blank puzzle per group, for `verdict.diversity`.

    Raises: as `check_num_boards`.
    """
    check_num_boards(len(boards))
    num_groups = len(boards) // GROUP
    answers = boards[: num_groups * GROUP].view(GROUP, num_groups, -1)
    blank = Puzzles(torch.zeros_like(answers[0]), answers[0], torch.arange(num_groups + 1))
    return tally(task, blank, answers)._replace(num_solutions=torch.full((num_groups,), torch.inf))
