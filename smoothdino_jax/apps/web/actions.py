"""What the buttons of the page do, for all tabs."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np

from smoothdino_jax.apps.web.session import Progress, Session, getting_ready, watch
from smoothdino_jax.apps.web.take import Models, Take
from smoothdino_jax.apps.web.uploads import Limits
from smoothdino_jax.apps.web.viewer import payload
from smoothdino_jax.data.frames import DataError

_PAUSE = 5  # seconds without a frame from the webcam, after which a new take begins


class Actions:
    """What the buttons do, for all tabs.

    Attributes:
        root: folder of everything that is stored.
    """

    def __init__(self, root: Path, limits: Limits, short_side: int | None):
        """Holds nothing yet.

        Args:
            root: folder of everything that is stored.
            limits: of each user.
            short_side: of what the models see; None for what each is at home with.
        """
        self.root, self._limits = root, limits
        self._models = Models(short_side)
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def session(self, request: gr.Request) -> Session:
        """The session of the browser tab that asks."""
        with self._lock:
            key = request.session_hash or ""
            if key not in self._sessions:
                self._sessions[key] = Session(self.root)
            return self._sessions[key]

    def leave(self, request: gr.Request) -> None:
        """The tab is closed: everything of it goes."""
        with self._lock:
            session = self._sessions.pop(request.session_hash or "", None)
        if session is not None:
            session.close()

    def close(self) -> None:
        """The page ends."""
        for session in list(self._sessions.values()):
            session.close()

    def upload(self, file: dict, request: gr.Request) -> tuple:
        """A video came."""
        path = Path(file["path"])
        name = file.get("orig_name") or path.name
        try:
            self.session(request).keep_video(path, name)
        except DataError as error:
            return payload(Progress(str(error), "error")), gr.update(interactive=False)
        return payload(Progress(f"{name} is here: press Start")), gr.update(interactive=True)

    def remove(self, request: gr.Request) -> tuple:
        """The video was taken away."""
        self.session(request).drop_video()
        return payload(Progress("Choose a video, or turn on the webcam.")), gr.update(interactive=False)

    def ready(self, request: gr.Request) -> tuple:
        """Start was pressed: Stop can be from now on, also while waiting in the queue."""
        self.session(request).stopped.clear()
        waiting = payload(Progress("waiting for the model"))
        return waiting, gr.update(interactive=False), gr.update(interactive=True), _no_download()

    def watch(self, checkpoint: str, request: gr.Request) -> Iterator[tuple]:
        """Shows the video to the model."""
        for progress in watch(self.session(request), self._models, checkpoint, self._limits):
            yield payload(progress), _download(progress.archive)

    def rest(self, request: gr.Request) -> tuple:
        """The video's take is over: Start can be pressed again, Stop no more."""
        return gr.update(interactive=self.session(request).video is not None), gr.update(interactive=False)

    def stop(self, request: gr.Request) -> None:
        """Stop was pressed."""
        self.session(request).stopped.set()

    def see(self, image: np.ndarray | None, checkpoint: str, request: gr.Request) -> tuple:
        """A frame of the webcam came."""
        session = self.session(request)
        if image is None or session.closed:
            return gr.skip(), gr.skip()
        grey = image.ndim == 2
        image = np.ascontiguousarray(np.repeat(image[..., None], 3, 2) if grey else image[..., :3])
        with session.webcam:
            if session.over is None:
                try:
                    progress = self._see(session, image, checkpoint)
                except (DataError, ValueError) as error:
                    progress = Progress(str(error), "error", stop=session.take is None)
                if progress.stop:
                    session.over = progress
            else:
                progress = session.over
        return payload(progress), _download(progress.archive)

    def _see(self, session: Session, image: np.ndarray, checkpoint: str) -> Progress:
        now, take, size = time.monotonic(), session.take, image.shape[:2]
        if session.ends is not None and now >= session.ends:
            archive = self._finish(session)
            depth = ": its depth can be downloaded" if archive else ""
            return Progress(f"your turn is over{depth}; press Record for another", "done", archive=archive, stop=True)
        if take is None or not take.current or take.size != size or now - session.latest > _PAUSE:
            self._finish(session)
            if not session.announced:  # a frame later, so that people know what they wait for
                session.announced = True
                return getting_ready(checkpoint, size)
            session.take = take = Take(self._models, checkpoint, size, session.archive("webcam"))
            waited, now = time.monotonic() - now, time.monotonic()
            session.began = now
            session.ends = now + self._limits.seconds if session.ends is None else session.ends + waited
        session.announced = False
        seen = take.see(image, now - session.began)
        session.latest = time.monotonic()
        return Progress(f"webcam, {max(0, session.ends - now):.0f} s left of this turn", seen=seen)

    def finish(self, request: gr.Request) -> tuple:
        """The webcam's recording was stopped."""
        session = self.session(request)
        with session.webcam:
            session.announced, session.ends = False, None
            over, session.over = session.over, None
            if over is not None:  # told already
                return gr.skip(), gr.skip()
            try:
                archive = self._finish(session)
            except DataError as error:
                return payload(Progress(str(error), "error")), _no_download()
        if archive is None:
            return payload(Progress("webcam off")), gr.skip()
        return payload(Progress("webcam off: its depth can be downloaded", "done")), _download(archive)

    @staticmethod
    def _finish(session: Session) -> Path | None:
        take, session.take = session.take, None
        if take is None:
            return None
        take.close()
        return take.archive.path if take.frames else None


def _download(archive: Path | None):
    return _no_download() if archive is None else gr.update(value=str(archive), interactive=True)


def _no_download():
    return gr.update(value=None, interactive=False)
