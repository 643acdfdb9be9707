"""Pictures of depth: predictions against the truth (`Comparison`), frames beside their depth (`SideBySide`).

A colour map that is normalised frame by frame is itself flicker, so every picture here has one fixed range in
metres and a colour bar that says so. Matplotlib lays out what stays (titles, bars) once, on a canvas of its
own, never through `pyplot`; a frame then costs only its panels.
"""

from collections.abc import Mapping, Sequence

import cv2
import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure

DEPTH_COLOURS = "turbo_r"  # near is warm
ERROR_COLOURS = "magma"
NO_READING = (120, 120, 120)

_DPI = 100


class Comparison:
    """Image, truth and predictions in a row; under each prediction its absolute error.

    >>> comparison = Comparison((480, 640), ["vanilla", "smoothed"], (0, 10), 2)  # doctest: +SKIP
    >>> picture = comparison.draw(image, truth, {"vanilla": a, "smoothed": b})    # doctest: +SKIP
    """

    def __init__(
        self,
        size: tuple[int, int],
        predictions: Sequence[str],
        depth_range: tuple[float, float],
        error_range: float | None = None,
        *,
        width: int = 1000,
        rmse: bool = True,
    ):
        """Lays the picture out.

        Args:
            size: `(H, W)` of the frames.
            predictions: names, in the order of the columns.
            depth_range: metres at the two ends of the depth colours; beyond them the end's colour.
            error_range: metres at the end of the error colours; None where there is no truth: then the
                picture is one row, the image and the predictions.
            width: of the picture, pixels.
            rmse: write each prediction's RMSE of the frame in its title.

        Raises:
            ValueError: no prediction, or a range that is empty.
        """
        _check_range(depth_range)
        if error_range is not None and not error_range > 0:
            raise ValueError(f"error_range is {error_range}: it needs metres above 0")
        if not predictions or len(set(predictions)) < len(predictions):
            raise ValueError(f"predictions needs different names, at least one; got {list(predictions)}")
        self._size, self._names = tuple(size), list(predictions)
        self._depth_range, self._error_range, self._rmse = depth_range, error_range, rmse
        depth_scale = ScalarMappable(Normalize(*depth_range, clip=True), _colormap(DEPTH_COLOURS))

        columns = 1 + self.has_truth + len(self._names)
        gap, title = 6, 24
        across = (width - gap * (columns + 1)) // columns
        panel = (max(1, round(across * size[0] / size[1])), across)
        left = [gap + column * (across + gap) for column in range(columns)]
        first_row, second_row = title, title + panel[0] + gap
        height = second_row + (panel[0] + gap if self.has_truth else 62)
        self._sheet = _Sheet((height + height % 2, width))

        self._panels, self._titles = {}, {}
        for column, name in enumerate(["image", *["truth"] * self.has_truth, *self._names]):
            changes = self.has_truth and rmse and name in self._names
            self._panels[name] = self._sheet.panel(left[column], first_row, panel)
            middle = left[column] + across / 2
            self._titles[name] = self._sheet.title(middle, first_row, name, animated=changes)
            if self.has_truth and name in self._names:
                self._panels["error " + name] = self._sheet.panel(left[column], second_row, panel)

        end = "max" if depth_range[0] <= 0 else "both"
        if self.has_truth:
            # The bars fill the free place under the image and the truth.
            error_scale = ScalarMappable(Normalize(0, error_range, clip=True), _colormap(ERROR_COLOURS))
            bar = left[0] + 18, 2 * across + gap - 48
            middle = second_row + panel[0] // 2
            self._sheet.bar(depth_scale, "depth [m]", bar, middle - 50, end)
            self._sheet.bar(error_scale, "|error| [m]", bar, middle + 16, "max")
        else:
            self._sheet.bar(depth_scale, "depth [m]", (left[1], left[-1] + across - left[1]), second_row, end)
        self._sheet.finish()

    @property
    def has_truth(self) -> bool:
        """Whether the picture has the truth and the errors against it."""
        return self._error_range is not None

    def draw(self, image: np.ndarray, truth: np.ndarray | None, depths: Mapping[str, np.ndarray]) -> np.ndarray:
        """Draws one frame.

        Args:
            image: `(H, W, 3)` uint8, RGB.
            truth: `(H, W)` metres, 0 or NaN where there is no reading; None if the picture has no truth.
            depths: prediction name -> `(H, W)` metres, 0 or NaN where there is none.

        Returns:
            `(h, w, 3)` uint8, w the picture's width, h even. Pixels without a reading are grey.

        Raises:
            ValueError: a missing or unknown prediction, a wrong size, or truth where none was announced.
        """
        if set(depths) != set(self._names):
            raise ValueError(f"the picture shows {self._names}, got depths of {sorted(depths)}")
        if (truth is not None) != self.has_truth:
            raise ValueError("truth comes with an error_range: give both or none")
        maps = dict(depths) if truth is None else {"truth": truth, **depths}
        for name, pixels in {"image": image, **maps}.items():
            if pixels.shape[:2] != self._size:
                raise ValueError(f"{name} has shape {pixels.shape}, the picture is for frames of {self._size}")
        panels = {"image": image}
        for name, depth in maps.items():
            panels[name] = colour(depth, self._depth_range)
        titles = {}
        for name in self._names if self.has_truth else []:
            error, known = np.abs(depths[name] - truth), _known(depths[name]) & _known(truth)
            panels["error " + name] = colour(error, (0, self._error_range), ERROR_COLOURS, known)
            if self._rmse:
                rmse = np.sqrt(np.mean(np.square(error[known], dtype=np.float64))) if known.any() else np.nan
                titles[name] = f"{name}   {rmse:.2f} m"
        return self._sheet.draw(
            {self._panels[name]: pixels for name, pixels in panels.items()},
            {self._titles[name]: text for name, text in titles.items()},
        )


