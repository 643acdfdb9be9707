"""The bookkeeping that sources of listed files share: scenes, positions, gaps, and what is left out.

A source lists its scenes once, when it is opened, and says how one frame is read. What a gap is differs
from layout to layout (a missing number, a pause between timestamps), so the source marks it.
"""

import bisect
import contextlib
import itertools
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import numpy as np
from absl import logging

from smoothdino_jax.data.frames import DataError, Frame
from smoothdino_jax.data.images import unlikely_median
from smoothdino_jax.data.scene_names import some

Listed = TypeVar("Listed")

# The choice to go on without what is missing, in the words of Python and of the command line.
SKIP = 'missing="skip" (--config.data.source.missing=skip)'
LEAVE_OUT = f"{SKIP} leaves such frames out."
DO_WITHOUT = f"{SKIP} reads such frames without a pose; training uses none."
_IMAGE_FILES = (".jpg", ".jpeg", ".png", ".npy", ".h5", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".exr")


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

        Where the median depth is one that no room has, the unit is probably another: one warning is logged, with
        the first such scene's frame and the number of the others. Scenes may come from different cameras, so
        each is looked at.

        Raises:
            DataError: for the first frame that can't be read.
        """
        with ThreadPoolExecutor(8) as pool:
            medians = list(pool.map(self._median, self._starts))
        found = [unlikely_median(median, self.origin(k)) for median, k in zip(medians, self._starts, strict=True)]
        if unlikely := [what for what in found if what]:
            others = f" (Likewise in {len(unlikely) - 1} more scene(s).)" if len(unlikely) > 1 else ""
            logging.warning("%s%s", unlikely[0], others)

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


def check_missing(missing: str) -> None:
    """Raises ValueError unless `missing` is "error" or "skip"."""
    if missing not in ("error", "skip"):
        raise ValueError(f'missing={missing!r} must be "error" or "skip"')


def choose_scenes(known: Sequence[str], chosen: str | Sequence[str], folder: str | os.PathLike) -> list[str]:
    """The names of the scenes to read.

    Args:
        known: all there are.
        chosen: one name or several; empty for all.
        folder: where they are, for the message.

    Returns:
        Those chosen, each once, in the order asked for.

    Raises:
        DataError: an unknown name.
    """
    chosen = (chosen,) if chosen and isinstance(chosen, str) else chosen
    names = list(dict.fromkeys(chosen or known))
    if unknown := [name for name in names if name not in known]:
        raise DataError(f"{folder}: no such scene: {some(unknown)}. There are: {some(known) or 'none'}.")
    return names


def list_usable(
    names: Iterable[str],
    list_scene: Callable[[str, list[str]], Listed | None],
    missing: str,
    problems: list[str],
) -> list[Listed]:
    """Lists scenes, with "skip" those that can be used.

    Args:
        names: of the scenes.
        list_scene: called with a name and a list to add problems to. Returns what the source needs of the scene, or
            None if that is no scene; raises DataError if it can't be used.
        missing: "error", or "skip" to leave out scenes that can't be used.
        problems: what was met is added here, a line for each scene left out.

    Returns:
        What `list_scene` returned, without None.

    Raises:
        DataError: of the first scene that can't be used; with "skip" only if no other can be used.
    """
    listed, errors = [], []
    for name in names:
        found: list[str] = []
        try:
            with named_errors():
                scene = list_scene(name, found)
        except DataError as error:
            if isinstance(error, _TooShort) and missing == "error":
                raise DataError(f"{error} Complete this scene, or leave it out: with `scenes`, or {SKIP}.") from None
            if missing == "error":
                raise
            errors.append(error)
            problems.append(f"scene {name} is left out: {error}")
            continue
        problems += found
        if scene is not None:
            listed.append(scene)
    if errors and not listed:
        others = f" No scene is left: {len(errors) - 1} more can't be used either." if len(errors) > 1 else ""
        raise DataError(f"{errors[0]}{others}")
    return listed


class _TooShort(DataError):
    """A scene that is no video; what to do about it depends on `missing`."""


def check_count(count: int, folder: Path, only: str = "") -> None:
    """Raises DataError if a scene's `count` frames are under two; `only` is the name of a single one."""
    if count < 2:
        what = f"a single frame, {only}" if count else "no frame with image and depth"
        raise _TooShort(f"{folder}: {what}. A video needs at least two.")


def warn_of(problems: Sequence[str], what: str, path: str | os.PathLike) -> None:
    """Logs one warning, how many problems (in the words of `what`) there are and the first, if there are any."""
    if problems:
        logging.warning("%s: %d %s, the first: %s", path, len(problems), what, problems[0])


@contextlib.contextmanager
def named_errors() -> Iterator[None]:
    """Makes a DataError that names the file of an OSError, such as a folder that may not be read."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}." if error.filename else str(error)) from None


def subfolders(folder: str | os.PathLike) -> list[str]:
    """The names of a folder's folders, sorted, without hidden ones; DataError if it can't be read."""
    with named_errors(), os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not _hidden(entry.name))


def entry_names(folder: str | os.PathLike) -> list[str]:
    """The names of all in a folder, sorted, without hidden ones; DataError if it can't be read."""
    with named_errors():
        return sorted(name for name in os.listdir(folder) if not _hidden(name))


def image_inside(folder: Path) -> str:
    """The name of one image or depth file in a folder, or in a folder of it; "" if there is none."""
    for place in (folder, *(folder / name for name in subfolders(folder))):
        for name in entry_names(place):
            if name.lower().endswith(_IMAGE_FILES):
                return str((place / name).relative_to(folder))
    return ""


def _hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))
