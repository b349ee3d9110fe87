"""Evaluate one set of weights on kinds and sizes of puzzles inside and outside its training, against CP-SAT.

    python experiments/kinds.py weights=runs/.../GRAM.safetensors
    python experiments/kinds.py 'only=[jigsaw]' +sets.jigsaw.num_puzzles=100
    python experiments/kinds.py 'only=[diag-8]'                               # of CSPLib; needs GRAM_DATA

A set is a family of puzzles with a number of clues, or puzzles of a file (conf/kinds.yaml). `right` is the
share of right trajectories among `width`; `share` is the mean share of the solutions that they find over that of a
perfect sampler, of puzzles with at most `most` solutions. `refused` is the number of answers that our rules accept and
CP-SAT refuses. `cp_sat_ms` is the time of CP-SAT for one solution. The run folder receives kinds.json,
kinds.csv, kinds.md and kinds.png; the same command with that run_dir continues with the interrupted set.
"""

import time
from random import Random

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from tqdm import tqdm

from gram_pyro.evaluation.metrics import ceiling, standard_error
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.build import choose_device
from gram_pyro.harness.command import experiment
from gram_pyro.harness.journal import identity, journal_of
from gram_pyro.harness.load import Program, build_program, stored_config, weights_file
from gram_pyro.harness.results import write_table
from gram_pyro.harness.resume import open_folder
from gram_pyro.inference.sampler import sample
from gram_pyro.plots.kinds import kinds_figure
from gram_pyro.tasks.candidates.packed import pack_all, violations
from gram_pyro.tasks.candidates.puzzle import IN, CandidatePuzzle, make_puzzle
from gram_pyro.tasks.candidates.task import draw
from gram_pyro.tasks.candidates.written import WrittenPuzzle
from gram_pyro.training.precision import AUTO, autocast


def puzzles(chosen: DictConfig, seed: int) -> list[CandidatePuzzle]:
    """The puzzles of a set."""
    if chosen.get("file"):
        return list(instantiate(chosen.file))[: chosen.num_puzzles]
    rng, family = Random(f"kinds/{seed}"), instantiate(chosen.family)
    return [with_clues(*draw(family, rng), rng.randint(*chosen.given), rng) for _ in range(chosen.num_puzzles)]


def with_clues(puzzle: CandidatePuzzle, y: list[int], count: int, rng: Random) -> CandidatePuzzle:
    """The puzzle with `count` of its cells given as in the solution y."""
    width = len(puzzle.symbols)
    symbol = {c // width: c % width for c, role in enumerate(y) if role == IN}
    given = {cell: symbol[cell] for cell in rng.sample(range(len(puzzle.cells)), count)}
    return make_puzzle(puzzle.cells, puzzle.symbols, puzzle.groups, given, grid=puzzle.grid)


def judged_by_cp_sat(
    puzzle: CandidatePuzzle, answers: set[tuple[int, ...]], most: int
) -> tuple[float, int | None, int]:
    """Milliseconds for one solution; the number of solutions, None if above `most`; answers that are none."""
    from gram_pyro.tasks.candidates.referee import Referee

    start = time.monotonic()
    Referee(puzzle).solutions(1)
    milliseconds = 1e3 * (time.monotonic() - start)
    count = Referee(puzzle).count(most + 1)
    wrong = sum(not Referee(puzzle._replace(roles=answer)).count(1) for answer in answers)
    return milliseconds, count if count <= most else None, wrong


def measure(name: str, chosen: DictConfig, program: Program, config: DictConfig) -> dict[str, object]:
    """The row of a set."""
    found, device = puzzles(chosen, config.seed), choose_device(config.device)
    x = pack_all(found)
    torch.manual_seed(config.seed)
    start = time.monotonic()
    with autocast(AUTO, device):
        answers = sample(
            program.model, x.to(device), config.width, config.num_segments,
            heads=program.heads, halt_at=config.halt_at, chunk=chosen.get("chunk", config.chunk),
        ).answers.cpu()  # fmt: skip
    seconds = time.monotonic() - start
    right = violations(x, answers) == 0  # [K, B]
    milliseconds, wrong, shares = 0.0, 0, []
    for b, puzzle in enumerate(found):
        distinct = {tuple(answer.tolist()) for answer in answers[right[:, b], b]}
        took, count, unlike = judged_by_cp_sat(puzzle, distinct, config.most)
        milliseconds, wrong = milliseconds + took, wrong + unlike
        if count:
            shares.append(len(distinct) / count / ceiling(torch.tensor(count), config.width).item())
    one, some = right.double().mean(0), right.any(0).double()
    errors = [standard_error(each) if len(found) > 1 else None for each in (one, some)]
    return {
        "table": chosen.table,
        "kind": name,
        "puzzles": len(found),
        "cells": len(found[0].cells),
        "symbols": len(found[0].symbols),
        "right": one.mean().item(),
        "right_se": errors[0],
        "any": some.mean().item(),
        "any_se": errors[1],
        "share": sum(shares) / len(shares) if shares else None,
        "seconds": seconds / right.numel(),
        "cp_sat_ms": milliseconds / len(found),
        "refused": wrong,
    }


def as_tables(rows: list[dict[str, object]]) -> str:
    """A table of Markdown for each that a set belongs to."""
    parts = []
    for table in dict.fromkeys(row["table"] for row in rows):
        mine = [{key: value for key, value in row.items() if key != "table"} for row in rows if row["table"] == table]
        parts.append(f"## {table.capitalize()}\n\n{rows_markdown(mine)}\n")
    return "\n".join(parts)


@experiment
def main(config: DictConfig) -> None:
    folder = open_folder(config)
    names = list(config.sets) if config.only is None else list(config.only)
    if unknown := [name for name in names if name not in config.sets]:
        raise ValueError(f"got only={unknown}; expected names among {', '.join(config.sets)}")
    stored = stored_config(config.weights, config.trust)
    program = build_program(stored, WrittenPuzzle(make_puzzle(["a"], ["b"], ())), config.weights, config.device)
    with journal_of(folder / "kinds.jsonl", identity(config, weights_file(config.weights))) as journal:
        rows = [
            journal.once(name, lambda name=name: measure(name, config.sets[name], program, config))
            for name in tqdm(names, unit="set")
        ]
    write_table(folder, "kinds", rows, config)
    kinds_figure(rows, config.width, folder / "kinds.png")
    tables = as_tables(rows)
    (folder / "kinds.md").write_text(tables, encoding="utf-8")
    print(f"{tables}\ntables are in {folder}")


if __name__ == "__main__":
    main()
