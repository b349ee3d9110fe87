"""Tables of evaluations as Markdown, and as rows of a CSV; numbers of things in words."""

import math
from collections.abc import Iterable, Mapping, Sequence

from gram_pyro.evaluation.statistics import rule_of_three

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
SHARES = ("accuracy", "any", "vote")


def grid(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Cells as a Markdown table. Every table in text is made here."""
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in [head, ["---"] * len(head), *rows])


def counted(number: int, word: str, plural: str = "") -> str:
    """1 puzzle, 2 puzzles."""
    return f"{number} {word if number == 1 else plural or word + 's'}"


def markdown(table: Mapping[str, Mapping[int, float]], widths: Sequence[int]) -> str:
    """One evaluation as a Markdown table: a row per width, mean and standard error over puzzles."""
    titles = [title for _, title in COLUMNS]
    return grid(["K", *titles], ([width, *(cell(table, name, width) for name, _ in COLUMNS)] for width in widths))


def cell(table: Mapping[str, Mapping[int, float]], name: str, width: int) -> str:
    """Mean and standard error; for a share of exactly 0 or 1, its 95 % limit instead of the error."""
    mean, se = table[name][width], table.get(f"{name}_se", {}).get(width)
    if se == 0 and name in SHARES and mean in (0, 1) and "num_puzzles" in table:
        limit = rule_of_three(table["num_puzzles"])
        return f"{mean:.4f} ({f'> {1 - limit:.4f}' if mean else f'< {limit:.4f}'})"
    return with_error(mean, se)


def with_error(mean: float, se: float | None) -> str:
    """Mean ± standard error; '-' if there is no mean, and no error if it is unknown, as for one puzzle."""
    return "-" if math.isnan(mean) else f"{mean:.4f}" + ("" if se is None or math.isnan(se) else f" ± {se:.4f}")


def overview(tests: Mapping[str, Mapping[str, Mapping]], width: int) -> str:
    """A short table of {program: {test set: evaluation}} as text: a line each, per cent, K = width, ± standard error
    over puzzles. Coverage is a share of a perfect sampler's, and '-' if solutions are not counted."""
    rows = [["", "puzzles", "one answer right", f"any of {width}", "vote", f"coverage@{width} / perfect"]]
    for program, tables in tests.items():
        for test, table in tables.items():
            shares = [percent(table, name, width, 1) for name in ("any", "vote", "coverage_share")]
            rows.append([program, f"{test} ({table['num_puzzles']})", percent(table, "accuracy", width, 2), *shares])
    widest = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [str.ljust] * 2 + [str.rjust] * 4
    lines = [[side(c, w) for side, c, w in zip(sides, row, widest, strict=True)] for row in rows]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def percent(table: Mapping[str, Mapping[int, float]], name: str, width: int, digits: int) -> str:
    """A share in per cent, with its error if it has one; '-' if it is NaN."""
    mean, se = table[name][width], table.get(f"{name}_se", {}).get(width)
    shown = [value for value in (mean, se) if value is not None and not math.isnan(value)]
    return "-" if math.isnan(mean) else " ± ".join(f"{100 * value:.{digits}f}" for value in shown) + " %"


def rows_markdown(rows: Sequence[Mapping], columns: Sequence[str] | None = None) -> str:
    """Rows as a Markdown table.

    Args: columns; None: all that any row has, in order. NAME_se is shown as the error of NAME, unless it is a column
    itself.
    """
    if columns is None:
        every = list(dict.fromkeys(key for row in rows for key in row))
        columns = [key for key in every if key.removesuffix("_se") not in every or not key.endswith("_se")]
    return grid(columns, ([_shown(row, column) for column in columns] for row in rows))


def _shown(row: Mapping, column: str) -> str:
    """A value and its standard error; empty if there is no value."""
    value, error = row.get(column), row.get(f"{column}_se")
    shown = "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
    return shown if error is None or not shown else f"{shown} ± {error:.4f}"


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
