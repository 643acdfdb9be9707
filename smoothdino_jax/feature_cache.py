"""The encoder's features of all training frames, computed once and kept on disk.

A frozen encoder computes the same numbers in every epoch. With `data.feature_cache` set to a folder they are
computed before the first step, and a step reads them instead. The gain is the encoder's share of a step, which for
ViT-S is a fifth (benchmarks/step.py, train-cached): the rest is the decoder and its gradient. The price is disk:
four levels of tokens are far larger than the frame they come from, 4.9 MB for ViT-S at 480×640 as float16.
"""

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from tqdm import tqdm

from smoothdino_jax.data import ClipSource, DataError
from smoothdino_jax.data.feature_store import SIZE, FeatureStore, describe_frames
from smoothdino_jax.models.smoothdino import SmoothDINO
from smoothdino_jax.models.vit import EncoderConfig, Features
from smoothdino_jax.weights.rules import flat_params


def pack(features: Sequence[Features]) -> Float[Array, "b levels tokens c"]:
    """All levels' features in one array, as they are stored: the class token, then the patch tokens by row.

    Args:
        features: levels of `Features(patches (B, h, w, C), cls (B, C))`.

    Returns:
        `(B, levels, 1 + h·w, C)`.
    """
    levels = [
        jnp.concatenate([level.cls[:, None], level.patches.reshape(len(level.cls), -1, level.cls.shape[-1])], axis=1)
        for level in features
    ]
    return jnp.stack(levels, axis=1)


def unpack(
    tokens: Float[Array, "b levels tokens c"], encoder: EncoderConfig, size: tuple[int, int]
) -> tuple[Features, ...]:
    """The inverse of `pack`, in the encoder's compute dtype.

    Args:
        tokens: `(B, levels, 1 + h·w, C)`.
        encoder: of the encoder that they are from.
        size: `(H, W)` of the frames in pixels.

    Returns:
        Levels of `Features(patches (B, h, w, C), cls (B, C))`.
    """
    tokens = tokens.astype(encoder.dtype)
    height, width = (-(-n // encoder.patch) for n in size)
    patches = tokens[:, :, 1:].reshape(*tokens.shape[:2], height, width, tokens.shape[-1])
    return tuple(Features(patches[:, k], tokens[:, k, 0]) for k in range(tokens.shape[1]))


def open_store(folder: str | os.PathLike, model: SmoothDINO, clips: ClipSource, dtype: str = "float16") -> FeatureStore:
    """Opens a folder of features for what is there; nothing is computed or written.

    Args:
        folder: need not exist.
        model: its encoder counts, at its compute dtype.
        clips: the source of the frames and their working size; which clips does not matter.
        dtype: what a number is stored as, "float16", "bfloat16" or "float32".

    Returns:
        The store.

    Raises:
        DataError: the folder holds features of another encoder, of other frames, or something else; or a frame
            can't be read.
    """
    described = describe_frames(clips)
    identity = {"frames": described, "encoder": describe_encoder(model)}
    image = jax.ShapeDtypeStruct((1, *described[SIZE], 3), jnp.uint8)
    shape = jax.eval_shape(_tokens, model, image).shape[1:]
    return FeatureStore(Path(folder).expanduser(), identity, shape, dtype, len(clips.source))


def fill(
    folder: str | os.PathLike,
    model: SmoothDINO,
    clips: ClipSource,
    *,
    dtype: str = "float16",
    batch_size: int = 8,
    threads: int = 2,
) -> FeatureStore:
    """Opens a folder of features, and computes those of the clips' frames that are not there yet.

    Says first how many frames that is, and how many bytes.

    Args:
        folder: made if it does not exist.
        model: as `open_store`.
        clips: what will be read; every frame of theirs is encoded once.
        dtype: as `open_store`.
        batch_size: frames encoded at once.
        threads: that read and decode frames ahead.

    Returns:
        The store, with all these frames.

    Raises:
        DataError: as `open_store`; or the disk has not the room, a frame can't be read, or a number doesn't fit
            the dtype. What was computed until then stays, and is not computed again.
    """
    store = open_store(folder, model, clips, dtype)
    if not len(missing := store.missing(clips.clips)):
        return store
    check_room(store, len(missing))
    with store.filling() as filling:
        missing = store.missing(clips.clips)
        chunks = [missing[k : k + batch_size] for k in range(0, len(missing), batch_size)]
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * max(1, threads))
        # Each frame is read once here: the clips' cache would only fill up with them.
        frames = ClipSource(clips.source, clips.clips, clips.size, cache_bytes=0)
        images = grain.MapDataset.source(_Chunks(frames, chunks)).to_iter_dataset(options)
        with tqdm(total=len(missing), desc="features", unit="frame", dynamic_ncols=True) as bar:
            for chunk, batch in zip(chunks, images, strict=True):
                # The last batch is filled up, or it would compile anew for its size.
                short = batch_size - len(chunk)
                tokens = _tokens(model, np.pad(batch, ((0, short), (0, 0), (0, 0), (0, 0))))
                filling.add(chunk, np.asarray(tokens)[: len(chunk)])
                bar.update(len(chunk))
    return store


def describe_encoder(model: SmoothDINO) -> dict:
    """What tells one encoder from another: its configuration, compute dtype included, and a hash of its weights."""
    weights = hashlib.sha256()
    for name, leaf in sorted(flat_params(model.encoder).items()):
        array = np.ascontiguousarray(leaf)
        weights.update(f"{name} {array.dtype} {array.shape}".encode())
        weights.update(array.view(np.uint8))
    return {"weights": weights.hexdigest()} | dataclasses.asdict(model.config.encoder)


def check_room(store: FeatureStore, frames: int) -> None:
    """Says what so many more frames take; DataError if the disk has not got it."""
    folder = Path(store.folder).absolute()
    while not folder.exists():
        folder = folder.parent
    free, need = shutil.disk_usage(folder).free, frames * store.frame_bytes
    size = (
        f"{store.folder}: features of {frames} frames × {store.frame_bytes / 1e6:.3g} MB ({store.dtype.name}) "
        f"= {need / 1e9:.3g} GB, {free / 1e9:.3g} GB free on this disk"
    )
    if need > free:
        raise DataError(f"{size}. Give a folder on a larger disk, fewer clips (data.step) or a smaller data.size.")
    tqdm.write(f"{size}; {len(store)} frames are there already")


class _Chunks:
    """Batches of images by number, for reading ahead."""

    def __init__(self, clips: ClipSource, chunks: Sequence[np.ndarray]):
        self.clips, self.chunks = clips, chunks
        self.shape = clips.frame(0).image.shape

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, k: int) -> np.ndarray:
        images = [self.clips.frame(position).image for position in self.chunks[k]]
        for position, image in zip(self.chunks[k], images, strict=True):
            if image.shape != self.shape:
                origin = self.clips.source.origin(int(position))
                raise DataError(
                    f"{origin}: (height, width) {image.shape[:2]}, but the first frame has {self.shape[:2]}. "
                    "A feature cache needs one size: set data.size."
                )
        return np.stack(images)


@jax.jit
def _tokens(model: SmoothDINO, images):
    return pack(model.encode(images))
