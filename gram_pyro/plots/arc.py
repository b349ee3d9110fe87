"""Figures of ARC: demonstrations, test inputs and guesses."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from gram_pyro.evaluation.arc_vote import Guesses
from gram_pyro.plots.style import GREEN, RED, STYLES, plt
from gram_pyro.tasks.arc.files import Grid
from gram_pyro.tasks.arc.task import NAME_CELLS, Arc
from gram_pyro.tasks.base import Puzzles

# Colours 0 .. 9 in the order of ARC (black, blue, red, green, yellow, grey, magenta, orange, azure, maroon), from the
# Okabe-Ito palette if it has them.
PALETTE = "#000000 #0072B2 #D55E00 #009E73 #F0E442 #999999 #CC79A7 #E69F00 #56B4E9 #882255".split()
COLOURS = torch.tensor([to_rgb(colour) for colour in PALETTE])
NUM_DEMONSTRATIONS = 2


def draw_grid(axes: Axes, grid: Grid, title: str, frame: str = "#BBBBBB") -> None:
    """A grid, its cells divided by thin lines; () is drawn as "no grid"."""
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=7)
    for spine in axes.spines.values():
        spine.set(color=frame, linewidth=2.5 if frame != "#BBBBBB" else 1)
    if not grid:
        axes.text(0.5, 0.5, "no grid", ha="center", va="center", transform=axes.transAxes, fontsize=8)
        return
    axes.imshow(COLOURS[torch.tensor(grid)].numpy())
    rows, columns = len(grid), len(grid[0])
    axes.vlines([c + 0.5 for c in range(columns - 1)], -0.5, rows - 0.5, color="#777777", lw=0.5)
    axes.hlines([r + 0.5 for r in range(rows - 1)], -0.5, columns - 0.5, color="#777777", lw=0.5)


CURVES = [
    ("any", "o-", "any answer"),
    ("inputs_hit_by_evidence", "^:", "two guesses by evidence"),
    ("inputs_hit", "s--", "two guesses by vote"),
]


def width_figure(rows: Sequence[Mapping], path: Path) -> None:
    """The share of test inputs with a right grid among all answers, and in two guesses by vote and by evidence, against
    the number of answers.

    rows: as `score_all` gives them, with "program" and "puzzles". A panel per set of puzzles, a colour per program;
    only the largest number A of copies.
    """
    sets, programs = (list(dict.fromkeys(row[key] for row in rows)) for key in ("puzzles", "program"))
    figure, axes = plt.subplots(
        1, len(sets), figsize=(3.6 * len(sets), 3.2), layout="constrained", squeeze=False, sharey=True
    )
    for axis, name in zip(axes[0], sets, strict=True):
        for program, (colour, _) in zip(programs, cycle(STYLES), strict=False):
            mine = [row for row in rows if (row["puzzles"], row["program"]) == (name, program)]
            most = max(row["A"] for row in mine)
            mine = sorted((row for row in mine if row["A"] == most), key=lambda row: row["K"])
            number = [row["A"] * row["K"] for row in mine]
            for key, line, label in CURVES:
                axis.plot(number, [row[key] for row in mine], line, color=colour, label=f"{program}: {label}")
        axis.set(title=f"{name} (copies of an input: {most})", xlabel="answers to an input", xscale="log")
    axes[0, 0].set(ylabel="share of inputs", ylim=(0, None))
    axes[0, 0].legend(fontsize=6)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def guesses_figure(
    task: Arc, puzzles: Puzzles, guesses: Guesses, chosen: Sequence[int], num_votes: int, path: Path
) -> None:
    """A row per test input at `chosen`: two demonstrations of its task, the input, the truth, and both guesses, framed
    green and solid if right, red and dashed if wrong."""
    width = 2 * NUM_DEMONSTRATIONS + 4
    figure, axes = plt.subplots(
        len(chosen), width, figsize=(1.35 * width, 1.75 * len(chosen)), layout="constrained", squeeze=False
    )
    read = task.canvas.read
    owners, right = task.task_of(puzzles.x), task.is_solved(puzzles.x[:, None], guesses.boards)
    for row, b in zip(axes, chosen, strict=True):
        grids = [(g, title) for i, pair in enumerate(owners[b].demonstrations[:NUM_DEMONSTRATIONS], 1)
                 for g, title in zip(pair, (f"shown {i}: input", "output"), strict=True)]  # fmt: skip
        grids += [(read(puzzles.x[b, NAME_CELLS:]), "asked: input"), (read(puzzles.solutions_of(b)[0]), "truth")]
        for axis, (grid, title) in zip(row, grids, strict=False):
            draw_grid(axis, grid, title)
        for place, axis in enumerate(row[-2:]):
            votes, hit = guesses.votes[b, place].item(), right[b, place].item()
            if votes == 0:
                axis.set_axis_off()
                axis.set_title("no second guess", fontsize=7)
                continue
            verdict = "right" if hit else "wrong"
            title = f"guess {place + 1}: {verdict},\n{votes} of {num_votes} votes"
            draw_grid(axis, read(guesses.boards[b, place]), title, GREEN if hit else RED)
            for spine in axis.spines.values():
                spine.set_linestyle("-" if hit else "--")
        row[0].set_ylabel(f"{owners[b].name}\n{owners[b].source}", fontsize=7)
    figure.savefig(path, dpi=150)
    plt.close(figure)
