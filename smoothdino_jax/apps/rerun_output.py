"""Depth in the Rerun viewer or in a .rrd file: image, depth, point cloud and shift, to look at in 3D and in time.

Logged per frame, on the timelines `frame` and `video_time`:

    world/camera                  pinhole camera, where intrinsics are known
    world/camera/image            the frame, as JPEG
    world/camera/image/shift      arrow, ten times as long as the shift
    world/camera/depth/TITLE      metres, in colours of one fixed range
    world/points                  coloured point cloud of the last depth: camera frame, OpenCV axes, metres
    shift/pixels/dx, .../dy       pixels, positive to the right and down
    shift/response
    cuts                          a line of text per scene cut

What is logged goes out frame by frame to a viewer, and in groups of a few frames to a file: Rerun keeps the index of a
file in memory until its end, and that grows by group. A run that is killed leaves a file that opens. Only the viewer
can send usage data, not what logs; a viewer that is started here is told not to.
"""

import contextlib
import errno
import functools
import math
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from smoothdino_jax.apps.output_places import check_place, unwritable
from smoothdino_jax.apps.point_clouds import point_cloud
from smoothdino_jax.apps.rerun_viewer import address_of, answers, spawn
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.models.phase_correlation import Shift

_ARROW = 10.0  # a shift of two pixels could not be seen
_JPEG_QUALITY = 90
_POINTS = 50_000  # per frame, at most: 800 kB with their colours
_GROUP = 8  # frames
_GROUP_BYTES = 16 * 2**20  # of an entity; more than that makes smaller groups
_LITTLE = 2**20  # bytes: a disk with less is full
_PATIENCE = 10.0  # seconds, for a viewer to take a frame


