"""Tables of evaluations: for people as Markdown, for programs as CSV."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

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
    with path.open("w", newline="") as file:
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
