"""`smoothdino video`: a video in, the same video beside its depth out, frame by frame in constant memory."""

import argparse
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from smoothdino_jax.apps.figures import SideBySide
from smoothdino_jax.apps.video_io import Video, VideoWriter, read_video
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.models.smoothdino import SmoothDINO
from smoothdino_jax.stream import Stream
from smoothdino_jax.weights import load

_TINY = "tiny-synthetic"
_OFFICIAL = "smoothdino convert facebook/dpt-dinov2-small-nyu checkpoints/dinov2-small-nyu"
_EXAMPLES = f"""\
examples:
  {_OFFICIAL}
  smoothdino video walk.mp4 -o walk_depth.mp4 --checkpoint checkpoints/dinov2-small-nyu

  Vanilla beside smoothed, colours from 0.5 to 5 m, and the depth itself for further use:
    smoothdino video walk.mp4 -o both.mp4 --checkpoint runs/nyu/model --compare --range 0.5 5 --raw depth
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand to the command's parser."""
    parser = commands.add_parser(
        "video",
        help="metric depth of a video, as a video and as 16-bit images",
        description="Writes a video beside its depth in metres, in colours of one fixed range.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", metavar="IN", type=Path, help="video file, or folder of images (30 frames per second)")
    parser.add_argument("-o", "--output", metavar="OUT.mp4", type=Path, required=True, help="video to write")
    parser.add_argument(
        "--checkpoint",
        metavar="FOLDER",
        default=_TINY,
        help=f'model folder (default: "{_TINY}", which comes with the package and knows only rendered rooms)',
    )
    parser.add_argument("--compare", action="store_true", help="show the vanilla depth beside the smoothed")
    parser.add_argument(
        "--size",
        metavar="SHORT_SIDE",
        type=int,
        help="short side, at most, of what the model sees, in whole patches of 14 pixels; 0 for the "
        "frames' own size (default: 476, less for models made for small pictures)",
    )
    parser.add_argument(
        "--range",
        metavar=("LO", "HI"),
        type=float,
        nargs=2,
        help="metres at the ends of the colours (default: 0 and the most that the model predicts)",
    )
    parser.add_argument(
        "--raw",
        metavar="DIR",
        type=Path,
        help="write each frame's depth as DIR/000000.png …, 16 bit, millimetres, at the input's size",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT.mp4 and the images in DIR")
    parser.set_defaults(run=_run)


def depth_video(
    model: SmoothDINO,
    video: Video,
    output: Path,
    *,
    compare: bool = False,
    short_side: int = 476,
    depth_range: tuple[float, float] | None = None,
    raw: Path | None = None,
) -> int:
    """Writes a video beside its depth; what `smoothdino video` does once its arguments are checked.

    Args:
        model: without an adapter, each frame's depth is predicted on its own.
        video: from `read_video`.
        output: MP4 to write, replaced if it is there.
        compare: show the vanilla depth beside the smoothed; needs an adapter.
        short_side: of what the model sees, see `working_size`.
        depth_range: metres at the ends of the colours; None for 0 and the most that the model predicts.
        raw: folder for 16-bit PNGs in millimetres (65.535 m at most), one per frame, of the smoothed depth.

    Returns:
        The number of frames.

    Raises:
        DataError: a frame can't be read, or something can't be written. The frames before are on disk, as
            they are after a KeyboardInterrupt.
        ValueError: `compare` without an adapter, or a wrong range.
    """
    height, width = video.size
    size = working_size(video.size, short_side)
    way = cv2.INTER_AREA if size[0] < height else cv2.INTER_LINEAR
    predict = _compared(model) if compare else _predictor(model)
    titles = ["vanilla", "smoothed"] if compare else ["depth"]
    picture = SideBySide(video.size, titles, depth_range or (0, model.config.decoder.max_depth))
    writer = VideoWriter(output, video.fps)

    def write(frame, depths):
        if raw is not None:
            _write_millimetres(raw / f"{writer.frames:06d}.png", depths[-1])
        writer.write(picture.draw(frame, *depths))

    try:
        # A thread writes a frame while the model sees the next; Ctrl-C never reaches it, so no frame is cut.
        with writer, ThreadPoolExecutor(1) as pool:
            written = None
            with tqdm(video.frames, total=video.length, unit=" frames", disable=None) as frames:
                for frame in frames:
                    seen = frame if size == video.size else cv2.resize(frame, size[::-1], interpolation=way)
                    depths = [cv2.resize(np.asarray(depth), (width, height)) for depth in predict(seen)]
                    if written is not None:
                        written.result()
                    written = pool.submit(write, frame, depths)
            written.result()
    except (KeyboardInterrupt, DataError):
        if writer.frames:
            _say(f"stopped after {writer.frames} frames; {output} plays up to there")
        raise
    return writer.frames


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


def _run(args: argparse.Namespace) -> None:
    _check(args)
    video = read_video(args.input)
    model = load(args.checkpoint)
    if model.adapter is None:
        if args.compare:
            raise DataError(f"--compare needs an adapter, and {args.checkpoint} has none: leave it out, or train one")
        _say(f"{args.checkpoint} has no adapter: depth is predicted frame by frame, nothing is smoothed")
    if args.checkpoint == _TINY:
        _say(f"{_TINY} has only seen rendered rooms: for real pictures, {_OFFICIAL}, then --checkpoint")
    try:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        if args.raw:
            args.raw.mkdir(parents=True, exist_ok=True)
            for file in _numbered(args.raw):
                file.unlink()
    except OSError as error:
        raise DataError(f"{error.filename} can't be written: {error.strerror}") from None
    short_side = usual_short_side(model) if args.size is None else args.size
    options = {"compare": args.compare, "short_side": short_side, "raw": args.raw}
    count = depth_video(model, video, args.output, depth_range=args.range, **options)
    print(f"{args.output}: {count} frames" + (f", millimetres in {args.raw}" if args.raw else ""))


def _check(args: argparse.Namespace) -> None:
    if args.output.suffix.lower() != ".mp4":
        raise DataError(f"OUT is {args.output}: videos are written as MP4, the name has to end in .mp4")
    if args.output.exists():
        if args.input.exists() and args.output.samefile(args.input):
            raise DataError(f"OUT is the same file as IN, {args.input}: choose another name")
        if args.output.is_dir() or not args.overwrite:
            raise DataError(f"{args.output} exists already: choose another name, or add --overwrite")
    if args.size and args.size < 14:
        raise DataError(f"--size {args.size}: the short side is at least one patch, 14 pixels; or 0")
    if args.range and not 0 <= args.range[0] < args.range[1] < np.inf:
        raise DataError(f"--range {args.range[0]:g} {args.range[1]:g}: it needs 0 ≤ LO < HI, in metres")
    if args.raw and args.raw.exists():
        if not args.raw.is_dir():
            raise DataError(f"--raw {args.raw} is not a folder")
        if args.input.exists() and args.raw.samefile(args.input):
            raise DataError(f"--raw {args.raw} is the folder of the input: choose another")
        if any(args.raw.iterdir()) and not args.overwrite:
            raise DataError(f"--raw {args.raw} is not empty: choose another folder, or add --overwrite")


def _predictor(model: SmoothDINO) -> Callable:
    if model.adapter is None:
        return lambda frame: (model(jnp.asarray(frame)[None])[0],)
    stream = Stream(model)
    return lambda frame: (stream(frame),)


def _compared(model: SmoothDINO) -> Callable:
    """Vanilla and smoothed depth of one stream; each frame is encoded once for both."""
    if model.adapter is None:
        raise ValueError("to compare, the model needs an adapter")
    graph, weights = nnx.split(model)

    @jax.jit
    def step(weights, images, state):
        model = nnx.merge(graph, weights)
        features = model.encode(images)
        smoothed, state = model.advance(features, images, state)
        return (model.decode(features, images.shape[1:3])[0], smoothed[0]), state

    state = None

    def predict(frame):
        nonlocal state
        images = jnp.asarray(frame)[None]
        depths, state = step(weights, images, model.init_state(images) if state is None else state)
        return depths

    return predict


def _write_millimetres(file: Path, depth: np.ndarray) -> None:
    millimetres = np.clip(depth * 1000 + 0.5, 0, 65535).astype(np.uint16)
    _, data = cv2.imencode(".png", millimetres, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    try:
        file.write_bytes(data)
    except OSError as error:
        raise DataError(f"{file} can't be written: {error.strerror}") from None


def _numbered(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if re.fullmatch(r"\d{6}\.png", file.name)]


def _say(text: str) -> None:
    print(f"smoothdino video: {text}", file=sys.stderr)
