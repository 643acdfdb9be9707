"""What the layouts of sequences with poses share: an image, a depth map and maybe a pose for each frame."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smoothdino_jax.data.frames import Frame
from smoothdino_jax.data.images import check_same_size, read_depth, read_image
from smoothdino_jax.data.listing import ListedFrames, Scene, check_missing, choose_scenes, list_usable, warn_of


class PosedSequence(NamedTuple):
    """One sequence, frame by frame.

    Attributes:
        scene: its frames' numbers and gaps.
        folder: what the file names are relative to.
        images: files.
        depths: files.
        poses: `(4, 4)` float64 camera-to-world, None where a frame has none.
        camera: `(3, 3)` float64 intrinsics; None if unknown.
        camera_size: the (height, width) that `camera` is for; None for any.
        lost: a line for each frame that lost its pose.
    """

    scene: Scene
    folder: Path
    images: Sequence[str]
    depths: Sequence[str]
    poses: Sequence[np.ndarray | None]
    camera: np.ndarray | None
    camera_size: tuple[int, int] | None
    lost: Sequence[str]


class PosedSequences(ListedFrames):
    """Base of the sources of such sequences. A subclass says how they are found and listed, and how depth is stored.

    Args:
        path: where they are, for messages.
        folders: scene name -> folder, of all there are.
        scenes: the names of those to read; empty for all.
        list_sequence: lists one by its name, adding what it lacks to the list given.
        missing: "error", or "skip" to leave out what can't be used.
        problems: what is known already.
        check: whether to read each scene's first frame.

    Raises:
        DataError: see `list_usable`.
    """

    units_per_metre: float
    invalid: Sequence[int] = (0,)
    depth_layout: str  # for messages

    def __init__(
        self,
        path: Path,
        folders: Mapping[str, Path],
        scenes: Sequence[str],
        list_sequence: Callable[[str, list[str]], PosedSequence],
        missing: str,
        problems: list[str],
        check: bool,
    ):
        check_missing(missing)
        names = choose_scenes(list(folders), scenes, path)
        listed = list_usable(names, list_sequence, missing, problems)
        self._sequences = {sequence.scene.name: sequence for sequence in listed}
        lost = [line for sequence in listed for line in sequence.lost]
        warn_of(problems, "problem(s)", path)
        warn_of(lost, "frame(s) without a pose", path)
        super().__init__([sequence.scene for sequence in listed], problems + lost)
        if check:
            self.check_first_frames()

    def _read(self, scene: Scene, k: int) -> Frame:
        sequence = self._sequences[scene.name]
        image_path, depth_path = sequence.folder / sequence.images[k], sequence.folder / sequence.depths[k]
        image = read_image(image_path)
        depth = read_depth(depth_path, self.units_per_metre, self.depth_layout, self.invalid)
        check_same_size(image, depth, image_path, depth_path)
        pose, camera = sequence.poses[k], sequence.camera
        known = camera is not None and sequence.camera_size in (None, depth.shape)
        return Frame(
            image,
            depth,
            scene.name,
            int(scene.indices[k]),
            None if pose is None else pose.copy(),
            camera.copy() if known else None,
        )

    def _origin(self, scene: Scene, k: int) -> str:
        sequence = self._sequences[scene.name]
        return str(sequence.folder / sequence.images[k])
