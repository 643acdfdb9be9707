"""What happens to a video behind the page: taken in, seen by the model, shown, kept for download, removed.

Nothing here knows Gradio. A `Session` is one browser tab's, with a folder of its own that goes when the tab does.
"""

import contextlib
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smoothdino_jax.apps.web.take import Models, Seen, Take
from smoothdino_jax.apps.web.uploads import Limits, open_upload
from smoothdino_jax.data.frames import DataError


class Session:
    """One browser tab's video, its depth, and the folder that holds them.

    Attributes:
        folder: removed by `close`.
        video: what was uploaded last; None without.
        name: of the file that was uploaded, as its owner calls it.
        stopped: set to end a take after the frame at hand.
        webcam: held while a frame of the webcam is seen, or its take ended.
        take: the webcam's, if one is being recorded.
        began: when its first frame was seen, seconds of the monotonic clock.
        latest: when its latest frame came.
        ends: when the webcam's turn does; None before its model is ready.
        announced: whether the wait for its model was.
        over: how the turn ended, until its recording is stopped; what comes of that is refused.
        closed: whether the tab is gone.
    """

    def __init__(self, root: Path):
        """Makes the folder.

        Args:
            root: folder of all sessions.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="session_", dir=root))
        self.video: Path | None = None
        self.name = ""
        self.stopped = threading.Event()
        self.webcam = threading.Lock()
        self.take: Take | None = None
        self.began = self.latest = 0.0
        self.ends: float | None = None
        self.announced = False
        self.over: Progress | None = None
        self.closed = False

    def keep_video(self, upload: Path, name: str) -> None:
        """Takes an uploaded file into the session's folder, in place of the one before.

        Raises:
            DataError: it is gone (another session had uploaded the same file at the same moment).
        """
        self.drop_video()
        suffix = upload.suffix if re.fullmatch(r"\.\w{1,8}", upload.suffix) else ""
        kept = self.folder / f"upload{suffix}"
        try:
            shutil.move(upload, kept)
        except OSError:
            raise DataError(f"{name} did not arrive whole: choose it again") from None
        with contextlib.suppress(OSError):
            upload.parent.rmdir()  # Gradio's, named by the file's hash
        self.video, self.name = kept, name

    def drop_video(self) -> None:
        """Removes the uploaded video."""
        if self.video is not None:
            self.video.unlink(missing_ok=True)
        self.video, self.name = None, ""

    def archive(self, name: str) -> Path:
        """Where the depth of the next take goes, `name` of its video; that of earlier takes is removed."""
        for old in self.folder.glob("*.zip"):
            old.unlink()
        stem = re.sub(r"[^\w.-]+", "_", Path(name).stem)[:60] or "video"
        return self.folder / f"{stem}_depth.zip"

    def close(self) -> None:
        """Ends what runs and removes everything."""
        self.closed = True
        self.stopped.set()
        shutil.rmtree(self.folder, ignore_errors=True)


class Progress(NamedTuple):
    """How a take goes on.

    Attributes:
        message: for people.
        kind: "info", "done" or "error".
        share: 0 to 1 where the length is known.
        seen: the frame to show; None leaves the one before.
        archive: raw depth to download, once it is whole.
        stop: whether the browser is to stop recording.
    """

    message: str
    kind: str = "info"
    share: float | None = None
    seen: Seen | None = None
    archive: Path | None = None
    stop: bool = False


def watch(session: Session, models: Models, checkpoint: str, limits: Limits, every: float = 0.1) -> Iterator[Progress]:
    """Shows the session's video to a model, and how that goes.

    Args:
        session: with its video; its `stopped` ends the take early, what was seen stays.
        models: where the model comes from.
        checkpoint: which.
        limits: of the page.
        every: seconds between two frames that are shown, at least; all are seen by the model.

    Yields:
        Progress; the last one is "done", with the archive, or "error", with what there is of it. Bad input is an
        error here, not an exception.
    """
    take = video = None
    try:
        if session.video is None:
            raise DataError("choose a video first")
        video = open_upload(session.video, session.name, limits)
        yield getting_ready(checkpoint, video.size)
        take = Take(models, checkpoint, video.size, session.archive(session.name))
        expected = video.length
        seen, shown, cut_short = None, -np.inf, ""
        for frame in video.frames:
            if session.stopped.is_set():
                cut_short = "stopped"
                break
            if frame.time >= limits.seconds or take.frames >= 240 * limits.seconds:
                cut_short = f"stopped at the limit of {limits.seconds:g} s"
                break
            seen = take.see(frame.image, frame.time)
            if time.monotonic() - shown >= every:
                yield Progress(session.name, share=min(1, take.frames / expected) if expected else None, seen=seen)
                shown = time.monotonic()
        take.close()
        if seen is None:
            yield Progress("stopped before the first frame", "done")
            return
        message = f"{session.name}: {take.frames} frames" + (f", {cut_short}" if cut_short else "")
        yield Progress(message, "done", 1.0, seen, take.archive.path)
    except (DataError, ValueError) as error:
        yield _broken(_plain(error, session), take)
    finally:
        if video is not None:
            video.close()
        if take is not None:
            take.close()


def getting_ready(checkpoint: str, size: tuple[int, int]) -> Progress:
    """What people are told before a model is loaded and compiled for frames of `size`, `(H, W)`."""
    height, width = size
    return Progress(f"getting {checkpoint} ready for {width}×{height} pixels; the first time that takes a while")


def _broken(message: str, take: Take | None) -> Progress:
    """What was seen before an error stays."""
    if take is None or not take.frames:
        return Progress(message, "error")
    try:
        take.close()
    except DataError:  # the error may be just that
        return Progress(message, "error")
    message = re.sub(r"; the \d+ frames before it are whole$", "", message)  # these are the same
    message += f"; the depth of the {take.frames} frames before it can be downloaded"
    return Progress(message, "error", archive=take.archive.path)


def _plain(error: Exception, session: Session) -> str:
    """The error without the path, which means nothing to who sits in front of the page."""
    text = str(error)
    return text.replace(str(session.video), session.name) if session.video else text
