"""Normalised cuts of patch tokens, to see which parts of the picture the features take for one thing.

Tokens are nodes of a graph, edges weigh how alike two tokens are, and the eigenvectors of the cut with the largest
eigenvalues are soft memberships in its clusters (Shi & Malik, "Normalized Cuts and Image Segmentation", 2000).
The affinity is that of ncut-pytorch's first versions (Yang et al., "AlignedCut", 2024), `exp(-(1 - cos) / sigma)`. On
unit vectors it is a Gaussian of the distance, so it is positive definite, and thousands of tokens can be cut by way of
a few landmarks in one shot (Fowlkes et al., "Spectral Grouping Using the Nyström Method", 2004).

Where no `sigma` is given it is a share, `SIGMA`, of the mean dissimilarity, so that it also fits features that are
all much alike. The share was chosen by eye on the bundled model's features of hand-held video and of synthetic rooms:
at 0.1 a few extreme clusters take the three colours and the rest looks alike, 0.2 and 0.3 tell walls, floor, furniture
and edges apart, and from 0.5 on the cut fades into principal components. ncut-pytorch draws a t-SNE of many
eigenvectors; here the channels are the eigenvectors themselves, which adds nothing to the cut.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from smoothdino_jax.evaluation.clip import FeaturePictures

SIGMA = 0.2  # share of the mean dissimilarity
EXACT = 1024  # tokens up to which nothing is approximated
LANDMARKS = 1024  # of 3220 tokens of real frames: eigenvalues within 0.002 of the exact ones
EIGENVALUES = 20  # in a spectrum

_RANK = 1e-5  # directions of the landmarks' affinity below this share of the largest are rounding
_PERCENTILES = (2.0, 98.0)  # of an eigenvector, drawn as 0 and 255

Tokens = Float[Array | np.ndarray, "n c"]
Maps = Float[Array | np.ndarray, "_ _ _ _"]  # `feature_pictures` compares the shapes itself


class NormalisedCut(NamedTuple):
    """The eigenvectors of a cut with the largest eigenvalues.

    Attributes:
        values: `(K,)` float32 in 0..1, descending; the first is 1. As many are near 1 as there are
            clusters with next to nothing between them.
        vectors: `(N, K)` float32 solutions y of `W y = value D y` (W the affinity, D its row sums), uncorrelated and
            of mean square 1 where tokens weigh in by D. The first is 1 everywhere; of the others the entry of
            largest magnitude is positive. A vector is 0 where landmarks are too few to tell it.
    """

    values: Float[Array, "k"]
    vectors: Float[Array, "n k"]


def normalised_cut(
    tokens: Tokens, eigenvectors: int, *, landmarks: int | None = None, sigma: float | None = None
) -> NormalisedCut:
    """Cuts the graph of all tokens.

    Nothing in it is random: landmarks are farthest points, so the order of the tokens does not matter either.

    Args:
        tokens: `(N, C)`; only their directions count.
        eigenvectors: K, the constant one included.
        landmarks: cut by way of so many of the tokens (Nyström), exactly where there are no more tokens than that.
            None: exactly up to `EXACT` tokens, by way of `LANDMARKS` above.
        sigma: of the affinity, in units of 1 - cosine; None for `default_sigma(tokens)`.

    Returns:
        The K largest eigenvalues and their vectors. Two with the same eigenvalue may be any rotation of each other.

    Raises:
        ValueError: fewer tokens or landmarks than eigenvectors, a token that is zero or not finite, or a
            sigma that is not positive.
    """
    tokens = _directions(tokens)
    count = len(tokens)
    if landmarks is None:
        landmarks = count if count <= EXACT else LANDMARKS
    landmarks = min(landmarks, count)
    if not 1 <= eigenvectors <= landmarks:
        nodes = f"{count} tokens" if landmarks == count else f"{landmarks} landmarks"
        raise ValueError(f"eigenvectors must be 1 to {landmarks} for {nodes}, got {eigenvectors}")
    if sigma is None:
        sigma = default_sigma(tokens)
    if not 0 < sigma < np.inf:
        raise ValueError(f"sigma must be positive and finite, got {sigma}")
    # TF32, the default on GPUs, would leave three digits of a cosine.
    with jax.default_matmul_precision("highest"):
        if landmarks == count:
            return _exact(tokens, sigma, eigenvectors)
        return _nystrom(tokens, sigma, eigenvectors, landmarks)


def default_sigma(tokens: Tokens) -> float:
    """`SIGMA` of the mean of 1 - cosine over all pairs of `(N, C)` tokens; at least 1e-4, rounding's reach."""
    mean = np.mean(_directions(tokens), axis=0, dtype=np.float64)
    return max(SIGMA * float(1 - mean @ mean), 1e-4)


