"""Which frames of a source to look at where looking at all would take too long."""

import numpy as np

from smoothdino_jax.data.frames import FrameSource

_STRETCH = 10  # frames in a row, at most


def sample(source: FrameSource, frames: int) -> np.ndarray:
    """Positions to look at: stretches of consecutive frames in every scene.

    Each scene has a pair at least, beginning with its first frame (which training reads on opening); the rest goes to
    the scenes in proportion to their length. With more scenes than pairs, evenly spaced scenes have one pair each.

    Args:
        source: frames.
        frames: how many, at most; 0 for all.

    Returns:
        `(N,)` int64 positions, ascending.
    """
    total = len(source)
    if not frames or frames >= total:
        return np.arange(total)
    scenes = list(source.scenes.values())
    pairs = np.array([min(2, len(scene)) for scene in scenes])
    if pairs.sum() > frames:
        quotas = np.zeros(len(scenes), np.int64)
        chosen = np.linspace(0, len(scenes) - 1, frames // 2).round().astype(np.int64)
        quotas[chosen] = pairs[chosen]
    else:
        more = np.cumsum([len(scene) for scene in scenes] - pairs)
        # Differences of rounded sums are never more than a scene has, and add up to what is left.
        quotas = pairs + np.diff(more * (frames - pairs.sum()) // more[-1], prepend=0)
    starts = np.array([segment.start for segment in source.segments])
    looked_at = []
    for scene, quota in zip(scenes, quotas, strict=True):
        if quota:
            first, stop = np.searchsorted(starts, (scene.start, scene.stop))
            looked_at.append(_stretches(source.segments[first:stop], int(quota)))
    return np.unique(np.concatenate(looked_at))


def _stretches(segments: list[range], frames: int) -> np.ndarray:
    """Positions in one scene: stretches from its beginning to its end, at most `frames` in all."""
    # Single frames that a scene begins with would use up the only stretch of a small sample, and it would have no pair.
    first = next((segment.start for segment in segments if len(segment) > 1), segments[0].start)
    stop = segments[-1].stop
    frames = min(frames, stop - first)
    count = -(-frames // _STRETCH)
    ends = np.arange(count + 1) * frames // count  # of the stretches, put one after another
    between = np.arange(count) * (stop - first - frames) // max(1, count - 1)
    found = []
    for start, length in zip(first + ends[:-1] + between, np.diff(ends), strict=True):
        segment = next(segment for segment in segments if start < segment.stop)
        # A stretch that would reach over a gap moves back into its segment, as far as that is long enough.
        start = max(segment.start, min(start, segment.stop - length))
        found.append(np.arange(start, min(start + length, stop)))
    return np.concatenate(found)
