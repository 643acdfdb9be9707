"""The model that comes with the package: small, better with its past than without, and safe in bfloat16."""

import numpy as np
import pytest

import smoothdino_jax as sd
from smoothdino_jax.data.synthetic import SyntheticRooms
from smoothdino_jax.weights import embedded

SIZE = (112, 154)
ROOMS, FRAMES = 6, 6


@pytest.fixture(scope="module")
def rooms():
    """Frames `(T, B, H, W, 3)` and depth `(T, B, H, W)` of rooms that nothing was trained on."""
    source = SyntheticRooms(ROOMS, FRAMES, SIZE, first_scene=40_000, noise=2.0)
    frames = [[source[room * FRAMES + t] for room in range(ROOMS)] for t in range(FRAMES)]
    images = np.stack([[frame.image for frame in step] for step in frames])
    return images, np.stack([[frame.depth for frame in step] for step in frames])


def stream(model, images):
    state = model.init_state(images[0])
    depths = []
    for batch in images:
        depth, state = model.step(batch, state)
        depths.append(np.asarray(depth))
    return np.stack(depths)


def test_it_fits_in_five_megabytes():
    assert sum(file.stat().st_size for file in embedded().iterdir()) < 5e6


def test_its_adapter_lowers_the_error_on_unseen_rooms(rooms):
    images, truth = rooms
    model = sd.load("tiny-synthetic")
    smoothed = np.square(stream(model, images) - truth)[1:].mean()
    vanilla = np.square(stream(model.vanilla(), images) - truth)[1:].mean()
    # `make demo` measures 16 to 20 % on more rooms.
    assert smoothed < 0.95 * vanilla


def test_bfloat16_stays_close_and_is_never_black_or_nan(rooms):
    images, _ = rooms
    single, half = (stream(sd.load("tiny-synthetic", dtype=dtype), images) for dtype in ("float32", "bfloat16"))
    assert np.isfinite(half).all()
    assert half.min() > 0.3
    # benchmarks/precision.py measures it; twice that is room for other frames.
    assert np.linalg.norm(half - single) / np.linalg.norm(single) < 0.02
