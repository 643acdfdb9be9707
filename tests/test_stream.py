"""A stream of single frames: the model's step, one frame at a time, with sizes, resets and mistakes taken care of."""

import gc
import tracemalloc

import jax
import numpy as np
import pytest
from moving_frames import pan

from smoothdino_jax import SceneCuts, Stream

SIZE = (56, 70)


def steps(model, video, cuts=None):
    state, depths = model.init_state(video[:1]), []
    for frame in video:
        depth, state = model.step(frame[None], state, None, cuts)
        depths.append(np.asarray(depth[0]))
    return np.stack(depths), state


def test_it_is_the_models_step_on_single_frames(trained):
    video = pan(4)
    stream = Stream(trained)
    depths = np.stack([stream(frame) for frame in video])
    assert depths.dtype == np.float32
    expected, state = steps(trained, video)
    # Another program, so another order of summation.
    assert np.allclose(depths, expected, atol=1e-5)
    assert stream.frames == 4
    assert np.allclose(stream.shift, np.concatenate(state.shift), atol=1e-4)
    assert all(isinstance(part, float) for part in stream.shift)
    assert stream.shift.dx == pytest.approx(-1, abs=0.3)


def test_reset_starts_anew(trained):
    video = pan(3)
    stream = Stream(trained)
    first = [stream(frame) for frame in video]
    stream.reset()
    assert (stream.frames, stream.state, stream.cut, tuple(stream.shift)) == (0, None, False, (0.0, 0.0, 0.0))
    assert np.array_equal([stream(frame) for frame in video], first)


def test_a_size_compiles_once_for_all_streams_and_warming_up_does_it_beforehand(trained):
    video = pan(4, (42, 56))  # a size that no other test has
    warm, cold = Stream(trained), Stream(trained)
    cold(pan(1)[0])
    cold.reset()  # and now it may be another size
    programs = warm._step._cache_size()
    warm.warm_up((42, 56))
    assert (warm.frames, warm.state, warm._step._cache_size()) == (0, None, programs + 1)
    depths = [warm(frame) for frame in video[:2]]
    warm.warm_up((42, 56))
    depths += [warm(frame) for frame in video[2:]]
    assert np.array_equal(depths, [cold(frame) for frame in video])
    assert cold._step._cache_size() == programs + 1


def test_it_begins_anew_at_a_scene_cut_and_says_so(trained):
    scenes = pan(3, seed=1), pan(2, seed=2)
    stream, kept = Stream(trained), Stream(trained, cuts=None)
    depths, cuts = [], []
    for frame in np.concatenate(scenes):
        depths.append(stream(frame))
        cuts.append(stream.cut)
        depth = kept(frame)
        assert not kept.cut
    assert cuts == [False, False, False, True, False]
    assert stream.frames == 5
    assert np.abs(depth - depths[-1]).max() < 1e-5, "two frames on, the paper's adapter has forgotten the cut"
    anew = Stream(trained)
    assert np.array_equal(depths[3:], [anew(frame) for frame in scenes[1]])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_submitting_without_waiting_gives_the_same_even_if_the_frame_is_overwritten(trained, dtype):
    # Aligned as JAX on a CPU wants it, to compute in the caller's memory.
    video, memory = pan(6), np.empty(4 * 56 * 70 * 3 + 64, np.uint8)
    aligned = memory[-memory.ctypes.data % 64 :]
    buffer = aligned[: 56 * 70 * 3 * np.dtype(dtype).itemsize].view(dtype).reshape(*SIZE, 3)
    stream, pending = Stream(trained), []
    for frame in video:
        buffer[:] = frame
        pending.append(stream.submit(buffer))
        buffer[:] = 255
    waiting = Stream(trained)
    assert np.array_equal(pending, [waiting(frame.astype(dtype)) for frame in video])


def test_compare_gives_the_frame_alone_beside_the_smoothed(trained):
    video = pan(3)
    stream = Stream(trained, compare=True)
    pairs = [stream(frame) for frame in video]
    assert np.allclose([vanilla for vanilla, _ in pairs], trained(video), atol=1e-5)
    assert np.allclose([smoothed for _, smoothed in pairs], steps(trained, video)[0], atol=1e-5)


def test_nothing_to_compare_without_an_adapter(trained):
    with pytest.raises(ValueError, match="needs an adapter"):
        Stream(trained.vanilla(), compare=True)


