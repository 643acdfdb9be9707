"""Image and depth files, decoded or refused with a message that names the file.

Refused is what the decoder can't make sense of, and files that stop early. Not all damage shows: a flipped byte in a
JPEG decodes to other pixels.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from absl import logging

from smoothdino_jax.data.frames import DataError

# Median depth of a frame, in metres, beyond which the unit is probably wrong. NYU's frames have 1 to 5;
# the depth head of the paper can't say more than 10.
LIKELY_MEDIAN = (0.3, 10.0)


def file_bytes(path: str | os.PathLike) -> bytes:
    """The contents of a file; DataError if it can't be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}.") from None


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a colour image; see `decode_image`."""
    return decode_image(file_bytes(path), path)


def decode_image(data: bytes, origin: str | os.PathLike) -> np.ndarray:
    """Decodes a colour image, its pixels as they are stored.

    The orientation that a camera notes in EXIF is ignored: depth has no such note, so turning the image by it would
    part the two.

    Args:
        data: a JPEG (or another format that OpenCV knows).
        origin: where it comes from, for the message.

    Returns:
        `(H, W, 3)` uint8, RGB.

    Raises:
        DataError: the data can't be decoded, is truncated, or under 2 pixels on a side.
    """
    # Some OpenCV versions return a truncated JPEG with its lower part grey instead of refusing it.
    if data.startswith(b"\xff\xd8") and b"\xff\xd9" not in data[-1024:]:
        raise DataError(
            f"{origin}: a JPEG ({len(data)} bytes) with no end mark in its last kB: truncated, or with data appended. "
            "Copy or unpack it again."
        )
    image = _decode(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise DataError(f"{origin}: not a readable image ({len(data)} bytes). Copy or unpack it again.")
    _check_sides(origin, image)
    return image


def decode_grey(data: bytes, origin: str | os.PathLike, bits: int, layout: str) -> np.ndarray:
    """Decodes a depth image to its stored integers.

    Args:
        data: a PNG.
        origin: where it comes from, for the message.
        bits: 8 or 16, what it must have.
        layout: what those bits mean in this layout, for the message.

    Returns:
        `(H, W)` uint8 or uint16.

    Raises:
        DataError: the data can't be decoded, is truncated, of another depth or number of channels, or under 2
            pixels on a side.
    """
    # PNG ends with the chunk IEND; without it the lower part would be zeros, which pass for "no reading".
    if data.startswith(b"\x89PNG") and b"IEND" not in data[-64:]:
        raise DataError(
            f"{origin}: a PNG ({len(data)} bytes) with no end mark in its last 64 bytes: truncated, or with data "
            "appended. Copy or unpack it again."
        )
    grey = _decode(data, cv2.IMREAD_UNCHANGED)
    if grey is None:
        raise DataError(f"{origin}: not a readable PNG ({len(data)} bytes). Copy or unpack it again.")
    if grey.dtype.itemsize * 8 != bits or grey.ndim != 2:
        channels = 1 if grey.ndim == 2 else grey.shape[2]
        hint = (
            " Save the uint16 array itself (cv2.imwrite of a uint16 array), not a picture of it." if bits == 16 else ""
        )
        raise DataError(
            f"{origin}: {8 * grey.itemsize}-bit PNG with {channels} channel(s), but the depth of this layout is "
            f"{layout}.{hint}"
        )
    _check_sides(origin, grey)
    return grey


def read_depth(
    path: str | os.PathLike, units_per_metre: float, layout: str, invalid: Sequence[int] = (0,)
) -> np.ndarray:
    """Reads a 16-bit PNG of depth.

    Args:
        path: file.
        units_per_metre: what 1 m is stored as: 1000 for millimetres, 5000 for TUM.
        layout: for the message if the file is of another kind.
        invalid: values that mean "no reading".

    Returns:
        `(H, W)` float32 metres, 0 where there is no reading.

    Raises:
        DataError: see `decode_grey`.
    """
    stored = decode_grey(file_bytes(path), path, 16, layout)
    depth = np.multiply(stored, np.float32(1 / units_per_metre), dtype=np.float32)
    for value in invalid:
        if value:
            depth[stored == value] = 0
    return depth


def check_same_size(image: np.ndarray, depth: np.ndarray, image_origin, depth_origin) -> None:
    """Raises DataError if an image and its depth differ in size."""
    if image.shape[:2] != depth.shape[:2]:
        raise DataError(
            f"{image_origin} is {size_text(image)} but {depth_origin} is {size_text(depth)}: an image and its depth "
            "must have the same size. Register the depth to the colour image, or resize it (nearest pixel)."
        )


def unlikely_median(median: float, origin: str) -> str:
    """What is odd about a frame's median depth in metres (NaN for no reading): "" if it is in the range of rooms."""
    low, high = LIKELY_MEDIAN
    if np.isnan(median):
        return f"{origin}: not one pixel of its depth has a reading."
    if not low <= median <= high:
        return (
            f"{origin}: the median depth is {median:.3g} m, where {low:g} to {high:g} is usual indoors. Is the depth's "
            "unit (its factor) right?"
        )
    return ""


def check_median(median: float, origin: str) -> None:
    """Logs `unlikely_median` as a warning, if there is anything odd."""
    if unlikely := unlikely_median(median, origin):
        logging.warning("%s", unlikely)


def size_text(image: np.ndarray) -> str:
    """Width × height of an image or depth map, for messages."""
    return f"{image.shape[1]}×{image.shape[0]} (width × height)"


def _decode(data: bytes, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # an empty file, or a header that promises an absurd size
        return None


def _check_sides(origin: str | os.PathLike, image: np.ndarray) -> None:
    if min(image.shape[:2]) < 2:
        raise DataError(f"{origin}: {size_text(image)}, smaller than 2 pixels on a side.")
