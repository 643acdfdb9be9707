"""Takes of a short clip as the page watches them, without a browser or a server."""

import zipfile

import cv2
import numpy as np
from video_files import clip, write_video

from smoothdino_jax.apps.web.session import Session, watch
from smoothdino_jax.apps.web.uploads import Limits

TINY = "tiny-synthetic"
FRAMES = 6


def clip_bytes(folder):
    """An MP4 of `FRAMES` frames."""
    return write_video(folder / "walk.mp4", clip(FRAMES)).read_bytes()


def upload(session: Session, data, name="my walk.mp4"):
    """As Gradio does: the file in a folder of its own, then handed over."""
    path = session.folder.parent / "hash" / name
    path.parent.mkdir()
    path.write_bytes(data)
    session.keep_video(path, name)


def run(session, models, checkpoint=TINY, limits=Limits(), **options):  # noqa: B008 - frozen
    return list(watch(session, models, checkpoint, limits, **options))


def stored(archive, folder="smoothed"):
    """The frames in a ZIP, `(T, H, W)` metres."""
    with zipfile.ZipFile(archive) as file:
        names = sorted(name for name in file.namelist() if name.startswith(f"{folder}/"))
        assert names == [f"{folder}/{number:06d}.png" for number in range(len(names))]
        return [cv2.imdecode(np.frombuffer(file.read(name), np.uint8), cv2.IMREAD_UNCHANGED) / 1000 for name in names]
