"""Normalised cuts: graphs worked by hand, clusters that must be found, and Nyström against the exact cut."""

import jax.numpy as jnp
import numpy as np
import pytest

from smoothdino_jax.evaluation.ncut import EXACT, colours, default_sigma, feature_pictures, normalised_cut

# Opposite unit vectors, 1 - cos = 2: under this sigma their affinity is 1/3.
THIRD = 2 / np.log(3)
UP = np.array([0.6, 0.8], np.float32)


def clusters(labels, noise=0.02, channels=8, seed=0):
    """Tokens around one axis per label, of all lengths."""
    rng = np.random.default_rng(seed)
    labels = np.asarray(labels)
    tokens = np.eye(channels)[labels] + noise * rng.normal(size=(*labels.shape, channels))
    return (tokens * rng.uniform(0.5, 5, (*labels.shape, 1))).astype(np.float32)


def apart(one, other):
    """Largest difference of any channel."""
    return np.abs(one.astype(int) - other).max(-1)


@pytest.mark.parametrize("landmarks", [None, 2])
def test_two_pairs_by_hand(landmarks):
    # W = [[1, 1, ⅓, ⅓], …], D = 8/3: (2 + ⅔) / D = 1 and (2 - ⅔) / D = ½.
    values, vectors = normalised_cut(np.stack([UP, UP, -UP, -UP]), 2, landmarks=landmarks, sigma=THIRD)
    np.testing.assert_allclose(values, [1, 0.5], atol=1e-6)
    np.testing.assert_allclose(vectors[:, 0], 1)
    np.testing.assert_allclose(vectors[:, 1] * vectors[0, 1], [1, 1, -1, -1], atol=1e-5)


@pytest.mark.parametrize("landmarks", [None, 2])
def test_three_against_one_by_hand(landmarks):
    # D = (10/3, 10/3, 10/3, 2). Uncorrelated with the constant: y = (a, a, a, -5a), of which
    # (3a - 5a/3) / (10a/3) = (a - 5a) / (2 · -5a) = 0.4, and (10 + 2 · 25) a² / 12 = 1.
    values, vectors = normalised_cut(np.stack([UP, UP, UP, -UP]), 2, landmarks=landmarks, sigma=THIRD)
    np.testing.assert_allclose(values, [1, 0.4], atol=1e-6)
    np.testing.assert_allclose(vectors[:, 1], np.array([-1, -1, -1, 5]) / 5**0.5, atol=1e-5)


def test_blocks_without_an_edge_between_them_all_have_eigenvalue_1():
    # exp(-2 / 0.02) is 0 in float32: W is two blocks of ones. The constant vector is not mixed with the other.
    values, vectors = normalised_cut(np.stack([UP, UP, -UP, -UP]), 4, sigma=0.02)
    np.testing.assert_allclose(values, [1, 1, 0, 0], atol=1e-6)
    np.testing.assert_array_equal(vectors[:, 0], 1)
    np.testing.assert_allclose(vectors[:, 1] * vectors[0, 1], [1, 1, -1, -1], atol=1e-5)


@pytest.mark.parametrize("landmarks", [None, 40])
@pytest.mark.parametrize("count", [2, 3])
def test_clusters_have_eigenvalues_near_1_and_a_colour_each(count, landmarks):
    labels = np.random.default_rng(1).integers(0, count, 120)
    cut = normalised_cut(clusters(labels), 6, landmarks=landmarks)
    assert np.all(cut.values[:count] > 0.99)
    assert np.all(cut.values[count:] < 0.1)
    drawn = colours(cut)
    typical = np.array([np.median(drawn[labels == k], axis=0) for k in range(count)])
    assert apart(drawn, typical[labels]).max() <= 25  # noise has a tenth of a channel at most
    assert min(apart(typical[i], typical[j]) for i in range(count) for j in range(i)) > 100


def test_vectors_are_uncorrelated_and_of_mean_square_1_by_degree():
    tokens = clusters(np.arange(60) % 4, noise=0.5)
    vectors = np.asarray(normalised_cut(tokens, 10, sigma=0.3).vectors, np.float64)
    unit = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    degree = np.exp((unit.astype(np.float64) @ unit.T - 1) / 0.3).sum(1)
    np.testing.assert_allclose((vectors * (degree / degree.sum())[:, None]).T @ vectors, np.eye(10), atol=1e-5)
    assert np.all(vectors[np.abs(vectors).argmax(0), np.arange(10)] > 0)


def test_landmarks_come_close_to_the_exact_cut():
    # A quarter of the tokens; six clusters, of which every token's noise has two fifths of the signal's length.
    tokens = clusters(np.arange(400) % 6, noise=0.15)
    exact, near = (normalised_cut(tokens, 6, landmarks=count) for count in (400, 100))
    np.testing.assert_allclose(near.values, exact.values, atol=2e-3)
    # Sine of the largest angle between the two spaces of eigenvectors.
    basis, other = (np.linalg.qr(np.asarray(cut.vectors, np.float64))[0] for cut in (exact, near))
    assert np.linalg.norm(other - basis @ (basis.T @ other), 2) < 0.01


