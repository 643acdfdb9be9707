"""What `smoothdino video` can be told, and what of that can be refused before anything is opened."""

import argparse
import glob
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

from smoothdino_jax.apps.video_outputs import same_output, writes_into
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.models.smoothdino import SmoothDINO

EMBEDDED = "tiny-synthetic"
OFFICIAL = "smoothdino convert facebook/dpt-dinov2-small-nyu checkpoints/dinov2-small-nyu"
_EXAMPLES = f"""\
examples:
  {OFFICIAL}
  smoothdino video walk.mp4 -o walk_depth.mp4 --checkpoint checkpoints/dinov2-small-nyu

  Vanilla beside smoothed, colours from 0.5 to 5 m, and the depth itself as 16-bit images in millimetres:
    smoothdino video walk.mp4 -o both.mp4 -o depth/%06d.png --checkpoint runs/nyu/model --compare --range 0.5 5

  The first camera until Ctrl-C; a camera in the network; point clouds with a field of view of 70 degrees:
    smoothdino video 0 -o desk.mp4
    smoothdino video rtsp://192.168.0.20/stream -o yard.npz --limit 500
    smoothdino video walk.mp4 -o cloud/%06d.ply --fov 70

  From another program, as raw RGB:
    ffmpeg -i walk.mp4 -f rawvideo -pix_fmt rgb24 - | smoothdino video - --stdin-size 480 640 -o depth.npz
"""
_OUT = """\
where the depth goes, by its name; may be given several times:
  X.mp4             the video beside its depth, or the depth alone (--layout)
  X.npz             one archive: arrays "000000", "000001", ... of float32 metres, and "time" in seconds
  DIR/%%06d.png      16-bit images, millimetres, up to 65.5 m
  DIR/%%06d.npy      float32 metres; DIR/%%06d.exr likewise
  DIR/%%06d.ply      coloured point clouds, metres (needs --fov or --intrinsics)"""


