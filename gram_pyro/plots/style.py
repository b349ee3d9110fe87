"""The backend and colours of all figures: the Okabe-Ito palette, which colour-blind readers can distinguish. Curves
also differ in line style. LaTeX is not used, even if the user's matplotlibrc asks for it: it may be absent."""

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["text.usetex"] = False
import matplotlib.pyplot as plt  # noqa: E402 - the backend must be chosen first
from matplotlib.axes import Axes  # noqa: E402

__all__ = ["BLACK", "BLUE", "GREEN", "ORANGE", "RED", "STYLES", "legend_below", "plt"]

BLUE, ORANGE, GREEN, RED, BLACK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#000000"
STYLES = ((BLUE, "-"), (RED, "--"), (GREEN, "-."), (ORANGE, ":"))


def legend_below(axis: Axes, label_lines: int = 2, **options: object) -> None:
    """The legend of an axis under its label, where it covers no curve.

    Args: label_lines, of text between the axis and it: numbers and the label.
    """
    columns = 2 if len(axis.get_legend_handles_labels()[0]) > 3 else 1
    pad = 0.5 + 2 * label_lines  # in units of the font size
    look = {"ncols": columns, "columnspacing": 1, "fontsize": 8, "frameon": False}
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=pad, **look | options)
