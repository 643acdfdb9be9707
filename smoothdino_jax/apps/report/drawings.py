"""The figures of a report: which there are, what is said below each, and how they get into one file."""

import base64
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from smoothdino_jax.apps.report import charts, courses, pictures, style
from smoothdino_jax.apps.report.findings import resampled
from smoothdino_jax.apps.report.reading import Evaluation
from smoothdino_jax.apps.report.words import named
from smoothdino_jax.apps.writing import write_whole
from smoothdino_jax.evaluation.clip import FeaturePictures

# A drawing of lines is sharp at any size; one of thousands of paths is larger than its pixels, and slow.
_SVG_BYTES = 150_000
_SVG = {"svg.fonttype": "path", "svg.hashsalt": "smoothdino"}  # letters as paths look the same everywhere
_SCALE = 2  # pixels of a chart's PNG for each of the page's


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure with its words.

    Attributes:
        key: names its file and its anchor.
        title: a few words, read aloud in place of the picture.
        caption: what to see in it.
        figure: drawn, or its `(h, w, 3)` RGB pixels.
    """

    key: str
    title: str
    caption: str
    figure: Figure | np.ndarray

    def png(self) -> bytes:
        """As a PNG file."""
        if isinstance(self.figure, np.ndarray):
            return encode(self.figure, ".png")
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=_SCALE * self.figure.dpi, metadata={"Software": None})
        return buffer.getvalue()

    def embedded(self) -> dict:
        """For the page: `key`, `title`, `caption`, `uri` and the size `width`, `height` in the page's pixels."""
        if isinstance(self.figure, np.ndarray):
            height, width = self.figure.shape[:2]
            # Photographs: WebP at this quality is a tenth of the PNG.
            uri = data_uri("image/webp", encode(self.figure, ".webp", [cv2.IMWRITE_WEBP_QUALITY, 90]))
        else:
            width, height = (round(inches * self.figure.dpi) for inches in self.figure.get_size_inches())
            uri = self._chart_uri()
        told = {"key": self.key, "title": self.title, "caption": self.caption}
        return told | {"uri": uri, "width": width, "height": height}

    def _chart_uri(self) -> str:
        buffer = io.BytesIO()
        with matplotlib.rc_context(_SVG):
            self.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        svg = buffer.getvalue()
        if len(svg) <= _SVG_BYTES:
            return data_uri("image/svg+xml", svg)
        png = self.png()
        return data_uri("image/png", png) if len(png) < len(svg) else data_uri("image/svg+xml", svg)


def drawings(evaluation: Evaluation) -> Iterator[Drawing]:
    """Every figure that the evaluation has the numbers for, in the order of the page."""
    for key, title, caption, figure in _all(evaluation):
        if figure is not None:
            yield Drawing(key, title, caption, figure)


def encode(pixels: np.ndarray, kind: str, options: list[int] | None = None) -> bytes:
    """`(h, w, 3)` RGB uint8 as the file of a picture, `kind` ".png" or ".webp"."""
    return cv2.imencode(kind, np.ascontiguousarray(pixels[..., ::-1]), options or [])[1].tobytes()


def data_uri(media: str, data: bytes) -> str:
    """Data that a page holds itself."""
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


def write_figures(found: list[Drawing], folder: Path) -> list[Path]:
    """Writes each as `folder/KEY.png`.

    Returns:
        The files.

    Raises:
        DataError: one can't be written.
    """
    files = [folder / f"{drawing.key}.png" for drawing in found]
    for file, drawing in zip(files, found, strict=True):
        write_whole(file, drawing.png())
    return files


