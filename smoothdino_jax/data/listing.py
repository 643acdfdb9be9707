"""The bookkeeping that sources of listed files share: scenes, positions, gaps.

A source lists its scenes once, when it is opened, and says how one frame is read. What a gap is differs
from layout to layout (a missing number, a pause between timestamps), so the source marks it.
"""

import bisect
import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from smoothdino_jax.data.frames import DataError, Frame
from smoothdino_jax.data.images import check_median


class Scene(NamedTuple):
    """The frames of one scene, in temporal order.

    Attributes:
        name: unique in its source.
        indices: `(N,)` int64, `Frame.index` of each, ascending.
        gaps: the k, 0 < k < N, whose frame does not follow frame k-1.
    """

    name: str
    indices: np.ndarray
    gaps: Sequence[int] = ()


class ListedFrames:
    """Base of the sources that list their frames when opened; a `FrameSource`.

    A subclass calls `__init__` with its scenes and defines `_read(scene, k)` and `_origin(scene, k)`, for
    the k-th frame of a scene. Objects are pickled into worker processes, so a subclass keeps no open file.

    Args:
        scenes: in the order of their positions.
        problems: what opening had to leave out or do without, each naming its file; for `smoothdino data
            inspect`.

    Raises:
        DataError: no frame at all.
    """

    def __init__(self, scenes: Iterable[Scene], problems: Sequence[str] = ()):
        self._listed = list(scenes)
        self.problems = tuple(problems)
        self._starts, self._segments, start = [], [], 0
        for scene in self._listed:
            self._starts.append(start)
            edges = [start, *(start + k for k in scene.gaps), start + len(scene.indices)]
            self._segments += [range(a, b) for a, b in itertools.pairwise(edges)]
            start += len(scene.indices)
        self._length = start
        if not self._length:
            raise DataError("no frames")

    @property
    def scenes(self) -> Mapping[str, range]:
        """Scene name -> its positions."""
        ends = [*self._starts[1:], self._length]
        rows = zip(self._listed, self._starts, ends, strict=True)
        return MappingProxyType({scene.name: range(start, end) for scene, start, end in rows})

    @property
    def segments(self) -> Sequence[range]:
        """The scenes, cut at their gaps."""
        return self._segments

    def indices(self, scene: str) -> np.ndarray:
        """`(N,)` int64, the number of each of the scene's frames; KeyError for an unknown scene."""
        for listed in self._listed:
            if listed.name == scene:
                return listed.indices
        raise KeyError(scene)

    def origin(self, position: int) -> str:
        """The path of the frame's image."""
        return self._origin(*self._place(position))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, position: int) -> Frame:
        """Reads one frame.

        Args:
            position: 0..len-1.

        Returns:
            The frame.

        Raises:
            IndexError: no such position.
            DataError: a file is missing or can't be used; the message names it.
        """
        return self._read(*self._place(position))

    def check_first_frames(self) -> None:
        """Reads the first frame of every scene, so that what is wrong comes up before long work.

        A median depth that no room has is logged as a warning: then the unit is probably another.

        Raises:
            DataError: for the first frame that can't be read.
        """
        with ThreadPoolExecutor(8) as pool:
            medians = list(pool.map(self._median, self._starts))
        middle = int(np.argsort(medians)[len(medians) // 2])
        check_median(medians[middle], self.origin(self._starts[middle]))

    def _median(self, position: int) -> float:
        depth = self[position].depth
        return float(np.median(depth[depth > 0])) if depth.any() else np.nan

    def _place(self, position: int) -> tuple[Scene, int]:
        position = operator.index(position)
        if not 0 <= position < self._length:
            raise IndexError(f"position {position} of a source with {self._length} frames")
        number = bisect.bisect_right(self._starts, position) - 1
        return self._listed[number], position - self._starts[number]

    def _read(self, scene: Scene, k: int) -> Frame:
        raise NotImplementedError

    def _origin(self, scene: Scene, k: int) -> str:
        raise NotImplementedError


def number_gaps(indices: np.ndarray) -> list[int]:
    """Where frame numbers jump.

    Args:
        indices: `(N,)` int, ascending. Their usual difference is the recording's step, 1 in most layouts.

    Returns:
        The k whose number is not that of k-1 plus the step.
    """
    steps = np.diff(indices)
    if not len(steps):
        return []
    values, counts = np.unique(steps, return_counts=True)
    return [int(k) + 1 for k in np.flatnonzero(steps != values[counts.argmax()])]
