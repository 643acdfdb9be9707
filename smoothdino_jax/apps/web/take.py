"""One video, or one recording of a webcam, in front of a model: frames in, depth and what there is to say of it out."""

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smoothdino_jax.apps.video_arguments import usual_short_side, working_size
from smoothdino_jax.apps.web.depth_zip import DepthZip
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.models.phase_correlation import Shift
from smoothdino_jax.models.smoothdino import SmoothDINO
from smoothdino_jax.stream import Stream
from smoothdino_jax.weights import load

_at_work: list[object] = []  # the takes whose model is, in whatever thread


class Seen(NamedTuple):
    """A frame and what the model made of it.

    Attributes:
        number: of the frame, from 0.
        time: seconds since the start.
        image: `(H, W, 3)` uint8 RGB.
        depths: `(H, W)` float32 metres: vanilla, and smoothed where the model has an adapter.
        depth_range: metres at the ends of the colours, the same for all frames.
        shift: since the frame before, floats, pixels of the frame.
        cuts: how many scene cuts were found so far.
        latency: milliseconds from frame to depth, the mean of the last frames; NaN where it isn't known yet.
        fps: frames per second, reading and writing included; NaN where it isn't known yet.
    """

    number: int
    time: float
    image: np.ndarray
    depths: dict[str, np.ndarray]
    depth_range: tuple[float, float]
    shift: Shift
    cuts: int
    latency: float
    fps: float


class Models:
    """The models that the page offers: one is held at a time, and the programs compiled for it.

    Not for several threads at once: whoever takes a stream takes it from who had it before.
    """

    def __init__(self, short_side: int | None = None):
        """Holds nothing yet.

        Args:
            short_side: of what the models see; None for what each is at home with.
        """
        self._short_side = short_side
        self._checkpoint: str | None = None
        self._model: SmoothDINO | None = None
        self._streams: dict[tuple[int, int], Stream] = {}
        self.holder: object = None

    def stream(self, checkpoint: str, size: tuple[int, int], holder: object) -> tuple[Stream, SmoothDINO, bool]:
        """A stream at its start, for frames of `size`.

        Args:
            checkpoint: model folder.
            size: `(H, W)` of the frames.
            holder: who has it from now on; `self.holder` tells whether that is still so.

        Returns:
            The stream, its model, and whether the stream compares vanilla and smoothed depth.

        Raises:
            WeightsError: the folder holds no model.
        """
        if checkpoint != self._checkpoint:
            self._streams.clear()
            self._checkpoint, self._model = None, None  # room for the next before it comes
            self._model, self._checkpoint = load(checkpoint), checkpoint
        model = self._model
        compare = model.adapter is not None
        short_side = usual_short_side(model) if self._short_side is None else self._short_side
        working = working_size(size, short_side)
        if working not in self._streams:
            if len(self._streams) >= 4:
                self._streams.pop(next(iter(self._streams)))
            self._streams[working] = Stream(model, size=working, compare=compare)
        stream = self._streams[working]
        stream.reset()
        self.holder = holder
        return stream, model, compare


class Take:
    """One video, or one recording of a webcam: its frames in, what the model sees out."""

    def __init__(self, models: Models, checkpoint: str, size: tuple[int, int], archive: Path):
        """Gets the model ready; compiles it where frames of this size are new to it, which takes seconds to a minute.

        Args:
            models: where the model comes from.
            checkpoint: which.
            size: `(H, W)` of the frames.
            archive: ZIP to write the depth to.

        Raises:
            DataError: frames under 2 pixels on a side, no such model, or the archive can't be written.
        """
        if min(size) < 2:
            raise DataError(f"frames of {size[1]}×{size[0]} pixels: they need at least 2 on each side")
        self._models, self.size = models, size
        with self._working():
            self._stream, model, self._compare = models.stream(checkpoint, size, self)
            self._stream.warm_up(size)
        self._range = (0.0, model.config.decoder.max_depth)
        self.archive = DepthZip(archive)
        self._latencies, self._moments = deque(maxlen=20), deque(maxlen=20)
        self._cuts = 0

    @property
    def current(self) -> bool:
        """Whether the model is still at this take, and not at one that came after."""
        return self._models.holder is self

    @property
    def frames(self) -> int:
        """How many there were."""
        return self.archive.frames

    def see(self, image: np.ndarray, moment: float) -> Seen:
        """The next frame.

        Args:
            image: `(H, W, 3)` uint8 RGB.
            moment: seconds since the start.

        Raises:
            DataError: the depth of an earlier frame could not be written.
            ValueError: the frame can't be used; the take goes on.
        """
        began = time.perf_counter()
        with self._working():
            result = self._stream(image)
        now = time.perf_counter()
        depths = dict(zip(("vanilla", "smoothed"), result, strict=True)) if self._compare else {"vanilla": result}
        self._latencies.append(1000 * (now - began))
        self._moments.append(now)
        span = now - self._moments[0]
        fps = (len(self._moments) - 1) / span if span > 0 else np.nan
        shift, cut = self._stream.shift, self._stream.cut
        self._cuts += cut
        self.archive.write(depths, moment, shift, cut)
        latency = float(np.mean(self._latencies))
        return Seen(self.frames - 1, moment, image, depths, self._range, shift, self._cuts, latency, fps)

    def close(self) -> None:
        """Finishes the archive."""
        self.archive.close()

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        _at_work.append(self)
        try:
            yield
        finally:
            _at_work.remove(self)


def working() -> bool:
    """Whether a model is being loaded, compiled or run in some thread, which would crash as the interpreter ends."""
    return bool(_at_work)
