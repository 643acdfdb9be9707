"""`smoothdino web`: a page in the browser, served from this machine."""

import argparse
import importlib.util
import math
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from smoothdino_jax.data.frames import DataError
from smoothdino_jax.weights import embedded, read_config

_TINY = "tiny-synthetic"
_LOCAL = ("127.0.0.1", "localhost", "::1")
_DESCRIPTION = """\
Opens a page on this machine: upload a video or turn on the webcam, watch image, vanilla and smoothed depth
side by side, read metres under the pointer, download the raw depth. One user at a time, others wait in a queue.
Uploads and depth lie in a temporary folder, removed when the tab is closed and when the command ends (Ctrl-C).
"""
_EXAMPLES = """\
examples:
  With the small model that comes with the package (it knows only rendered rooms):
    smoothdino web --open

  Models to choose from, and larger videos:
    smoothdino web --checkpoint checkpoints/dinov2-small-nyu --checkpoint runs/nyu/model --max-mb 500 --max-seconds 300

  On a machine without a screen, seen through SSH:
    ssh -L 7860:127.0.0.1:7860 robot smoothdino web
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand to the command's parser."""
    parser = commands.add_parser(
        "web",
        help="a local page: depth of a video or the webcam",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FOLDER",
        action="append",
        default=[],
        help=f'model folder to choose on the page, as often as you like; "{_TINY}" is always there',
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: 127.0.0.1, this machine alone; 0.0.0.0 lets others in, with no password)",
    )
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: 7860)")
    parser.add_argument(
        "--max-mb", metavar="MB", type=float, default=200, help="largest file to take, MiB (default: 200)"
    )
    parser.add_argument(
        "--max-seconds",
        metavar="S",
        type=float,
        default=120,
        help="longest video to take, and turn of the webcam (default: 120)",
    )
    parser.add_argument(
        "--size",
        metavar="SHORT_SIDE",
        type=int,
        help="short side, at most, of what the model sees, in whole patches of 14 pixels; 0 for the "
        "frames' own size (default: 476, less for models made for small pictures)",
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    checkpoints = _check(args)
    # After the arguments, which are checked in no time; Gradio takes seconds to import.
    from smoothdino_jax.apps.web.page import serve
    from smoothdino_jax.apps.web.take import working
    from smoothdino_jax.apps.web.uploads import Limits

    if args.host not in _LOCAL:
        _say(f"listening on {args.host}: whoever reaches this machine can use the page, there is no password")
    if len(checkpoints) == 1:
        _say(f"{_TINY} has only seen rendered rooms: for real pictures, add --checkpoint")
    limits = Limits(args.max_mb, args.max_seconds)
    try:
        page = serve(checkpoints, limits, short_side=args.size, host=args.host, port=args.port, browser=args.open)
        with page as demo:
            print(f"{demo.local_url} (Ctrl-C ends it)", flush=True)
            signal.pause() if hasattr(signal, "pause") else demo.block_thread()
    except KeyboardInterrupt:  # SIGTERM too, see interrupts.py
        _say("ended; uploads and depth are removed")
        if working():
            _leave()


def _check(args: argparse.Namespace) -> list[str]:
    if importlib.util.find_spec("gradio") is None:
        raise DataError("the page needs Gradio: pip install smoothdino-jax[web]")
    if args.size and args.size < 14:
        raise DataError(f"--size {args.size}: the short side is at least one patch, 14 pixels; or 0")
    if not 0 < args.port < 65536:
        raise DataError(f"--port {args.port}: ports are 1 to 65535")
    for option, value in (("--max-mb", args.max_mb), ("--max-seconds", args.max_seconds)):
        if not 1 <= value < math.inf:
            raise DataError(f"{option} {value:g}: it needs a number from 1 on")
    checkpoints = list(dict.fromkeys([*args.checkpoint, _TINY]))
    for checkpoint in checkpoints:
        known = checkpoint == _TINY and not Path(checkpoint).exists()
        read_config(embedded() if known else checkpoint)
    return checkpoints


def _leave() -> NoReturn:
    """Ends the process without waiting for its threads."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _say(text: str) -> None:
    print(f"smoothdino web: {text}", file=sys.stderr)
