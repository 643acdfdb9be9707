"""The `smoothdino` command. Each subcommand is a module here with `add_parser`, listed in `_COMMANDS`."""

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Sequence

from smoothdino_jax import interrupts
from smoothdino_jax.apps import convert, data, video
from smoothdino_jax.apps.report import command as report
from smoothdino_jax.apps.web import command as web
from smoothdino_jax.data.frames import DataError

# In the order of `smoothdino --help`.
_COMMANDS = (convert, data, video, web, report)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: the arguments; None for the process's own.

    Returns:
        The exit code: 0, 2 for input that can't be used (stderr says why), 130 when interrupted (143 by SIGTERM), 141
        when who read the output has gone (`| head`).
    """
    try:
        try:
            return _main(argv)
        finally:
            sys.stdout.flush()  # or a closed pipe would come up only when the interpreter ends
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
        return 141


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    command = " ".join(filter(None, ("smoothdino", args.command, getattr(args, "data_command", None))))
    try:
        with interrupts.restored(keep=DataError):
            args.run(args)
    except DataError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{command}: interrupted", file=sys.stderr)
        return interrupts.exit_code()
    return 0


class _Parser(argparse.ArgumentParser):
    """Refuses what it does not know itself: a command under its own usage, not under that of all."""

    def parse_known_args(self, args=None, namespace=None):
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            shown = " ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
            hint = "" if unknown[0].startswith("-") else " (a pattern of files needs quotes, or the shell replaces it)"
            self.error(f"unrecognized arguments: {shown}{hint}")
        return known, unknown


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="smoothdino",
        description="Temporally smoothed metric depth from video: DINOv2 and DPT, frozen, with a small "
        "trained adapter between them.",
        epilog="smoothdino COMMAND --help explains a command, with examples.",
    )
    version = importlib.metadata.version("smoothdino-jax")
    parser.add_argument("--version", action="version", version=f"smoothdino-jax {version}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser
