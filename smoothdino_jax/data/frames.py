"""What a frame is, and what a source of frames promises.

A source gives random access to the frames of one or more scenes in temporal order. Everything above
it (clips, splits, the Grain pipeline, evaluation) knows only this protocol, so a new layout on disk
is one new file.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np


class Frame(NamedTuple):
    """One RGB-D frame.

    Attributes:
        image: `(H, W, 3)` uint8, RGB.
        depth: `(H, W)` float32, metres along the optical axis; 0 where there is no reading.
        scene: the scene's name.
        index: the frame's number within its scene, as the source numbers it.
        pose: `(4, 4)` float64 camera-to-world, OpenCV axes (x right, y down, z forward), metres; or None.
        intrinsics: `(3, 3)` float64 pinhole matrix in pixels of `image`, the centre of the top left
            pixel at (0, 0); or None.
    """

    image: np.ndarray
    depth: np.ndarray
    scene: str
    index: int
    pose: np.ndarray | None = None
    intrinsics: np.ndarray | None = None


@runtime_checkable
class FrameSource(Protocol):
    """Random access to frames. Positions 0..len-1; each scene is one range of positions in temporal order."""

    @property
    def scenes(self) -> Mapping[str, range]:
        """Scene name -> its positions. The ranges are disjoint and cover the source in ascending order."""
        ...

    @property
    def segments(self) -> Sequence[range]:
        """The scenes, cut where frames are missing: within a segment each frame follows the one before it."""
        ...

    def indices(self, scene: str) -> np.ndarray:
        """`(N,)` int64, the number (`Frame.index`) of each of the scene's frames, ascending."""
        ...

    def origin(self, position: int) -> str:
        """Where a frame comes from, for messages: the path of its image."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, position: int) -> Frame: ...


class DataError(Exception):
    """Input that can't be used. The message says what, where and what to do; it is shown without a traceback."""
