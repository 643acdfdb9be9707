"""GIF, for a README."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from smoothdino_jax.data.frames import DataError


def write_gif(path: str | os.PathLike, frames: Iterable[np.ndarray], fps: float, colours: int = 128) -> None:
    """Writes an endless GIF, for a README.

    All frames share one palette, so that colours neither flicker nor swell the file. They are held in
    memory: for seconds, not minutes.

    Args:
        path: where; a file that is there is replaced once the new one is whole.
        frames: `(H, W, 3)` uint8, RGB, of one size.
        fps: frames per second; GIF counts in hundredths of a second, so it is met roughly, 50 at most.
        colours: of the palette, 2 to 256.

    Raises:
        DataError: no frames.
    """
    path = Path(path)
    images = [Image.fromarray(frame) for frame in frames]
    if not images:
        raise DataError(f"{path}: no frames to write")
    some = images[:: -(-len(images) // 8)]
    mosaic = Image.new("RGB", (images[0].width, images[0].height * len(some)))
    for row, image in enumerate(some):
        mosaic.paste(image, (0, row * image.height))
    palette = mosaic.quantize(colours)
    images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    partial = path.with_name(f".{path.name}.partial")
    try:
        images[0].save(
            partial,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=max(2, round(100 / fps)) * 10,
            loop=0,
        )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
