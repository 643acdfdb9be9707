"""Animated GIFs, read back."""

import numpy as np
import pytest
from PIL import Image
from video_files import clip

from smoothdino_jax.apps.gif import write_gif
from smoothdino_jax.data.frames import DataError


def test_gif_keeps_colours_and_pace(tmp_path):
    frames = clip(6)
    write_gif(tmp_path / "a.gif", iter(frames), fps=10)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 6
        assert gif.info["duration"] == 100
        assert gif.info["loop"] == 0
        for number, frame in enumerate(frames):
            gif.seek(number)
            assert np.abs(np.asarray(gif.convert("RGB")).astype(int) - frame).mean() < 4
    assert [file.name for file in tmp_path.iterdir()] == ["a.gif"]
    with pytest.raises(DataError, match="no frames"):
        write_gif(tmp_path / "b.gif", [], 10)
