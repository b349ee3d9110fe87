"""Tables and the verdict: does width buy validity and diversity?

The claim on trial: K trajectories find more valid and more distinct solutions than one, and than a deterministic
recursion trained with the same budget. Every gain is paired over puzzles and stated in standard errors.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gram_pyro.metrics import Gain, Tally, gain, per_puzzle

THRESHOLD = 3.0  # standard errors a gain must exceed to count

COLUMNS = (
    ("accuracy", "single-sample accuracy"),
    ("any", "any of K"),
    ("vote", "majority vote"),
    ("coverage", "coverage"),
    ("coverage_share", "share of ceiling"),
    ("coverage_pooled", "coverage, pooled"),
    ("distinct", "distinct valid"),
    ("entropy", "entropy (nats)"),
    ("violations", "rules broken"),
)


def markdown(table: Mapping[str, Mapping[int, float]], widths: Sequence[int]) -> str:
    """One evaluation as a Markdown table: a row per width, mean and standard error over puzzles."""
    lines = ["| K | " + " | ".join(title for _, title in COLUMNS) + " |", "| --- " * (len(COLUMNS) + 1) + "|"]
    for width in widths:
        cells = [
            f"{table[name][width]:.4f}" + (f" ± {table[f'{name}_se'][width]:.4f}" if f"{name}_se" in table else "")
            for name, _ in COLUMNS
        ]
        lines.append(f"| {width} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rows_markdown(rows: Sequence[Mapping]) -> str:
    """Rows as a Markdown table; its columns are all that any row has, in the order they come."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[row.get(column, "") for column in columns] for row in rows]
    lines = [[f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in line] for line in cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in [columns, ["---"] * len(columns), *lines])


def write_rows(path: Path, rows: Sequence[Mapping]) -> None:
    """Rows as a CSV; its columns are all that any row has, in the order they come."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, dict.fromkeys(key for row in rows for key in row))
        writer.writeheader()
        writer.writerows(rows)


def flat_rows(
    program: str, puzzles: str, table: Mapping[str, Mapping[int, float]], widths: Sequence[int]
) -> list[dict[str, object]]:
    """One evaluation as rows of a CSV: one per width."""
    metrics = [name for name, by_width in table.items() if isinstance(by_width, Mapping)]
    return [
        {"program": program, "puzzles": puzzles, "num_puzzles": table["num_puzzles"], "K": width}
        | {name: table[name][width] for name in metrics}
        for width in widths
    ]


class Ruling(NamedTuple):
    """One gain, and whether it is at its limit: the K trajectories are right on every puzzle and more cannot be had."""

    gain: Gain
    at_limit: bool

    @property
    def holds(self) -> bool:
        return self.at_limit or self.gain.sigmas > THRESHOLD


def verdict(stochastic: Tally, deterministic: Tally | None, width: int) -> tuple[dict[str, Ruling], bool]:
    """Put the claim on trial: validity on all puzzles, diversity on those with several solutions.

    Returns: the gains of `width` trajectories over one (and over the deterministic recursion, if given), each with its
    standard error over puzzles; whether every one of them exceeds THRESHOLD standard errors or, of validity alone, is
    at its limit.
    """
    several = stochastic.num_solutions > 1
    one, many = per_puzzle(stochastic, 1), per_puzzle(stochastic, width)
    rivals = {"one": one}
    if deterministic is not None:
        rivals["the deterministic recursion"] = per_puzzle(deterministic, width)
    at_limit = bool((many["any"] == 1).all())
    rulings = {
        f"validity: any of {width} over {name}": Ruling(gain(many["any"], r["any"]), at_limit)
        for name, r in rivals.items()
    }
    if several.any():
        for name, rival in rivals.items():
            difference = gain(many["distinct"][several], rival["distinct"][several])
            rulings[f"diversity: distinct solutions in {width} over {name}"] = Ruling(difference, at_limit=False)
    return rulings, all(ruling.holds for ruling in rulings.values())


def gains_over(stochastic: Tally, rival: Tally, width: int) -> dict[str, Gain]:
    """What GRAM gains over another sampler, paired over puzzles: one answer right, any of `width`, and on puzzles with
    several solutions how many it finds. Beside the verdict, not a part of it."""
    several = stochastic.num_solutions > 1
    mine, its = per_puzzle(stochastic, width), per_puzzle(rival, width)
    gains = {name: gain(mine[name], its[name]) for name in ("accuracy", "any")}
    return gains | ({"distinct": gain(mine["distinct"][several], its["distinct"][several])} if several.any() else {})


def gains_text(name: str, gains: Mapping[str, Gain], width: int) -> str:
    """The same in a sentence."""
    titles = {"accuracy": "one answer right", "any": f"any of {width} right", "distinct": "distinct solutions"}
    parts = [f"{titles[metric]} {mean:+.4f} ± {se:.4f}" for metric, (mean, se) in gains.items()]
    return f"  beside it, GRAM over {name}: {', '.join(parts)}"


def verdict_text(rulings: Mapping[str, Ruling], supported: bool) -> str:
    """The verdict in sentences."""
    lines = [
        f"  {name}: {gain.mean:+.4f} ± {gain.se:.4f} ({gain.sigmas:.1f} standard errors"
        + (", at its limit: they are right on every puzzle)" if at_limit else ")")
        for name, (gain, at_limit) in rulings.items()
    ]
    word = "SUPPORTED" if supported else "FALSIFIED"
    head = f"VERDICT: width buys validity and diversity - {word} (gains must exceed {THRESHOLD:g} standard errors)"
    return "\n".join([head, *lines])
