"""Tables of evaluations: as Markdown, and as rows of a CSV."""

from collections.abc import Mapping, Sequence

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


def markdown(table: Mapping[str, Mapping[int, float]], widths: Sequence[int]) -> str:
    """One evaluation as a Markdown table: a row per width, mean and standard error over puzzles."""
    lines = ["| K | " + " | ".join(title for _, title in COLUMNS) + " |", "| --- " * (len(COLUMNS) + 1) + "|"]
    for width in widths:
        cells = [cell(table, name, width) for name, _ in COLUMNS]
        lines.append(f"| {width} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(table: Mapping[str, Mapping[int, float]], name: str, width: int) -> str:
    """Mean and standard error; where nothing failed (or everything), the 95 % limit of the share in its place."""
    mean, se = table[name][width], table.get(f"{name}_se", {}).get(width)
    if se == 0 and name in SHARES and mean in (0, 1) and "num_puzzles" in table:
        limit = rule_of_three(table["num_puzzles"])
        return f"{mean:.4f} ({f'> {1 - limit:.4f}' if mean else f'< {limit:.4f}'})"
    return f"{mean:.4f}" + ("" if se is None else f" ± {se:.4f}")


def rows_markdown(rows: Sequence[Mapping], columns: Sequence[str] | None = None) -> str:
    """Rows as a Markdown table.

    Args: columns; None: all that any row has, in the order they come. NAME_se is shown beside NAME, as its error, where
    NAME is there and it is not asked for itself.
    """
    if columns is None:
        every = list(dict.fromkeys(key for row in rows for key in row))
        columns = [key for key in every if key.removesuffix("_se") not in every or not key.endswith("_se")]
    lines = [[_shown(row, column) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [columns, ["---"] * len(columns), *lines])


def _shown(row: Mapping, column: str) -> str:
    """A value and its standard error; nothing where there is none."""
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
