"""Measuring RGB-D frames before anything is trained on them: sizes, depth, gaps, duplicates, motion.

Most training that fails on one's own data fails for a reason that the data shows at once: depth in another unit,
frames too far apart, images that repeat. `inspect_source` measures what would show it, over all frames or
over a sample of them, and never holds more than a few frames in memory.
"""

import dataclasses
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from smoothdino_jax.data.clips import scene_numbers, segment_numbers
from smoothdino_jax.data.frames import DataError, Frame, FrameSource
from smoothdino_jax.inspection.advice import notes_on, warnings_on
from smoothdino_jax.inspection.figures import (
    DISTINCT_MAX,
    LOW_RESPONSE,
    DepthFigures,
    Duplicate,
    Gap,
    Inspection,
    SceneFigures,
    ShiftFigures,
    SizeCount,
    Unreadable,
)
from smoothdino_jax.inspection.frames import FrameFigures, Pairs, centres, measure_frame, quantile
from smoothdino_jax.inspection.sampling import sample

_INTRINSICS_MAX = 10
_UNITS_OF_LAYOUT = {"tum": 5000, "seven_scenes": 1000}
# An image sensor's noise alone makes two frames differ by more than half a grey level.
_NEAR_DIFFERENCE, _NEAR_SHIFT = 0.5, 0.1


def inspect_source(
    source: FrameSource,
    frames: int = 600,
    layout: str = "",
    watch: Callable[[list[int]], Iterable[int]] = iter,
) -> Inspection:
    """Measures a source of frames.

    Args:
        source: frames. What it could not list is taken from its `problems`, if it has any.
        frames: how many to read, at most, see `sample`; 0 for all.
        layout: name of the layout, one of `opening.LAYOUTS`, or what else to call it. Some layouts explain what
            would otherwise be a warning.
        watch: wraps the list of positions while they are read, for a progress bar.

    Returns:
        The figures, with warnings drawn from them.

    Raises:
        ValueError: `frames` negative or 1.
        DataError: no frame can be read; the message is that of the first.
    """
    if frames < 0 or frames == 1:
        raise ValueError(f"frames={frames}: at least 2, or 0 for all")
    names = _Names(source)
    tally = _Tally(names)
    segments = segment_numbers(source)
    previous, pairs = None, Pairs()
    for position, frame in _read(source, watch(sample(source, frames).tolist())):
        if isinstance(frame, Unreadable):
            tally.unreadable[position] = frame._replace(frame=names[position])
            continue
        frame, measured = frame
        tally.add(position, *measured)
        if previous is not None:
            before, image = previous
            follows = before == position - 1 and segments[before] == segments[position]
            if follows and image.shape == frame.image.shape:
                pairs.add(position, image, frame.image)
        previous = position, frame.image
    pairs.flush()
    if not tally.frames:
        first = next(iter(tally.unreadable.values()))
        raise DataError(f"none of the {len(tally.unreadable)} frames tried can be read, the first: {first.reason}")
    inspection = _inspection(source, layout, names, tally, pairs)
    return dataclasses.replace(inspection, warnings=tuple(warnings_on(inspection)), notes=tuple(notes_on(inspection)))


def _read(source: FrameSource, positions: Iterable[int]) -> Iterator[tuple[int, object]]:
    """Positions in order, each with (frame, what `measure_frame` says) or `Unreadable`; two threads read ahead."""

    def read(position: int) -> tuple[Frame, tuple] | Unreadable:
        try:
            frame = source[position]
        except (DataError, OSError) as error:
            return Unreadable("", " ".join(str(error).split()))
        return frame, measure_frame(frame)

    with ThreadPoolExecutor(2) as pool:
        ahead = deque()
        for position in positions:
            ahead.append((position, pool.submit(read, position)))
            if len(ahead) > 4:
                position, result = ahead.popleft()
                yield position, result.result()
        while ahead:
            position, result = ahead.popleft()
            yield position, result.result()


class _Names:
    """Position -> `scene/number`."""

    def __init__(self, source: FrameSource):
        self.scene_of = scene_numbers(source)
        self._scenes = list(source.scenes.items())
        self._numbers = [source.indices(name) for name in source.scenes]

    def __getitem__(self, position: int) -> str:
        scene = self.scene_of[position]
        name, positions = self._scenes[scene]
        return f"{name}/{self._numbers[scene][position - positions.start]}"


class _Tally:
    """Sums over the frames read."""

    def __init__(self, names: _Names):
        self.frames: dict[int, FrameFigures] = {}
        self.unreadable: dict[int, Unreadable] = {}
        self.counts = np.zeros(len(centres()), np.int64)
        self.values = np.empty(0, np.float32)
        self.duplicates: list[Duplicate] = []
        self.frozen: list[str] = []
        self._names = names
        self._seen: dict[bytes, int] = {}

    def add(self, position: int, figures: FrameFigures, counts: np.ndarray, values: np.ndarray) -> None:
        self.frames[position] = figures
        self.counts += counts
        if len(self.values) < DISTINCT_MAX:
            self.values = np.union1d(self.values, values)[:DISTINCT_MAX]
        name = self._names[position]
        before = self.frames.get(position - 1)
        neighbours = before is not None and self._names.scene_of[position - 1] == self._names.scene_of[position]
        if neighbours and before.image == figures.image:
            self.duplicates.append(Duplicate(name, self._names[position - 1], True))
        elif figures.image in self._seen:
            self.duplicates.append(Duplicate(name, self._names[self._seen[figures.image]], False))
        elif neighbours and figures.valid and before.depth == figures.depth:
            self.frozen.append(name)
        self._seen.setdefault(figures.image, position)

    def named(self, condition: Callable[[FrameFigures], bool]) -> tuple[str, ...]:
        return tuple(self._names[position] for position, figures in self.frames.items() if condition(figures))


