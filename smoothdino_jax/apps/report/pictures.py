"""Pictures of a clip: depth and errors of several rows, features, measured shifts, one line of the picture over time.

Every picture has one range of metres for all its panels and frames, given by a bar: colours that are fitted frame by
frame would show flicker where there is none. As the charts, each is a figure, or None where the clip lacks what it
shows. Grey is where nothing was read; a clip without any truth gets no panel of the truth and none of errors.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from smoothdino_jax.apps.figures import DEPTH_COLOURS, ERROR_COLOURS, colour
from smoothdino_jax.apps.report import panels, style
from smoothdino_jax.evaluation.clip import Clip, FeaturePictures
from smoothdino_jax.inspection.figures import LOW_RESPONSE

_RESPONSE_COLOURS = "viridis"


class PlayerFrames(NamedTuple):
    """What a page needs to play a clip.

    Attributes:
        panels: name -> N pictures `(h, w, 3)` uint8. The names: "image", "vanilla", "smoothed", and with truth
            "truth", "vanilla error" and "smoothed error".
        depth_range: metres at the two ends of the depth colours.
        error_range: metres at the two ends of the error colours; None without truth.
        depth_bar: `(16, 256, 3)` uint8, the colours from the near end to the far one.
        error_bar: the same from no error on.
    """

    panels: dict[str, list[np.ndarray]]
    depth_range: tuple[float, float]
    error_range: tuple[float, float] | None
    depth_bar: np.ndarray
    error_bar: np.ndarray


def comparison(clip: Clip, rows: Sequence[str] | None = None, frames: int = 3) -> Figure | None:
    """Image, predictions and truth of some frames; under each prediction its absolute error (Figs. 9-11, 15-17).

    Args:
        clip: what `eval.py` kept.
        rows: of the clip's predictions, the columns; the first two by default. Unknown names are left out.
        frames: how many, evenly over the clip.

    Returns:
        None if no row is left, or none has depth.
    """
    rows = [row for row in (list(clip.predictions)[:2] if rows is None else rows) if row in clip.predictions]
    limits = depth_range(clip, rows)
    if limits is None:
        return None
    errors = error_range(clip, rows)
    names = ["image", *rows, *(["truth"] if errors else [])]
    lines = panels.spread(len(clip.frames), frames)
    height, width = clip.image.shape[1:3]
    per_frame = 2 if errors else 1
    figure, axes = panels.grid(len(lines) * per_frame, len(names), height / width)
    for i, k in enumerate(lines):
        top, under = axes[per_frame * i], axes[per_frame * i + 1] if errors else ()
        maps = {row: clip.predictions[row][k] for row in rows} | {"truth": clip.truth[k]}
        for panel, name in zip(top, names, strict=True):
            panel.imshow(clip.image[k] if name == "image" else colour(maps[name], limits))
        top[0].set_ylabel(f"frame {clip.frames[k]}", fontsize=style.NORMAL, color=style.INK)
        for panel, name in zip(under, names, strict=False):
            if name not in rows:
                panel.set_visible(False)
                continue
            error, known = _error(maps[name], clip.truth[k])
            panel.imshow(colour(error, errors, ERROR_COLOURS, known))
            rmse = f"RMSE {np.sqrt(np.mean(np.square(error[known], dtype=np.float64))):.3f} m" if known.any() else ""
            panels.corner(panel, rmse)
    for panel, name in zip(axes[0], names, strict=True):
        panel.set_title(style.label(name, max(8, 88 // len(names))), fontsize=style.NORMAL, color=style.INK)
    panels.bars(figure, limits, errors)
    return figure


def time_slice(clip: Clip, line: int | None = None, rows: Sequence[str] | None = None) -> Figure | None:
    """One line of the picture over time: image, truth and predictions, time downwards. Flicker shows as stripes.

    Args:
        clip: what `eval.py` kept.
        line: of the picture, from the top; the middle by default.
        rows: of the clip's predictions, the first two by default.

    Returns:
        None for fewer than two frames, and where `comparison` gives none.
    """
    rows = [row for row in (list(clip.predictions)[:2] if rows is None else rows) if row in clip.predictions]
    height, width = clip.image.shape[1:3]
    line = height // 2 if line is None else int(np.clip(line, 0, height - 1))
    maps = {"truth": clip.truth[:, line]} if (clip.truth > 0).any() else {}
    maps |= {row: clip.predictions[row][:, line] for row in rows}
    limits = _rounded_range([*maps.values()]) if rows else None
    if limits is None or len(clip.frames) < 2:
        return None
    columns = 3 if len(maps) != 2 else 2
    count = 2 + len(maps)
    figure, axes = panels.grid(-(-count // columns), columns, height / width, left=0.55, titles=True)
    first, second, *others = axes.flat
    first.imshow(clip.image[0])
    first.axhline(line, color=style.ORANGE, linewidth=2)
    style.title(first, f"first frame of {style.label(clip.scene, 20)}")
    for panel, (name, values) in zip([second, *others], {"image": clip.image[:, line], **maps}.items(), strict=False):
        pixels = values if name == "image" else colour(values, limits)
        panel.imshow(pixels, aspect="auto", interpolation="nearest", extent=(0, width, len(clip.frames) - 0.5, -0.5))
        style.title(panel, "image, frames downwards" if name == "image" else style.label(name, 28))
        places = np.unique(np.linspace(0, len(clip.frames) - 1, 4).round().astype(int))
        panel.set_yticks(places, clip.frames[places])
        panel.tick_params(labelsize=style.SMALL, length=2, pad=1)
    for panel in axes.flat[count:]:
        panel.set_visible(False)
    panels.bars(figure, limits, None)
    return figure


def feature_pictures(clip: Clip) -> Figure | None:
    """Normalised cuts of the features before the adapter and after it, under the image (Figs. 7-8, 13-14).

    The last line is the difference between the two: its size in colours, its mean as a number.

    Returns:
        None if the clip has none.
    """
    features = clip.features
    if features is None or not len(features.frames):
        return None
    height, width = clip.image.shape[1:3]
    shown = panels.spread(len(features.frames), 4)
    figure, axes = panels.grid(4, len(shown), height / width, bottom=0.1)
    change = colour_change(features)
    whole = change_range(change)
    for column, k in enumerate(shown):
        frame = int(features.frames[k])
        for panel, pixels in zip(
            axes[:3, column], (clip.image[frame], features.before[k], features.after[k]), strict=True
        ):
            panel.imshow(pixels, interpolation="nearest", extent=(0, width, height, 0))
        panel = axes[3, column]
        panel.imshow(
            colour(change[k], (0, whole), ERROR_COLOURS, np.isfinite(change[k])),
            interpolation="nearest",
            extent=(0, width, height, 0),
        )
        panels.corner(panel, f"mean {100 * change[k].mean():.2g} %")
        panel = axes[0, column]
        panel.set_title(f"frame {clip.frames[frame]}", fontsize=style.NORMAL, color=style.INK)
    level = f"level {features.level + 1}"
    for panel, text in zip(axes[:, 0], ("image", f"{level}, before", f"{level}, after", "difference"), strict=True):
        panel.set_ylabel(text, fontsize=style.NORMAL, color=style.INK)
    return figure


def colour_change(features: FeaturePictures) -> np.ndarray:
    """How far the adapter moved each token's colour, `(F, h, w)`: mean over the channels, 1 is their whole range."""
    return np.abs(features.after.astype(np.float32) - features.before).mean(-1) / 255


