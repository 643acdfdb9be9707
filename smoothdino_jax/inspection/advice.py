"""What in an inspection's figures calls for a look, each with what to do about it.

The thresholds are where real recordings that train well are not: they may be wrong for yours, so each warning
says the figure. What a layout explains (the 8 bits of NYU's Kaggle layout) is a note.
"""

import math
import re
import statistics
from collections.abc import Iterator, Sequence

from smoothdino_jax.data.images import LIKELY_MEDIAN
from smoothdino_jax.data.scene_names import some
from smoothdino_jax.inspection.figures import DataWarning, Inspection, SceneFigures, counted, metres

_USUAL_UNITS = (1000, 5000, 10000, 256)  # per metre: millimetres; TUM; tenths of millimetres; KITTI
_EIGHT_BITS = ("nyu_kaggle", "nyu_video")  # the second may be prepared from the first
_DISTINCT, _STEP = 256, 0.005  # few values, and metres between them: 8 bits of 1.3 m or more
_INVALID = 0.5
_DUPLICATES = 0.03
_SHIFT_OF_WIDTH = 0.1
_LOW_RESPONSES = 0.2
_FEW_PAIRS = 5  # fewer say nothing about a share
_FULL = 65535  # the most that 16 bits hold: many cameras' mark for no reading
_FAR, _AT_HIGH = 20.0, 0.005  # metres that no room has, and the share of one value that is no chance
_CLOSE = 0.6  # metres
_UNLIKE = 4  # times another scene's median; the usual units differ by 2 to 39
_BLOCK = 30  # frames that configs/own_video.py holds out together
_SKIP = "--config.data.source.missing=skip"


def warnings_on(inspection: Inspection) -> Iterator[DataWarning]:
    """The warnings that the figures call for, the gravest first.

    Args:
        inspection: figures; its `warnings` are not read.

    Yields:
        Warnings; none for data that looks right.
    """
    yield from _on_files(inspection)
    yield from _on_depth(inspection)
    yield from _on_images(inspection)
    yield from _on_motion(inspection)


def notes_on(inspection: Inspection) -> Iterator[str]:
    """What is worth knowing and needs nothing done."""
    if left_out := inspection.left_out:
        scenes = len(inspection.scenes)
        yield (
            f"{len(left_out)} of {scenes} scenes were not looked at: {some(left_out)}. A sample of {2 * scenes} frames "
            "has some of each"
        )
    if _is_coarse(inspection) and inspection.layout in _EIGHT_BITS:
        yield (
            f"depth has {inspection.depth.distinct} values, {1000 * inspection.depth.step:.0f} mm apart: NYU's Kaggle "
            "files store 8 bits, so errors of that size are in the truth itself"
        )
    if inspection.near_duplicates:
        yield (
            f"the camera and the scene stand still in {_frames(inspection.near_duplicates)}: "
            "nothing about motion is learnt from them"
        )
    if close := [scene for scene in _likely(inspection) if scene.median_depth < _CLOSE]:
        yield _on_close_depth(close, len(inspection.scenes) > 1)
    if inspection.layout == "seven_scenes":
        yield ("in the original 7-Scenes, depth is not registered to colour: look at its edges on the sheet's overlays")
    frames = [scene.frames for scene in inspection.scenes]
    if len(frames) == 1 and 6 <= frames[0] < 2 * _BLOCK:  # several scenes are as many blocks at least
        yield (
            f"few frames: training with configs/own_video.py needs --config.data.split.block={min(10, frames[0] // 2)} "
            f"or so, because it holds out blocks of {_BLOCK}"
        )


def units_that_fit(median: float, units: float) -> list[tuple[int, float]]:
    """The usual units that would bring a median depth into the range of rooms.

    Args:
        median: metres, as read.
        units: per metre, what the stored values were divided by.

    Returns:
        (units per metre, the median with them), the most plausible first.
    """
    low, high = LIKELY_MEDIAN
    found = [(unit, median * units / unit) for unit in (*_USUAL_UNITS, 1)]
    fitting = [(unit, value) for unit, value in found if unit != units and low <= value <= high]
    return sorted(fitting, key=lambda pair: abs(math.log(pair[1] / 2.0)))


