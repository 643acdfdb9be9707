"""What was measured of every frame, and what that comes to.

Nothing is averaged away: a frame without truth is counted (`empty`), a metric that a frame has no value for is counted
(`counts`), and one frame with NaN anywhere in its prediction makes the row's means NaN and is counted (`nonfinite`).
"""

import csv
import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Int, Shaped

NOT_METRICS = ("pixels", "nonfinite", "dx", "dy", "response")
"""Columns of a row that are not averaged: pixels with a reading, pixels whose prediction is NaN or infinite, and the
shift that an adapter was told, in pixels at the working size."""


@dataclasses.dataclass(frozen=True)
class Records:
    """N frames measured under every row.

    Attributes:
        scenes: `(N,)` names.
        frames: `(N,)` the frames' numbers within their scenes.
        rows: row name -> column -> `(N,)`; NaN where a frame has no value.
        single: no frame follows another: a set of single images.
    """

    scenes: Shaped[np.ndarray, "n"]
    frames: Int[np.ndarray, "n"]
    rows: dict[str, dict[str, Shaped[np.ndarray, "n"]]]
    single: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what is averaged."""
        return tuple(name for name in next(iter(self.rows.values())) if name not in NOT_METRICS)

    @property
    def units(self) -> Shaped[np.ndarray, "n"]:
        """`(N,)`, what intervals resample: frames of one unit are alike. The scenes, or single images themselves."""
        return np.arange(len(self.frames)) if self.single else self.scenes

    def usable(self, row: str) -> Shaped[np.ndarray, "n"]:
        """`(N,)` bool: the frames with at least one reading."""
        return self.rows[row]["pixels"] > 0

    def means(self, row: str) -> dict:
        """Means over the frames with a reading.

        Args:
            row: its name.

        Returns:
            Metric -> mean, NaN where no frame has a value or a prediction is not finite; `mse_pixels`, the MSE over all
            pixels of all frames, m²; `scale_std`, where there are scales (its formula stands in `metrics/scale.py`);
            `frames`, `empty`, `nonfinite` (numbers of frames), `scenes`, and `counts`: metric -> number of frames,
            where that is not all of them.

        Raises:
            ValueError: no frame has a reading.
        """
        columns, use = self.rows[row], self.usable(row)
        if not use.any():
            raise ValueError(
                f"none of the {len(use)} frames has a depth reading that counts: the data have no depth, or none is "
                "left by eval.min_depth, eval.max_depth and eval.crop"
            )
        values = {name: columns[name][use].astype(np.float64) for name in self.metrics}
        pixels = columns["pixels"][use].astype(np.float64)
        broken = columns["nonfinite"] > 0
        found: dict = {}
        counts = {}
        for name, column in values.items():
            defined = np.isfinite(column)
            if not broken.any() and 0 < defined.sum() < len(column):
                counts[name] = int(defined.sum())
            found[name] = float(column[defined].mean()) if defined.any() and not broken.any() else float("nan")
            if name == "mse":
                # NaN at a pixel without truth breaks the prediction, and leaves the frame's MSE finite.
                found["mse_pixels"] = float("nan") if broken.any() else float((column * pixels).sum() / pixels.sum())
            if name == "scale_median":
                of_video = not (broken.any() or self.single)
                found["scale_std"] = _scale_std(column, self.scenes[use]) if of_video else float("nan")
        return found | {
            "frames": int(use.sum()),
            "scenes": len(np.unique(self.scenes[use])),
            "empty": int((~use).sum()),
            "nonfinite": int(broken.sum()),
            "counts": counts,
        }

    def write_csv(self, path: Path) -> None:
        """One line per row and frame; an empty cell where there is no value."""
        names = list(next(iter(self.rows.values())))
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["row", "scene", "frame", *names])
            for row, columns in self.rows.items():
                for k, (scene, frame) in enumerate(zip(self.scenes, self.frames, strict=True)):
                    cells = [columns[name][k] for name in names]
                    writer.writerow([row, scene, frame, *("" if np.isnan(cell) else f"{cell:.7g}" for cell in cells)])


def _scale_std(values: np.ndarray, scenes: np.ndarray) -> float:
    """Mean over scenes of the standard deviation of a scene's scales; NaN where no scene has two."""
    spreads = []
    for scene in np.unique(scenes):
        of_scene = values[(scenes == scene) & np.isfinite(values)]
        if len(of_scene) > 1:
            spreads.append(of_scene.std())
    return float(np.mean(spreads)) if spreads else float("nan")
