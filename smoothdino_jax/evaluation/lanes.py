"""What an evaluation streams: clips joined to streams, streams laid end to end in lanes."""

from collections.abc import Iterator, Sequence

import grain
import numpy as np

from smoothdino_jax.data import ClipSource, DataError, FrameSource, runs
from smoothdino_jax.data.clips import resize_frame


def streams(source: FrameSource, clips: np.ndarray) -> list[np.ndarray]:
    """Joins overlapping clips into the streams they were cut from.

    A frame follows another where some clip says so, and nowhere else: with clips drawn at random, a stream
    ends where the next clip went to the other side of the split. Single frames (T = 1) join where they are
    consecutive frames of one scene.

    Args:
        source: what the positions are of.
        clips: `(N, T)` positions.

    Returns:
        Arrays of positions in temporal order.
    """
    if clips.shape[1] == 1:
        return [np.array(run) for run in runs(source, clips)]
    following = dict(zip(clips[:, :-1].ravel().tolist(), clips[:, 1:].ravel().tolist(), strict=True))
    joined = []
    for start in sorted(following.keys() - set(following.values())):
        stream = [start]
        while stream[-1] in following:
            stream.append(following[stream[-1]])
        joined.append(np.array(stream))
    return joined


class Lanes:
    """Streams laid end to end in a few lanes that advance together: random access to their batches.

    Args:
        frames: where frames come from, at the working size.
        streams: arrays of positions.
        lanes: how many streams run side by side.
        warmup: frames at the start of each stream that run without being counted.
        limit: how many frames to stream, about; 0 for all. The start of every stream, or of evenly spaced
            ones where there are too many of them.
        native_truth: give depth at its own size instead of the working size.
        others: give with every frame another one, drawn from all of the streams (`other`).

    Attributes:
        table: per lane, `(position, fresh, counted)` of every step.

    Raises:
        DataError: no stream is longer than the warm-up.
    """

    def __init__(
        self,
        frames: ClipSource,
        streams: Sequence[np.ndarray],
        lanes: int = 1,
        warmup: int = 0,
        limit: int = 0,
        *,
        native_truth: bool = False,
        others: bool = False,
    ):
        longest = max(map(len, streams), default=0)
        streams = [stream for stream in streams if len(stream) > warmup]
        if limit and streams:
            few = min(len(streams), max(1, limit // (warmup + 1)))
            streams = [streams[k] for k in np.linspace(0, len(streams) - 1, few).round().astype(int)]
            streams = [stream[: max(warmup + 1, limit // few)] for stream in streams]
        if not streams:
            raise DataError(
                f"nothing to evaluate: the longest stretch of consecutive frames has {longest}, no more than the "
                f"{warmup} of warm-up. Single images need --config.eval.warmup=0."
            )
        self.frames, self.native_truth = frames, native_truth
        filled: list[list[tuple[int, bool, bool]]] = [[] for _ in range(min(lanes, len(streams)))]
        for stream in sorted(streams, key=len, reverse=True):
            shortest = min(filled, key=len)
            shortest += [(int(at), k == 0, k >= warmup) for k, at in enumerate(stream)]
        length = max(map(len, filled))
        # A lane that is through repeats its last frame, uncounted.
        self.table = [lane + [(lane[-1][0], False, False)] * (length - len(lane)) for lane in filled]
        self._other = _derangement(np.concatenate(streams)) if others else None

    def __len__(self) -> int:
        return len(self.table[0])

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        """One frame of every lane.

        Returns:
            `image` `(B, H, W, 3)` uint8, `depth` `(B, H', W')` metres, `fresh` and `counted` `(B,)`, `pose` `(B, 4, 4)`
            and `intrinsics` `(B, 3, 3)` (of `depth`) float64, NaN where unknown; with `others` also `other`, as
            `image`.
        """
        positions, fresh, counted = zip(*(lane[step] for lane in self.table), strict=True)
        images, frames = zip(*map(self._frame, positions), strict=True)
        sizes = {(image.shape[:2], frame.depth.shape) for image, frame in zip(images, frames, strict=True)}
        if len(sizes) > 1:
            mend = "eval.native_truth=False and data.size" if self.native_truth else "data.size"
            raise DataError(f"frames of different sizes (height, width): {sorted(s for _, s in sizes)}. Set {mend}.")
        batch = {
            "image": np.stack(images),
            "depth": np.stack([frame.depth for frame in frames]),
            "fresh": np.array(fresh),
            "counted": np.array(counted),
            "pose": np.stack([_or_nan(frame.pose, 4) for frame in frames]),
            "intrinsics": np.stack([_or_nan(frame.intrinsics, 3) for frame in frames]),
        }
        if self._other is not None:
            batch["other"] = np.stack([self._frame(self._other[position])[0] for position in positions])
        return batch

    def _frame(self, position: int):
        """The image at the working size, and the frame that depth and intrinsics come from."""
        if not self.native_truth:
            frame = self.frames.frame(position)
            return frame.image, frame
        frame = self.frames.source[position]
        size = self.frames.size
        return (frame if size is None else resize_frame(frame, size)).image, frame

    def batches(self, threads: int = 2) -> Iterator[dict[str, np.ndarray]]:
        """The batches in order, read ahead in threads."""
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
        return iter(grain.MapDataset.source(self).to_iter_dataset(options))


def _derangement(positions: np.ndarray) -> dict[int, int]:
    """Every position -> another one of them, each used once, the same at every run."""
    order = np.random.default_rng(0).permutation(np.unique(positions))
    return dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))


def _or_nan(matrix: np.ndarray | None, n: int) -> np.ndarray:
    return np.full((n, n), np.nan) if matrix is None else np.asarray(matrix, np.float64)
