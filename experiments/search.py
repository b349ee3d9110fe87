"""As many trajectories as each puzzle needs: the share solved against what it costs.

    python experiments/search.py checkpoint=sudoku_9x9 task.n=9 \
        task._target_=gram_pyro.tasks.sudoku.task.Sudoku task.test=sudoku_extreme/test_4k.csv.xz most=1000

Trajectories are drawn `at_once` for every puzzle without a right answer; the rules are the judge, so the answer of a
solved puzzle needs no vote and no head. The run folder receives, after every round: search.csv, a row per limit K with
the share of puzzles solved by their first K trajectories and the mean number needed, K where that did not do;
puzzles.csv, what became of every puzzle; search.json, with the mean number drawn in whole rounds and the laws of a
search that forgets, fitted and tested (gram_pyro/evaluation/hazard.py); search.png. An interrupted search leaves those
of its last round.
"""

import hydra
import torch
from omegaconf import DictConfig
from torch import Tensor
from tqdm import tqdm

from gram_pyro.evaluation.hazard import LAWS, Law, fit, of_tries
from gram_pyro.evaluation.metrics import standard_error
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.build import build_sampler
from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.results import write_rows
from gram_pyro.harness.study import Study, is_repeating, run_study, save_study, say_where
from gram_pyro.inference.kept import clock
from gram_pyro.inference.search import Found, search
from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.plots.search import search_figure
from gram_pyro.tasks.base import Puzzles, subset, unseen


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
    """The laws of a search that forgets, fitted where unsolved puzzles had equally many trajectories; [] if any would
    do."""
    try:
        return [fit(name, of_tries(found.tries, found.solved)) for name in LAWS]
    except ValueError:
        return []


def puzzle_rows(puzzles: Puzzles, found: Found, difficulty: tuple[str, Tensor] | None) -> list[dict[str, object]]:
    """What became of every puzzle; its answer if it is solved."""
    rows = []
    for i, (x, answer) in enumerate(zip(puzzles.x.tolist(), found.answers.tolist(), strict=True)):
        row = {"x": " ".join(map(str, x)), "solved": bool(found.solved[i]), "tries": int(found.tries[i])}
        if difficulty is not None:
            row[difficulty[0]] = difficulty[1][i].item()
        rows.append(row | {"answer": " ".join(map(str, answer)) if found.solved[i] else None})
    return rows


def save(
    study: Study, config: DictConfig, name: str, puzzles: Puzzles, found: Found, seconds: float
) -> list[dict[str, float]]:
    """Write all there is of a set of puzzles; of a search that is not over, up to the trajectories all open ones had.

    Returns: the curve.
    """
    rows = curve(found, int(found.drawn.max()))
    if is_repeating(study):
        return rows
    hard = study.task.difficulty(puzzles.x)
    prefix = "" if len(study.task.test) == 1 else f"{name}_"
    title = f"{name}: {puzzles.num_puzzles} unseen puzzles"
    write_rows(study.folder / f"{prefix}puzzles.csv", puzzle_rows(puzzles, found, hard))
    extra = {"drawn": found.drawn.double().mean().item(), "num_puzzles": puzzles.num_puzzles, "seconds": seconds}
    laws = laws_of(found)
    save_study(study, config, f"{prefix}search", rows, rows=rows, laws=[law._asdict() for law in laws], **extra)
    search_figure(rows, found, hard, laws, title, study.folder / f"{prefix}search.png")
    return rows


def run(study: Study, config: DictConfig) -> None:
    sampler = build_sampler(config.sampler, study.task, study.program.heads)
    options = {"heads": study.program.heads, "halt_at": config.halt_at, "chunk": config.chunk}

    def draw(x: Tensor, num_particles: int) -> Trajectories:
        with study.precision:
            found = sampler(study.program.model, x.to(study.device), num_particles, config.num_segments, **options)
        return found.to("cpu")

    for name, puzzles in unseen(study.task).items():
        puzzles = subset(puzzles, config.num_puzzles)
        torch.manual_seed(config.seed)
        found, began = Found.nothing(puzzles.x), clock()
        with tqdm(total=puzzles.num_puzzles, desc=name, unit="puzzle") as bar:
            for round in search(draw, study.task.is_solved, puzzles.x, config.at_once, config.most):
                found = found.after(round)
                bar.update(int(round.right.any(0).sum()))
                bar.set_postfix(drawn=round.earlier + len(round.right))
                rows = save(study, config, name, puzzles, found, clock() - began)
        print(rows_markdown(rows))
    say_where(study)


@hydra.main(version_base=None, config_path="conf", config_name="search")
def main(config: DictConfig) -> None:
    run_study(config, run)


if __name__ == "__main__":
    plain_arguments()
    main()
