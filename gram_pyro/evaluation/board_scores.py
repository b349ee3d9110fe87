"""How good generated boards are: validity, diversity, and how far their law is from that of a uniform sampler.

    valid    = share of the N boards that obey the rules
    distinct = different boards among the valid ones / valid ones
    tv       = 1/2 sum_c |f_c - p_c|,  f: classes of the valid boards, p: law of a uniform sampler over the classes

N perfect draws repeat themselves and have a tv above zero too: `distinct_uniform`, exactly, and `tv_uniform`, by
simulation, are what a perfect sampler would get.
Source: validity and distinctness, paper D.5; classes: ours.
"""

import math
import time
from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from gram_pyro.evaluation.evaluate import Draw
from gram_pyro.evaluation.metrics import Tally, standard_error, tally
from gram_pyro.plots.trial import BLACK, BLUE, GREEN, plt
from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.sudoku.boards import SudokuBoards
from gram_pyro.tasks.sudoku.classes import LARGEST, BoardClasses

SIMULATIONS = 100
GROUP = 20  # boards that the claim is tried on together


def generate(
    draw: Draw, task: SudokuBoards, num_boards: int, num_segments: int, seed: int, device: torch.device
) -> tuple[Tensor, dict[str, float]]:
    """Boards [N, L] from the blank one, and how: depth allowed, segments run on average, seconds."""
    torch.manual_seed(seed)
    start = time.monotonic()
    blank = torch.zeros(num_boards, task.num_cells, dtype=torch.long, device=device)
    drawn = draw(blank, 1, num_segments)
    cost = {"run": drawn.depth.double().mean().item(), "seconds": round(time.monotonic() - start, 2)}
    return drawn.answers[0].cpu(), {"segments": num_segments} | cost


def by_depth(
    draw: Draw, task: SudokuBoards, num_boards: int, depths: Sequence[int], seed: int, device: torch.device
) -> tuple[list[dict[str, float]], Tensor]:
    """The quality of `num_boards` boards at every depth, a row each; the boards of the last."""
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
    """The numbers above for boards [N, L]; those of classes are left out where there are none or no board is valid."""
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


def claim(task: SudokuBoards, boards: Tensor) -> Tally:
    """Boards in groups of GROUP, as answers to one blank puzzle each: what `verdict.diversity` needs."""
    num_groups = len(boards) // GROUP
    answers = boards[: num_groups * GROUP].view(GROUP, num_groups, -1)
    blank = Puzzles(torch.zeros_like(answers[0]), answers[0], torch.arange(num_groups + 1))
    return tally(task, blank, answers)._replace(num_solutions=torch.full((num_groups,), torch.inf))


def depth_figure(rows: list[dict[str, float]]) -> Figure:
    """Validity, and distance from the uniform law where it is known, against depth."""
    known = "tv" in rows[-1]
    figure, axes = plt.subplots(1, 1 + known, figsize=(4.4 * (1 + known), 3.6), layout="constrained", squeeze=False)
    depth = [row["segments"] for row in rows]
    first = axes[0, 0]
    first.errorbar(
        depth,
        [100 * r["valid"] for r in rows],
        [100 * r["valid_se"] for r in rows],
        fmt="-o",
        color=BLUE,
        label="valid",
    )
    first.plot(depth, [100 * r["distinct"] for r in rows], "--s", color=GREEN, label="of these, distinct")
    first.set(ylabel="boards (%)", ylim=(None, 101))
    if known:
        rows = [row for row in rows if "tv" in row]
        last, depth = axes[0, 1], [row["segments"] for row in rows]
        last.plot(depth, [r["tv"] for r in rows], "-o", color=BLUE, label="generated boards")
        last.errorbar(
            depth,
            [r["tv_uniform"] for r in rows],
            [r["tv_uniform_sd"] for r in rows],
            fmt="--",
            color=BLACK,
            label="as many uniform draws",
        )
        last.set(ylabel="total variation from uniform, over classes", ylim=(0, None))
    for axis in axes[0]:
        axis.set_xlabel("segments")
        axis.set_xscale("log", base=2)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    return figure


def boards_figure(task: SudokuBoards, boards: Tensor) -> Figure:
    """A row of boards, what breaks the rules in red."""
    figure, axes = plt.subplots(1, len(boards), figsize=(2.2 * len(boards), 2.3), layout="constrained", squeeze=False)
    for axis, board in zip(axes[0], boards, strict=True):
        task.draw(axis, torch.zeros_like(board), board)
    return figure
