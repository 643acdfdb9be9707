"""How the figures of a report look: one width, one set of colours, one way to name and to number things.

The colours are those of Okabe and Ito ("Color universal design", 2008), which stay apart for the colour-blind. Text is
at least 8 points, so that a figure 900 pixels wide can be read without enlarging it.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

INK, FAINT = "#222222", "#d8d8d8"
FIRST = "#555555"  # the row that the others are compared with
BLUE, ORANGE, GREEN, PINK, YELLOW, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
PALETTE = (BLUE, ORANGE, GREEN, PINK, YELLOW, SKY)
SMALL, NORMAL, LARGE = 8.5, 9.5, 11  # points

_DPI = 100
_WIDTH = 9.0  # inches
_STROKES = ("-", "--", ":", "-.")
_MOST = 3  # times the median: longer bars may be cut
_MARKERS = ("o", "s", "^", "D")


class Look(NamedTuple):
    """What tells a row from the others; unique for the first 25."""

    colour: str
    stroke: str
    marker: str


def new_figure(height: float, width: float = _WIDTH, layout: str | None = "constrained") -> Figure:
    """An empty figure, inches."""
    return Figure((width, height), dpi=_DPI, facecolor="white", layout=layout)


def tidy(axes: Axes, grid: str = "both") -> Axes:
    """Two spines, a faint grid behind the data, small ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL, colors=INK, length=3, width=0.6)
    axes.grid(axis=grid, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(size=NORMAL, color=INK)
    return axes


def title(axes: Axes, text: str, loc: str = "left") -> None:
    """A title above the axes; at the right it is a small remark."""
    axes.set_title(text, loc=loc, fontsize=LARGE if loc == "left" else SMALL, color=INK)


def looks(names: Sequence[str]) -> dict[str, Look]:
    """A look for each row: grey for the first, then by order; so the same rows look the same in every figure."""
    found = {}
    for k, name in enumerate(names):
        turn, place = divmod(k - 1, len(PALETTE))
        colour, turn = (PALETTE[place], turn % len(_STROKES)) if k else (FIRST, 0)
        found[name] = Look(colour, _STROKES[turn], _MARKERS[turn])
    return found


def label(name: str, length: int = 34) -> str:
    """A name as text: long ones lose their middle; what the font lacks becomes a box; `$` stays a dollar."""
    if len(name) > length:
        name = name[: length // 2] + "…" + name[len(name) - (length - length // 2 - 1) :]
    return "".join(letter if _has(letter) else "□" for letter in name).replace("$", r"\$")


def quoted(name: str) -> str:
    """A name within a sentence."""
    return f"“{label(name)}”"


def cut_bars(
    axes: Axes,
    values: Sequence[float],
    least: float,
    form: Callable[[float], str],
    intervals: Sequence[tuple[float, float] | None] = (),
) -> None:
    """Ends the axis where bars that are much longer than most would leave nothing of the others, and says so on them.

    Args:
        axes: with horizontal bars at 0, 1, …
        values: their ends; only those above 0 are cut.
        least: where the axis ends at the least.
        form: writes the value of a bar that is cut.
        intervals: of the bars. Where one alone is cut, an arrow says so.
    """
    spans = [ends or (value, value) for value, ends in zip(values, intervals or [None] * len(values), strict=True)]
    lows, tops = np.minimum(values, np.min(spans, 1)), np.maximum(values, np.max(spans, 1))
    end = max(least, _MOST * float(np.median(np.abs(values))))
    if tops.max() <= 1.5 * end:
        return
    axes.set_xlim(min(0, 1.05 * lows.min()), end)
    for place in np.flatnonzero(tops > end):
        box = {"boxstyle": "square,pad=0.2", "facecolor": "white", "edgecolor": INK, "linewidth": 0.6}
        look = {"ha": "right", "va": "center", "fontsize": SMALL, "color": INK, "bbox": box}
        text = f"{form(values[place])} ▸" if values[place] > end else "▸"
        axes.annotate(text, (end, place), (-3, 0), textcoords="offset points", **look)


def names_beside(axes: Axes, rows: Sequence[dict]) -> None:
    """The rows' names at the left of horizontal bars, the first at the top."""
    axes.set_yticks(range(len(rows)), [label(row["name"]) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def columns_beside(axes: Axes, edges: Sequence[float], lines: Iterable[tuple[float, Sequence[str]]], **font) -> None:
    """Columns of text at the right of the axes.

    Args:
        axes: of a figure with constrained layout, which makes room.
        edges: right edges of the columns, points from the right end of the axes.
        lines: a place on the y axis and the texts of that line, each.
        **font: properties of the text.
    """
    where = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "ha": "right", "va": "center"}
    for place, texts in lines:
        for edge, text in zip(edges, texts, strict=False):
            axes.annotate(
                text, (1, place), (edge, 0), fontsize=SMALL, color=INK, annotation_clip=False, **where, **font
            )


def legend_below(figure: Figure, axes: Axes, handles=None) -> None:
    """A legend under everything, in as many columns as the longest of its texts lets there be."""
    handles = axes.get_legend_handles_labels()[0] if handles is None else handles
    longest = max(len(handle.get_label()) for handle in handles)
    columns = int(np.clip(120 // (longest + 7), 1, max(1, len(handles))))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False)


def percent(share: float) -> str:
    """A signed change: -0.174 is "−17.4 %", 12.34 is "+1234 %", and what reads as 0 has no sign."""
    value = round(100 * share, 1)
    if value == 0:
        return "0.0 %"
    return f"{value:+.{0 if abs(value) >= 1000 else 1}f} %".replace("-", "−")


def number(value: float) -> str:
    """Four digits, no exponent for what metres and milliseconds come to."""
    return f"{value:.4g}"


def finite(value) -> bool:
    """Whether this is a number: None (JSON's null), NaN, infinities and a missing key are not."""
    return isinstance(value, (int, float, np.number)) and bool(np.isfinite(value))


def having(rows: Iterable[dict], *names: str) -> list[dict]:
    """The rows in which all of these are numbers."""
    return [row for row in rows if all(finite(row.get(name)) for name in names)]


def interval(row: dict, name: str) -> tuple[float, float] | None:
    """A confidence interval of a row; None where it has none."""
    ends = row.get(name)
    return tuple(ends) if isinstance(ends, (list, tuple)) and len(ends) == 2 and all(map(finite, ends)) else None


@functools.cache
def _has(letter: str) -> bool:
    return bool(get_font(findfont(FontProperties())).get_char_index(ord(letter)))