def colours(cut: NormalisedCut) -> UInt8[np.ndarray, "n 3"]:
    """Draws the three eigenvectors after the constant one as red, green and blue.

    Percentiles 2 to 98 of an eigenvector would fill 0..255, but its contrast is lowered by its eigenvalue (as in a
    diffusion map, Coifman & Lafon 2006): two clusters are two even colours, and not two colours and amplified noise.

    Args:
        cut: of N tokens.

    Returns:
        `(N, 3)` RGB; a channel that has no eigenvector or no contrast is grey.
    """
    values, vectors = (np.asarray(part, np.float64) for part in cut)
    channels = np.full((len(vectors), 3), 0.5)
    for k in range(1, min(4, len(values))):
        low, high = np.percentile(vectors[:, k], _PERCENTILES)
        if high > low:
            channels[:, k - 1] += values[k] * ((vectors[:, k] - low) / (high - low) - 0.5)
    return np.round(255 * np.clip(channels, 0, 1)).astype(np.uint8)


def feature_pictures(
    before: Maps, after: Maps, frames: Sequence[int] | Int[np.ndarray, "_"], level: int, eigenvalues: int = EIGENVALUES
) -> FeaturePictures:
    """Pictures of one level of features before and after the adapter, and their spectra.

    One cut over both draws the pictures, so a colour is the same cluster in all frames, before and after. The spectra
    are of each alone, under the same sigma: eigenvalues closer to 1 mean clusters further apart.

    Args:
        before: `(F, h, w, C)` patch tokens as the encoder made them.
        after: the same of the adapter.
        frames: F numbers, which frames these are.
        level: which of the four levels.
        eigenvalues: in a spectrum; as many as there are tokens in F frames where that is fewer.

    Returns:
        See `FeaturePictures`.

    Raises:
        ValueError: `before`, `after` and `frames` are not of the same frames, or as `normalised_cut`.
    """
    if before.shape != after.shape or len(before) != len(frames):
        raise ValueError(f"features of {len(frames)} frames: before {before.shape}, after {after.shape}")
    one, other = (_directions(maps.reshape(-1, maps.shape[-1])) for maps in (before, after))
    both = np.concatenate([one, other])
    sigma = default_sigma(both)
    count = min(eigenvalues, len(one))
    pictures = colours(normalised_cut(both, min(4, len(both)), sigma=sigma))
    pictures = pictures.reshape(2, *before.shape[:3], 3)
    spectra = [np.asarray(normalised_cut(tokens, count, sigma=sigma).values) for tokens in (one, other)]
    return FeaturePictures(np.asarray(frames), pictures[0], pictures[1], *spectra, level)


def _directions(tokens: Tokens) -> Float[np.ndarray, "n c"]:
    tokens = np.asarray(tokens, np.float32)
    if not np.isfinite(tokens).all():
        raise ValueError(f"{(~np.isfinite(tokens)).any(1).sum()} of {len(tokens)} tokens are not finite")
    # The largest entry first: squares of large features overflow, those of small ones vanish.
    largest = np.abs(tokens).max(1, keepdims=True)
    if not largest.all():
        raise ValueError(f"{(largest == 0).sum()} of {len(tokens)} tokens are zero: they have no direction")
    tokens = tokens / largest
    return tokens / np.linalg.norm(tokens, axis=1, keepdims=True)


