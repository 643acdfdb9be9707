"""Clips of random pictures, to be encoded."""

import numpy as np

from smoothdino_jax import feature_cache
from smoothdino_jax.data import ClipSource, DataError, Frame

PAIRS = [[k, k + 1] for k in range(8)]  # of the first nine frames


class Frames:
    """Random pictures of one scene; counts the reads."""

    def __init__(self, length=40, size=(28, 42), seed=0, name="room", sizes=None):
        self.scenes, self.segments = {name: range(length)}, [range(length)]
        self.size, self.seed, self.sizes = size, seed, sizes or {}
        self.reads, self.broken = [], None

    def indices(self, scene):
        return np.arange(len(self))

    def origin(self, position):
        return f"frame {position}"

    def __len__(self):
        return len(self.segments[0])

    def __getitem__(self, position):
        if position == self.broken:
            raise DataError(f"frame {position} is broken")
        self.reads.append(position)
        size = self.sizes.get(position, self.size)
        image = np.random.default_rng((self.seed, position)).integers(0, 256, (*size, 3), np.uint8)
        return Frame(image, np.full(size, position + 1, np.float32), next(iter(self.scenes)), position)


def clips_of(*, clips=PAIRS, **arguments):
    return ClipSource(Frames(**arguments), np.array(clips), cache_bytes=0)


def filler(folder, model):
    """A function that fills a store in `folder` from clips, with `model` unless another is given."""

    def fill(clips, model=model, **options):
        return feature_cache.fill(folder, model, clips, **{"batch_size": 4} | options)

    return fill