def change_range(change: np.ndarray) -> float:
    """Where the colours of the difference end: all but a hundredth of the tokens are below."""
    most = float(np.percentile(change, 99))
    return next((end for end in (0.02, 0.05, 0.1, 0.2, 0.5) if most <= end), 1.0)


def shift_arrows(clip: Clip, count: int = 4) -> Figure | None:
    """Images with the measured shift as an arrow, coloured by its response; under them all shifts over time.

    Args:
        clip: what `eval.py` kept.
        count: images, evenly over the frames that have a shift.

    Returns:
        None if no frame has a shift.
    """
    measured = np.flatnonzero(np.isfinite(clip.shift).all(1))
    if not len(measured):
        return None
    height, width = clip.image.shape[1:3]
    shown = measured[panels.spread(len(measured), count)]
    dx, dy, response = clip.shift.T
    long = float(np.percentile(np.hypot(dx, dy)[measured], 90))
    factor = _nice_below(width / 3 / long) if long > 0 else 1
    scale = Normalize(0, max(2 * LOW_RESPONSE, float(response[measured].max())))
    charts = 2.6
    figure, axes = panels.grid(1, len(shown), height / width, bottom=charts + 0.35)
    for panel, k in zip(axes[0], shown, strict=True):
        panel.imshow(clip.image[k], alpha=0.6)
        where = {"angles": "xy", "scale_units": "xy", "scale": 1 / factor, "minlength": 0, "width": 0.02}
        middle, way = (width / 2, height / 2), (dx[k], dy[k])
        look = {"cmap": _RESPONSE_COLOURS, "norm": scale, "edgecolor": "white", "linewidth": 0.8}
        panel.quiver(*middle, *way, response[k], **look, **where)
        panel.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        text = f"frame {clip.frames[k]}: {np.hypot(dx[k], dy[k]):.1f} px"
        panel.set_title(text, fontsize=style.SMALL, color=style.INK)
    total = figure.get_figheight()
    where = f"arrows are {factor:g} times the shift, in pixels of the {width}×{height} picture"
    figure.text(0.5, (charts + 0.15) / total, where, ha="center", fontsize=style.SMALL, color=style.INK)
    left, across = 0.08, 0.9
    upper = style.tidy(figure.add_axes((left, 1.45 / total, across, 1.05 / total)))
    lower = style.tidy(figure.add_axes((left, 0.5 / total, across, 0.8 / total), sharex=upper))
    for name, values, (tint, stroke) in (("dx", dx, (style.BLUE, "-")), ("dy", dy, (style.ORANGE, "--"))):
        upper.plot(clip.frames, values, stroke, color=tint, linewidth=1.4, label=name)
    upper.legend(fontsize=style.SMALL, frameon=False, ncols=2, loc="upper right", borderaxespad=0)
    upper.set_ylabel("shift [px]")
    upper.tick_params(labelbottom=False)
    upper.margins(y=0.25)
    lower.plot(clip.frames, response, color=style.INK, linewidth=1)
    lower.scatter(clip.frames[measured], response[measured], 18, response[measured], cmap=_RESPONSE_COLOURS, norm=scale)
    lower.axhline(LOW_RESPONSE, color=style.ORANGE, linestyle=":", linewidth=1.2)
    lower.set(ylim=(0, 1.12 * scale.vmax), xlabel=f"frame of {style.label(clip.scene)}", ylabel="response")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def player_frames(clip: Clip, vanilla: str, smoothed: str) -> PlayerFrames | None:
    """All frames of two rows as pictures in one range of colours, for a page that plays them.

    Args:
        clip: what `eval.py` kept.
        vanilla: row without smoothing.
        smoothed: row to compare it with.

    Returns:
        None if the clip lacks one of the rows, or has no depth.
    """
    rows = {"vanilla": vanilla, "smoothed": smoothed}
    limits = depth_range(clip, rows.values()) if set(rows.values()) <= set(clip.predictions) else None
    if limits is None:
        return None
    errors = error_range(clip, rows.values())
    pictures = {"image": list(clip.image)}
    pictures |= {name: [colour(depth, limits) for depth in clip.predictions[row]] for name, row in rows.items()}
    if errors:
        pictures["truth"] = [colour(depth, limits) for depth in clip.truth]
        for name, row in rows.items():
            maps = map(_error, clip.predictions[row], clip.truth)
            pictures[f"{name} error"] = [colour(error, errors, ERROR_COLOURS, known) for error, known in maps]
    ramp = np.linspace(0, 1, 256)[None].repeat(16, 0)
    everywhere = np.ones(ramp.shape, bool)
    bars = [colour(ramp, (0, 1), colours, everywhere) for colours in (DEPTH_COLOURS, ERROR_COLOURS)]
    return PlayerFrames(pictures, limits, errors, *bars)


