"""OPW with flow that moves whole pixels, so that warped maps can be written down."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smoothdino_jax.metrics.flow_warping import DEFINITIONS, opw
from smoothdino_jax.metrics.views import View

# What is at column k now was at k + 1: the last column has come into view.
FLOW = jnp.zeros((1, 1, 4, 2)).at[..., 0].set(1.0)
GREY = jnp.array([10.0, 20.0, 30.0, 40.0])


def view(depth, grey):
    depth = jnp.asarray(depth, jnp.float32)[None, None]
    return View(depth, depth, jnp.broadcast_to(jnp.asarray(grey, jnp.float32)[None, None, :, None], (1, 1, 4, 3)))


PREVIOUS = view([1, 2, 3, 4], GREY)
CURRENT = view([2.5, 3, 4, 9], [20, 30, 40, 99])  # warped depth is 2, 3, 4 and colours are the same


_compiled = jax.jit(opw)


def values(previous=PREVIOUS, current=CURRENT, flow=FLOW):
    return {name: float(value[0]) for name, value in _compiled(previous, current, flow).items()}


def test_the_metrics_are_the_defined_ones():
    assert values().keys() == DEFINITIONS.keys()


def test_fmnet_averages_the_change_over_all_pixels():
    assert values()["opw_fmnet"] == pytest.approx((0.5 + 0 + 0 + 0) / 4)


def test_fmnet_weighs_by_the_squared_difference_of_colours_in_0_to_1():
    image = CURRENT.image.at[0, 0, 0, 1].add(51.0).at[0, 0, 0, 2].add(-25.5)
    weight = np.exp(-50 * (0.2**2 + 0.1**2))
    assert values(current=CURRENT._replace(image=image))["opw_fmnet"] == pytest.approx(weight * 0.5 / 4, rel=1e-5)


def test_nvds_takes_off_the_median_and_divides_by_the_mean_deviation():
    # 2.5, 3, 4 become -1, 0, 2; warped 2, 3, 4 become -1.5, 0, 1.5; three channels of weight 1; times 10.
    assert values()["opw_nvds"] == pytest.approx(10 * 3 * (0.5 + 0 + 0.5) / 4)


def test_nvds_weighs_each_channel_by_its_difference_in_grey_levels():
    image = CURRENT.image.at[0, 0, 0, 1].add(0.1).at[0, 0, 2, 2].add(1.0)
    weights = 2 + np.exp(-50 * 0.1**2), 2 + np.exp(-50)
    expected = 10 * (weights[0] * 0.5 + weights[1] * 0.5) / 4
    assert values(current=CURRENT._replace(image=image))["opw_nvds"] == pytest.approx(expected, rel=1e-4)


def test_nvds_does_not_see_scale_and_shift_of_a_frame_but_fmnet_does():
    other = CURRENT._replace(prediction=3 * CURRENT.prediction + 1)
    assert values(current=other)["opw_nvds"] == pytest.approx(values()["opw_nvds"], rel=1e-5)
    assert values(current=other)["opw_fmnet"] > 10 * values()["opw_fmnet"]


def test_pixels_of_unknown_flow_are_left_out_and_those_that_flow_out_are_not():
    assert values(flow=FLOW.at[0, 0, 1].set(jnp.nan))["opw_fmnet"] == pytest.approx(0.5 / 3)
    assert values(flow=FLOW.at[0, 0, 3].set(jnp.nan))["opw_fmnet"] == pytest.approx(0.5 / 3)


def test_flow_between_pixels_interpolates():
    half = values(current=view([1.5, 2.5, 3.5, 4], [15, 25, 35, 40]), flow=FLOW / 2)
    assert half["opw_fmnet"] == pytest.approx(0, abs=1e-6)


def test_no_flow_at_all_gives_nan():
    assert all(np.isnan(value) for value in values(flow=FLOW * jnp.nan).values())


@pytest.mark.parametrize("broken", [jnp.nan, jnp.inf])
@pytest.mark.parametrize("which", ["previous", "current"])
def test_a_prediction_that_is_not_finite_gives_nan(broken, which):
    frames = {"previous": PREVIOUS, "current": CURRENT}
    depth = frames[which].prediction.at[0, 0, 2].set(broken)
    # Even where the colours are so different that the pixel hardly weighs.
    frames[which] = frames[which]._replace(prediction=depth, image=255 - frames[which].image)
    assert all(np.isnan(value) for value in values(**frames).values())


def test_pictures_of_bytes_and_streams_side_by_side():
    frames = [view._replace(image=view.image.astype(jnp.uint8)) for view in (PREVIOUS, CURRENT)]
    other = view([1, 1, 1, 1], GREY)._replace(image=frames[0].image)
    pair = [jax.tree.map(lambda a, b: jnp.concatenate([a, b]), frame, other) for frame in frames]
    flows = jnp.concatenate([FLOW, jnp.zeros_like(FLOW)])
    found = _compiled(*pair, flows)
    assert found["opw_fmnet"].tolist() == pytest.approx([0.125, 0])
    assert found["opw_nvds"].tolist() == pytest.approx([7.5, 0])
