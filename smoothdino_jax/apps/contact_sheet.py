"""One picture of an inspection: frames beside their depth, depth edges on the image, three histograms.

What numbers don't show, eyes do: depth that lags behind the image, that is mirrored, shifted or of another
scene. All depth has one range of colours in metres.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from smoothdino_jax.apps.figures import DEPTH_COLOURS, NO_READING, colour
from smoothdino_jax.data.frames import DataError, Frame, FrameSource
from smoothdino_jax.inspection.figures import LOW_RESPONSE, Inspection, counted, metres

WIDTH = 1600  # pixels

_DPI = 100
_MARGIN, _GAP, _TITLE = 24, 20, 26
_COLUMNS, _FRAMES = 3, 12
_CELL = (WIDTH - 2 * _MARGIN - (_COLUMNS - 1) * _GAP) // _COLUMNS
_EDGE_COLOUR = (255, 0, 190)  # hardly ever in a room
_EDGE_RATIO = 1.08  # of depths on the two sides of an edge
_INK, _BARS = "#222222", "#4c72b0"


class _Panel(NamedTuple):
    """Pixels to paste at (left, top), scaled to (width, height)."""

    left: int
    top: int
    width: int
    height: int
    pixels: np.ndarray


def contact_sheet(source: FrameSource, inspection: Inspection, title: str) -> np.ndarray:
    """Draws the sheet.

    Args:
        source: frames; about a dozen are read again.
        inspection: of this source.
        title: for the first line, the path of the data.

    Returns:
        `(H, 1600, 3)` uint8, RGB.

    Raises:
        DataError: none of the frames can be read any more.
    """
    frames = _frames(source, inspection)
    limits = _limits(inspection)
    cells = [frames[k : k + _COLUMNS] for k in range(0, len(frames), _COLUMNS)]
    overlaid = [frames[k] for k in np.unique(np.linspace(0, len(frames) - 1, _COLUMNS).round().astype(int))]

    header = 92
    bar_top = header + sum(_TITLE + _height(row, (_CELL - 4) // 2) + 10 for row in cells)
    overlay_top = bar_top + 92
    histogram_top = overlay_top + _TITLE + _height(overlaid, _CELL) + 48
    sheet = _Sheet(histogram_top + 270)

    sheet.text(_MARGIN, 40, _shortened(title, 110), size=17, weight="bold")
    sheet.text(_MARGIN, 70, _summary(inspection), size=12)
    top = header
    for row in cells:
        for column, frame in enumerate(row):
            sheet.frame(_MARGIN + column * (_CELL + _GAP), top, frame, limits)
        top += _TITLE + _height(row, (_CELL - 4) // 2) + 10
    sheet.colour_bar(bar_top + 8, limits, inspection)
    for column, frame in enumerate(overlaid):
        left = _MARGIN + column * (_CELL + _GAP)
        sheet.text(left, overlay_top + 18, _name(frame))
        sheet.paste(left, overlay_top + _TITLE, _CELL, depth_edges(frame.image, frame.depth))
    sheet.histograms(histogram_top, 205, inspection)
    return sheet.draw()


def depth_edges(image: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """The image, dimmed, with the edges of its depth in magenta.

    Args:
        image: `(H, W, 3)` uint8, RGB.
        depth: `(H, W)` metres, 0 where there is no reading; what adjoins such a place is no edge.

    Returns:
        `(H, W, 3)` uint8, RGB.
    """
    depth = np.nan_to_num(np.asarray(depth, np.float32), posinf=0.0)
    smooth = cv2.medianBlur(depth, 5) if min(depth.shape) >= 5 else depth
    kernel = np.ones((3, 3), np.uint8)
    near, far = cv2.erode(smooth, kernel), cv2.dilate(smooth, kernel)
    edges = (near > 0) & (far > _EDGE_RATIO * near)
    pixels = (image * 0.85).astype(np.uint8)
    pixels[edges] = _EDGE_COLOUR
    return pixels


class _Sheet:
    """Text, bars and axes drawn by matplotlib; pixels pasted over it afterwards, undistorted by its layout."""

    def __init__(self, height: int):
        self._height = height
        self._figure = Figure((WIDTH / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
        self._canvas = FigureCanvasAgg(self._figure)
        self._panels: list[_Panel] = []

    def text(self, left: float, baseline: float, text: str, size: float = 10, **style) -> None:
        where = left / WIDTH, 1 - baseline / self._height
        self._figure.text(*where, text.replace("$", r"\$"), fontsize=size, color=_INK, va="baseline", **style)

    def paste(self, left: int, top: int, width: int, pixels: np.ndarray) -> None:
        """Pixels with their own aspect ratio, no wider than `width`."""
        self._panels.append(_Panel(left, top, *_fitted(pixels, width), pixels))

    def frame(self, left: int, top: int, frame: Frame, limits: tuple[float, float]) -> None:
        """Image and depth side by side, the frame's name over them."""
        half = (_CELL - 4) // 2
        self.text(left, top + 19, _name(frame))
        self.paste(left, top + _TITLE, half, frame.image)
        self.paste(left + half + 4, top + _TITLE, half, colour(frame.depth, limits))

    def colour_bar(self, top: int, limits: tuple[float, float], inspection: Inspection) -> None:
        scale = ScalarMappable(Normalize(*limits), matplotlib.colormaps[DEPTH_COLOURS])
        axes = self._axes(_MARGIN + 20, top, 2 * _CELL + _GAP - 40, 16)
        bar = self._figure.colorbar(scale, cax=axes, orientation="horizontal", extend="both", extendfrac=0.015)
        bar.outline.set_linewidth(0.5)
        bar.set_label(
            "depth in metres (1 % to 99 % of all readings; beyond, the end's colour)", fontsize=10, color=_INK
        )
        bar.ax.tick_params(labelsize=9, length=3, width=0.5, colors=_INK)
        left = _MARGIN + 2 * (_CELL + _GAP)
        self.paste(left, top, 16, np.full((16, 16, 3), NO_READING, np.uint8))
        self.text(left + 24, top + 13, f"no reading: {inspection.depth.invalid:.1%} of the pixels")
        self.paste(left, top + 26, 16, np.full((16, 16, 3), _EDGE_COLOUR, np.uint8))
        self.text(left + 24, top + 39, "edge of depth (row below): it should lie on an edge of the image")

    def histograms(self, top: int, height: int, inspection: Inspection) -> None:
        depth, shift = inspection.depth, inspection.shift
        panels = [
            ("depth in metres, all readings", f"median {metres(depth.median)}", *_depth_bins(inspection)),
            (
                "shift in pixels, pairs with a match",
                f"median {shift.median:.3g} px",
                *_bins(_magnitudes(inspection), None),
            ),
            (
                "response of consecutive pairs",
                f"{shift.low_response:.1%} under {LOW_RESPONSE:g}: no match",
                *_bins(inspection.shifts[:, 2].clip(0, 1), (0, 1)),
            ),
        ]
        for column, (label, note, shares, edges) in enumerate(panels):
            left = _MARGIN + column * (_CELL + _GAP)
            axes = self._axes(left + 44, top, _CELL - 52, height)
            _style(axes, label)
            if len(shares):
                axes.stairs(shares, edges, fill=True, color=_BARS)
                axes.set_xlim(edges[0], edges[-1])
                axes.set_ylim(0, 1.15 * shares.max())
                axes.text(0.985, 0.96, note, ha="right", va="top", fontsize=10, color=_INK, transform=axes.transAxes)
            else:
                axes.text(0.5, 0.5, "nothing to show", ha="center", color=_INK, transform=axes.transAxes)
                axes.set_yticks([])
            if column == 2:
                axes.axvline(LOW_RESPONSE, color="#c44e52", linewidth=1.2)

    def draw(self) -> np.ndarray:
        self._canvas.draw()
        picture = np.asarray(self._canvas.buffer_rgba())[..., :3].copy()
        for left, top, width, height, pixels in self._panels:
            shrinks = pixels.shape[1] > width
            way = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
            picture[top : top + height, left : left + width] = cv2.resize(pixels, (width, height), interpolation=way)
        return picture

    def _axes(self, left: float, top: float, width: float, height: float) -> Axes:
        bottom = self._height - top - height
        return self._figure.add_axes((left / WIDTH, bottom / self._height, width / WIDTH, height / self._height))