def _on_files(inspection: Inspection) -> Iterator[DataWarning]:
    if inspection.unreadable:
        yield DataWarning(
            "unreadable",
            f"{_frames([frame for frame, _ in inspection.unreadable])} can't be read",
            "training would stop there: mend what the message says; to train without them, delete the files and set "
            + _SKIP,
        )
    if inspection.problems:
        yield DataWarning(
            "problems",
            f"opening the data met {counted(len(inspection.problems), 'problem')}, the first: {inspection.problems[0]}",
            _without(inspection.problems),
        )
    if inspection.single_frames:
        yield DataWarning(
            "single_frames",
            f"{_frames(inspection.single_frames)} without a neighbour before or after",
            "no clip of 2 can contain them: the recording drops frames there, or the scene is too short"
            + ("; if the names are times, say so in timestamps.txt" if inspection.layout == "recordings" else ""),
        )


def _on_depth(inspection: Inspection) -> Iterator[DataWarning]:
    depth = inspection.depth
    yield from _on_holes(inspection)
    yield from _on_unit(inspection)
    yield from _on_unlike_scenes(inspection)
    if depth.invalid > _INVALID:
        yield DataWarning(
            "invalid",
            f"{depth.invalid:.0%} of the pixels have no reading",
            "is the depth registered to the colour image, and which stored value means no reading? "
            "Only pixels with a reading are trained on",
        )
    if depth.empty:
        yield DataWarning(
            "empty_depth", f"{_frames(depth.empty)} without one reading of depth", "leave them out: they teach nothing"
        )
    if depth.constant:
        yield DataWarning(
            "constant_depth",
            f"depth is the same everywhere in {_frames(depth.constant)}",
            "that is no measurement: look at the depth files",
        )
    elif depth.frozen:
        yield DataWarning(
            "frozen_depth",
            f"depth repeats the frame before while the image changes, in {_frames(depth.frozen)}",
            "the depth camera is slower than the colour camera or stood still: pair frames by their timestamps, "
            "or drop the repeats",
        )
    if _is_coarse(inspection) and inspection.layout not in _EIGHT_BITS:
        yield DataWarning(
            "coarse_depth",
            f"depth takes only {depth.distinct} values, {1000 * depth.step:.0f} mm apart",
            "it looks quantised to 8 bits: export it with 16 bits, in millimetres",
        )


def _on_holes(inspection: Inspection) -> Iterator[DataWarning]:
    if not (found := [scene for scene in inspection.scenes if _has_far_value(scene)]):
        return
    scene = found[0]
    which = f" in {scene.name}" if len(inspection.scenes) > 1 else ""
    which += f" and more in {counted(len(found) - 1, 'other scene')}" if len(found) > 1 else ""
    advice = "if that is how no reading is stored, "
    if scene.units_per_metre is None:
        stored, advice = "", advice + "write 0 there instead"
    else:
        value = round(scene.high * scene.units_per_metre)
        stored = f" (stored as {value})"
        in_meta = f'put "invalid": [0, {value}] into meta.json'
        advice += in_meta if inspection.layout == "recordings" else "set those pixels of the depth files to 0"
    yield DataWarning(
        "far_value",
        f"{scene.high_share:.1%} of the pixels have the one largest depth, {metres(scene.high)}{stored}{which}",
        f"{advice}; now it is trained on as depth",
    )


def _has_far_value(scene: SceneFigures) -> bool:
    low, high = LIKELY_MEDIAN
    full = scene.units_per_metre is not None and round(scene.high * scene.units_per_metre, 1) == _FULL
    # With another unit all depths may be far.
    far = scene.high > _FAR and low <= scene.median_depth <= high
    return scene.high_share > _AT_HIGH and (full or far)


def _on_unlike_scenes(inspection: Inspection) -> Iterator[DataWarning]:
    """Scenes whose depth is likely by itself and not beside the others."""
    medians = {scene.name: scene.median_depth for scene in _likely(inspection)}
    # Of two scenes one is the middle: their mean would be near to both.
    middle = statistics.median_high(medians.values() or [math.nan])
    unlike = [name for name, median in medians.items() if not middle / _UNLIKE <= median <= middle * _UNLIKE]
    if unlike:
        yield DataWarning(
            "unlike_scenes",
            f"median depth is {metres(medians[unlike[0]])} in {some(unlike)}; the scenes' middle is {metres(middle)}",
            "are their units the same? Look at these scenes by themselves: --scenes NAME",
        )


def _on_close_depth(close: list[SceneFigures], named: bool) -> str:
    median, units, reason = close[0].median_depth, close[0].units_per_metre, "another unit is meant"
    if fitting := units and units_that_fit(median, units):
        unit, value = fitting[0]
        reason = f"{units:g} was read where {unit} ({metres(value)}) is meant"
    which = f" in {some([scene.name for scene in close], 3)}" if named else ""
    return f"median {metres(median)}{which}: close up, or {reason}"


