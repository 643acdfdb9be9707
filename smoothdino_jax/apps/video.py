"""`smoothdino video`: metric depth of a video as it comes, in constant memory.

Three things go on at once: a thread decodes the frames ahead, the device computes, and a thread writes what is done.
"""

import argparse
import contextlib
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from smoothdino_jax import interrupts
from smoothdino_jax.apps.point_clouds import intrinsics_from
from smoothdino_jax.apps.video_arguments import EMBEDDED, OFFICIAL, add_arguments, check, usual_short_side, working_size
from smoothdino_jax.apps.video_outputs import Output, completed, open_output
from smoothdino_jax.apps.video_sources import Video, VideoFrame, open_video
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.models.scene_cuts import SceneCuts
from smoothdino_jax.models.smoothdino import SmoothDINO
from smoothdino_jax.stream import Stream
from smoothdino_jax.weights import load

_AHEAD = 3  # frames decoded ahead


class Done(NamedTuple):
    """What came of a video.

    Attributes:
        frames: how many are whole in every output, with those of an earlier run that was resumed.
        cuts: numbers of the frames at which a scene cut was found.
        rate: frames per second of this run, compiling left out; None for fewer than two, or none written.
    """

    frames: int
    cuts: list[int]
    rate: float | None


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand to the command's parser."""
    add_arguments(commands).set_defaults(run=_run)


def depth_video(
    stream: Stream, video: Video, outputs: Sequence[Output], *, first: int = 0, skip: int = 0, limit: int | None = None
) -> Done:
    """Streams a video into outputs; what `smoothdino video` does once its arguments are checked.

    Args:
        stream: made for this video.
        video: from `open_video`, open at the frame `first - skip`.
        outputs: opened to go on at the frame `first`.
        first: number of the first frame to write.
        skip: frames before it that the stream sees for its memory and nothing is written of.
        limit: how many frames to write at most; None for all.

    Raises:
        DataError: a frame can't be read, or something can't be written. The frames before are on disk, as they
            are after a KeyboardInterrupt; the outputs are closed.
    """
    numbers = range(first - skip, sys.maxsize if limit is None else first + limit)
    cuts: list[int] = []
    stream.warm_up(video.size)
    with contextlib.ExitStack() as closing:
        # Left in the order opposite to this: whatever happens, the last write ends before the outputs are closed.
        for output in outputs:
            closing.enter_context(output)
        # A live source has a thread of its own, and what was decoded ahead would only be late.
        frames = _from_now(video.frames) if video.live else closing.enter_context(_ahead(video.frames))
        pool = closing.enter_context(ThreadPoolExecutor(1))
        total = None if video.length is None else max(0, video.length - numbers.start)
        if limit is not None:
            total = limit + skip if total is None else min(total, limit + skip)
        bar = closing.enter_context(tqdm(total=total, unit=" frames", disable=None, dynamic_ncols=True))
        written = began = None
        for number, frame in zip(numbers, frames, strict=False):
            interrupts.check()
            depths = stream(frame.image)
            depths = depths if isinstance(depths, tuple) else (depths,)
            seen = {"shift": stream.shift, "cut": stream.cut}
            if began is None:
                began = time.perf_counter()
            if written is not None:
                written.result()
            if number >= first:
                if seen["cut"]:
                    cuts.append(number)
                written = pool.submit(_write, outputs, frame, depths, number, seen)
            bar.update()
        if written is not None:
            written.result()
        rate = (stream.frames - 1) / (time.perf_counter() - began) if written and stream.frames > 1 else None
    return Done(_whole(outputs), cuts, rate)


def _whole(outputs: Sequence[Output]) -> int:
    """How many frames are whole in every output."""
    return min((output.whole for output in outputs), default=0)


def _write(outputs: Sequence[Output], frame: VideoFrame, depths: Sequence[np.ndarray], number: int, seen: dict) -> None:
    for output in outputs:
        output.write(frame, depths, number, **seen)


@contextlib.contextmanager
def _ahead(frames: Iterator[VideoFrame]) -> Iterator[Iterator[VideoFrame]]:
    """Runs an iterator in a thread, a few items ahead; what it raises comes up where its next item would."""
    ready: queue.Queue = queue.Queue(_AHEAD)
    stop = threading.Event()

    def put(item) -> bool:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return True
        return False

    def read():
        try:
            for frame in frames:
                if not put((frame, None)):
                    return
            put((None, None))
        except BaseException as error:
            put((None, error))

    def take():
        while True:
            frame, error = ready.get()
            if error is not None:
                raise error
            if frame is None:
                return
            yield frame

    reader = threading.Thread(target=read, name="decoding", daemon=True)
    reader.start()
    try:
        yield take()
    finally:
        stop.set()
        reader.join(5)  # a camera that hangs does not keep the outputs from being closed


