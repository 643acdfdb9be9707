"""Sources that don't wait: a thread reads them as fast as they come and keeps the newest frame only.

Whoever takes frames from them slowly gets fewer, never old ones, and never fills the memory.
"""

import sys
import threading
import time
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import cv2

from smoothdino_jax.apps.video_decoding import DEFAULT_FPS, PATIENCE, Picture, Pictures
from smoothdino_jax.data.frames import DataError


def open_camera(index: int) -> Pictures:
    """Opens a webcam by its number, through OpenCV: it knows the cameras of Linux, macOS and Windows by it.

    Raises:
        DataError: there is none, or it is in use.
    """
    # Of its attempts and failures OpenCV tells the standard error, each in lines of its own.
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        camera = cv2.VideoCapture(index)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not camera.isOpened():
        camera.release()
        raise DataError(f"no camera {index}, or another program has it{_cameras()}")
    rate = camera.get(cv2.CAP_PROP_FPS)  # some drivers say 0, NaN or anything
    fps = Fraction(rate).limit_denominator(1001) if 0.01 <= rate <= 10_000 else DEFAULT_FPS
    return Pictures(_captured(camera, f"camera {index}"), fps, None, live=True)


def newest(source: Pictures, name: str) -> Pictures:
    """The newest picture of a live source each time one is taken, stamped with the time of its arrival.

    Args:
        source: is read, and closed, by a thread of its own from the first picture taken on.
        name: of the source, for messages.

    Returns:
        `source`, whose pictures can't pile up. They raise `DataError` when none comes for a while.
    """
    return source._replace(pictures=_newest(source.pictures, name))


def _newest(pictures: Generator[Picture, None, None], name: str) -> Generator[Picture, None, None]:
    mailbox = _Mailbox(pictures)
    thread = threading.Thread(target=mailbox.fill, name=f"reader of {name}", daemon=True)
    thread.start()
    try:
        while (picture := mailbox.take(name)) is not None:
            yield picture
    finally:
        mailbox.stop = True
        thread.join(1)  # one that waits for a silent camera ends by itself, later


class _Mailbox:
    """Room for one picture between two threads."""

    def __init__(self, pictures: Generator[Picture, None, None]):
        self._pictures = pictures
        self._changed = threading.Condition()
        self._picture, self._error, self._ended = None, None, False
        self.stop = False

    def fill(self) -> None:
        error = None
        try:
            for picture in self._pictures:
                if self.stop:
                    break
                with self._changed:
                    self._picture = picture._replace(time=time.monotonic())
                    self._changed.notify()
        except Exception as raised:
            error = raised
        finally:
            self._pictures.close()
            with self._changed:
                self._error, self._ended = error, True
                self._changed.notify()

    def take(self, name: str) -> Picture | None:
        """The newest picture, once there is one that wasn't taken; None after the last."""
        with self._changed:
            # Longer than the source's own patience, whose message says more.
            if not self._changed.wait_for(lambda: self._picture or self._ended, PATIENCE + 2):
                raise DataError(f"{name}: no frame for {PATIENCE + 2:g} s")
            picture, self._picture = self._picture, None
            if picture is None and self._error is not None:
                raise self._error
            return picture


def _captured(camera: cv2.VideoCapture, name: str) -> Generator[Picture, None, None]:
    try:
        while True:
            there, pixels = camera.read()
            if not there:
                raise DataError(f"{name} gives no more frames: unplugged, or taken by another program")
            yield Picture(None, lambda pixels=pixels: cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
    finally:
        camera.release()


def _cameras() -> str:
    if not sys.platform.startswith("linux"):
        return ""
    numbers = sorted(int(path.name[5:]) for path in Path("/dev").glob("video*") if path.name[5:].isdecimal())
    return f"; devices here: {', '.join(map(str, numbers))}" if numbers else "; this computer has none"