def _inspection(source: FrameSource, layout: str, names: _Names, tally: _Tally, pairs: Pairs) -> Inspection:
    sizes = Counter(figures.size for figures in tally.frames.values())
    intrinsics = dict.fromkeys(figures.intrinsics for figures in tally.frames.values() if figures.intrinsics)
    repeated = {duplicate.frame for duplicate in tally.duplicates}
    near = (
        names[pair.position]
        for pair in pairs.results
        if pair.difference < _NEAR_DIFFERENCE and math.hypot(pair.dx, pair.dy) < _NEAR_SHIFT
    )
    filled = np.flatnonzero(tally.counts)
    return Inspection(
        layout=layout,
        frames=len(source),
        read=len(tally.frames),
        scenes=_scenes(source, layout, names, tally),
        sizes=tuple(SizeCount(width, height, count) for (height, width), count in sizes.most_common()),
        depth=_depth(names, tally),
        gaps=tuple(_gaps(source)),
        duplicates=tuple(tally.duplicates),
        near_duplicates=tuple(name for name in near if name not in repeated),
        shift=_shift(pairs),
        poses=sum(figures.has_pose for figures in tally.frames.values()) / len(tally.frames),
        intrinsics=tuple(intrinsics)[:_INTRINSICS_MAX],
        problems=tuple(getattr(source, "problems", ())),
        unreadable=tuple(tally.unreadable.values()),
        single_frames=tuple(names[segment.start] for segment in source.segments if len(segment) == 1),
        positions=np.array(list(tally.frames), np.int64),
        depth_histogram=np.stack([centres()[filled].astype(np.float64), tally.counts[filled]]),
        shifts=np.array([(pair.dx, pair.dy, pair.response) for pair in pairs.results]).reshape(-1, 3),
    )


def _scenes(source: FrameSource, layout: str, names: _Names, tally: _Tally) -> tuple[SceneFigures, ...]:
    measured = [[] for _ in source.scenes]
    unreadable = Counter(names.scene_of[position] for position in tally.unreadable)
    for position, figures in tally.frames.items():
        measured[names.scene_of[position]].append(figures)
    meta, scenes = getattr(source, "meta", {}), []
    for k, ((name, positions), found) in enumerate(zip(source.scenes.items(), measured, strict=True)):
        units = getattr(meta.get(name), "units_per_metre", _UNITS_OF_LAYOUT.get(layout))
        known = [figures for figures in found if figures.valid]
        median = _median([figures.median for figures in known])
        high = max((figures.high for figures in known), default=math.nan)
        at_high = sum(figures.at_high for figures in known if figures.high == high)
        share = at_high / max(1, sum(math.prod(figures.size) for figures in found))
        scenes.append(SceneFigures(name, len(positions), len(found), unreadable[k], median, units, high, share))
    return tuple(scenes)


def _depth(names: _Names, tally: _Tally) -> DepthFigures:
    measured = tally.frames
    invalid = {position: 1 - figures.valid / math.prod(figures.size) for position, figures in measured.items()}
    pixels = sum(math.prod(figures.size) for figures in measured.values())
    worst = max(invalid, key=invalid.get)
    low = min((figures.low for figures in measured.values() if figures.valid), default=math.nan)
    high = max((figures.high for figures in measured.values() if figures.valid), default=math.nan)
    # A bin's middle may lie beyond the readings themselves.
    percent_1, median, percent_99 = (float(np.clip(quantile(tally.counts, q), low, high)) for q in (0.01, 0.5, 0.99))
    return DepthFigures(
        low=low,
        percent_1=percent_1,
        median=median,
        percent_99=percent_99,
        high=high,
        invalid=1 - sum(figures.valid for figures in measured.values()) / pixels,
        worst_frame=names[worst],
        worst_invalid=invalid[worst],
        constant=tally.named(lambda figures: figures.valid > 1 and figures.low == figures.high),
        empty=tally.named(lambda figures: not figures.valid),
        frozen=tuple(tally.frozen),
        distinct=len(tally.values),
        step=float(np.diff(tally.values).min()) if len(tally.values) > 1 else math.nan,
    )


def _shift(pairs: Pairs) -> ShiftFigures:
    found = [pair for pair in pairs.results if pair.response >= LOW_RESPONSE]
    count = len(pairs.results)
    return ShiftFigures(
        pairs=count,
        median=_median([math.hypot(pair.dx, pair.dy) for pair in found]),
        median_of_width=_median([math.hypot(pair.dx, pair.dy) / pair.width for pair in found]),
        low_response=1 - len(found) / count if count else math.nan,
        median_response=_median([pair.response for pair in pairs.results]),
    )


def _gaps(source: FrameSource) -> Iterator[Gap]:
    starts = {segment.start for segment in source.segments}
    for name, positions in source.scenes.items():
        numbers = source.indices(name)
        for position in sorted(starts & set(positions[1:])):
            k = position - positions.start
            yield Gap(name, int(numbers[k - 1]), int(numbers[k]))


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else math.nan
