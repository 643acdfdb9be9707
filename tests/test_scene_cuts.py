"""Scene cuts: found where the scene changes, nowhere else, and a stream goes on after one as if it began there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from moving_frames import pan

from smoothdino_jax import SceneCuts
from smoothdino_jax.models.scene_cuts import blank, changed, pooled
from smoothdino_jax.models.vit import Features


def run(model, video, cuts=SceneCuts(), resets=None):  # noqa: B008
    """Depth `(T, B, H, W)` and cuts `(T, B)` of `video (T, B, H, W, 3)`, and the last state."""
    state, depths, found = model.init_state(video[0]), [], []
    for k, images in enumerate(video):
        depth, state = model.step(images, state, None if resets is None else resets[k], cuts)
        depths.append(np.asarray(depth))
        found.append(np.asarray(state.cut))
    return np.stack(depths), np.stack(found), state


def splice(*scenes):
    return np.concatenate(scenes)[:, None]


@pytest.mark.parametrize("speed", [0, 1, 3])
def test_a_moving_camera_is_no_cut(trained, speed):
    _, found, _ = run(trained, pan(12, speed=speed)[:, None])
    assert not found.any()


def test_a_change_of_scene_is_a_cut_at_its_first_frame(trained):
    _, found, _ = run(trained, splice(pan(5, seed=1), pan(4, seed=2), pan(4, seed=3)))
    assert np.flatnonzero(found).tolist() == [5, 9]


def test_a_cut_is_found_at_a_scenes_second_frame(trained):
    _, found, _ = run(trained, splice(pan(1, seed=1), pan(3, seed=2)))
    assert np.flatnonzero(found).tolist() == [1]


def test_after_a_cut_the_stream_is_as_if_it_began_there(trained):
    scenes = pan(4, seed=1), pan(4, seed=2)
    depths, found, state = run(trained, splice(*scenes))
    anew, _, fresh = run(trained, splice(scenes[1]))
    assert found[4]
    assert np.array_equal(depths[4:], anew)
    # The state too, up to the cut itself: a stream's first frame is none.
    jax.tree.map(np.testing.assert_array_equal, state, fresh)


def test_the_shift_at_a_cut_is_zero(trained):
    video = splice(pan(3, seed=1), pan(1, seed=2))
    _, found, state = run(trained, video)
    assert found[-1]
    assert [float(part[0]) for part in state.shift] == [0.0, 0.0, 0.0]


def test_without_cuts_nothing_is_found_and_the_past_is_kept(trained):
    video = splice(pan(3, seed=1), pan(1, seed=2))
    kept, found, _ = run(trained, video, cuts=None)
    assert not found.any()
    assert np.abs(kept[-1] - run(trained, video)[0][-1]).max() > 1e-4


def test_a_reset_is_no_cut(trained):
    video = splice(pan(3, seed=1), pan(3, seed=2))
    resets = np.zeros((6, 1), bool)
    resets[3] = True
    depths, found, _ = run(trained, video, resets=resets)
    assert not found.any()
    assert np.array_equal(depths[3:], run(trained, video[3:])[0])


def test_streams_of_a_batch_cut_alone(trained):
    still = pan(6, seed=1)
    other = np.concatenate([pan(3, seed=2), pan(3, seed=3)])
    depths, found, _ = run(trained, np.stack([still, other], 1))
    assert np.argwhere(found).tolist() == [[3, 1]]
    undisturbed, _, _ = run(trained, np.stack([still, pan(6, seed=2)], 1))
    assert np.array_equal(depths[:, 0], undisturbed[:, 0])


def test_one_step_without_cuts_leaves_nothing_stale_to_compare_with(trained):
    first, second = pan(3, seed=1), pan(3, seed=2)
    state = trained.init_state(first[:1])
    for frame, cuts in [(first[0], SceneCuts()), (second[0], None), (second[1], SceneCuts()), (second[2], SceneCuts())]:
        _, state = trained.step(frame[None], state, None, cuts)
        assert not state.cut[0]


def test_a_black_frame_is_a_cut_and_so_is_what_follows_but_black_itself_goes_on(trained):
    video = splice(pan(3), np.zeros((3, 56, 70, 3), np.uint8), pan(3))
    assert np.flatnonzero(run(trained, video)[1]).tolist() == [3, 6]


def test_it_takes_a_low_response_and_a_change_above_the_usual_one():
    rng = np.random.default_rng(0)

    def level(change):
        patches = rng.normal(size=(1, 5, 5, 64)) * change + still * (1 - change)
        return (Features(jnp.asarray(patches, jnp.float32), jnp.zeros((1, 64))),)

    still = rng.normal(size=(1, 5, 5, 64))
    cuts = SceneCuts()
    find = jax.jit(lambda scene, features, response: cuts.find(scene, features, response, jnp.array([False])))

    def found(before, now, response):
        """Whether the last frame is a cut, after six that each change by `before`."""
        scene, no_match = blank(level(0.0)), jnp.array([0.9])
        for _ in range(6):
            cut, scene = find(scene, level(before), no_match)
            assert not cut[0]
        return bool(find(scene, level(now), jnp.array([response]))[0][0])

    assert found(0.0, 1.0, 0.1)
    assert not found(0.0, 1.0, 0.5), "the picture is there, only moved"
    assert not found(0.0, 0.2, 0.1), "the features are much as before"
    assert found(0.0, 0.7, 0.1)
    assert not found(0.4, 0.7, 0.1), "they always change so much here"
    assert found(0.4, 1.0, 0.1), "but not so much"


def test_change_is_zero_for_the_same_frame_and_has_no_unit():
    rng = np.random.default_rng(0)
    a, b = (jnp.asarray(rng.normal(3.0, 1.0, (2, 25, 64)), jnp.float32) for _ in range(2))
    change = jax.jit(changed)
    assert np.allclose(change(a, a), 0.0, atol=1e-5)
    assert np.allclose(change(a, b), 1.0, atol=0.1)
    assert np.allclose(change(100 * a, 100 * b), change(a, b), atol=1e-4)
    assert np.allclose(change(a + 5.0, b + 5.0), change(a, b), atol=1e-4)
    assert np.array_equal(change(jnp.zeros_like(a), jnp.zeros_like(a)), np.zeros(2))


@pytest.mark.parametrize("grid", [(1, 1), (2, 10), (35, 46)])
def test_what_is_kept_has_at_most_five_by_five_cells(grid):
    features = (
        Features(jax.ShapeDtypeStruct((3, *grid, 16), jnp.bfloat16), jax.ShapeDtypeStruct((3, 16), jnp.bfloat16)),
    )
    cells = jax.eval_shape(pooled, features)
    assert cells.shape == (3, min(5, grid[0]) * min(5, grid[1]), 16)
    assert cells.dtype == jnp.float32
