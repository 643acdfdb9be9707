"""The meta.json of a recording, read strictly: a slip of the pen must not pass for a default."""

import difflib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.images import file_bytes, size_text
from smoothdino_jax.data.trajectories import intrinsics_matrix

_META_KEYS = ("depth_units_per_metre", "invalid", "intrinsics", "frames_per_second", "description")
_INTRINSICS = ("fx", "fy", "cx", "cy")


class Meta(NamedTuple):
    """What a meta.json says; None for what it leaves out.

    Attributes:
        units_per_metre: what 1 m is stored as in PNG depth.
        invalid: stored values that mean "no reading".
        intrinsics: `(3, 3)` float64.
        frames_per_second: as noted by whoever recorded.
    """

    units_per_metre: float | None
    invalid: tuple[int, ...]
    intrinsics: np.ndarray | None
    frames_per_second: float | None


def read_meta(folder: str | os.PathLike) -> Meta:
    """Reads the meta.json of a recording.

    Args:
        folder: the recording.

    Returns:
        What it says.

    Raises:
        DataError: there is none (the message has one to paste), it is not JSON, has an unknown key, or a value of
            the wrong kind.
    """
    path = Path(folder) / "meta.json"
    if not path.is_file():
        raise DataError(
            f"{path} is missing. It says what unit the depth is in; for millimetres in 16-bit PNG, paste this into it:"
            '\n\n    {"depth_units_per_metre": 1000}\n\nand for .npy in metres: {}. docs/recordings.md has all keys.'
        )
    try:
        fields = json.loads(file_bytes(path))
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}.") from None
    _check_keys(path, "", fields, _META_KEYS)
    units, fps = fields.get("depth_units_per_metre"), fields.get("frames_per_second")
    invalid, camera = fields.get("invalid", [0]), fields.get("intrinsics")
    if units is not None and not (_number(units) and units >= 1):
        kind = "a number of at least 1: what 1 m is stored as. A scale of 0.001 m per unit is 1000 units per metre"
        raise _wrong(path, "depth_units_per_metre", units, kind)
    if not isinstance(invalid, list) or not all(type(value) is int and 0 <= value <= 65535 for value in invalid):
        raise _wrong(path, "invalid", invalid, "a list of stored values, 0..65535, such as [0, 65535]")
    if fps is not None and not (_number(fps) and fps > 0):
        raise _wrong(path, "frames_per_second", fps, "a positive number")
    if not isinstance(fields.get("description", ""), str):
        raise _wrong(path, "description", fields["description"], "text in quotes")
    if camera is None:
        return Meta(units, tuple(invalid), None, fps)
    _check_keys(path, "intrinsics.", camera, _INTRINSICS)
    for key in _INTRINSICS:
        if key not in camera:
            raise DataError(f"{path}: intrinsics.{key} is missing. It needs {', '.join(_INTRINSICS)}, in pixels.")
        if not (_number(camera[key]) and camera[key] > 0):
            raise _wrong(path, f"intrinsics.{key}", camera[key], "a positive number, in pixels")
    return Meta(units, tuple(invalid), intrinsics_matrix([camera[key] for key in _INTRINSICS]), fps)


def check_centre(intrinsics: np.ndarray, image: np.ndarray, origin: str) -> None:
    """Raises DataError if the centre by `intrinsics` `(3, 3)` lies outside of the image that `origin` names."""
    if (intrinsics[:2, 2] >= image.shape[1::-1]).any():
        raise DataError(
            f"{origin} is {size_text(image)}, but by the intrinsics in its meta.json the centre is outside, at "
            f"({intrinsics[0, 2]:g}, {intrinsics[1, 2]:g}): they must be in pixels of this image."
        )


def _check_keys(path: Path, where: str, fields: object, known: Sequence[str]) -> None:
    if not isinstance(fields, dict):
        raise _wrong(path, where.rstrip(".") or "its content", fields, f"an object, {{...}}, of {', '.join(known)}")
    for key in fields:
        if key not in known:
            close = difflib.get_close_matches(key, known)
            hint = f"Is {' or '.join(close)} meant?" if close else f"There are {', '.join(known)}."
            raise DataError(f"{path}: unknown key {where}{key}. {hint}")


def _wrong(path: Path, key: str, value: object, kind: str) -> DataError:
    return DataError(f"{path}: {key} is {json.dumps(value)}, but must be {kind}.")


def _number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < 1e12  # neither NaN nor infinite