class SideBySide:
    """A frame beside its depth maps, or they alone, at the frame's own scale, for video."""

    def __init__(
        self,
        size: tuple[int, int],
        titles: Sequence[str],
        depth_range: tuple[float, float],
        *,
        frame: bool = True,
        max_width: int = 3840,
    ):
        """Lays the picture out.

        Args:
            size: `(H, W)` of the frames.
            titles: of the depth maps, left to right.
            depth_range: metres at the two ends of the colours.
            frame: show the frame itself, left of its depth.
            max_width: pixels; the panels shrink to fit, so that players can show what a 4K camera took.

        Raises:
            ValueError: no title, or a range that is empty.
        """
        _check_range(depth_range)
        if not titles:
            raise ValueError("titles needs a name for each depth map, at least one")
        self._depth_range, self._frame = depth_range, frame
        titles = ["frame"] * frame + list(titles)
        columns = len(titles)
        # Lettering grows with the picture, from 400 pixels high on, up to twice.
        large = float(np.clip(size[0] / 400, 1, 2))
        top, bar, gap = round(26 * large), round(74 * large), 4
        across = max(1, min(size[1], (max_width - bar) // columns - gap))
        panel = (max(1, round(size[0] * across / size[1])), across)
        # Below 160 pixels the bar's numbers would overlap; both sides are even, as H.264 needs.
        height, width = max(top + panel[0] + gap, 160), columns * (across + gap) + bar
        self.size = height + height % 2, width + width % 2
        self._sheet = _Sheet(self.size, large)
        self._panels = []
        for column, title in enumerate(titles):
            left = column * (across + gap)
            self._panels.append(self._sheet.panel(left, top, panel))
            self._sheet.title(left + across / 2, top, title)
        scale = ScalarMappable(Normalize(*depth_range), _colormap(DEPTH_COLOURS))
        end = "max" if depth_range[0] <= 0 else "both"
        self._sheet.upright_bar(scale, "depth [m]", columns * (across + gap) + 6, top, end)
        self._sheet.finish()

    def draw(self, image: np.ndarray, *depths: np.ndarray) -> np.ndarray:
        """Draws one frame.

        Args:
            image: `(H, W, 3)` uint8, RGB.
            *depths: each `(H, W)` metres, 0 or NaN where there is none.

        Returns:
            `(h, w, 3)` uint8, of the attribute `size`: both sides even.
        """
        pictures = [image] * self._frame + [colour(depth, self._depth_range) for depth in depths]
        return self._sheet.draw(dict(zip(self._panels, pictures, strict=True)), {})


def colour(
    values: np.ndarray,
    limits: tuple[float, float],
    colours: str = DEPTH_COLOURS,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """Colours a map of metres.

    Args:
        values: `(H, W)` metres.
        limits: metres at the two ends of the colours; beyond them the end's colour.
        colours: one of matplotlib's colour maps.
        known: `(H, W)` bool, the rest is grey; by default wherever the value is finite and above 0.

    Returns:
        `(H, W, 3)` uint8, RGB.
    """
    known = _known(values) if known is None else known
    low, high = limits
    levels = np.where(known, (np.asarray(values, np.float32) - low) * (255 / (high - low)), 0)
    table = (_colormap(colours)(np.arange(256))[:, None, :3] * 255).round().astype(np.uint8)
    pixels = cv2.applyColorMap(np.clip(levels, 0, 255).astype(np.uint8), table)
    pixels[~known] = NO_READING
    return pixels


class _Sheet:
    """A canvas: text and bars are drawn once; per frame, panels are pasted and changing titles redrawn."""

    def __init__(self, size: tuple[int, int], large: float = 1):
        self._height, self._width = size
        self._large = large
        dpi = _DPI * large
        self._figure = Figure((self._width / dpi, self._height / dpi), dpi=dpi, facecolor="white")
        self._canvas = FigureCanvasAgg(self._figure)

    def panel(self, left: int, top: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
        return left, top, *size

    def title(self, middle: float, panel_top: int, text: str, animated: bool = False):
        where = middle / self._width, 1 - (panel_top - 7 * self._large) / self._height
        style = {"ha": "center", "va": "baseline", "fontsize": 10, "color": "#222222"}
        return self._figure.text(*where, text, animated=animated, **style)

    def bar(self, scale, label, across: tuple[int, int], top: int, extend: str) -> None:
        axes = self._axes(across[0], top, across[1], 14)
        bar = self._figure.colorbar(scale, cax=axes, orientation="horizontal", extend=extend, extendfrac=0.025)
        self._style(bar, label)

    def upright_bar(self, scale, label, left: int, top: int, extend: str) -> None:
        axes = self._axes(left, top + 4, 14 * self._large, self._height - top - 12)
        bar = self._figure.colorbar(scale, cax=axes, extend=extend, extendfrac=0.025)
        bar.ax.invert_yaxis()
        self._style(bar, label)

    def finish(self) -> None:
        """Draws what stays; animated titles are left to `draw`."""
        self._canvas.draw()
        self._background = self._canvas.copy_from_bbox(self._figure.bbox)

    def draw(self, panels: Mapping, titles: Mapping) -> np.ndarray:
        self._canvas.restore_region(self._background)
        for title, text in titles.items():
            title.set_text(text)
            self._figure.draw_artist(title)
        picture = np.asarray(self._canvas.buffer_rgba())[..., :3].copy()
        for (left, top, height, width), pixels in panels.items():
            shrinks = pixels.shape[1] > width
            way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            picture[top : top + height, left : left + width] = cv2.resize(pixels, (width, height), interpolation=way)
        return picture

    def _axes(self, left, top, width, height):
        bottom = self._height - top - height
        unit = np.array([self._width, self._height] * 2)
        return self._figure.add_axes(tuple(np.array([left, bottom, width, height]) / unit))

    @staticmethod
    def _style(bar, label) -> None:
        bar.outline.set_linewidth(0.5)
        bar.set_label(label, fontsize=10, color="#222222")
        bar.ax.tick_params(labelsize=9, length=3, width=0.5, colors="#222222")


def _colormap(name: str) -> Colormap:
    return matplotlib.colormaps[name]


def _known(depth: np.ndarray) -> np.ndarray:
    return np.isfinite(depth) & (depth > 0)


def _check_range(depth_range: tuple[float, float]) -> None:
    low, high = depth_range
    if not 0 <= low < high < np.inf:
        raise ValueError(f"the depth range is {low}..{high}: it needs 0 ≤ low < high, in metres")
