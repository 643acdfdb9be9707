"""The command `smoothdino video` and what it writes."""

from smoothdino_jax.apps import cli
from smoothdino_jax.apps.video_sources import open_video

SEEN = (28, 42)  # what the model sees with --size 28


def run(*args):
    return cli.main(["video", *map(str, args)])


def frames_of(path):
    with open_video(path) as opened:
        return list(opened.frames)
