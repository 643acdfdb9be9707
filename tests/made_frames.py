"""A source of made-up frames, right in every way, that a test can spoil."""

import numpy as np

from smoothdino_jax.data import Frame
from smoothdino_jax.data.listing import ListedFrames, Scene
from smoothdino_jax.inspection import inspect_source

SIZE = (48, 64)
SHIFT = (2, -3)  # dx, dy of `Made` from frame to frame


def texture(size=SIZE, seed=0) -> np.ndarray:
    """A smooth random picture that can be rolled around without a seam."""
    noise = np.random.default_rng(seed).normal(size=size)
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1]))
    soft = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-((frequency / 0.2) ** 2))).real
    grey = np.clip(128 + 50 * soft / soft.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def ramp(size=SIZE) -> np.ndarray:
    """Depth from 1 to 4 m, every pixel another."""
    return np.linspace(1, 4, size[0] * size[1], dtype=np.float32).reshape(size)


class Made(ListedFrames):
    """Two scenes of ten frames of a texture that rolls by `SHIFT`; `change(scene, k, frame)` may spoil a frame."""

    def __init__(self, change=lambda scene, k, frame: frame, scenes=None, problems=()):
        super().__init__(scenes or [Scene("attic", np.arange(10)), Scene("cellar", np.arange(5, 15))], problems)
        self._change = change

    def _read(self, scene, k):
        number = int(scene.indices[k])
        image = np.roll(texture(seed=len(scene.name)), (SHIFT[1] * k, SHIFT[0] * k), (0, 1))
        return self._change(scene.name, k, Frame(image, ramp() + np.float32(0.01 * k), scene.name, number))

    def _origin(self, scene, k):
        return f"{scene.name}/{scene.indices[k]}.jpg"


def kinds(source, **options) -> list[str]:
    return [warning.kind for warning in inspect_source(source, **options).warnings]


def with_depth(make):
    """A source whose depth is `make(depth, k)`."""
    return Made(lambda scene, k, frame: frame._replace(depth=np.asarray(make(frame.depth, k), np.float32)))


def listed(*lengths, gaps=()) -> Made:
    return Made(scenes=[Scene(f"scene{k}", np.arange(length), gaps) for k, length in enumerate(lengths)])
