"""Names beside points, none on top of another."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation

from smoothdino_jax.apps.report import style

_DISTANCES = (9, 18, 30, 44, 60, 80, 105, 135, 170, 210)  # points; the far ones get a line to their point
_ANGLES = np.deg2rad([0, 180, 90, 270, 45, 315, 135, 225, 20, 340, 160, 200])


def place_labels(axes: Axes, points: Sequence[tuple[float, float, str, str]]) -> list[Annotation]:
    """Writes a name beside each point, where it is on no other name, no point and no line of the axes.

    Places round the point are tried one after the other, from near to far. Limits and layout of the axes must be final.

    Args:
        axes: with the data drawn.
        points: x, y, name and colour each.

    Returns:
        The labels, in order. Where every place is taken, a label stands in the place with the least on it.
    """
    figure = axes.figure
    renderer = FigureCanvasAgg(figure).get_renderer()
    inside, unit = axes.get_window_extent(renderer).extents, figure.dpi / 72
    centres = axes.transData.transform([(x, y) for x, y, _, _ in points])
    taken = [np.concatenate([centre - 6, centre + 6]) for centre in centres]
    for lines in axes.collections:
        taken += [path.get_extents(axes.transData).extents for path in lines.get_paths()]
    found = []
    for (x, y, name, colour), centre in zip(points, centres, strict=True):
        note = axes.annotate(
            style.label(name),
            (x, y),
            (0, 0),
            textcoords="offset points",
            fontsize=style.SMALL,
            color=style.INK,
            ha="center",
            va="center",
            zorder=4,
            bbox={"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none", "alpha": 0.7},
        )
        size = np.array(note.get_window_extent(renderer).size) + np.array([10, 3])
        box, distance, offset = _place(centre, size, unit, np.array(taken), inside)
        note.set_position(tuple(offset / unit))
        taken.append(box)
        if distance > _DISTANCES[1]:
            end = np.clip(centre, box[:2], box[2:])
            line = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0}
            way = tuple((end - centre) / unit)
            axes.annotate("", (x, y), way, textcoords="offset points", arrowprops=line, zorder=1)
        found.append(note)
    return found


def _place(centre, size, unit, taken, inside):
    """The first free place: its box, its distance in points, and the offset of its middle from the point in pixels.

    Boxes are x and y of the lower left corner, then of the upper right one.
    """
    places = []
    for distance in _DISTANCES:
        for angle in _ANGLES:
            way = np.array([np.cos(angle), np.sin(angle)])
            # The box touches the circle around the point, on the side that looks at it.
            offset = way * distance * unit + np.sign(way.round(6)) * size / 2
            box = np.concatenate([centre + offset - size / 2, centre + offset + size / 2])
            over, outside = _overlap(box, taken).sum(), size.prod() - _overlap(box, inside[None])[0]
            if over == 0 and outside < 1e-6 * size.prod():
                return box, distance, offset
            places.append((over + 3 * outside, len(places), box, distance, offset))
    return min(places)[2:]


def _overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Areas in common with each of the others, pixels²; lines count as one pixel wide."""
    low, high = np.maximum(box[:2], others[:, :2] - 0.5), np.minimum(box[2:], others[:, 2:] + 0.5)
    return np.maximum(high - low, 0).prod(1)
