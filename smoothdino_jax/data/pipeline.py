"""Batches of clips for training: a Grain pipeline, and its augmentation.

Shuffling and augmentation are functions of the seed and of the running number of a clip alone,
never of threads or workers. So the iterator's state is no more than a count, and a training that
resumes sees the very batches it would have seen.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from absl import flags

from smoothdino_jax.data.clips import ClipSource
from smoothdino_jax.data.frames import DataError

if TYPE_CHECKING:
    import grain

Clip = dict[str, np.ndarray]


def training_batches(
    clips: ClipSource,
    batch_size: int,
    *,
    seed: int,
    shuffle: bool = True,
    repeat: bool = True,
    augment: Augment | None = None,
    threads: int = 4,
    prefetch: int = 4,
    workers: int = 0,
    shard_index: int = 0,
    shard_count: int = 1,
) -> grain.IterDataset:
    """Batches of clips, shuffled anew in each epoch.

    `iter(...)` gives the iterator; its `get_state()` and `set_state()` resume exactly (the state is
    small and JSON-able; all arguments but `threads` and `prefetch` must be the same). `close()` ends
    its threads and processes. With `workers`, a script needs `if __name__ == "__main__"`.

    Args:
        clips: the clips of all hosts.
        batch_size: clips per batch, of this host.
        seed: of the shuffle and of the augmentation.
        shuffle: whether to shuffle; the order differs from epoch to epoch.
        repeat: whether to go on for ever; otherwise one epoch. A batch may reach from one epoch
            into the next; without `repeat` an incomplete last batch is dropped.
        augment: the augmentation, or None.
        threads: threads that build batches, one batch each; 0 builds them on demand in the
            caller's.
        prefetch: batches held ready in memory.
        workers: processes to run all that in (each with `threads`, `prefetch` and a cache of its
            own); 0 for none. Decoding and augmentation release the GIL, so threads usually do, and are
            faster: what a process makes has to pass through shared memory. The batches are the same
            for any number.
        shard_index: which host this is, `jax.process_index()`.
        shard_count: how many hosts there are, `jax.process_count()`.

    Returns:
        Dicts of "image": `(B, T, H, W, 3)` uint8 RGB and "depth": `(B, T, H, W)` float32 metres,
        0 = no reading; and "features" where the clips have them.

    Raises:
        ValueError: `shard_index` isn't one of `shard_count`, or `batch_size` is under 1.
        DataError: fewer clips for this host than one batch. While iterating: a file can't be read,
            or clips of different sizes.
    """
    # Importing Grain takes half a second, which whoever needs only the sources shouldn't pay.
    import grain

    if not 0 <= shard_index < shard_count:
        raise ValueError(f"shard_index={shard_index} must be one of shard_count={shard_count}")
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1")
    share = len(clips) // shard_count
    if share < batch_size:
        raise DataError(
            f"{len(clips)} training clips over {shard_count} host(s) are {share} each, fewer than "
            f"one batch of {batch_size}: use more data, shorter clips or a smaller batch."
        )
    dataset = grain.MapDataset.source(clips).seed(seed)
    if shuffle:
        dataset = dataset.shuffle()
    if augment is not None:
        dataset = dataset.random_map(augment)
    if shard_count > 1:
        # After the random parts: hosts draw different augmentations, and trade clips each epoch.
        dataset = dataset.slice(slice(shard_index, share * shard_count, shard_count))
    if repeat:
        dataset = dataset.repeat()
    dataset = dataset.batch(batch_size, drop_remainder=True, batch_fn=_stack)
    batches = dataset.to_iter_dataset(
        grain.ReadOptions(num_threads=min(threads, prefetch), prefetch_buffer_size=prefetch)
    )
    if workers:
        if not flags.FLAGS.is_parsed():  # outside `absl.app.run`; Grain's workers read flags
            flags.FLAGS.mark_as_parsed()
        options = grain.MultiprocessingOptions(num_workers=workers)
        batches = batches.mp_prefetch(options, worker_init_fn=_one_thread_per_call)
    return batches


def describe_batches(clips: ClipSource, batch_size: int, *, seed: int, workers: int, shard_count: int) -> dict:
    """What the position of an iterator is a position in; a saved one fits only where this is the same.

    Args:
        clips: as `training_batches`, like all others.
        batch_size: clips per batch, of one host.
        seed: of the shuffle.
        workers: processes.
        shard_count: hosts.

    Returns:
        JSON-able fields.
    """
    return {
        "clips": len(clips),
        "digest of the clips": hashlib.sha256(np.ascontiguousarray(clips.clips, "<i8")).hexdigest()[:16],
        "clips per batch and host": batch_size,
        "seed": seed,
        "data.workers": workers,
        "hosts": shard_count,
    }


def _stack(clips: Sequence[Clip]) -> Clip:
    shapes = {clip["image"].shape[1:3] for clip in clips}
    if len(shapes) > 1:
        raise DataError(
            f"frames of different sizes (height, width) in one batch: {sorted(shapes)}. "
            "Give a working size to resize to."
        )
    return {key: np.stack([clip[key] for clip in clips]) for key in clips[0]}


def _one_thread_per_call(worker_index: int, worker_count: int) -> None:
    """Keeps OpenCV from starting a pool of threads in each worker process."""
    del worker_index, worker_count
    cv2.setNumThreads(1)


@dataclasses.dataclass(frozen=True)
class Augment:
    """Random changes to a clip, the same for all its frames: only motion differs between them.

    Colours change in this order: gamma, contrast about mid-grey, brightness and colour gains. Depth
    stays as it is, in metres.

    Attributes:
        flip: probability of a horizontal mirror image.
        reverse: probability of playing the clip backwards.
        brightness: b scales the image by 1-b..1+b.
        contrast: c stretches it about mid-grey by 1-c..1+c.
        gamma: g raises it to a power of 1/(1+g)..1+g.
        colour: c scales red, green and blue each by 1-c..1+c.
        crop: c cuts out a window of 1-c..1 of each side and scales it back up. Off by default: the
            same metres in a narrower field of view are another camera, and a network that judges
            distance by apparent size is taught a wrong scale.
        noise: standard deviation, in grey levels of 255, of noise drawn anew for every frame. Off
            by default.
    """

    flip: float = 0.5
    reverse: float = 0.5
    brightness: float = 0.2
    contrast: float = 0.2
    gamma: float = 0.2
    colour: float = 0.1
    crop: float = 0.0
    noise: float = 0.0

    def __post_init__(self):
        for name in ("flip", "reverse"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is a probability, 0..1")
        for name in ("brightness", "contrast", "gamma", "colour", "crop"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and below 1")
        if self.noise < 0:
            raise ValueError(f"noise={self.noise} must not be negative")

    @property
    def of_pixels(self) -> tuple[str, ...]:
        """The changes that are on and alter pictures: stored features do not follow them, only a reversal."""
        fields = dataclasses.asdict(self)
        return tuple(name for name, strength in fields.items() if strength and name != "reverse")

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        """Changes one clip.

        Args:
            clip: "image" `(T, H, W, 3)` uint8, "depth" `(T, H, W)` float32 metres, and maybe "features"
                `(T, ...)` of the images.
            rng: decides all; the same generator state gives the same result.

        Returns:
            A new clip of the same shapes; the input is untouched.

        Raises:
            ValueError: the clip has features, and pictures are to be altered.
        """
        if "features" in clip and self.of_pixels:
            raise ValueError(f"stored features allow no change but reverse: {', '.join(self.of_pixels)} must be 0")
        # Every draw is made, used or not, so switching one off leaves the others as they were.
        mirrored, reversed_ = rng.random(2) < (self.flip, self.reverse)
        unit = rng.uniform(-1, 1, 6)
        window = rng.random(3)
        image, depth = clip["image"], clip["depth"]
        if self.crop:
            image, depth = _crop(image, depth, self.crop, *window)
        table = self._table(*unit[:3], unit[3:])
        frames, height, width, _ = image.shape
        image = cv2.LUT(image.reshape(-1, width, 3), table).reshape(frames, height, width, 3)
        if self.noise:
            noisy = image + self.noise * rng.standard_normal(image.shape, np.float32)
            image = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        if mirrored:
            image, depth = image[:, :, ::-1], depth[:, :, ::-1]
        changed = clip | {"image": image, "depth": depth}
        if reversed_:
            changed = {name: array[::-1] for name, array in changed.items()}
        return {name: np.array(array, order="C") for name, array in changed.items()}

    def _table(self, gamma: float, contrast: float, brightness: float, colour: np.ndarray) -> np.ndarray:
        """The `(1, 256, 3)` uint8 table of colours for draws in -1..1."""
        grey = (np.arange(256) / 255) ** ((1 + self.gamma) ** gamma)
        grey = (grey - 0.5) * (1 + self.contrast * contrast) + 0.5
        gains = (1 + self.brightness * brightness) * (1 + self.colour * colour)
        return np.clip(np.rint(255 * grey[None, :, None] * gains), 0, 255).astype(np.uint8)


def _crop(image, depth, most: float, scale: float, top: float, left: float):
    """Cuts one window out of every frame of a clip and scales it back; draws in 0..1."""
    frames, height, width = depth.shape
    h = max(2, round(height * (1 - most * scale)))
    w = max(2, round(width * (1 - most * scale)))
    y, x = round(top * (height - h)), round(left * (width - w))
    new_image, new_depth = np.empty_like(image), np.empty_like(depth)
    for t in range(frames):
        window = (t, slice(y, y + h), slice(x, x + w))
        cv2.resize(image[window], (width, height), dst=new_image[t])
        cv2.resize(depth[window], (width, height), dst=new_depth[t], interpolation=cv2.INTER_NEAREST_EXACT)
    return new_image, new_depth
