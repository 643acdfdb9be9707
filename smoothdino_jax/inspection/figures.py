"""What an inspection of RGB-D frames finds: plain figures, which the report, the JSON file and the sheet share.

A frame is named `scene/number`, where the number is `Frame.index`. Everything that can be counted is a share or
a count over the frames that were read; only what listing tells (scenes, gaps, problems) is about all of them.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

LOW_RESPONSE = 0.05  # below it a shift is no match, see `models.phase_correlation.Shift`


class SceneFigures(NamedTuple):
    """A scene.

    Attributes:
        name: as in the source.
        frames: all that it has.
        read: those that were read and measured.
        unreadable: those that should have been read and couldn't be.
        median_depth: metres, the median of the frames' medians; NaN without any reading.
        units_per_metre: what its stored depth was divided by, where that is known.
        high: the largest reading, metres; NaN without any.
        high_share: share of the pixels read that have exactly this reading.
    """

    name: str
    frames: int
    read: int
    unreadable: int
    median_depth: float
    units_per_metre: float | None
    high: float
    high_share: float


class SizeCount(NamedTuple):
    """How many of the frames read have this size, in pixels."""

    width: int
    height: int
    frames: int


class DepthFigures(NamedTuple):
    """Depth over all pixels read.

    Attributes:
        low, high: the least and the most, metres; NaN if there is no reading at all, as the next three.
        percent_1, median, percent_99: metres, to 0.05 %.
        invalid: share of pixels without a reading.
        worst_frame: the frame with the largest such share.
        worst_invalid: that share.
        constant: frames whose readings are all the same value.
        empty: frames without one reading.
        frozen: frames whose depth is that of the frame before, bit for bit, while their image is not.
        distinct: how many values depth takes, in a subset of the pixels; counting ends at `DISTINCT_MAX`.
        step: the least difference between two of these values, metres; NaN for fewer than two.
    """

    low: float
    percent_1: float
    median: float
    percent_99: float
    high: float
    invalid: float
    worst_frame: str
    worst_invalid: float
    constant: tuple[str, ...]
    empty: tuple[str, ...]
    frozen: tuple[str, ...]
    distinct: int
    step: float


DISTINCT_MAX = 1000


class Gap(NamedTuple):
    """Frame `after` does not follow frame `before`; both are numbers within the scene."""

    scene: str
    before: int
    after: int


class Duplicate(NamedTuple):
    """A frame whose image repeats an earlier one's, bit for bit; `consecutive` if it is the one right before."""

    frame: str
    same_as: str
    consecutive: bool


class Unreadable(NamedTuple):
    """A frame that can't be read, and why (with the file's name)."""

    frame: str
    reason: str


class ShiftFigures(NamedTuple):
    """Motion of the image between consecutive frames, by phase correlation.

    Attributes:
        pairs: how many pairs were compared.
        median: pixels, over the pairs with a match; NaN if there is none, as the next.
        median_of_width: the same in picture widths.
        low_response: share of pairs without a match (response under `LOW_RESPONSE`); NaN without pairs.
        median_response: over all pairs; NaN without pairs.
    """

    pairs: int
    median: float
    median_of_width: float
    low_response: float
    median_response: float


class DataWarning(NamedTuple):
    """Something to look at.

    Attributes:
        kind: a word for programs, the same in every version.
        what: what was found, and where.
        advice: what to do about it.
    """

    kind: str
    what: str
    advice: str


@dataclasses.dataclass(frozen=True)
class Inspection:
    """All that `inspect_source` found.

    Attributes:
        layout: of the source, as given.
        frames: in the source.
        read: frames read and measured.
        scenes: all, in the source's order.
        sizes: the most frequent first.
        depth: see `DepthFigures`.
        gaps: within scenes, all of the source.
        duplicates: frames that repeat an earlier one of those read.
        near_duplicates: frames that differ from the one before by less than noise does, and do not move.
        shift: see `ShiftFigures`.
        poses: share of the frames read that have a pose.
        intrinsics: distinct (fx, fy, cx, cy) in pixels, at most ten; empty if there are none.
        problems: what opening left out, from the source.
        unreadable: frames that should have been read and couldn't be.
        single_frames: frames with no neighbour that follows or precedes: no clip can contain them.
        warnings: see `advice`.
        notes: worth knowing, nothing to do.
        positions: `(read,)` int64, the frames that were read, as positions in the source.
        depth_histogram: `(2, bins)`: centres in metres, counts.
        shifts: `(pairs, 3)`: dx, dy in pixels, response.
    """

    layout: str
    frames: int
    read: int
    scenes: tuple[SceneFigures, ...]
    sizes: tuple[SizeCount, ...]
    depth: DepthFigures
    gaps: tuple[Gap, ...]
    duplicates: tuple[Duplicate, ...]
    near_duplicates: tuple[str, ...]
    shift: ShiftFigures
    poses: float
    intrinsics: tuple[tuple[float, float, float, float], ...]
    problems: tuple[str, ...]
    unreadable: tuple[Unreadable, ...]
    single_frames: tuple[str, ...]
    warnings: tuple[DataWarning, ...] = ()
    notes: tuple[str, ...] = ()
    positions: np.ndarray = dataclasses.field(default=None, repr=False)
    depth_histogram: np.ndarray = dataclasses.field(default=None, repr=False)
    shifts: np.ndarray = dataclasses.field(default=None, repr=False)

    @property
    def sampled(self) -> bool:
        """Whether only a part of the frames was looked at."""
        return self.read + len(self.unreadable) < self.frames

    @property
    def left_out(self) -> tuple[str, ...]:
        """The scenes of which not one frame was looked at, because the sample was too small for all."""
        return tuple(scene.name for scene in self.scenes if scene.frames and not scene.read + scene.unreadable)

    @property
    def verdict(self) -> str:
        """One line: "looks right", or how many warnings there are."""
        count = len(self.warnings)
        return f"{counted(count, 'thing')} to look at" if count else "looks right"

    def as_dict(self) -> dict:
        """The figures as dicts, lists, numbers and strings, for JSON: NaN is None, and the arrays stay out."""
        figures = {"verdict": self.verdict, "warning_count": len(self.warnings), "sampled": self.sampled}
        for field in dataclasses.fields(self):
            if field.name not in ("positions", "depth_histogram", "shifts"):
                figures[field.name] = _plain(getattr(self, field.name))
        return figures


def metres(value: float) -> str:
    """A depth for people: three digits, no exponent for large values."""
    return f"{value:,.0f} m" if abs(value) >= 1000 else f"{value:.3g} m"


def counted(number: int, what: str) -> str:
    """A number with its noun: "1 frame", "2 frames"."""
    return f"{number} {what}{'s' if number != 1 else ''}"


def _plain(value):
    if hasattr(value, "_asdict"):
        return {name: _plain(part) for name, part in value._asdict().items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