def _frames(source: FrameSource, inspection: Inspection) -> list[Frame]:
    """About a dozen of the frames that were read, evenly over the scenes, in order."""
    seen = set(inspection.positions.tolist())
    scenes = [[position for position in positions if position in seen] for positions in source.scenes.values()]
    scenes = [positions for positions in scenes if positions]
    if len(scenes) > _FRAMES:
        scenes = [scenes[k] for k in np.linspace(0, len(scenes) - 1, _FRAMES).round().astype(int)]
    share, more = divmod(_FRAMES, len(scenes))
    chosen = []
    for k, positions in enumerate(scenes):
        count = min(len(positions), share + (k < more))
        # The middle of each of `count` equal parts.
        chosen += [positions[int((i + 0.5) * len(positions) / count)] for i in range(count)]
    frames = []
    for position in chosen:
        try:
            frames.append(source[position])
        except (DataError, OSError) as error:
            last = error
    if not frames:
        raise DataError(f"no frame can be read for the sheet: {last}")
    return frames


def _limits(inspection: Inspection) -> tuple[float, float]:
    low, high = inspection.depth.percent_1, inspection.depth.percent_99
    if not low < high:  # constant depth, or no reading at all
        middle = low if np.isfinite(low) else 1.0
        return 0.5 * middle, 1.5 * middle
    return low, high


