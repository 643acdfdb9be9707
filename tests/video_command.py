"""The command `smoothdino video` with small models."""

import dataclasses

from smoothdino_jax.apps import cli
from smoothdino_jax.apps.video_sources import open_video

SEEN = (28, 42)  # what the model sees with --size 28


def run(*args):
    return cli.main(["video", *map(str, args)])


def frames_of(path):
    with open_video(path) as opened:
        return list(opened.frames)


def without_adapter(model):
    model.adapter, model.config = None, dataclasses.replace(model.config, adapter=None)
    return model


def with_moved_adapter(model):
    """A new adapter changes nothing: this one's last weights have moved."""
    for level in model.adapter.levels:
        level.conv_out.kernel[...] = level.conv_out.kernel[...] + 0.05
    return model