def _likely(inspection: Inspection) -> list[SceneFigures]:
    """The scenes that `_on_unit` has nothing to say about."""
    low, high = LIKELY_MEDIAN
    return [scene for scene in inspection.scenes if low <= scene.median_depth <= high]


def _on_unit(inspection: Inspection) -> Iterator[DataWarning]:
    low, high = LIKELY_MEDIAN
    medians = [(scene, scene.median_depth) for scene in inspection.scenes if not math.isnan(scene.median_depth)]
    outside = [(scene, median) for scene, median in medians if not low <= median <= high]
    if not outside:
        return
    scene, median = outside[0]
    units = scene.units_per_metre
    which = f" in {scene.name}" if len(inspection.scenes) > 1 else ""
    which += f" and {len(outside) - 1} more scenes" if len(outside) > 1 else ""
    advice = "the unit is probably another"
    fitting = [f"{unit} per metre would make it {metres(value)}" for unit, value in units_that_fit(median, units or 1)]
    if fitting:
        advice += f": {', '.join(fitting)}" + (f"; it was read with {units:g}" if units else "")
    yield DataWarning(
        "unit",
        f"the median depth is {metres(median)}{which}, where {low:g} to {high:g} m is usual indoors",
        advice,
    )


def _on_images(inspection: Inspection) -> Iterator[DataWarning]:
    if len(inspection.sizes) > 1:
        sizes = ", ".join(f"{width}×{height} ({count})" for width, height, count in inspection.sizes[:4])
        yield DataWarning(
            "mixed_sizes",
            f"frames have {len(inspection.sizes)} sizes: {sizes}",
            "training resizes all to one working size, which stretches other aspect ratios: export one size",
        )
    repeated = [duplicate.frame for duplicate in inspection.duplicates]
    if len(repeated) > _DUPLICATES * inspection.read:
        consecutive = sum(duplicate.consecutive for duplicate in inspection.duplicates)
        yield DataWarning(
            "duplicates",
            f"an earlier image repeats in {_frames(repeated)}, {len(repeated) / inspection.read:.1%} of those read; "
            f"in {consecutive} of them it is the one right before",
            "remove them: clips of repeats teach that nothing moves, and repeats elsewhere leak from training "
            "into validation",
        )
    if 0 < inspection.poses < 1:
        yield DataWarning(
            "poses",
            f"only {inspection.poses:.1%} of the frames have a pose",
            "what needs poses (the temporal metrics) leaves the others out",
        )


def _on_motion(inspection: Inspection) -> Iterator[DataWarning]:
    shift = inspection.shift
    if not shift.pairs:
        yield DataWarning(
            "no_pairs", "no two consecutive frames of one size were read", "a clip needs two: is this a video?"
        )
        return
    if shift.median_of_width > _SHIFT_OF_WIDTH:
        yield DataWarning(
            "large_shifts",
            f"the image moves by {shift.median:.0f} px from frame to frame (median), "
            f"{shift.median_of_width:.0%} of its width",
            "frames are too far apart: record or export more per second, or move more slowly",
        )
    if shift.pairs >= _FEW_PAIRS and shift.low_response > _LOW_RESPONSES:
        yield DataWarning(
            "low_response",
            f"{shift.low_response:.0%} of {shift.pairs} consecutive pairs don't match (response under 0.05)",
            "frames are too far apart, in the wrong order, blurred or dark; alignment does not help there",
        )


def _without(problems: Sequence[str]) -> str:
    """What to do about problems; of a whole scene, sources say that it "is left out"."""
    heads = [problem.partition(" is left out: ")[0] for problem in problems if " is left out: " in problem]
    # Sources say the same of frames, which are files or `frame-N`; a scene is a folder, packed or not.
    is_frame = re.compile(r"\.(png|jpe?g)$|[/\\]frame-\d+$", re.IGNORECASE)
    if scenes := sum(not is_frame.search(head) for head in heads):
        return f"{counted(scenes, 'whole scene')} left out: complete the data, or train without them: {_SKIP}"
    return (
        f"complete the data, or train without what is missing ({_SKIP}): no clip reaches over a frame that is left out"
    )


def _is_coarse(inspection: Inspection) -> bool:
    depth = inspection.depth
    return depth.distinct <= _DISTINCT and depth.step >= _STEP


def _frames(names: Sequence[str]) -> str:
    return f"frame{'s' if len(names) != 1 else ''} {some(names, 3)}"
