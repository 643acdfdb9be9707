"""Panels of pictures on a grid, and the bars that say what their colours mean.

Laid out by lengths in inches, not by matplotlib's layout engines: panels keep the pictures' proportions without gaps.
"""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from smoothdino_jax.apps.figures import DEPTH_COLOURS, ERROR_COLOURS
from smoothdino_jax.apps.report import style


def spread(length: int, count: int) -> np.ndarray:
    """Up to `count` positions, evenly over a length, both ends among them; the middle one for a count of one."""
    if count == 1:
        return np.array([length // 2])
    return np.unique(np.linspace(0, length - 1, max(2, count)).round().astype(int))


def grid(lines: int, columns: int, aspect: float, *, left=0.3, bottom=0.75, titles=False) -> tuple[Figure, np.ndarray]:
    """A figure of equal panels of a height to width ratio, and its axes `(lines, columns)`; lengths in inches."""
    gap, between, top, right = (0.45, 0.45, 0.35, 0.15) if titles else (0.06, 0.06, 0.3, 0.06)
    width = max(9.0, 1.3 * columns)
    across = (width - left - right - gap * (columns - 1)) / columns
    down = across * aspect
    height = top + lines * down + (lines - 1) * between + bottom
    figure = style.new_figure(height, width, layout=None)
    axes = np.empty((lines, columns), object)
    for (i, j), _ in np.ndenumerate(axes):
        x, y = left + j * (across + gap), height - top - down - i * (down + between)
        axes[i, j] = figure.add_axes((x / width, y / height, across / width, down / height))
        axes[i, j].set(xticks=[], yticks=[])
        axes[i, j].spines[:].set_visible(False)
    return figure, axes


def bars(figure: Figure, limits: tuple[float, float], errors: tuple[float, float] | None) -> None:
    """Colour bars along the bottom: of depth, and of errors if there are any."""
    shown = [(limits, DEPTH_COLOURS, "depth [m]", "both")]
    shown += [(errors, ERROR_COLOURS, "|error| [m]", "max")] if errors else []
    height = figure.get_figheight()
    for k, (ends, colours, text, extend) in enumerate(shown):
        across = 0.84 / len(shown)
        axes = figure.add_axes((0.08 + k * across + 0.02 * k, 0.46 / height, across - 0.02, 0.14 / height))
        scale = ScalarMappable(Normalize(*ends), matplotlib.colormaps[colours])
        bar = figure.colorbar(scale, cax=axes, orientation="horizontal", extend=extend, extendfrac=0.025)
        bar.set_label(text, fontsize=style.NORMAL, color=style.INK)
        bar.ax.tick_params(labelsize=style.SMALL, length=3, colors=style.INK)
        bar.outline.set_linewidth(0.5)


def corner(panel: Axes, text: str) -> None:
    """White text in the lower left corner of a picture."""
    if text:
        box = {"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "pad": 2}
        panel.text(
            0.02, 0.03, text, transform=panel.transAxes, fontsize=style.SMALL, color="white", bbox=box, va="bottom"
        )
