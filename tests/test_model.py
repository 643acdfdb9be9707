"""The whole model: streams, clips, resets, sizes, dtypes, and an untrained adapter that changes nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments import randomise
from flax import nnx

from smoothdino_jax.models.adapters import AdapterConfig
from smoothdino_jax.models.dpt import DecoderConfig
from smoothdino_jax.models.normalise import normalise
from smoothdino_jax.models.smoothdino import SmoothDINO

WIDTH = 16


def frames(count, size=(56, 70), seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *size, 3)).astype(np.uint8)


def stream_all(model, video):
    state = model.init_state(video[:1])
    depths = []
    for frame in video:
        depth, state = model.step(frame[None], state)
        depths.append(np.asarray(depth[0]))
    return np.stack(depths), state


def test_untrained_adapter_is_vanilla_bit_for_bit(tiny_model):
    video = frames(3)
    depths, _ = stream_all(tiny_model, video)
    vanilla = np.concatenate([np.asarray(tiny_model(frame[None])) for frame in video])
    assert np.array_equal(depths, vanilla)


@pytest.mark.parametrize(
    "adapter", [AdapterConfig.released(WIDTH), AdapterConfig.current_only(WIDTH), AdapterConfig.paper(WIDTH)]
)
def test_every_variant_starts_as_vanilla(tiny_model, adapter):
    model = tiny_model.with_adapter(adapter, nnx.Rngs(1))
    video = frames(2)
    depths, _ = stream_all(model, video)
    assert np.array_equal(depths[1], np.asarray(tiny_model(video[1:])[0]))


def test_a_trained_adapter_uses_the_past(trained):
    video = frames(3)
    depths, _ = stream_all(trained, video)
    other, _ = stream_all(trained, np.concatenate([frames(2, seed=9), video[2:]]))
    assert np.abs(depths[2] - other[2]).max() > 1e-4


def test_current_only_does_not(tiny_model):
    model = tiny_model.with_adapter(AdapterConfig.current_only(WIDTH), nnx.Rngs(1))
    randomise(model.adapter, scale=0.1)
    video = frames(3)
    depths, _ = stream_all(model, video)
    other, _ = stream_all(model, np.concatenate([frames(2, seed=9), video[2:]]))
    assert np.array_equal(depths[2], other[2])
    assert np.abs(depths[2] - np.asarray(model(video[2:])[0])).max() > 1e-4


def test_first_frame_has_itself_as_its_past_at_rest(trained):
    video = frames(1)
    once, state = trained.step(video, trained.init_state(video))
    assert np.array_equal(np.stack(state.shift[:2]), np.zeros((2, 1)))
    features = trained.encode(video)
    rest = jax.tree.map(jnp.zeros_like, state.shift)
    _, adapted = trained.adapter(features, features, rest)
    assert np.allclose(once, trained.decode(adapted, video.shape[1:3]), atol=1e-6)


def test_streams_in_a_batch_are_independent_and_reset_alone(trained):
    first, second = frames(4, seed=1), frames(4, seed=2)
    both = np.stack([first, second], 1)
    never, at_third = np.zeros((4, 2), bool), np.zeros((4, 2), bool)
    at_third[2, 0] = True

    def run(video, resets):
        state, depths = trained.init_state(video[0]), []
        for images, reset in zip(video, resets, strict=True):
            depth, state = trained.step(images, state, reset)
            assert not state.cut.any()
            depths.append(np.asarray(depth))
        return np.stack(depths), state

    depth, state = run(both, at_third)
    undisturbed, _ = run(both, never)
    anew, state_anew = run(both[2:], never[2:])
    # The other stream goes on bit for bit, and this one is as if it had been made now.
    assert np.array_equal(depth[:, 1], undisturbed[:, 1])
    assert np.array_equal(depth[2:, 0], anew[:, 0])
    assert np.abs(depth[2, 0] - undisturbed[2, 0]).max() > 1e-4
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[:1], b[:1]), state, state_anew)
    alone, _ = stream_all(trained, second)
    assert np.allclose(depth[:, 1], alone, atol=1e-5)


def test_the_state_is_donated(trained):
    video = frames(1)
    state = trained.init_state(video)
    trained.step(video, state)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((state.adapter, state.spectrum)))


def test_clip_and_stream_are_the_same_step(trained):
    clip = frames(4)
    streamed, _ = stream_all(trained, clip)
    features = jax.tree.map(lambda leaf: leaf[None], trained.encode(clip))
    adapted = trained.adapt_clip(features, clip[None])
    depth = trained.decode(jax.tree.map(lambda leaf: leaf[0], adapted), clip.shape[1:3])
    assert np.allclose(depth, streamed, atol=1e-5)


def test_a_recurrent_adapter_remembers_more_than_one_frame(trained):
    config = dataclasses.replace(trained.config.adapter, memory="adapted")
    recurrent = trained.with_adapter(config, nnx.Rngs(1))
    nnx.update(recurrent.adapter, nnx.state(trained.adapter))
    video, other = frames(3), np.concatenate([frames(1, seed=9), frames(3)[1:]])
    assert np.array_equal(stream_all(trained, video)[0][2], stream_all(trained, other)[0][2])
    assert np.abs(stream_all(recurrent, video)[0][2] - stream_all(recurrent, other)[0][2]).max() > 1e-5


def test_state_has_constant_size(trained):
    video = frames(4)
    state = trained.init_state(video[:1])
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
    for frame in video:
        _, state = trained.step(frame[None], state)
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == shapes


def test_step_compiles_once_per_shape(trained):
    video = frames(4, size=(42, 98))  # a size that no other test has
    before = type(trained).step._cache_size()
    stream_all(trained, video)
    assert type(trained).step._cache_size() == before + 1


def test_step_inside_the_users_own_jit(trained):
    video = frames(2)
    mine = jax.jit(lambda model, images, state: model.step(images, state))
    state = trained.init_state(video[:1])
    for frame in video:
        depth, state = mine(trained, frame[None], state)
    assert np.allclose(depth[0], stream_all(trained, video)[0][1], atol=1e-5)


def test_a_model_without_adapter_streams_as_vanilla(tiny_model):
    vanilla = tiny_model.vanilla()
    video = frames(2)
    assert np.array_equal(vanilla(video), tiny_model(video))
    depths, state = stream_all(vanilla, video)
    assert np.array_equal(depths[1], np.asarray(tiny_model(video[1:])[0]))
    assert np.isfinite(state.shift.dx).all()


def test_shapes_that_do_not_fit_say_so_and_leave_the_state(tiny_model):
    state = tiny_model.init_state(frames(1))
    with pytest.raises(ValueError, match="another size"):
        tiny_model.step(frames(1, (28, 28)), state)
    with pytest.raises(ValueError, match="1 streams"):
        tiny_model.step(frames(2), state)
    with pytest.raises(ValueError, match="reset is for 2"):
        tiny_model.step(frames(1), state, np.zeros(2, bool))
    tiny_model.step(frames(1), state)


def test_released_start_has_gradients_for_biases_alone(tiny_model):
    model = tiny_model.with_adapter(AdapterConfig.released(WIDTH), nnx.Rngs(1))
    graph, weights, rest = nnx.split(model, lambda path, _: path[0] == "adapter", ...)
    video = frames(2)

    def objective(weights):
        model = nnx.merge(graph, weights, rest)
        features = jax.tree.map(lambda leaf: leaf[None], model.encode(video))
        adapted = model.adapt_clip(features, video[None])
        return sum(jnp.square(leaf[:, 1] - 1.0).sum() for leaf in jax.tree.leaves(adapted))

    for path, gradient in nnx.to_flat_state(jax.grad(objective)(weights)):
        moves = bool(jnp.any(gradient[...] != 0))
        assert moves == (path[-2].endswith("_out") and path[-1] == "bias"), path


def test_zero_output_start_trains_every_weight_after_one_step(tiny_model):
    graph, weights, rest = nnx.split(tiny_model, lambda path, _: path[0] == "adapter", ...)
    video = frames(2)

    def objective(weights):
        model = nnx.merge(graph, weights, rest)
        features = jax.tree.map(lambda leaf: leaf[None], model.encode(video))
        adapted = model.adapt_clip(features, video[None])
        return sum(jnp.square(leaf[:, 1] - 1.0).sum() for leaf in jax.tree.leaves(adapted))

    gradient = jax.grad(objective)
    weights = jax.tree.map(lambda leaf, slope: leaf - 1e-3 * slope, weights, gradient(weights))
    for path, slope in nnx.to_flat_state(gradient(weights)):
        assert bool(jnp.any(slope[...] != 0)), path


@pytest.mark.parametrize("size", [(56, 70), (57, 71), (30, 100)])
def test_any_size_in_the_same_size_out(trained, size):
    depth, _ = trained.step(frames(1, size), trained.init_state(frames(1, size)))
    assert depth.shape == (1, *size)
    assert depth.dtype == jnp.float32


def test_padding_is_centred_and_zero():
    padded = np.asarray(normalise(frames(1, (28, 31)), 14))
    assert padded.shape == (1, 28, 42, 3)
    assert not padded[:, :, :5].any()
    assert not padded[:, :, 36:].any()
    assert padded[:, :, 5:36].all()


def test_depth_stays_in_the_configured_range(tiny_config):
    for decoder in (
        DecoderConfig.nyu(WIDTH, features=8, last=8),
        DecoderConfig.kitti(WIDTH, features=8, last=8),
    ):
        model = SmoothDINO(dataclasses.replace(tiny_config, decoder=decoder), nnx.Rngs(0))
        model.decoder.head3.bias[...] = jnp.full(1, 500.0)
        assert np.all(model(frames(1)) == decoder.max_depth)
        model.decoder.head3.bias[...] = jnp.full(1, -500.0)
        assert np.all(model(frames(1)) == np.float32(decoder.min_depth))


# Measured on the random model below: 0.4 to 1.2 % in depth, far from what a mistake would make.
_BFLOAT16_ERROR = 0.02


@pytest.mark.parametrize("brightness", [0, 128, 255])
def test_bfloat16_is_close_to_float32_and_never_black_or_nan(trained, tiny_config, brightness):
    parts = {
        name: dataclasses.replace(getattr(tiny_config, name), dtype="bfloat16")
        for name in ("encoder", "decoder", "adapter")
    }
    config = dataclasses.replace(tiny_config, **parts)
    graph = nnx.graphdef(nnx.eval_shape(lambda: SmoothDINO(config, nnx.Rngs(0))))
    half = nnx.merge(graph, nnx.state(trained))
    video = np.clip(frames(3).astype(int) // 2 + brightness - 64, 0, 255).astype(np.uint8)
    reference, depth = stream_all(trained, video)[0], stream_all(half, video)[0]
    assert depth.dtype == np.float32
    assert np.isfinite(depth).all()
    assert depth.min() > 0.5 * reference.min()
    error = np.linalg.norm(depth - reference) / np.linalg.norm(reference)
    assert 0 < error < _BFLOAT16_ERROR


def test_features_have_four_levels_on_the_patch_grid(tiny_model):
    features = tiny_model.encode(frames(2, (57, 70)))
    assert [level.patches.shape for level in features] == [(2, 5, 5, WIDTH)] * 4
    assert [level.cls.shape for level in features] == [(2, WIDTH)] * 4