def test_a_model_without_adapter_streams_as_vanilla(trained):
    video = pan(3)
    stream = Stream(trained.vanilla())
    assert np.allclose([stream(frame) for frame in video], trained(video), atol=1e-5)
    assert stream.shift.dx == pytest.approx(-1, abs=0.3)


def test_with_a_working_size_frames_of_any_size_give_depth_of_their_own_size(trained):
    stream = Stream(trained, size=SIZE)
    large = pan(2, (112, 140), speed=4)
    assert stream(large[0]).shape == (112, 140)
    stream(large[1])
    # Told in pixels of the frame, not of the working size.
    assert stream.shift.dx == pytest.approx(-4, abs=1)
    assert stream(large[1][::4, ::4]).shape == (28, 35)
    assert stream.frames == 3


def test_the_working_size_is_what_the_model_sees_and_depth_comes_straight_at_the_frames(trained):
    video, state = pan(3), trained.init_state(pan(1))
    step = jax.jit(lambda model, images, state: model.advance(model.encode(images), images, state, size=(112, 140)))
    stream, native = Stream(trained, size=SIZE), Stream(trained, size=SIZE)
    for frame, expected in zip(video, steps(trained, video)[0], strict=True):
        # Doubled pixel by pixel, so that averaging gives the frame back.
        depth = stream(frame.repeat(2, 0).repeat(2, 1))
        doubled, state = step(trained, frame[None], state)
        assert np.allclose(depth, doubled[0], atol=1e-5)
        assert np.allclose(native(frame), expected, atol=1e-5)


def test_a_working_size_below_two_pixels_is_refused(trained):
    with pytest.raises(ValueError, match="working size"):
        Stream(trained, size=(1, 70))


def test_float_frames_are_as_bytes(trained):
    frame = pan(1)[0]
    expected = Stream(trained)(frame)
    for dtype in (np.float16, np.float32, np.float64):
        assert np.allclose(Stream(trained)(frame.astype(dtype)), expected, atol=1e-5)


def test_bad_frames_are_refused_and_leave_the_state_as_it_was(trained):
    video = pan(2)
    stream = Stream(trained)
    stream(video[0])
    for bad, message in [
        (np.zeros((1, 1, 3), np.uint8), "at least 2×2"),
        (np.zeros((56, 70), np.uint8), "COLOR_GRAY2RGB"),
        (np.zeros((56, 70, 1), np.uint8), "COLOR_GRAY2RGB"),
        (np.zeros((56, 70, 4), np.uint8), "alpha"),
        (np.zeros((1, 56, 70, 3), np.uint8), r"\(H, W, 3\)"),
        (np.full((56, 70, 3), np.nan, np.float32), "NaN"),
        (np.full((56, 70, 3), 1023, np.uint16), "uint16"),
        (np.zeros((40, 70, 3), np.uint8), "reset"),
    ]:
        with pytest.raises(ValueError, match=message):
            stream(bad)
    assert stream.frames == 1
    assert np.allclose(stream(video[1]), steps(trained, video)[0][1], atol=1e-5)


def test_a_bad_first_frame_fixes_no_size(trained):
    stream = Stream(trained)
    with pytest.raises(ValueError, match="NaN"):
        stream(np.full((28, 28, 3), np.nan))
    assert stream(pan(1)[0]).shape == SIZE


def test_cuts_are_looked_for_unless_told_otherwise(trained):
    stream = Stream(trained, cuts=SceneCuts(response=2.0, change=0.0, ratio=0.0))
    found = []
    for frame in pan(3):
        stream(frame)
        found.append(stream.cut)
    assert found == [False, True, True]


def test_memory_stays_flat_however_many_frames(trained):
    stream = Stream(trained)
    video = pan(50)

    def held():
        gc.collect()
        return sum(array.nbytes for array in jax.live_arrays()), tracemalloc.get_traced_memory()[0]

    stream(video[0])
    tracemalloc.start()
    try:
        for frame in video[1:10]:
            stream(frame)
        device, host = held()
        for frame in video[10:]:
            stream(frame)
        device_later, host_later = held()
    finally:
        tracemalloc.stop()
    assert device_later == device
    # To keep the frames would be 470 kB.
    assert host_later - host < 50_000
