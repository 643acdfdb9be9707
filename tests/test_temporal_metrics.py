"""Temporal metrics of planes and boxes whose motion is known, and of made-up rooms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smoothdino_jax.data.synthetic import SyntheticRooms
from smoothdino_jax.metrics.geometry import crop_intrinsics, pixel_grid
from smoothdino_jax.metrics.temporal import DEFINITIONS, flicker, temporal_alignment, temporal_metrics
from smoothdino_jax.metrics.views import Pair, View

SIZE = 5, 9
K = jnp.array([[[10.0, 0, 4], [0, 10, 2], [0, 0, 1]]])
WITHOUT_POSES = {"flicker"}
WITHOUT_TRUTH = {"tae_vda", "consistency_px", "consistency_share"}


def motion(x=0.0, z=0.0):
    return jnp.eye(4).at[0, 3].set(x).at[2, 3].set(z)[None]


def view(depth, prediction=None):
    truth = jnp.broadcast_to(jnp.asarray(depth, jnp.float32), SIZE)[None]
    predicted = truth if prediction is None else jnp.broadcast_to(jnp.asarray(prediction, jnp.float32), SIZE)[None]
    return View(predicted, truth, jnp.full((1, *SIZE, 3), 100, jnp.uint8))


# The camera comes 1 m closer to a wall that was 4 m away.
WALL = Pair(view(4.0), view(3.0), motion(z=-1.0), K)
# It moves 0.4 m to the right: what is 4 m away shifts by 1 pixel to the left, what is 2 m away by 2.
BOX = Pair(view([4, 4, 4, 4, 2, 2, 4, 4, 4]), view([4, 4, 2, 2, 4, 4, 4, 4, 4]), motion(x=-0.4), K)


def predict(pair, previous=None, current=None):
    """The pair with other predictions, as factors of the truth."""
    views = pair.previous, pair.current
    factors = (1.0 if factor is None else jnp.asarray(factor) for factor in (previous, current))
    before, now = (v._replace(prediction=v.truth * factor) for v, factor in zip(views, factors, strict=True))
    return pair._replace(previous=before, current=now)


_compiled = jax.jit(temporal_metrics)


def values(pair):
    return {name: float(value[0]) for name, value in _compiled(pair).items()}


def test_every_metric_has_a_definition():
    assert values(WALL).keys() == DEFINITIONS.keys()
    assert all(definition.better in ("lower", "higher") for definition in DEFINITIONS.values())


@pytest.mark.parametrize("pair", [WALL, BOX, Pair(view(2.0), view(2.0), motion(), K)])
def test_a_perfect_prediction_has_no_error(pair):
    found = values(pair)
    assert found["flicker"] == 0
    assert found["tae_zbuffer"] == pytest.approx(0, abs=1e-6)


def test_a_wall_that_comes_closer_is_consistent():
    found = values(WALL)
    assert found["tae_vda"] == pytest.approx(0, abs=1e-6)
    assert found["consistency_px"] == pytest.approx(0, abs=1e-5)
    assert found["consistency_share"] == 1


def test_a_wall_predicted_too_far_in_one_frame():
    found = values(predict(WALL, current=1.1))
    assert found["flicker"] == pytest.approx(0.3, rel=1e-5)
    # There: 4 m moved is 3 m, where 3.3 m is predicted. Back: 3.3 m moved is 4.3 m, where 4 m is predicted.
    tae = (0.3 / 3.3 + 0.3 / 4.0) / 2
    assert found["tae_vda"] == pytest.approx(tae, rel=1e-5)
    assert found["tae_zbuffer"] == pytest.approx(tae, rel=1e-5)
    # Off the axis by r pixels: r * 3.3 / 4.3 in the frame before; there 4 m, so r * 3.3 / 4.3 * 4 / 3 back here.
    radius = np.linalg.norm(pixel_grid(*SIZE) - np.array([4, 2]), axis=-1).mean()
    assert found["consistency_px"] == pytest.approx(radius * (3.3 / 4.3 * 4 / 3 - 1), rel=1e-4)
    assert found["consistency_share"] == 0  # 3 m again, 9 % off


def test_the_share_of_consistent_pixels_counts_them_one_by_one():
    factor = jnp.ones(SIZE).at[:2].set(1.02).at[2:].set(1.005)
    still = Pair(view(2.0), view(2.0), motion(), K)
    assert values(predict(still, current=factor))["consistency_share"] == pytest.approx(3 / 5)


def test_points_that_come_back_behind_the_camera_count_as_ten_pixels_off():
    assert values(predict(WALL, previous=0.1))["consistency_px"] == pytest.approx(10)


def test_an_error_that_is_the_same_in_both_frames_is_consistent():
    wall = Pair(view(2.0), view(2.0), motion(x=-0.2), K)
    found = values(predict(wall, 1.1, 1.1))
    assert found["flicker"] == pytest.approx(0, abs=1e-6)
    assert found["tae_vda"] == pytest.approx(0, abs=1e-6)
    assert found["consistency_share"] == 1


def test_without_a_z_buffer_what_is_hidden_is_compared_with_what_hides_it():
    # Back in the frame before, column 5 gets the box (from column 3) and the wall it hides (from 4, read later).
    # The wall's 4 m against the box's 2 m is an error of 1, in one of the 7 columns that get anything.
    found = values(BOX)
    assert found["tae_vda"] == pytest.approx((0 + 1 / 7) / 2, rel=1e-5)
    assert found["tae_zbuffer"] == pytest.approx(0, abs=1e-6)


def test_the_z_buffer_variant_looks_at_pixels_with_a_reading_only():
    # 1.2 m closer, 4 m become 2.8 m. Seen from the axis columns 0, 1, 2, 3 go there to 0, 1.4, 2.9, 4.3 and back to 0,
    # 0.7, 1.4, 2.1, ...: in both frames 7 columns of 3 rows get a point. On the axis 5.6 m are predicted.
    wall = Pair(view(4.0), view(2.8), motion(z=-1.2), K)
    wrong = predict(wall, current=jnp.ones(SIZE).at[2, 4].set(2.0))
    there, back = (5.6 - 2.8) / 5.6 / 21, (5.6 + 1.2 - 4) / 4 / 21
    assert values(wrong)["tae_vda"] == pytest.approx((there + back) / 2, rel=1e-4)
    assert values(wrong)["tae_zbuffer"] == pytest.approx((there + back) / 2, rel=1e-4)
    masked = wrong._replace(current=wrong.current._replace(truth=wrong.current.truth.at[0, 2, 4].set(0)))
    assert values(masked)["tae_vda"] == values(wrong)["tae_vda"]
    assert values(masked)["tae_zbuffer"] == pytest.approx(back / 2, rel=1e-4)


def test_intrinsics_that_do_not_fit_the_crop_cost_accuracy():
    # A wall that recedes to the right, seen by a camera that comes closer, and the pair cut to its right part.
    u = np.arange(64) - 31.5
    k = jnp.array([[[50.0, 0, 31.5], [0, 50, 15.5], [0, 0, 1]]])

    def wall(distance):
        depth = jnp.broadcast_to(jnp.asarray(distance / (1 - 0.5 * u / 50), jnp.float32), (1, 32, 64))[:, 4:, 11:]
        return View(depth, depth, jnp.zeros((*depth.shape, 3), jnp.uint8))

    pair = Pair(wall(4.0), wall(3.7), motion(z=-0.3), crop_intrinsics(k, top=4, left=11))
    right = temporal_alignment(pair)["tae_zbuffer"][0]
    wrong = temporal_alignment(pair._replace(intrinsics=k))["tae_zbuffer"][0]
    assert right < 0.005  # half a pixel of 1 % each
    assert wrong > right


def test_flicker_is_the_change_that_the_truth_does_not_have():
    before = view(2.0, [2.5, 2, 2, 2, 2, 2, 2, 2, 2])
    now = view([3, 3, 3, 3, 3, 3, 3, 3, 0], [3.25, 3, 3.5, 3, 3, 3, 3, 3, 99])
    # -0.25 and 0.5 in eight columns; the ninth has no reading.
    assert float(flicker(Pair(before, now, motion(), K))["flicker"][0]) == pytest.approx(0.75 / 8)


@pytest.mark.parametrize("field", ["motion", "intrinsics"])
def test_without_poses_or_intrinsics_only_flicker_is_left(field):
    found = values(WALL._replace(**{field: getattr(WALL, field) * jnp.nan}))
    assert {name for name, value in found.items() if not np.isnan(value)} == WITHOUT_POSES


def test_without_truth_only_what_compares_predictions_is_left():
    pair = jax.tree.map(lambda x: x, WALL)
    pair = pair._replace(
        previous=pair.previous._replace(truth=jnp.zeros((1, *SIZE))),
        current=pair.current._replace(truth=jnp.zeros((1, *SIZE))),
    )
    assert {name for name, value in values(pair).items() if not np.isnan(value)} == WITHOUT_TRUTH


@pytest.mark.parametrize("broken", [jnp.nan, jnp.inf, -jnp.inf])
@pytest.mark.parametrize("which", ["previous", "current"])
def test_a_prediction_that_is_not_finite_is_not_averaged_away(broken, which):
    pair = predict(WALL, **{which: jnp.ones(SIZE).at[2, 4].set(broken)})
    assert all(np.isnan(value) for value in values(pair).values())


def test_streams_of_a_batch_do_not_touch_each_other():
    lost = WALL._replace(motion=WALL.motion * jnp.nan)
    both = jax.tree.map(lambda *x: jnp.concatenate(x), predict(WALL, current=1.1), lost, BOX)
    together = jax.jit(temporal_metrics)(both)
    for i, pair in enumerate((predict(WALL, current=1.1), lost, BOX)):
        alone = values(pair)
        # Compiled for another size: the last bits of single precision.
        assert {name: float(value[i]) for name, value in together.items()} == pytest.approx(
            alone, rel=1e-4, abs=1e-5, nan_ok=True
        )


@pytest.fixture(scope="module")
def room():
    """Frames 0, 1 and 9 of a room, as predictions of themselves."""
    source = SyntheticRooms(1, 10, (60, 80), noise=0.0)
    frames = source.render_clip(next(iter(source.scenes)), [0, 1, 9])
    views = [View(*(jnp.asarray(x)[None] for x in (f.depth, f.depth, f.image))) for f in frames]
    between = jnp.asarray(np.linalg.inv(frames[1].pose) @ frames[0].pose, jnp.float32)[None]
    return Pair(views[0], views[1], between, jnp.asarray(source.intrinsics, jnp.float32)[None]), views[2]


def test_a_room_agrees_with_itself(room):
    pair, _ = room
    found = values(pair)
    depth = np.asarray(pair.current.truth[0])
    # Points land up to half a pixel off in each direction, so depth is off by at most half its slope.
    slopes = abs(np.gradient(depth)[0]) + abs(np.gradient(depth)[1])
    assert 0 < found["tae_zbuffer"] < (slopes / 2 / depth).mean()
    # Bilinear depth is exact but for edges and creases: where a pixel is over 1 % off the mean of its neighbours.
    across = abs(depth[1:-1, :-2] + depth[1:-1, 2:] - 2 * depth[1:-1, 1:-1])
    down = abs(depth[:-2, 1:-1] + depth[2:, 1:-1] - 2 * depth[1:-1, 1:-1])
    smooth = (np.maximum(across, down) < 2 * 0.01 * depth[1:-1, 1:-1]).mean()
    assert found["consistency_share"] > smooth
    assert found["consistency_px"] < 0.001


def test_a_room_whose_scale_jumps_agrees_less(room):
    pair, _ = room
    good, bad = values(pair), values(predict(pair, 0.97, 1.03))
    assert all(bad[name] > 2 * good[name] for name in bad if DEFINITIONS[name].better == "lower" and name != "opw_nvds")
    assert bad["tae_zbuffer"] == pytest.approx(0.06, abs=0.01)
    assert bad["consistency_share"] < 0.01


def test_a_prediction_of_another_moment_agrees_less(room):
    pair, later = room
    good = values(pair)
    bad = values(pair._replace(current=pair.current._replace(prediction=later.truth)))
    for name, definition in DEFINITIONS.items():
        assert bad[name] > good[name] if definition.better == "lower" else bad[name] < good[name]