def _from_now(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """A live source without the frame that it was opened with, which is old by now; times start anew."""
    next(frames, None)
    start = None
    for frame in frames:
        start = frame.time if start is None else start
        yield frame._replace(time=frame.time - start)


def _run(args: argparse.Namespace) -> None:
    check(args)
    model = load(args.checkpoint)
    if args.compare and model.adapter is None:
        raise DataError(f"--compare needs an adapter, and {args.checkpoint} has none: leave it out, or train one")
    first = min(map(completed, args.outputs)) if args.resume else 0
    skip = min(first, _memory(model, args.no_cuts))
    with contextlib.closing(_open(args, first - skip)) as video:
        if args.resume and video.live:
            raise DataError(f"--resume: {video.name} is live, what was there before can't be read again")
        size = working_size(video.size, usual_short_side(model) if args.size is None else args.size)
        stream = Stream(model, cuts=None if args.no_cuts else SceneCuts(), size=size, compare=args.compare)
        outputs = _open_outputs(args, model, video, first)
        _tell(args, model, first)
        try:
            with interrupts.restored(keep=DataError):
                done = depth_video(stream, video, outputs, first=first, skip=skip, limit=args.limit)
        except KeyboardInterrupt:
            if whole := _whole(outputs):
                goes_on = "" if video.live or args.input == "-" or args.rerun else " (--resume goes on)"
                _say(f"stopped: the first {whole} frames are whole in {_named(args)}{goes_on}")
            if video.live:
                return  # how a camera is stopped
            raise
        except DataError as error:
            if whole := _whole(outputs):
                raise DataError(f"{error}; the first {whole} frames are whole in {_named(args)}") from error
            raise
    _report(args, done, first)


def _tell(args: argparse.Namespace, model: SmoothDINO, first: int) -> None:
    if args.resume:
        _say(f"going on at frame {first}" if first else "nothing whole is there yet: starting at the first frame")
    if model.adapter is None:
        _say(f"{args.checkpoint} has no adapter: depth is predicted frame by frame, nothing is smoothed")
    if args.checkpoint == EMBEDDED:
        _say(f"{EMBEDDED} has only seen rendered rooms: for real pictures, {OFFICIAL}, then --checkpoint")


def _memory(model: SmoothDINO, no_cuts: bool) -> int:
    """How many frames before one the model has to see for its depth to be what it would have been, or all but."""
    # What a scene's usual change is, the search of cuts takes from its last frames.
    of_cuts = 1 if no_cuts else 9
    if model.adapter is None or "previous" not in model.adapter.config.inputs:
        return of_cuts
    # A recurrent memory reaches back for ever, less and less.
    return of_cuts if model.adapter.config.memory == "encoded" else 24


def _open(args: argparse.Namespace, start: int) -> Video:
    size = tuple(args.stdin_size) if args.stdin_size else None
    return open_video(args.input, raw_size=size, raw_fps=args.fps, start=start)


def _open_outputs(args: argparse.Namespace, model: SmoothDINO, video: Video, first: int) -> list[Output]:
    camera = args.intrinsics or args.fov
    intrinsics = None if camera is None else intrinsics_from(camera, video.size)
    titles = ["vanilla", "smoothed"] if args.compare else ["depth"]
    options = {
        "size": video.size,
        "fps": video.fps,
        "titles": titles,
        "depth_range": tuple(args.range or (0, model.config.decoder.max_depth)),
        "layout": args.layout,
        "intrinsics": intrinsics,
        "overwrite": args.overwrite,
        "resume": args.resume,
        "start": first,
    }
    outputs = [open_output(path, **options) for path in args.outputs]
    if args.rerun:
        from smoothdino_jax.apps.rerun_output import open_rerun

        shown = {name: options[name] for name in ("titles", "depth_range", "intrinsics", "overwrite")}
        outputs.append(open_rerun(args.rerun, **shown, name=video.name))
    return outputs


def _report(args: argparse.Namespace, done: Done, first: int) -> None:
    if first and done.frames == first:
        print(f"{_named(args)}: all {first} frames were there, nothing was left to do")
        return
    rate = f", {done.rate:.1f} frames per second" if done.rate else ""
    print(f"{_named(args)}: {done.frames} frames{rate}")
    if done.cuts:
        shown = ", ".join(map(str, done.cuts[:10])) + (" …" if len(done.cuts) > 10 else "")
        print(f"{len(done.cuts)} scene cut(s), where the smoothing started anew: frame {shown}")


def _named(args: argparse.Namespace) -> str:
    return ", ".join([*args.outputs, *([args.rerun] if args.rerun else [])])


def _say(text: str) -> None:
    print(f"smoothdino video: {text}", file=sys.stderr)
