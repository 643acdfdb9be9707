"""What recordings keep in text files beside their images: timestamps, camera poses, intrinsics.

Everything is checked as it is read and refused with the file and the line, so that a damaged trajectory
comes up when a source is opened. Poses are camera-to-world throughout: a point x of the camera (OpenCV
axes: x right, y down, z forward) lies at R·x + t in the world.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.images import file_bytes

# How far text may be off a rotation: TUM rounds quaternions to 4 digits; a matrix that is scaled, sheared or
# transposed with its translation is off by far more.
_ROUNDING = 0.01


class Rows(NamedTuple):
    """The lines of a text file that start with a timestamp.

    Attributes:
        path: the file.
        lines: `(N,)`, the number of each line in the file, from 1.
        times: `(N,)` float64 seconds, ascending.
        fields: what follows each timestamp.
        comments: the lines that start with `#`, in one string.
    """

    path: str
    lines: list[int]
    times: np.ndarray
    fields: list[list[str]]
    comments: str


class Trajectory(NamedTuple):
    """A camera's poses over time.

    Attributes:
        times: `(N,)` float64 seconds, ascending.
        poses: `(N, 4, 4)` float64 camera-to-world, metres.
    """

    times: np.ndarray
    poses: np.ndarray


def read_rows(path: str | os.PathLike, columns: str, repeats: bool = False) -> Rows:
    """Reads lines of a timestamp and further fields. Commas count as spaces; `#` starts a comment line.

    Args:
        path: text file.
        columns: the names of a line's fields, the timestamp's included, separated by spaces.
        repeats: whether a timestamp may occur twice in succession.

    Returns:
        The lines.

    Raises:
        DataError: the file can't be read or has no such line; a line has other fields; a timestamp is not
            after the one before it.
    """
    lines, stamps, times, fields, comments = [], [], [], [], []
    text = file_bytes(path).decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            comments.append(line)
            continue
        stamp, *rest = line.replace(",", " ").split() or [""]
        if not stamp:
            continue
        time = _number(stamp)
        if len(rest) != len(columns.split()) - 1 or not np.isfinite(time):
            raise DataError(f"{path}, line {number}: {line[:80]!r} is not `{columns}`.")
        if times and (time < times[-1] or (time == times[-1] and not repeats)):
            raise DataError(
                f"{path}, line {number}: timestamp {stamp} does not come after {stamps[-1]} in line {lines[-1]}. "
                "Sort the lines by timestamp, and keep one for each."
            )
        lines.append(number)
        stamps.append(stamp)
        times.append(time)
        fields.append(rest)
    if not times:
        raise DataError(f"{path}: not one line of `{columns}`.")
    return Rows(str(path), lines, np.array(times), fields, "\n".join(comments))


def read_trajectory(path: str | os.PathLike) -> Trajectory:
    """Reads poses in TUM's format: `timestamp tx ty tz qx qy qz qw`, metres and a unit quaternion.

    Args:
        path: text file, as TUM's groundtruth.txt.

    Returns:
        The trajectory.

    Raises:
        DataError: see `read_rows`; or a field is no number, or a quaternion not of unit length.
    """
    rows = read_rows(path, "timestamp tx ty tz qx qy qz qw", repeats=True)
    values = np.array([[_number(field) for field in fields] for fields in rows.fields])
    lengths = np.linalg.norm(values[:, 3:], axis=1)
    # Written so that NaN counts as wrong.
    wrong = np.flatnonzero(~(np.isfinite(values).all(1) & (np.abs(lengths - 1) <= _ROUNDING)))
    if len(wrong):
        k = wrong[0]
        what = (
            f"the quaternion's length is {lengths[k]:.4g}, not 1"
            if np.isfinite(values[k]).all()
            else f"{' '.join(rows.fields[k])!r} are not seven numbers"
        )
        raise DataError(
            f"{path}, line {rows.lines[k]}: {what}. Expected `timestamp tx ty tz qx qy qz qw`; take the line out if "
            "tracking was lost there."
        )
    return Trajectory(rows.times, poses_from_quaternions(values[:, :3], values[:, 3:]))


def poses_from_quaternions(positions: np.ndarray, quaternions: np.ndarray) -> np.ndarray:
    """Rigid transforms from positions and quaternions.

    Args:
        positions: `(N, 3)` metres.
        quaternions: `(N, 4)` in the order x, y, z, w; normalised here.

    Returns:
        `(N, 4, 4)` float64.
    """
    unit = quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)
    xyz, w = unit[:, :3], unit[:, 3, None, None]
    cross = np.zeros((len(unit), 3, 3))  # cross @ a is the cross product of xyz and a
    cross[:, [2, 0, 1], [1, 2, 0]] = xyz
    cross[:, [1, 2, 0], [2, 0, 1]] = -xyz
    poses = np.tile(np.eye(4), (len(unit), 1, 1))
    poses[:, :3, :3] += 2 * w * cross + 2 * cross @ cross
    poses[:, :3, 3] = positions
    return poses


def read_matrix(path: str | os.PathLike, size: int) -> np.ndarray:
    """Reads a square matrix, row by row.

    Args:
        path: text file.
        size: its rows and columns.

    Returns:
        `(size, size)` float64; may hold NaN or infinities.

    Raises:
        DataError: the file can't be read or holds something else.
    """
    text = file_bytes(path).decode("utf-8-sig", errors="replace")
    try:
        return np.array([float(word) for word in text.split()]).reshape(size, size)
    except ValueError:
        raise DataError(f"{path}: not a {size}×{size} matrix of numbers separated by spaces.") from None


def read_pose(path: str | os.PathLike) -> np.ndarray | None:
    """Reads a 4×4 camera-to-world matrix.

    Args:
        path: text file.

    Returns:
        `(4, 4)` float64, or None where it is not finite: how recordings mark that tracking was lost.

    Raises:
        DataError: it is no 4×4 matrix, or no rigid transform.
    """
    pose = read_matrix(path, 4)
    if not np.isfinite(pose).all():
        return None
    rotation = pose[:3, :3]
    if np.abs(pose[3] - [0, 0, 0, 1]).max() > 1e-6:
        what = f"its last row is {' '.join(f'{x:.4g}' for x in pose[3])}, not 0 0 0 1"
    elif np.abs(rotation @ rotation.T - np.eye(3)).max() > _ROUNDING:
        what = "the columns of its rotation are not of unit length and at right angles"
    elif np.linalg.det(rotation) < 0:
        what = "its rotation is a reflection (determinant -1)"
    else:
        return pose
    raise DataError(f"{path}: not a rigid camera-to-world transform: {what}.")


def read_intrinsics(path: str | os.PathLike) -> np.ndarray:
    """Reads a 3×3 pinhole matrix, focal lengths and principal point in pixels.

    Args:
        path: text file.

    Returns:
        `(3, 3)` float64.

    Raises:
        DataError: it is no pinhole matrix.
    """
    matrix = read_matrix(path, 3)
    fx, fy, cx, cy = matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]
    # A skew, in matrix[0, 1], is kept.
    rest = matrix[1, 0], matrix[2, 0], matrix[2, 1], matrix[2, 2] - 1
    if not (np.isfinite(matrix).all() and fx > 0 and fy > 0 and cx > 0 and cy > 0 and np.abs(rest).max() < 1e-6):
        raise DataError(f"{path}: not a pinhole matrix: expected the rows fx 0 cx, 0 fy cy, 0 0 1, in pixels.")
    return matrix


def intrinsics_matrix(values: Sequence[float]) -> np.ndarray:
    """The `(3, 3)` float64 pinhole matrix of (fx, fy, cx, cy) in pixels; ValueError for anything else."""
    values = np.asarray(values, np.float64)
    if values.shape != (4,) or not np.isfinite(values).all() or (values[:2] <= 0).any():
        raise ValueError(f"intrinsics={values.tolist()}: expected (fx, fy, cx, cy) in pixels")
    fx, fy, cx, cy = values
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def nearest(times: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of other timestamps, for each of some.

    Args:
        times: `(N,)` seconds.
        among: `(M,)` seconds, ascending, M ≥ 1.

    Returns:
        `(N,)` int64 indices into `among`, and `(N,)` the distances in seconds.
    """
    after = np.searchsorted(among, times).clip(max=len(among) - 1)
    before = (after - 1).clip(min=0)
    chosen = np.where(times - among[before] <= among[after] - times, before, after)
    return chosen, np.abs(times - among[chosen])


def associate(first: np.ndarray, second: np.ndarray, tolerance: float) -> np.ndarray:
    """Pairs timestamps of two streams, each used once, the closest pairs first.

    This is the rule of the TUM RGB-D benchmark (its associate script): of all pairs that differ by less
    than the tolerance, again and again the one that differs least, among those both of whose partners are free.

    Args:
        first: `(N,)` seconds, ascending.
        second: `(M,)` seconds, ascending.
        tolerance: seconds.

    Returns:
        `(K, 2)` int64, the indices of each pair, ascending in `first`.
    """
    start = np.searchsorted(second, first - tolerance, side="left")
    counts = np.searchsorted(second, first + tolerance, side="right") - start
    a = np.repeat(np.arange(len(first)), counts)
    b = np.arange(len(a)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(start, counts)
    differences = np.abs(first[a] - second[b])
    order = np.lexsort((b, a, differences))
    partners, taken = {}, set()
    for i, j in zip(a[order].tolist(), b[order].tolist(), strict=True):
        if i not in partners and j not in taken and abs(first[i] - second[j]) < tolerance:
            partners[i] = j
            taken.add(j)
    return np.array(sorted(partners.items()), np.int64).reshape(-1, 2)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