def add_arguments(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds `smoothdino video` and returns its parser."""
    parser = commands.add_parser(
        "video",
        help="metric depth of a video or camera: as video, images, arrays, point clouds",
        description="Writes the depth of every frame, in metres, at the size of the frame, as frames come. The\n"
        "smoothing starts anew at scene cuts, which are found by themselves.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument(
        "input",
        metavar="IN",
        help="video file, folder or 'pattern' of images, number of a camera (0), rtsp:// or http:// address,\n"
        "or - for raw RGB frames on standard input. A file that was cut short is noticed, but in formats that\n"
        "don't know their end (.ts, .mpg, raw .h264, .gif)",
    )
    parser.add_argument("-o", "--output", dest="outputs", metavar="OUT", action="append", default=[], help=_OUT)
    parser.add_argument("--raw", metavar="DIR", help="the same as -o DIR/%%06d.png")
    parser.add_argument(
        "--checkpoint",
        metavar="FOLDER",
        default=EMBEDDED,
        help=f'model folder (default: "{EMBEDDED}", which comes with the package and knows only rendered rooms)',
    )
    parser.add_argument("--compare", action="store_true", help="show the vanilla depth beside the smoothed")
    parser.add_argument(
        "--layout", choices=("side_by_side", "depth"), default="side_by_side", help="of X.mp4 (default: %(default)s)"
    )
    parser.add_argument(
        "--range",
        metavar=("LO", "HI"),
        type=float,
        nargs=2,
        help="metres at the ends of the colours (default: 0 and the most that the model predicts)",
    )
    parser.add_argument(
        "--size",
        metavar="SHORT_SIDE",
        type=int,
        help="short side, at most, of what the model sees, in whole patches of 14 pixels; 0 for the\n"
        "frames' own size (default: 476, less for models made for small pictures)",
    )
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument("--fov", metavar="DEGREES", type=float, help="horizontal field of view, for point clouds")
    camera.add_argument(
        "--intrinsics",
        metavar=("FX", "FY", "CX", "CY"),
        type=float,
        nargs=4,
        help="of the camera, pixels of the input, for point clouds",
    )
    parser.add_argument(
        "--rerun",
        metavar="TARGET",
        nargs="?",
        const="spawn",
        help="log image, depth, points and shift to Rerun as well: its viewer, or a recording X.rrd",
    )
    parser.add_argument("--fps", type=float, default=30, help="of images and of standard input (default: %(default)s)")
    parser.add_argument(
        "--stdin-size", metavar=("HEIGHT", "WIDTH"), type=int, nargs=2, help="of the raw frames on standard input"
    )
    parser.add_argument("--limit", metavar="N", type=int, help="stop after so many frames of this run")
    parser.add_argument("--no-cuts", action="store_true", help="don't look for scene cuts")
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted run stopped")
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that are there")
    return parser


def check(args: argparse.Namespace) -> None:
    """Completes the arguments and refuses what can't be followed.

    Raises:
        DataError: with what to do instead.
    """
    if args.raw:
        args.outputs.append(str(Path(args.raw) / "%06d.png"))
    if not args.outputs and not args.rerun:
        raise DataError("nothing to write: give -o OUT.mp4, or another output of --help")
    for first, second in itertools.combinations(args.outputs, 2):
        if same_output(first, second):
            raise DataError(f"{first} and {second} are the same output: an output is given twice")
    _check_input_is_safe(args.input, args.outputs)
    if any(path.endswith(".ply") for path in args.outputs) and args.fov is None and args.intrinsics is None:
        raise DataError("point clouds need the camera: give --fov DEGREES or --intrinsics FX FY CX CY")
    if args.fov is not None and not 0 < args.fov < 180:
        raise DataError(f"--fov {args.fov:g}: a field of view is between 0 and 180 degrees")
    if args.intrinsics is not None and not (min(args.intrinsics[:2]) > 0 and all(map(math.isfinite, args.intrinsics))):
        raise DataError("--intrinsics: FX and FY are above 0, in pixels")
    if args.size and args.size < 14:
        raise DataError(f"--size {args.size}: the short side is at least one patch, 14 pixels; or 0")
    if args.range and not 0 <= args.range[0] < args.range[1] < math.inf:
        raise DataError(f"--range {args.range[0]:g} {args.range[1]:g}: it needs 0 ≤ LO < HI, in metres")
    if (args.input == "-") != (args.stdin_size is not None):
        raise DataError("--stdin-size HEIGHT WIDTH and the input - go together")
    if not 0.01 <= args.fps <= 10_000:
        raise DataError(f"--fps {args.fps:g}: frames per second are 0.01 to 10000")
    if args.stdin_size and not all(2 <= side <= 16_384 for side in args.stdin_size):
        raise DataError(f"--stdin-size {args.stdin_size[0]} {args.stdin_size[1]}: sides are 2 to 16384 pixels")
    if args.limit is not None and args.limit < 1:
        raise DataError(f"--limit {args.limit}: it needs at least one frame")
    if args.resume and (args.overwrite or args.rerun or args.input == "-"):
        raise DataError("--resume goes on with files: not together with --overwrite, --rerun or standard input")


def _check_input_is_safe(source: str, outputs: Sequence[str]) -> None:
    """Raises DataError where an output would write onto the input, or into the folder of images that is read."""
    try:
        files = {Path(source).resolve()} if Path(source).is_file() else set()
        folders = {Path(source).resolve()} if Path(source).is_dir() else set()
        if not files and not folders and glob.has_magic(source):
            files = {Path(file).resolve() for file in glob.glob(source, recursive=True)}
            folders = {file.parent for file in files}
        files |= {file for folder in folders for file in folder.iterdir()}
        for output in outputs:
            if "%" in Path(output).name and Path(output).parent.resolve() in folders:
                raise DataError(f"{output} would write into the input's folder: choose another")
            if any(writes_into(output, file) for file in files):
                raise DataError(f"{output} is both the input and an output: choose another name")
    except OSError as error:
        raise DataError(f"{error.filename or source} can't be read: {error.strerror}") from None


def working_size(size: tuple[int, int], short_side: int, patch: int = 14) -> tuple[int, int]:
    """The size at which the model sees a video: whole patches, close to the video's aspect, not enlarged.

    Args:
        size: `(H, W)` of the video.
        short_side: pixels, at most; 0 for `size` as it is.
        patch: pixels.

    Returns:
        `(H, W)`, multiples of `patch` unless `short_side` is 0.
    """
    if not short_side:
        return tuple(size)
    scale = min(1, short_side / min(size))
    height, width = (max(1, int(side * scale / patch + 0.5)) * patch for side in size)
    return height, width


def usual_short_side(model: SmoothDINO) -> int:
    """The short side that a model is at home with: NYU's 480 in whole patches for the published ones.

    A small model is at home at the 3:4 pictures that its position grid spans.
    """
    encoder = model.config.encoder
    published = encoder.native_grid >= 37
    return 476 if published else encoder.patch * round(0.75 * encoder.native_grid)
