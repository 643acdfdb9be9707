"""`smoothdino data inspect`: what a folder of RGB-D frames holds, in figures and in one picture."""

import argparse
import contextlib
import functools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from absl import logging
from tqdm import tqdm

from smoothdino_jax.apps.contact_sheet import contact_sheet
from smoothdino_jax.apps.writing import check_free, write_whole
from smoothdino_jax.data.detect import layout_of
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.opening import LAYOUTS, open_folder
from smoothdino_jax.data.scene_names import some
from smoothdino_jax.inspection.figures import DISTINCT_MAX, LOW_RESPONSE, Inspection, counted, metres
from smoothdino_jax.inspection.measuring import inspect_source

_DESCRIPTION = """\
Reads frames of an RGB-D folder and says what they are: scenes, sizes, range of depth, gaps, repeats,
motion, poses. What looks wrong is numbered, each with what to do about it. The contact sheet shows frames
beside their depth; look at it before training.
"""
_EXAMPLES = """\
examples:
  Is my recording right? Writes my_kitchen_inspect.png here:
    smoothdino data inspect my_kitchen

  Every frame of two scenes, and the figures for a program:
    smoothdino data inspect data/nyu2_train --scenes office_0011_out study_0003_out --frames 0 \\
        -o sheet.png --json figures.json

  A folder whose layout isn't found out by itself:
    smoothdino data inspect fr1_desk --layout tum

The last line of the report is "looks right by its figures; now look at SHEET.png" or "N things to look at". The
exit code is 0 whenever the data could be looked at, whatever was found. A script takes --json: "warning_count" is N,
"verdict" says "looks right" where that is 0, and each of "warnings" has a "kind" (unit, unreadable, ...).
"""
_SHOWN = 5  # scenes, gaps, problems ... by name; the JSON has all
_VERSION = re.compile(r"\d{1,2}\.\d{1,2}\.\d{1,2}")


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command to `smoothdino data`."""
    parser = commands.add_parser(
        "inspect",
        help="say what RGB-D frames hold and what looks wrong",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="PATH", type=Path, help="folder of RGB-D frames")
    parser.add_argument(
        "--layout", choices=("auto", *LAYOUTS), default="auto", help="of the folder (default: auto, found out)"
    )
    parser.add_argument("--scenes", metavar="NAME", nargs="+", default=(), help="scenes to look at (default: all)")
    parser.add_argument(
        "--frames",
        metavar="N",
        type=int,
        default=600,
        help="read N frames at most, stretches of consecutive ones in every scene; 0 for all (default: 600)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="SHEET.png",
        type=Path,
        help="contact sheet to write (default: NAME_inspect.png in the current folder, NAME the folder's; an earlier "
        "NAME_inspect.png there is replaced)",
    )
    parser.add_argument("--json", metavar="REPORT.json", type=Path, help="write the figures to this file too")
    parser.add_argument("--overwrite", action="store_true", help="replace the files named by -o and --json")
    parser.set_defaults(run=_run)


def report(inspection: Inspection, path: str | os.PathLike, sheet: str | os.PathLike = "") -> str:
    """The figures as text for people.

    Args:
        inspection: figures.
        path: of the data, for the first line.
        sheet: path of the contact sheet, which the last line says to look at; empty for none.

    Returns:
        Lines; the last is the verdict.
    """
    lines = [
        f"{path}: {counted(inspection.frames, 'frame')} in {counted(len(inspection.scenes), 'scene')}, "
        f"{inspection.layout or 'no named layout'}"
    ]
    if inspection.sampled:
        looked = inspection.read + len(inspection.unreadable)
        lines.append(f"  this is a sample: {looked} frames, evenly over the scenes (--frames 0 looks at all)")
    lines += [f"  {name:<12}{value}" for name, value in _rows(inspection)]
    lines += [f"  {'note':<12}{note}" for note in inspection.notes]
    for k, warning in enumerate(inspection.warnings, 1):
        lines += [f"{k}. {warning.what}", f"   → {warning.advice}"]
    if inspection.warnings or not sheet:
        return "\n".join([*lines, inspection.verdict])
    return "\n".join([*lines, f"{inspection.verdict} by its figures; now look at {sheet}"])


def _rows(inspection: Inspection) -> Iterator[tuple[str, str]]:
    depth, shift = inspection.depth, inspection.shift
    scenes = [f"{scene.name} {scene.frames}" for scene in inspection.scenes]
    yield "scenes", some(scenes)
    yield "sizes", some([f"{width}×{height} ({counted(count, 'frame')})" for width, height, count in inspection.sizes])
    if np.isnan(depth.median):
        yield "depth", "not one reading"
    else:
        yield "depth", f"{metres(depth.low)} to {metres(depth.high)}, median {metres(depth.median)}"
        yield "", f"1 % of it under {metres(depth.percent_1)}, 99 % under {metres(depth.percent_99)}"
        many = depth.distinct >= DISTINCT_MAX
        yield "", f"{DISTINCT_MAX} different values or more" if many else counted(depth.distinct, "different value")
    worst = f"; the most in {depth.worst_frame}, {depth.worst_invalid:.1%}" if depth.worst_invalid else ""
    yield "no reading", f"{depth.invalid:.1%} of the pixels{worst}"
    gaps = [f"{gap.scene}/{gap.before} → {gap.after}" for gap in inspection.gaps]
    yield "gaps", some(gaps) if gaps else "none"
    repeats = [f"{duplicate.frame} = {duplicate.same_as}" for duplicate in inspection.duplicates]
    yield "duplicates", some(repeats) if repeats else "none"
    if inspection.near_duplicates:
        yield "", f"nearly the frame before, nothing moves: {some(inspection.near_duplicates)}"
    if shift.pairs:
        moved = "no pair with a match" if np.isnan(shift.median) else f"median {shift.median:.3g} px"
        yield "shift", f"{moved}; {counted(shift.pairs, 'consecutive pair')}"
        yield (
            "response",
            f"median {shift.median_response:.3g}; under {LOW_RESPONSE:g} (no match) {shift.low_response:.1%}",
        )
    else:
        yield "shift", "no consecutive pair"
    yield "poses", {0: "none", 1: "all frames"}.get(inspection.poses, f"{inspection.poses:.1%} of the frames")
    matrices = ["fx {:.6g} fy {:.6g} cx {:.6g} cy {:.6g}".format(*matrix) for matrix in inspection.intrinsics]
    yield "intrinsics", "; ".join(matrices[:2]) + ("; others" if len(matrices) > 2 else "") if matrices else "none"
    for name, found in (("problem", inspection.problems), ("unreadable", [row[1] for row in inspection.unreadable])):
        for text in found[:_SHOWN]:
            yield name, text
        if len(found) > _SHOWN:
            yield name, f"and {len(found) - _SHOWN} more"


def _run(args: argparse.Namespace) -> None:
    if args.frames < 0 or args.frames == 1:
        raise DataError(f"--frames {args.frames}: at least 2 (frames are compared with the next), or 0 for all")
    path = args.path.expanduser()
    # TFDS ends in the folder of a version, which is no name.
    name = next((part for part in reversed(path.resolve().parts[1:]) if not _VERSION.fullmatch(part)), "data")
    sheet = args.output or Path(f"{name}_inspect.png")
    if sheet.suffix.lower() != ".png":
        raise DataError(f"-o {sheet}: the contact sheet is a PNG, the name has to end in .png")
    check_free(sheet, args.overwrite or args.output is None)
    if args.json:
        check_free(args.json, args.overwrite)
    with _quiet():
        layout = layout_of(path) if args.layout == "auto" else args.layout
        source = open_folder(path, args.scenes, layout, missing="skip", check=False)
    watch = functools.partial(tqdm, unit=" frames", disable=None, leave=False)
    inspection = inspect_source(source, args.frames, layout, watch)
    picture = contact_sheet(source, inspection, str(args.path))
    encoded = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    write_whole(sheet, encoded)
    if args.json:
        figures = {"path": str(args.path), **inspection.as_dict()}
        write_whole(args.json, (json.dumps(figures, indent=2, ensure_ascii=False) + "\n").encode())
    print(f"contact sheet: {sheet}" + (f", figures: {args.json}" if args.json else ""))
    print(report(inspection, args.path, sheet))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without absl's warnings: the report lists the problems that opening would warn of."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)