def depth_range(clip: Clip, rows: Sequence[str]) -> tuple[float, float] | None:
    """Metres that hold all but a hundredth at either end of the truth's and the rows' depth; None without any."""
    rows = list(rows)
    return _rounded_range([clip.truth, *(clip.predictions[row] for row in rows)]) if rows else None


def error_range(clip: Clip, rows: Sequence[str]) -> tuple[float, float] | None:
    """0 and the metres that all but a hundredth of the rows' errors are below; None where there is no truth."""
    parts = [error[known] for row in rows for error, known in [_error(clip.predictions[row], clip.truth)]]
    found = np.concatenate(parts) if parts else np.empty(0)
    return (0.0, max(0.1, round(float(np.ceil(np.percentile(found, 99) * 10)) / 10, 1))) if len(found) else None


def _rounded_range(maps: Sequence[np.ndarray]) -> tuple[float, float] | None:
    depth = np.concatenate([values[np.isfinite(values) & (values > 0)] for values in maps])
    if not len(depth):
        return None
    low, high = np.percentile(depth, (1, 99)) * 10
    low = np.floor(low.round(3)) / 10
    return float(low), float(max(np.ceil(high.round(3)) / 10, low + 0.1))


def _error(depth: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Absolute error, 0 where it is unknown, and where it is known."""
    known = np.isfinite(depth) & (depth > 0) & np.isfinite(truth) & (truth > 0)
    return np.abs(np.where(known, depth, 0) - np.where(known, truth, 0)), known


def _nice_below(value: float) -> float:
    """The largest of …, 0.5, 1, 2, 5, 10, … that is not above."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(step for step in (1, 2, 5) if step * power <= value * (1 + 1e-9)) * power)
