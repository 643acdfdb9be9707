"""The timestamps.txt of a recording."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.images import file_bytes


def read_timestamps(path: Path, stems: Sequence[str]) -> np.ndarray | None:
    """Reads when each frame was taken.

    Args:
        path: of the file.
        stems: the frames, in their order.

    Returns:
        `(N,)` seconds, rising; None if there is no such file.

    Raises:
        DataError: a line that is not a stem and a time, a frame without a time or with two, or times that don't rise.
    """
    if not path.is_file():
        return None
    times, lines = {}, {}
    for number, line in enumerate(file_bytes(path).decode(errors="replace").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        stem, *text = line.strip().rsplit(None, 1)
        try:
            time = float(*text)
        except ValueError:
            time = np.nan
        if not text or not np.isfinite(time):
            raise DataError(f"{path}, line {number}: {line.strip()!r} is not a frame's stem and its time in seconds.")
        if stem in times:
            raise DataError(f"{path}, line {number}: {stem} has a time in line {lines[stem]} already.")
        times[stem], lines[stem] = time, number
    if untimed := [stem for stem in stems if stem not in times]:
        raise DataError(
            f"{path}: {len(untimed)} of {len(stems)} frames have no time; the first lacks a line "
            f'"{untimed[0]} SECONDS".'
        )
    found = np.array([times[stem] for stem in stems])
    for k in np.flatnonzero(np.diff(found) <= 0)[:1] + 1:
        raise DataError(
            f"{path}, line {lines[stems[k]]}: frame {stems[k]} is at {found[k]:.6f} s, not after the frame before it, "
            f"{stems[k - 1]}, at {found[k - 1]:.6f} s: times must rise from frame to frame."
        )
    return found