def _all(evaluation: Evaluation) -> Iterator[tuple[str, str, str, Figure | np.ndarray | None]]:
    rows, frames, clip = evaluation.rows, evaluation.frames, evaluation.clip
    first, smoothed = rows[0]["name"], evaluation.smoothed
    scales, along = _scales(evaluation)
    timed = style.having((row for row in rows if row["kind"] == "model"), "mse", "ms_per_frame")
    bars = " (its 95 % interval as a bar)" if any(style.interval(row, "mse_ci") for row in timed) else ""
    changed = any(style.interval(row, "mse_change_ci") for row in style.having(rows[1:], "mse_change"))
    yield (
        "time_against_mse",
        "Accuracy and time",
        f"Each model’s MSE{bars} against its time per frame: lower and further left is better.",
        charts.time_against_mse(rows),
    )
    yield (
        "uses_the_past",
        "Does it use the past?",
        "A model that uses the past loses its gain where its past is taken away or spoiled, and gains more than an "
        "average over the same frames. A loss alone is no proof: a past drawn at random is also an unusual input."
        + (f" Lines are 95 % intervals, by a bootstrap over {resampled(rows)}." if changed else ""),
        charts.uses_the_past(rows),
    )
    yield (
        "mse_parts",
        "How much of the error is scale",
        "What one factor per frame, fitted to the truth, would leave of the MSE (blue), and what it would take away "
        "(yellow). An adapter that only multiplies whole frames by a factor changes the yellow part alone.",
        charts.mse_parts(rows),
    )
    yield (
        "scale_over_time",
        "Scale from frame to frame",
        f"The factor that would mend each frame, along {along}: a level line is steady, a line at 1 is right.",
        scales,
    )
    yield (
        "metric_by_scene",
        "Where it helps",
        f"Change of the MSE against {named(first)}, scene by scene: a mean over all may hide scenes that got worse.",
        charts.metric_by_scene(rows, frames) if frames else None,
    )
    yield (
        "validation_curves",
        "Validation during training",
        "MSE on validation frames as the training went on; the frozen model is the dashed line and the start, step 0.",
        courses.validation_curves(evaluation.logs),
    )
    if clip is None:
        return
    shown = [name for name in (first, smoothed["name"] if smoothed else "") if name in clip.predictions]
    yield (
        "comparison",
        "Depth and error",
        f"Frames of {named(clip.scene)}: image, truth, predictions in one range of colours, and absolute errors.",
        pictures.comparison(clip, shown),
    )
    yield (
        "time_slice",
        "One line of pixels over time",
        "The same line of every frame, one below the other: what flickers shows as stripes across.",
        pictures.time_slice(clip, rows=shown),
    )
    yield (
        "shift_arrows",
        "Measured shift",
        "How far phase correlation says the picture moved since the frame before, and how sure it is.",
        pictures.shift_arrows(clip),
    )
    yield (
        "features",
        "Features before and after the adapter",
        "Normalised cuts of the encoder’s features, in the same colours: where the colours differ, the adapter changed "
        "what the decoder is told. The last line is the difference"
        f"{_moved(clip.features)}.",
        pictures.feature_pictures(clip),
    )
    yield (
        "eigenvalue_spectra",
        "Spectrum of the features",
        "Eigenvalues of the normalised cut: a faster fall means features that vary in fewer ways.",
        charts.eigenvalue_spectra(clip.features),
    )


def _scales(evaluation: Evaluation) -> tuple[Figure | None, str]:
    """Scale from frame to frame: of the scene that is shown in pictures if it has one, else of the longest."""
    models, frames = [row["name"] for row in evaluation.rows if row["kind"] == "model"], evaluation.frames
    if evaluation.clip is not None:
        scene = evaluation.clip.scene
        if (figure := courses.scale_over_time(frames, scene, models)) is not None:
            return figure, f"{named(scene)}, the scene of the pictures"
    return courses.scale_over_time(frames, rows=models), "the longest scene"


def _moved(features: FeaturePictures | None) -> str:
    if features is None:
        return ""
    change = pictures.colour_change(features)
    ends = f"from black for none to white for {100 * pictures.change_range(change):.0f} %"
    return f" in per cent of a colour’s range, {ends}; the mean over these frames is {100 * change.mean():.2g} %"
