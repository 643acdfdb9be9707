"""The player of a report: pictures of every frame, in the page itself."""

import cv2
import numpy as np

from smoothdino_jax.apps.report import pictures
from smoothdino_jax.apps.report.drawings import data_uri, encode
from smoothdino_jax.apps.report.reading import Evaluation
from smoothdino_jax.apps.report.words import named

_QUALITY = [cv2.IMWRITE_WEBP_QUALITY, 80]  # 0..100
_ORDER = ("image", "vanilla", "smoothed", "truth", "vanilla error", "smoothed error")  # two lines of three


def player(evaluation: Evaluation) -> dict | None:
    """What the page's player needs.

    Args:
        evaluation: with a clip.

    Returns:
        `layers`: `key`, `label`, `first` picture and whether an `mse` is shown under it; `bars`: colour bars;
        `caption`, `width`, `height` and `data`, what the script reads: `numbers` of the frames, `pictures` by layer and
        `mse` by layer, null where undefined. None without a clip, or where it lacks the two rows to compare.
    """
    clip, smoothed = evaluation.clip, evaluation.smoothed
    if clip is None or smoothed is None:
        return None
    names = {"vanilla": evaluation.rows[0]["name"], "smoothed": smoothed["name"]}
    made = pictures.player_frames(clip, names["vanilla"], names["smoothed"])
    if made is None:
        return None
    found = {
        key: [data_uri("image/webp", encode(picture, ".webp", _QUALITY)) for picture in made.panels[key]]
        for key in _ORDER
        if key in made.panels
    }
    mse = {key: _frame_mse(evaluation, name) for key, name in names.items()} if evaluation.frames else {}
    layers = []
    for key, uris in found.items():
        row, _, error = key.partition(" ")
        label = f"{named(names[row]) if row in names else row}{', absolute error' if error else ''}"
        layers.append({"key": key, "label": label, "first": uris[0], "mse": key in mse})
    bars = [_bar("depth", made.depth_range, made.depth_bar)]
    if made.error_range is not None:
        bars.append(_bar("absolute error", made.error_range, made.error_bar))
    height, width = clip.image.shape[1:3]
    numbers = clip.frames.tolist()
    return {
        "layers": layers,
        "bars": bars,
        "caption": f"{len(numbers)} consecutive frames of {named(clip.scene)}, in one range of colours; grey is where "
        "nothing was read." + (" The MSE is the evaluation’s; a frame that it did not score has none." if mse else ""),
        "width": width,
        "height": height,
        "data": {"numbers": numbers, "pictures": found, "mse": mse},
    }


def _frame_mse(evaluation: Evaluation, name: str) -> list[float | None]:
    columns, clip = evaluation.frames[name], evaluation.clip
    here = columns["scene"] == clip.scene
    known = dict(zip(columns["frame"][here].tolist(), columns["mse"][here].tolist(), strict=True))
    values = [known.get(frame, np.nan) for frame in clip.frames.tolist()]
    return [value if np.isfinite(value) else None for value in values]


def _bar(label: str, ends: tuple[float, float], pixels: np.ndarray) -> dict:
    low, high = (f"{end:g} m" for end in ends)
    return {"label": label, "low": low, "high": high, "uri": data_uri("image/png", encode(pixels, ".png"))}