def test_as_many_landmarks_as_tokens_are_the_exact_cut():
    tokens = clusters(np.arange(50) % 3, noise=0.3)
    for one, other in zip(normalised_cut(tokens, 5), normalised_cut(tokens, 5, landmarks=99), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("landmarks", [None, 100])
def test_permuted_tokens_permute_the_colours(landmarks):
    tokens = clusters(np.arange(200) ** 2 % 5, noise=0.3)
    order = np.random.default_rng(2).permutation(200)
    drawn, permuted = (colours(normalised_cut(x, 4, landmarks=landmarks)) for x in (tokens, tokens[order]))
    assert np.ptp(drawn, axis=0).min() > 100
    assert apart(drawn[order], permuted).max() <= 1  # rounding


@pytest.mark.parametrize("landmarks", [None, 100])
def test_the_same_tokens_give_the_same_bits(landmarks):
    tokens = clusters(np.arange(200) % 5, noise=0.3)
    first, second = (normalised_cut(tokens, 8, landmarks=landmarks) for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.vectors, second.vectors)


def test_the_length_of_a_token_does_not_matter():
    tokens = clusters(np.arange(60) % 3, noise=0.3)
    scale = 10.0 ** np.random.default_rng(3).integers(-30, 30, (60, 1))
    values = normalised_cut((tokens * scale).astype(np.float32), 5).values
    np.testing.assert_allclose(values, normalised_cut(tokens, 5).values, atol=1e-5)


def test_sigma_is_a_share_of_the_mean_dissimilarity():
    tokens = np.stack([UP, UP, -UP, -UP])  # of 16 pairs 8 have 1 - cos = 2
    assert default_sigma(tokens) == pytest.approx(0.2)


def test_tokens_that_are_all_alike_are_grey():
    drawn = colours(normalised_cut(np.tile(UP, (30, 1)), 4))
    assert apart(drawn, np.full((30, 3), 128)).max() <= 1


def test_missing_eigenvectors_are_grey():
    drawn = colours(normalised_cut(clusters(np.arange(40) % 2), 2))
    assert np.ptp(drawn[:, 0]) > 200
    np.testing.assert_array_equal(drawn[:, 1:], 128)


def test_a_cluster_has_one_colour_before_and_after():
    rng = np.random.default_rng(4)
    labels, moved = rng.integers(0, 3, (2, 2, 5, 6))
    pictures = feature_pictures(clusters(labels), clusters(moved, seed=5), [7, 9], level=2)
    assert pictures.frames.tolist() == [7, 9]
    assert pictures.level == 2
    typical = np.array([np.median(pictures.before[labels == k], axis=0) for k in range(3)])
    assert apart(pictures.before, typical[labels]).max() <= 25
    assert apart(pictures.after, typical[moved]).max() <= 25
    assert pictures.eigenvalues_before.shape == pictures.eigenvalues_after.shape == (20,)


def test_a_spectrum_is_of_one_side_alone_under_the_sigma_of_both():
    labels = np.arange(60).reshape(2, 5, 6) % 4
    before, after = clusters(labels), clusters(labels, noise=0.5)
    pictures = feature_pictures(before, after, [0, 1], level=0, eigenvalues=8)
    sigma = default_sigma(np.concatenate([before, after]).reshape(-1, 8))
    alone = normalised_cut(after.reshape(-1, 8), 8, sigma=sigma)
    np.testing.assert_allclose(pictures.eigenvalues_after, alone.values, atol=1e-6)
    assert np.all(pictures.eigenvalues_after[1:4] < pictures.eigenvalues_before[1:4])


@pytest.mark.parametrize("shape", [(2, 5, 6), (1, 20, 26)])
def test_features_that_did_not_change_give_identical_pictures(shape):
    assert (shape == (1, 20, 26)) == (2 * np.prod(shape) > EXACT)  # one exactly, one by way of landmarks
    features = jnp.asarray(clusters(np.arange(np.prod(shape)).reshape(shape) % 4, noise=0.4), jnp.bfloat16)
    pictures = feature_pictures(features, features, np.arange(shape[0]), level=3)
    np.testing.assert_array_equal(pictures.before, pictures.after)
    np.testing.assert_array_equal(pictures.eigenvalues_before, pictures.eigenvalues_after)


def test_a_spectrum_has_no_more_eigenvalues_than_tokens():
    features = clusters(np.arange(6).reshape(1, 2, 3))
    assert feature_pictures(features, features, [0], level=0).eigenvalues_after.shape == (6,)


def changed(tokens, value):
    tokens = tokens.copy()
    tokens[3] = value
    return tokens


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"eigenvectors": 31}, "1 to 30 for 30 tokens, got 31"),
        ({}, {"eigenvectors": 0}, "1 to 30 for 30 tokens, got 0"),
        ({}, {"landmarks": 3}, "1 to 3 for 3 landmarks, got 4"),
        ({}, {"sigma": 0.0}, "sigma must be positive"),
        ({"value": np.nan}, {}, "1 of 30 tokens are not finite"),
        ({"value": np.inf}, {"sigma": 0.1}, "1 of 30 tokens are not finite"),
        ({"value": 0.0}, {}, "1 of 30 tokens are zero"),
    ],
)
def test_what_cannot_be_cut_is_refused(change, options, message):
    tokens = clusters(np.arange(30) % 3)
    with pytest.raises(ValueError, match=message):
        normalised_cut(changed(tokens, **change) if change else tokens, **({"eigenvectors": 4} | options))


def test_before_and_after_must_be_of_the_same_frames():
    features = clusters(np.arange(60).reshape(2, 5, 6) % 3)
    with pytest.raises(ValueError, match=r"features of 2 frames: before \(2, 5, 6, 8\), after \(2, 5, 5, 8\)"):
        feature_pictures(features, features[:, :, :5], [0, 1], level=0)
    with pytest.raises(ValueError, match="features of 3 frames"):
        feature_pictures(features, features, [0, 1, 2], level=0)