def _height(frames: Sequence[Frame], width: int) -> int:
    """Of a row of pictures, each no wider than `width`."""
    return max(_fitted(frame.depth, width)[1] for frame in frames)


def _fitted(pixels: np.ndarray, width: int) -> tuple[int, int]:
    """(width, height) on the sheet; upright pictures are made narrower, or the sheet would be all theirs."""
    height, full = pixels.shape[:2]
    scale = width / max(full, height)
    return max(1, round(full * scale)), max(1, round(height * scale))


def _name(frame: Frame) -> str:
    return f"{_shortened(frame.scene, 34)}/{frame.index}"


def _shortened(text: str, length: int) -> str:
    """The end of a long text: of a path it tells the most."""
    return text if len(text) <= length else "…" + text[1 - length :]


def _summary(inspection: Inspection) -> str:
    width, height, _ = inspection.sizes[0]
    parts = [
        inspection.layout or "frames",
        counted(len(inspection.scenes), "scene"),
        counted(inspection.frames, "frame") + (f", {inspection.read} of them looked at" if inspection.sampled else ""),
        f"{width}×{height}" + (" and other sizes" if len(inspection.sizes) > 1 else ""),
        inspection.verdict,
    ]
    return "   ·   ".join(parts)


def _magnitudes(inspection: Inspection) -> np.ndarray:
    matched = inspection.shifts[inspection.shifts[:, 2] >= LOW_RESPONSE]
    return np.hypot(matched[:, 0], matched[:, 1])


def _depth_bins(inspection: Inspection) -> tuple[np.ndarray, np.ndarray]:
    metres, counts = inspection.depth_histogram
    return _bins(metres, (0, 1.1 * inspection.depth.percent_99), counts)


def _bins(values: np.ndarray, limits: tuple[float, float] | None, weights=None) -> tuple[np.ndarray, np.ndarray]:
    """Shares in per cent and the edges of the bins; both empty without values. What is beyond goes in the last."""
    if not len(values):
        return np.empty(0), np.empty(0)
    low, high = limits or (0, max(1.0, 1.02 * float(np.quantile(values, 0.99))))
    bins = 50 if weights is not None or len(values) > 200 else 25
    counts, edges = np.histogram(np.clip(values, low, high), bins, (low, high), weights=weights)
    return 100 * counts / counts.sum(), edges


def _style(axes: Axes, label: str) -> None:
    axes.set_title(label, fontsize=11, color=_INK, loc="left", pad=6)
    axes.tick_params(labelsize=9, length=3, width=0.5, colors=_INK)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_linewidth(0.5)
