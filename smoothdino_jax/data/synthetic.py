"""Endless RGB-D video of made-up rooms: exact depth, poses, and noise as strong as one likes.

Needs no download, and every frame is a pure function of (seed, scene, frame), so training and
evaluation can read it in any order. `rooms.py` furnishes, `camera_path.py` moves the camera, `shading.py`
draws, `corruption.py` spoils the picture; here is the frame source.
"""

import math
import operator
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import jax
import numpy as np

from smoothdino_jax.data.camera_path import CameraPath
from smoothdino_jax.data.corruption import MAX_BLOBS, MAX_BLUR, Corruption
from smoothdino_jax.data.frames import Frame
from smoothdino_jax.data.raycast import Scene
from smoothdino_jax.data.rooms import furnish
from smoothdino_jax.data.shading import render

_NYU_FOCAL = 518.86 / 640  # focal length of NYU Depth v2's colour camera, in picture widths
_SCENES_KEPT = 2048  # in memory, about 12 kB each


def _cpu() -> jax.Device | None:
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS leaves it out
        return None


class SyntheticRooms:
    """Frames of made-up rooms; a `FrameSource`.

    The same seed, scene number, frame, size and noise give the same bits at every access, in any
    order and from any thread. Scene numbers, not positions, decide what a room looks like, so two
    sources whose ranges `first_scene .. first_scene + scenes` do not overlap share no room.

    Args:
        scenes: how many rooms.
        frames_per_scene: frames in each; the camera moves like a hand-held one at 30 frames a second.
        size: height and width in pixels, at least 16 each. The horizontal field of view is NYU's.
        seed: of everything.
        first_scene: the number of the first room.
        noise: scales all that spoils the picture (sensor noise, flicker, blur, glare); 0 is clean.
        device: where to render; the first CPU if not given, so that a GPU is left to the network.

    Raises:
        ValueError: a count, size, seed or noise out of range.
    """

    def __init__(
        self,
        scenes: int,
        frames_per_scene: int = 64,
        size: tuple[int, int] = (168, 224),
        seed: int = 0,
        first_scene: int = 0,
        noise: float = 1.0,
        device: jax.Device | None = None,
    ):
        if scenes < 1 or frames_per_scene < 1:
            raise ValueError(f"scenes and frames_per_scene must be at least 1, got {scenes} and {frames_per_scene}")
        if len(size) != 2 or min(size) < 16:
            raise ValueError(f"size must be (height, width), each at least 16 pixels, got {size}")
        if seed < 0 or first_scene < 0:
            raise ValueError(f"seed and first_scene must not be negative: {seed}, {first_scene}")
        if not (math.isfinite(noise) and noise >= 0):
            raise ValueError(f"noise must be a finite number, 0 (clean) or more, got {noise}")
        self._arguments = (scenes, frames_per_scene, tuple(size), seed, first_scene, noise, device)
        self._frames = frames_per_scene
        self._size = (int(size[0]), int(size[1]))
        self._seed, self._first, self._noise = seed, first_scene, noise
        self._device = device
        self._length = scenes * frames_per_scene
        self._scenes = MappingProxyType(
            {
                f"room_{first_scene + k:06d}": range(k * frames_per_scene, (k + 1) * frames_per_scene)
                for k in range(scenes)
            }
        )
        self._names = tuple(self._scenes)
        self._rooms: OrderedDict = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self):
        return type(self), self._arguments

    def __repr__(self) -> str:
        return f"SyntheticRooms{self._arguments}"

    @property
    def scenes(self) -> Mapping[str, range]:
        """Scene name -> its positions."""
        return self._scenes

    @property
    def segments(self) -> Sequence[range]:
        """The scenes: rooms have no gaps."""
        return list(self._scenes.values())

    def indices(self, scene: str) -> np.ndarray:
        """`(frames_per_scene,)`: rooms number their frames from 0; KeyError for an unknown one."""
        return np.arange(len(self._scenes[scene]))

    def origin(self, position: int) -> str:
        """Scene and number of a frame."""
        scene, index = divmod(operator.index(position), self._frames)
        return f"{self._names[scene]}/{index}"

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, position: int) -> Frame:
        position = operator.index(position)
        if not 0 <= position < self._length:
            raise IndexError(f"position {position} is outside 0..{self._length - 1}")
        scene, index = divmod(position, self._frames)
        return self.render_clip(self._names[scene], [index])[0]

    @property
    def intrinsics(self) -> np.ndarray:
        """`(3, 3)` float64 pinhole matrix, the same for all frames."""
        height, width = self._size
        focal = _NYU_FOCAL * width
        return np.array([[focal, 0, 0.5 * (width - 1)], [0, focal, 0.5 * (height - 1)], [0, 0, 1.0]])

    def render_clip(self, scene: str, indices: Sequence[int]) -> list[Frame]:
        """Several frames of one scene; the same bits as one by one, without waiting in between.

        Args:
            scene: one of `scenes`.
            indices: frame numbers within the scene.

        Returns:
            The frames, in the order asked for.

        Raises:
            KeyError: no such scene.
            IndexError: no such frame.
        """
        number = self._first + self._scenes[scene].start // self._frames
        indices = [operator.index(i) for i in indices]
        if any(not 0 <= i < self._frames for i in indices):
            raise IndexError(f"{scene} has frames 0..{self._frames - 1}, asked for {indices}")
        room, path = self._room(number)
        focal = self.intrinsics[0, 0]
        drawn = []
        with jax.default_device(self._device or _cpu()):
            for index in indices:
                pose = path.pose(index)
                spoilt = self._corruption(number, index, path)
                view = pose[:3].astype(np.float32)
                drawn.append((pose, render(room, view, focal, spoilt, size=self._size)))
        return [
            Frame(np.array(image), np.array(depth), scene, index, pose, self.intrinsics)
            for index, (pose, (image, depth)) in zip(indices, drawn, strict=True)
        ]

    def _rng(self, *words: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([self._seed, *words])))

    def _room(self, number: int) -> tuple[Scene, CameraPath]:
        with self._lock:
            if number not in self._rooms:
                rng = self._rng(number, 0)
                room = furnish(rng)
                path = CameraPath(rng, room)
                while path.reach < 0.1:  # too full to move in
                    room = furnish(rng)
                    path = CameraPath(rng, room)
                self._rooms[number] = (room, path)
                if len(self._rooms) > _SCENES_KEPT:
                    self._rooms.popitem(last=False)
            self._rooms.move_to_end(number)
            return self._rooms[number]

    def _corruption(self, number: int, index: int, path: CameraPath) -> Corruption:
        """What spoils frame `index`: drawn afresh for each, but for the slow drift of exposure."""
        amount, width = self._noise, self._size[1]
        rng = self._rng(number, 1, index)
        look = self._rng(number, 2)  # the scene's own: how dark it is, how exposure drifts
        iso, period, phase = look.uniform([0.7, 60, 0], [1.3, 150, 2 * np.pi])
        bad = rng.random() < 0.08
        drift = 0.15 * math.sin(2 * np.pi * index / period + phase)
        flicker = rng.normal(0, 0.25 if bad else 0.13)
        gain = np.exp(amount * (drift + flicker) + amount * rng.normal(0, 0.03, 3))
        turn = path.angles(index + 0.5) - path.angles(index - 0.5)
        focal = _NYU_FOCAL * width
        shutter = rng.uniform(0.0, 0.9) * (2.5 if bad else 1.0)
        blur = amount * shutter * focal * np.array([turn[3], turn[4]])
        if bad:
            blur = blur + amount * rng.normal(0, 0.012 * width, 2)
        blobs = np.stack(
            [
                rng.uniform(0, 1, MAX_BLOBS),
                rng.uniform(0, 0.8, MAX_BLOBS),
                rng.uniform(0.1, 0.3, MAX_BLOBS),
                amount * rng.normal(0, 0.4, MAX_BLOBS) * (rng.random(MAX_BLOBS) < 0.6),
            ],
            1,
        )
        strength = amount * iso * (1.5 if bad else 1.0)
        return Corruption(
            key=rng.integers(0, 2**32, 2, np.uint32),
            gain=gain.astype(np.float32),
            blur=np.clip(blur, -2 * MAX_BLUR, 2 * MAX_BLUR).astype(np.float32),
            noise=np.array([14.0, 14.0, 11.0], np.float32) * np.float32(strength),
            blobs=blobs.astype(np.float32),
            vignette=np.float32(min(0.9, amount * rng.uniform(0.0, 0.25))),
        )
