"""Search: draw as many trajectories as each puzzle needs, and measure the share solved against the cost.

    python experiments/search.py checkpoint=sudoku_9x9 task.n=9 \
        task._target_=gram_pyro.tasks.sudoku.task.Sudoku task.test=sudoku_extreme/test_4k.csv.xz most=1000

In every round `at_once` trajectories are drawn for every unsolved puzzle. The rules are the judge, so a solved puzzle
needs no vote and no head. After every round the run folder receives: search.csv, a row per limit K with the share of
puzzles solved by their first K trajectories and the mean number of trajectories, at most K; puzzles.csv, a row per
puzzle; search.json, with the mean number drawn in whole rounds and the fitted and tested laws of a search without
memory (gram_pyro/evaluation/hazard.py); search.png. An interrupted search leaves the files of its last round.
"""

import torch
from torch import Tensor
from tqdm import tqdm

from gram_pyro.evaluation.hazard import LAWS, Law, fit, of_tries
from gram_pyro.evaluation.metrics import standard_error
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.build import build_sampler
from gram_pyro.harness.results import write_rows
from gram_pyro.harness.study import Study, study
from gram_pyro.inference.kept import clock
from gram_pyro.inference.search import Found, search
from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.plots.search import search_figure
from gram_pyro.tasks.base import Puzzles


def limits(most: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, ... below `most`, and `most`."""
    steps = [digit * 10**power for power in range(len(str(most))) for digit in (1, 2, 5)]
    return [step for step in steps if step < most] + [most]


def curve(found: Found, most: int) -> list[dict[str, float]]:
    """For every limit K: the share solved within it, and the mean of min(tries, K)."""
    rows = []
    for limit in limits(most):
        solved = (found.solved & (found.tries <= limit)).double()
        spent = found.tries.clamp(max=limit).double()
        rows.append(
            {
                "limit": limit,
                "solved": solved.mean().item(),
                "solved_se": standard_error(solved),
                "trajectories": spent.mean().item(),
            }
        )
    return rows


def laws_of(found: Found) -> list[Law]:
    """The fitted laws, if unsolved puzzles had equally many trajectories; [] if they cannot be fitted."""
    try:
        return [fit(name, of_tries(found.tries, found.solved)) for name in LAWS]
    except ValueError:
        return []


def puzzle_rows(puzzles: Puzzles, found: Found, difficulty: tuple[str, Tensor] | None) -> list[dict[str, object]]:
    """A row of results for every puzzle, with the answer if it is solved."""
    rows = []
    for i, (x, answer) in enumerate(zip(puzzles.x.tolist(), found.answers.tolist(), strict=True)):
        row = {"x": " ".join(map(str, x)), "solved": bool(found.solved[i]), "tries": int(found.tries[i])}
        if difficulty is not None:
            row[difficulty[0]] = difficulty[1][i].item()
        rows.append(row | {"answer": " ".join(map(str, answer)) if found.solved[i] else None})
    return rows


def save(study: Study, name: str, puzzles: Puzzles, found: Found, seconds: float) -> list[dict[str, float]]:
    """Write the results on a set of puzzles so far.

    Returns: the curve, up to the number of trajectories that all unsolved puzzles had.
    """
    rows = curve(found, int(found.drawn.max()))
    if study.is_repeating:
        return rows
    hard = study.task.difficulty(puzzles.x)
    prefix = "" if len(study.task.test) == 1 else f"{name}_"
    title = f"{name}: {puzzles.num_puzzles} unseen puzzles"
    write_rows(study.folder / f"{prefix}puzzles.csv", puzzle_rows(puzzles, found, hard))
    extra = {"drawn": found.drawn.double().mean().item(), "num_puzzles": puzzles.num_puzzles, "seconds": seconds}
    laws = laws_of(found)
    study.save(f"{prefix}search", rows, rows=rows, laws=[law._asdict() for law in laws], **extra)
    search_figure(rows, found, hard, laws, title, study.folder / f"{prefix}search.png")
    return rows


@study
def main(study: Study) -> None:
    config = study.config
    sampler = study.draw(build_sampler(config.sampler, study.task, study.program.heads))

    def draw(x: Tensor, num_particles: int) -> Trajectories:
        return sampler(x.to(study.device), num_particles, config.num_segments).to("cpu")

    for name, puzzles in study.puzzles().items():
        torch.manual_seed(config.seed)
        found, began = Found.nothing(puzzles.x), clock()
        with tqdm(total=puzzles.num_puzzles, desc=name, unit="puzzle") as bar:
            for round in search(draw, study.task.is_solved, puzzles.x, config.at_once, config.most):
                found = found.after(round)
                bar.update(int(round.right.any(0).sum()))
                bar.set_postfix(drawn=round.earlier + len(round.right))
                rows = save(study, name, puzzles, found, clock() - began)
        print(rows_markdown(rows))


if __name__ == "__main__":
    main()