def _affinity(one: Float[Array, "n c"], other: Float[Array, "m c"], sigma: Float[Array, ""] | float):
    return jnp.exp((one @ other.T - 1) / sigma)


@functools.partial(jax.jit, static_argnames="count")
def _exact(tokens: Float[Array, "n c"], sigma: Float[Array, ""] | float, count: int) -> NormalisedCut:
    affinity = _affinity(tokens, tokens, sigma)
    degree = affinity.sum(1)
    scale = jax.lax.rsqrt(degree)
    trivial = jnp.sqrt(degree / degree.sum())
    # The trivial eigenvector is known, and taken out: eigh would mix it with others of eigenvalue 1.
    values, vectors = jnp.linalg.eigh(affinity * scale[:, None] * scale - jnp.outer(trivial, trivial))
    return _finish(values[::-1][: count - 1], vectors[:, ::-1][:, : count - 1], degree)


@functools.partial(jax.jit, static_argnames=("count", "landmarks"))
def _nystrom(tokens: Float[Array, "n c"], sigma: Float[Array, ""] | float, count: int, landmarks: int) -> NormalisedCut:
    """The one-shot form: W ≈ C A⁺ Cᵀ = F Fᵀ, and F Fᵀ has the eigenvalues of the small Fᵀ F."""
    chosen = _farthest_points(tokens, landmarks)
    to_landmarks = _affinity(tokens, tokens[chosen], sigma)
    strengths, basis = jnp.linalg.eigh(to_landmarks[chosen])
    sound = strengths > _RANK * strengths[-1]
    factor = to_landmarks @ basis * jnp.where(sound, jax.lax.rsqrt(jnp.where(sound, strengths, 1.0)), 0.0)
    # A token that is far from all landmarks has no edges left, but it has one to itself.
    degree = jnp.maximum(factor @ factor.sum(0), (factor**2).sum(1) + 1e-3)
    factor *= jax.lax.rsqrt(degree)[:, None]
    trivial = factor.T @ jnp.sqrt(degree / degree.sum())
    values, vectors = jnp.linalg.eigh(factor.T @ factor - jnp.outer(trivial, trivial))
    values, vectors = values[::-1][: count - 1], vectors[:, ::-1][:, : count - 1]
    vectors = factor @ vectors * jnp.where(values > _RANK, jax.lax.rsqrt(jnp.maximum(values, _RANK)), 0.0)
    return _finish(values, vectors, degree)


def _farthest_points(tokens: Float[Array, "n c"], count: int) -> Int[Array, "m"]:
    """The token least like the mean, then again and again the one least like all chosen."""

    def choose(carry, _):
        distance, index = carry
        distance = jnp.minimum(distance, 1 - tokens @ tokens[index])
        return (distance, jnp.argmax(distance)), index

    first = jnp.argmin(tokens @ tokens.mean(0))
    return jax.lax.scan(choose, (jnp.full(len(tokens), jnp.inf), first), length=count)[1]


def _finish(values: Float[Array, "k"], vectors: Float[Array, "n k"], degree: Float[Array, "n"]) -> NormalisedCut:
    """From unit eigenvectors of the symmetric D^-½ W D^-½, the trivial one left out, to a `NormalisedCut`."""
    vectors = vectors * jnp.sqrt(degree.sum() / degree)[:, None]
    largest = jnp.take_along_axis(vectors, jnp.abs(vectors).argmax(0, keepdims=True), 0)
    vectors = jnp.where(largest < 0, -vectors, vectors)
    return NormalisedCut(
        jnp.concatenate([jnp.ones(1), jnp.clip(values, 0.0, 1.0)]),
        jnp.concatenate([jnp.ones((len(vectors), 1)), vectors], 1),
    )
