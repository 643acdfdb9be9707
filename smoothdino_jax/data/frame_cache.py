"""Decoded frames in memory, up to a limit."""

import threading
from collections import OrderedDict

from smoothdino_jax.data.frames import Frame


class FrameCache:
    """Position -> frame; the least recently used goes first. Safe in threads; a pickled copy is empty.

    Args:
        limit: bytes of image and depth to hold at most.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.used = 0
        self._frames: OrderedDict[int, Frame] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self):
        return (FrameCache, (self.limit,))

    def get(self, position: int) -> Frame | None:
        """The frame at a position; None if it is not held."""
        with self._lock:
            frame = self._frames.get(position)
            if frame is not None:
                self._frames.move_to_end(position)
            return frame

    def put(self, position: int, frame: Frame) -> None:
        """Holds a frame, unless it is larger than the limit."""
        size = _frame_bytes(frame)
        with self._lock:
            if size > self.limit or position in self._frames:
                return
            self._frames[position] = frame
            self.used += size
            while self.used > self.limit:
                _, oldest = self._frames.popitem(last=False)
                self.used -= _frame_bytes(oldest)


def _frame_bytes(frame: Frame) -> int:
    return frame.image.nbytes + frame.depth.nbytes
