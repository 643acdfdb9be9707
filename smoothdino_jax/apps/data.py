"""`smoothdino data`: get RGB-D frames, look at them before training, and prepare NYUv2 for fast reading."""

import argparse

from smoothdino_jax.apps import data_download, data_inspect, data_prepare

_COMMANDS = (data_download, data_inspect, data_prepare)


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds `data` and its own commands."""
    parser = commands.add_parser(
        "data",
        help="download, inspect and prepare RGB-D frames",
        description="Get RGB-D frames, look at them before training on them, and prepare NYUv2 for fast reading.",
        epilog="smoothdino data COMMAND --help explains a command, with examples.",
    )
    inner = parser.add_subparsers(dest="data_command", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(inner)
