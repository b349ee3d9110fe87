"""Where the data sets lie (GRAM_DATA), and what to skip where they do not."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("GRAM_DATA", Path(__file__).parents[3] / "shared" / "data"))
ALL8 = DATA / "graphs" / "n8_3colourable.csv"  # one graph of every 3-colourable class on 8 vertices


def needs(part: str) -> pytest.MarkDecorator:
    """Skips a test where there is no DATA/part."""
    return pytest.mark.skipif(not (DATA / part).exists(), reason=f"needs {part} in the data folder (GRAM_DATA)")
