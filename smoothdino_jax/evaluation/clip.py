"""A stretch of one stream with everything that pictures need of it, in one file.

`eval.py` writes it and `smoothdino report` draws from it, so that a report needs neither the data nor the models.
"""

import dataclasses
import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float, Int, UInt8

from smoothdino_jax.data.frames import DataError
from smoothdino_jax.evaluation.rows import AGAIN

VERSION = 2


@dataclasses.dataclass(frozen=True)
class FeaturePictures:
    """Normalised cuts of features, drawn before and after the adapter in the same colours.

    Attributes:
        frames: `(F,)`, which frames of the clip.
        before: `(F, h, w, 3)` RGB, a pixel a patch token.
        after: the same of the adapted features.
        eigenvalues_before: `(K,)`, descending, of the features before the adapter alone.
        eigenvalues_after: `(K,)`, of those after it.
        level: which of the four levels, 0..3.
    """

    frames: Int[np.ndarray, "f"]
    before: UInt8[np.ndarray, "f h w 3"]
    after: UInt8[np.ndarray, "f h w 3"]
    eigenvalues_before: Float[np.ndarray, "k"]
    eigenvalues_after: Float[np.ndarray, "k"]
    level: int


@dataclasses.dataclass(frozen=True)
class Clip:
    """N consecutive frames with predictions.

    Attributes:
        scene: the scene's name.
        frames: `(N,)`, the frames' numbers within it.
        image: `(N, h, w, 3)` RGB.
        truth: `(N, h, w)` metres, 0 where there is no reading.
        predictions: row name -> `(N, h, w)` metres.
        shift: `(N, 3)`: dx and dy in pixels of `image`, and the response; NaN where there is none (a stream's first
            frame, or no model with an adapter).
        features: NCUT pictures; None where no model has an adapter.
        evaluated: row name -> MSE, of all rows of the evaluation that the clip is of; empty where unknown.
    """

    scene: str
    frames: Int[np.ndarray, "n"]
    image: UInt8[np.ndarray, "n h w 3"]
    truth: Float[np.ndarray, "n h w"]
    predictions: dict[str, Float[np.ndarray, "n h w"]]
    shift: Float[np.ndarray, "n 3"]
    features: FeaturePictures | None = None
    evaluated: dict[str, float | None] = dataclasses.field(default_factory=dict)

    def foreign(self, rows: Sequence[dict]) -> str:
        """Why this clip is not of the evaluation with these rows; "" where nothing says so.

        Args:
            rows: of `metrics.json`.
        """
        errors = {row["name"]: row["mse"] for row in rows}
        if others := [name for name in self.predictions if name not in errors]:
            return f"it shows {', '.join(others)}, which the evaluation has no row of"
        if not self.evaluated:  # written before clips said what they are of
            return ""
        if self.evaluated.keys() != errors.keys():
            return f"it is of an evaluation with the rows {', '.join(self.evaluated)}"
        for name, error in self.evaluated.items():
            if not _equal(error, errors[name]):
                return f"it is of an evaluation in which the MSE of {name} is {error}, not {errors[name]}"
        return ""

    def save(self, path: Path) -> None:
        """Writes a compressed `.npz`; depth in float16 (1 mm at 2 m)."""
        arrays = {
            "version": np.array(VERSION),
            "scene": np.array(self.scene),
            "rows": np.array(list(self.predictions)),
            "frames": self.frames,
            "image": self.image,
            "truth": self.truth.astype(np.float16),
            "shift": self.shift,
            "evaluated": np.array(list(self.evaluated), str),
            "evaluated_mse": np.array(list(self.evaluated.values()), np.float64),  # None becomes NaN
        }
        for k, prediction in enumerate(self.predictions.values()):
            arrays[f"prediction_{k}"] = prediction.astype(np.float16)
        if self.features is not None:
            arrays |= {f"ncut_{name}": np.asarray(value) for name, value in vars(self.features).items()}
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Clip":
        """Reads what `save` wrote.

        Raises:
            DataError: no such file, not written by `save`, by another version of it, or damaged.
        """
        again = f"{AGAIN} (with --config.eval.pictures=True)"
        try:
            with path.open("rb") as file:
                arrays = _read_arrays(file)
        except FileNotFoundError:
            raise DataError(f"{path} does not exist: {again}") from None
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{path} can't be read ({error}): {again}") from None
        except (ValueError, tokenize.TokenError):  # numpy's words advise whoever wrote the file
            raise DataError(f"{path} is no archive of arrays: {again}") from None
        if arrays.get("version", np.array(None)).tolist() != VERSION:
            raise DataError(f"{path} was written by another version of this package: {again}")
        try:
            return cls._of_arrays(arrays)
        except KeyError as error:
            raise DataError(f"{path} lacks {error}: {again}") from None
        except (TypeError, ValueError) as error:
            raise DataError(f"{path} is damaged ({error}): {again}") from None

    @classmethod
    def _of_arrays(cls, arrays: dict[str, np.ndarray]) -> "Clip":
        features = {name[5:]: value for name, value in arrays.items() if name.startswith("ncut_")}
        if features:
            features["level"] = int(features["level"])
        rows = [str(name) for name in arrays["rows"]]
        evaluated = zip(arrays.get("evaluated", ()), arrays.get("evaluated_mse", ()), strict=True)
        return cls(
            scene=str(arrays["scene"]),
            frames=arrays["frames"],
            image=arrays["image"],
            truth=arrays["truth"].astype(np.float32),
            predictions={name: arrays[f"prediction_{k}"].astype(np.float32) for k, name in enumerate(rows)},
            shift=arrays["shift"],
            features=FeaturePictures(**features) if features else None,
            evaluated={str(name): None if np.isnan(error) else float(error) for name, error in evaluated},
        )


def _read_arrays(file: BinaryIO) -> dict[str, np.ndarray]:
    """All arrays of a `.npz`; ValueError where it is none, or holds something else."""
    if not zipfile.is_zipfile(file):
        raise ValueError("no zip archive")
    file.seek(0)
    with np.load(file) as archive:
        arrays = dict(archive)
    if not all(isinstance(value, np.ndarray) for value in arrays.values()):
        raise ValueError("not only arrays")
    return arrays


def _equal(one: float | None, other: float | None) -> bool:
    """Whether two means are the same; JSON's null stands for all that is not finite."""
    one, other = (None if value is None or not math.isfinite(value) else value for value in (one, other))
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9)
