"""The backend and the colours of all figures: the Okabe-Ito palette, which colour-blind readers can tell apart. Curves
differ in line style too."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 - the backend must be chosen first

__all__ = ["BLACK", "BLUE", "GREEN", "ORANGE", "RED", "STYLES", "plt"]

BLUE, ORANGE, GREEN, RED, BLACK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#000000"
STYLES = ((BLUE, "-"), (RED, "--"), (GREEN, "-."), (ORANGE, ":"))
