"""Clips: T frames of one scene, and random access to them.

Training reads clips in any order; evaluation streams through runs of consecutive frames. Both are
described by positions in a `FrameSource`, so nothing is read before it is needed.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from smoothdino_jax.data.frame_cache import FrameCache
from smoothdino_jax.data.frames import DataError, Frame, FrameSource
from smoothdino_jax.data.images import size_text

if TYPE_CHECKING:
    from smoothdino_jax.data.feature_store import FeatureStore


def scene_numbers(source: FrameSource) -> np.ndarray:
    """The scene of each position.

    Args:
        source: frames.

    Returns:
        `(len(source),)` int: k for the positions of the k-th scene of `source.scenes`.
    """
    numbers = np.empty(len(source), np.int64)
    for k, positions in enumerate(source.scenes.values()):
        numbers[positions.start : positions.stop] = k
    return numbers


def segment_numbers(source: FrameSource) -> np.ndarray:
    """The segment of each position.

    Args:
        source: frames.

    Returns:
        `(len(source),)` int: k for the positions of the k-th of `source.segments`.
    """
    numbers = np.empty(len(source), np.int64)
    for k, positions in enumerate(source.segments):
        numbers[positions.start : positions.stop] = k
    return numbers


def make_clips(source: FrameSource, length: int, stride: int = 1, step: int = 1) -> np.ndarray:
    """All clips of a source; none crosses from one scene into another, or a gap within a scene.

    Args:
        source: frames.
        length: T, frames per clip.
        stride: frames from one frame of a clip to the next; 2 halves the frame rate.
        step: frames from the start of one clip to the start of the next; 1 gives every clip there
            is, `length * stride` gives clips that share no frame.

    Returns:
        `(N, T)` int64 positions, by scene and time.

    Raises:
        ValueError: `length`, `stride` or `step` under 1.
        DataError: every stretch of frames without a gap is too short for a clip.
    """
    if min(length, stride, step) < 1:
        raise ValueError(f"length={length}, stride={stride}, step={step}: each must be at least 1")
    span = (length - 1) * stride + 1
    starts = [np.arange(r.start, r.stop - span + 1, step) for r in source.segments]
    starts = np.concatenate(starts) if starts else np.empty(0, np.int64)
    if not len(starts):
        longest = max(map(len, source.segments), default=0)
        raise DataError(
            f"a clip of {length} frames, stride {stride}, spans {span} frames, but the longest stretch without a "
            f"gap in {len(source.scenes)} scene(s) has {longest}: take shorter clips or a smaller stride."
        )
    return starts[:, None] + stride * np.arange(length)


def runs(source: FrameSource, positions: Iterable[int] | np.ndarray) -> list[range]:
    """Groups positions into runs that can be streamed: consecutive frames of one scene, without a gap.

    Args:
        source: frames.
        positions: positions or clips of positions, any shape and order; repeats count once.

    Returns:
        The maximal runs, ascending.

    Raises:
        ValueError: a position outside the source.
    """
    given = np.asarray(positions if isinstance(positions, np.ndarray) else list(positions), np.int64)
    ordered = np.unique(given)
    if not len(ordered):
        return []
    _check_positions(source, ordered)
    segments = segment_numbers(source)[ordered]
    breaks = np.flatnonzero((np.diff(ordered) != 1) | (np.diff(segments) != 0)) + 1
    return [range(int(run[0]), int(run[-1]) + 1) for run in np.split(ordered, breaks)]


def resize_frame(frame: Frame, size: tuple[int, int]) -> Frame:
    """Resizes a frame to a working size. Another aspect ratio stretches the picture.

    The image is averaged over pixel areas when it shrinks and interpolated linearly when it grows.
    Depth takes the nearest pixel: a mean across an edge, or with a 0 (no reading), is no depth.

    Args:
        frame: a frame.
        size: (height, width) in pixels.

    Returns:
        The frame at that size, `intrinsics` scaled with it.
    """
    height, width = size
    old_height, old_width = frame.depth.shape
    if (old_height, old_width) == (height, width):
        return frame
    shrinks = height <= old_height and width <= old_width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    intrinsics = frame.intrinsics
    if intrinsics is not None:
        sx, sy = width / old_width, height / old_height
        # Pixel centres are whole numbers: u' + 1/2 = sx (u + 1/2).
        scale = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
        intrinsics = scale @ intrinsics
    return frame._replace(
        image=cv2.resize(frame.image, (width, height), interpolation=how),
        depth=cv2.resize(frame.depth, (width, height), interpolation=cv2.INTER_NEAREST_EXACT),
        intrinsics=intrinsics,
    )


class ClipSource:
    """Random access to clips, with a cache of frames, for Grain or a plain loop.

    Neighbouring clips share frames; a frame that is in the cache isn't decoded or resized again.
    The cache holds resized frames, drops the least recently used, and may be used from several
    threads. A pickled copy (a Grain worker process) starts with an empty one of the same limit.

    Making one has glibc keep the memory that this process frees (`_keep_freed_memory`).

    Args:
        source: frames.
        clips: `(N, T)` positions in `source`, as `make_clips` or a `Split` gives them.
        size: (height, width) to resize to, or None to leave frames as they are.
        cache_bytes: the cache's limit in one process, in bytes of image and depth; 0 for none.

    Raises:
        ValueError: `clips` isn't `(N, T)`, has a position outside the source, or a clip crosses
            scenes or a gap.
    """

    def __init__(
        self,
        source: FrameSource,
        clips: np.ndarray,
        size: tuple[int, int] | None = None,
        cache_bytes: int = 2**30,
    ):
        clips = np.asarray(clips, np.int64)
        if clips.ndim != 2 or not clips.shape[1]:
            raise ValueError(f"clips must be (N, T) positions, got shape {clips.shape}")
        _check_positions(source, clips)
        segments = segment_numbers(source)[clips]
        crossing = np.flatnonzero((segments != segments[:, :1]).any(axis=1))
        if len(crossing):
            raise ValueError(f"clip {crossing[0]} crosses scenes or a gap: positions {clips[crossing[0]]}")
        if size is not None and min(size) < 2:
            raise ValueError(f"size={size}: (height, width), each at least 2")
        self.source = source
        self.clips = clips
        self.size = None if size is None else (int(size[0]), int(size[1]))
        self._cache = FrameCache(cache_bytes)
        self._features: FeatureStore | None = None
        _keep_freed_memory()

    def __setstate__(self, state: dict):
        self.__dict__.update(state)
        _keep_freed_memory()

    def with_clips(self, clips: np.ndarray) -> "ClipSource":
        """Other clips, `(N, T)` positions, of the same frames: source, size and cache are shared."""
        other = ClipSource(self.source, clips, self.size, cache_bytes=0)
        other._cache = self._cache
        return other

    def use_features(self, store: "FeatureStore") -> None:
        """From now on clips have "features" as well, read from a store.

        Args:
            store: of this source's frames at this size.

        Raises:
            DataError: the store lacks a frame of the clips.
        """
        if len(missing := store.missing(self.clips)):
            raise DataError(
                f"{store.folder}: {len(missing)} of the clips' frames are not stored. Fill the store first."
            )
        self._features = store

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        """Reads one clip.

        Args:
            i: the clip's row in `clips`.

        Returns:
            "image": `(T, H, W, 3)` uint8 RGB; "depth": `(T, H, W)` float32 metres, 0 = no reading;
            after `use_features` also "features": `(T, levels, tokens, channels)` of the store's dtype.
            The arrays are the caller's own.

        Raises:
            DataError: a frame can't be read, or the sizes differ within the clip and there is no
                `size`.
        """
        positions = self.clips[i]
        frames = [self.frame(position) for position in positions]
        first = frames[0]
        for position, frame in zip(positions, frames, strict=True):
            if frame.depth.shape != first.depth.shape:
                raise DataError(
                    f"{self.source.origin(positions[0])} is {size_text(first.depth)} but "
                    f"{self.source.origin(position)} is {size_text(frame.depth)}. Give a working size to resize to."
                )
        clip = {
            "image": np.stack([frame.image for frame in frames]),
            "depth": np.stack([frame.depth for frame in frames]),
        }
        return clip if self._features is None else clip | {"features": self._features.read(positions)}

    def frame(self, position: int) -> Frame:
        """One frame at the working size.

        Args:
            position: a position in the source.

        Returns:
            The frame. Its arrays may be shared with the cache: don't write into them.
        """
        position = int(position)
        frame = self._cache.get(position)
        if frame is None:
            frame = self.source[position]
            if self.size is not None:
                frame = resize_frame(frame, self.size)
            self._cache.put(position, frame)
        return frame

    @property
    def cached_bytes(self) -> int:
        """Bytes of image and depth held in the cache."""
        return self._cache.used


def _check_positions(source: FrameSource, positions: np.ndarray) -> None:
    outside = positions[(positions < 0) | (positions >= len(source))]
    if len(outside):
        raise ValueError(f"position {outside[0]} is outside the source's 0..{len(source) - 1}")


def _keep_freed_memory() -> None:
    """Has glibc keep memory that is freed, up to 48 MiB of it, instead of returning it to the system.

    A frame's buffers come to a few MB. By default they go back when the frame is done with, and touching new pages
    for the next one costs as much as decoding it. Freeing one large block raises the limits (see M_MMAP_THRESHOLD in
    mallopt(3)); elsewhere this does nothing.
    """
    np.empty(24 << 20, np.uint8)