def open_rerun(
    target: str | os.PathLike,
    *,
    titles: Sequence[str] = ("smoothed",),
    depth_range: tuple[float, float] = (0.0, 10.0),
    intrinsics: np.ndarray | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> "RerunOutput":
    """Opens a recording, or the way to a viewer.

    Args:
        target: "X.rrd", a file; "spawn", a viewer on this machine, started if none is running; "connect", the viewer
            that is running on this machine; "HOST:PORT" or "rerun+http://HOST:PORT/proxy", one elsewhere.
        titles: what the depths of each `write` are called, in their order; the point cloud is the last one's.
        depth_range: metres at the two ends of the colours.
        intrinsics: `(3, 3)` pinhole matrix in pixels of the frames, the centre of the top left pixel at (0, 0); None
            leaves out camera and point cloud.
        name: what the viewer calls the recording, such as the video's name.
        overwrite: replace a file that is there (once there is a first frame).

    Raises:
        DataError: rerun-sdk is not installed, the file exists or can't be made, the viewer doesn't start, or none
            answers.
    """
    rr = _rerun()
    target = os.fspath(target)
    in_file = target.lower().endswith(".rrd")
    # Only flushing ends a group.
    batching = rr.ChunkBatcherConfig(flush_tick=3600, flush_num_bytes=_GROUP_BYTES)
    recording = rr.RecordingStream("smoothdino", batcher_config=batching)
    # Wall-clock times would be two more timelines to choose from.
    recording.set_log_time_enabled(False)
    recording.set_log_tick_enabled(False)
    if in_file:
        check_place(Path(target))
        if os.path.lexists(target) and not overwrite:
            raise DataError(f"{target} exists already: choose another name, or replace it with --overwrite")
        start = functools.partial(_save, recording, Path(target))
    else:
        address = address_of(target)
        if target == "spawn":
            spawn(address)
        elif not answers(address):
            raise DataError(f'no Rerun viewer answers at {address}: start one with "rerun", or log to a file, X.rrd')
        start = functools.partial(recording.connect_grpc, address)
    recording.send_recording_name(name or "smoothdino")
    shown = {"titles": titles, "depth_range": depth_range, "intrinsics": intrinsics}
    return RerunOutput(recording, start, target, group=_GROUP if in_file else 1, **shown)


class RerunOutput:
    """Logs frame by frame; a context manager. `open_rerun` makes it.

    A file and its folders are made by the first frame, so a run that fails before it leaves what was there alone.

    Attributes:
        whole: how many frames are in the file, or were handed to the viewer.
    """

    def __init__(self, recording, start: Callable, target: str, *, group, titles, depth_range, intrinsics):
        self.whole = self._logged = 0
        self._failed, self._in_file = False, target.lower().endswith(".rrd")
        self._recording, self._start, self._target, self._group = recording, start, target, group
        self._titles, self._range, self._intrinsics = list(titles), depth_range, intrinsics
        self._rr = _rerun()

    def __enter__(self) -> "RerunOutput":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def write(self, frame, depths: Sequence[np.ndarray], number: int, shift: Shift | None = None, cut=False) -> None:
        """Logs a frame.

        Args:
            frame: a `VideoFrame`: `image`, `(H, W, 3)` uint8 RGB, and `time`, seconds from the start of the video.
            depths: one per title, `(H, W)` float32 metres.
            number: of the frame in the video, from 0.
            shift: dx and dy in pixels of the frame, and response; None logs none.
            cut: whether a scene cut was found at this frame.

        Raises:
            DataError: the file can't be written (a full disk, say), or the viewer has gone; that may have begun up to
                a group of frames before.
            ValueError: not as many depths as titles.
        """
        if len(depths) != len(self._titles):
            raise ValueError(f"{len(depths)} depths for the titles {', '.join(self._titles)}")
        with self._explained():
            if self._start is not None:
                self._start(default_blueprint=_layout(self._titles, self._intrinsics is not None))
                self._start = None
                self._log_camera(frame.image.shape[:2])
            self._recording.set_time("frame", sequence=number)
            self._recording.set_time("video_time", duration=float(frame.time))
            self._log_pictures(frame.image, depths)
            if shift is not None:
                self._log_shift(shift, frame.image.shape[:2])
            if cut:
                text = f"scene cut at frame {number} ({frame.time:.2f} s): the stream started anew"
                self._log("cuts", self._rr.TextLog(text, level="INFO"))
            self._logged += 1
            if self._logged - self.whole == self._group:
                self._flush()

    def close(self) -> None:
        """Writes what is left and ends the recording.

        Raises:
            DataError: as `write`.
        """
        try:
            if self._logged > self.whole:
                with self._explained():
                    self._flush()
        finally:
            # After a failed write it may wait for ever for a thread of Rerun's that has ended, and so may what Rerun
            # does at the program's exit.
            ending = threading.Thread(target=self._recording.disconnect, daemon=True)
            ending.start()
            ending.join(1 if self._failed else _PATIENCE)
            if ending.is_alive():
                self._rr.unregister_shutdown()

    def _flush(self) -> None:
        self._recording.flush(timeout_sec=_PATIENCE)
        self.whole = self._logged

    @contextlib.contextmanager
    def _explained(self):
        try:
            yield
        except RuntimeError as error:  # which is all that Rerun's bindings raise
            reason = str(error).strip().partition("\n")[0]
            self._failed, self._logged = True, self.whole  # so that closing does not try again
            with contextlib.suppress(OSError):  # the disk itself may have gone
                # Rerun often says only that something timed out.
                if self._in_file and shutil.disk_usage(Path(self._target).resolve().parent).free < _LITTLE:
                    reason = f"{os.strerror(errno.ENOSPC)}; make room, then run it again"
            raise DataError(f"{self._target}: logging to Rerun failed after {self.whole} frames: {reason}") from None

    def _log(self, path: str, what, static=False) -> None:
        # Strict: otherwise what can't be logged is left out, with a warning.
        self._recording.log(path, what, static=static, strict=True)

    def _log_camera(self, size: tuple[int, int]) -> None:
        self._log("world", self._rr.ViewCoordinates.RDF, static=True)
        if self._intrinsics is not None:
            # Rerun counts from the corner of the top left pixel, not from its centre.
            matrix = np.add(self._intrinsics, [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
            camera = self._rr.Pinhole(image_from_camera=matrix, resolution=size[::-1], image_plane_distance=0.5)
            self._log("world/camera", camera, static=True)

    def _log_pictures(self, image: np.ndarray, depths: Sequence[np.ndarray]) -> None:
        rr = self._rr
        self._log("world/camera/image", rr.Image(image).compress(jpeg_quality=_JPEG_QUALITY))
        for title, depth in zip(self._titles, depths, strict=True):
            depth = np.ascontiguousarray(depth, np.float32)
            picture = rr.DepthImage(depth, meter=1.0, colormap="turbo", depth_range=self._range)
            self._log(_depth_path(title), picture)
        if self._intrinsics is not None:
            stride = math.ceil(math.sqrt(image.shape[0] * image.shape[1] / _POINTS))
            points, colours = point_cloud(image, depths[-1], self._intrinsics, stride)
            self._log("world/points", rr.Points3D(points, colors=colours))

    def _log_shift(self, shift: Shift, size: tuple[int, int]) -> None:
        dx, dy, response = (float(part) for part in shift)
        arrow = self._rr.Arrows2D(
            origins=[[size[1] / 2, size[0] / 2]],
            vectors=[[_ARROW * dx, _ARROW * dy]],
            labels=[f"{dx:+.1f}, {dy:+.1f} px, response {response:.2f}"],
        )
        self._log("world/camera/image/shift", arrow)
        for path, value in (("pixels/dx", dx), ("pixels/dy", dy), ("response", response)):
            self._log(f"shift/{path}", self._rr.Scalars(value))


def _rerun():
    level = os.environ.get("RUST_LOG")
    os.environ.setdefault("RUST_LOG", "off")  # its own lines beside ours; read once, at the import
    try:
        import rerun
    except ImportError:
        raise DataError("the Rerun output needs its SDK: pip install smoothdino-jax[rerun]") from None
    finally:
        if level is None:
            del os.environ["RUST_LOG"]
    return rerun


def _depth_path(title: str) -> str:
    return f"world/camera/depth/{_rerun().escape_entity_path_part(title)}"


def _layout(titles: Sequence[str], camera: bool):
    """What the viewer shows at first: pictures on the left; point cloud, shift and cuts on the right."""
    import rerun.blueprint as rrb

    depths = [rrb.Spatial2DView(origin=_depth_path(title), name=f"{title} depth") for title in titles]
    pictures = rrb.Vertical(rrb.Spatial2DView(origin="world/camera/image", name="image"), *depths)
    plots = [
        rrb.TimeSeriesView(origin="shift/pixels", name="shift [pixels]"),
        rrb.TimeSeriesView(origin="shift/response", name="response"),
        rrb.TextLogView(origin="cuts", name="scene cuts"),
    ]
    # The coloured points stand for the depth, which would lie over them.
    contents = ["+ /world/**", "- /world/camera/depth/**"]
    cloud = [rrb.Spatial3DView(origin="world", contents=contents, name="point cloud")] if camera else []
    right = rrb.Vertical(*cloud, rrb.Horizontal(*plots) if camera else rrb.Vertical(*plots))
    panel = rrb.TimePanel(timeline="video_time", state="collapsed")
    return rrb.Blueprint(rrb.Horizontal(pictures, right), panel, collapse_panels=True)


def _save(recording, path: Path, default_blueprint) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path.parent, error) from None
    recording.save(path, default_blueprint=default_blueprint)
