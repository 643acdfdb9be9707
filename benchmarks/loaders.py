"""What `benchmarks/data.py` times: ways to get shuffled batches of clips off the disk, all doing the same work.

Each takes the same clips (T = 2, every frame in one clip) and gives `(B, T, 480, 640, 3)` uint8 images and
`(B, T, 480, 640)` float32 metres.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from smoothdino_jax.data import ClipSource, NYUKaggle, make_clips, open_folder, training_batches

CLIP = 2
WORKERS = 2
_METRES = (10 * np.arange(256) / 255).astype(np.float32)


class Files:
    """The clips of a Kaggle folder, read as a short script would: a list of paths and OpenCV."""

    def __init__(self, folder: Path):
        source = NYUKaggle(folder)
        clips = make_clips(source, CLIP, step=CLIP)
        self.clips = [[source.origin(position) for position in clip] for clip in clips]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        images = [cv2.imread(path, cv2.IMREAD_COLOR_RGB) for path in self.clips[i]]
        depths = [_METRES[cv2.imread(path[:-3] + "png", cv2.IMREAD_UNCHANGED)] for path in self.clips[i]]
        return {"image": np.stack(images), "depth": np.stack(depths)}


class Clips(ClipSource):
    """The clips of a source of ours, without a cache: every frame is decoded."""

    def __init__(self, source, cache_bytes: int = 0):
        super().__init__(source, make_clips(source, CLIP, step=CLIP), cache_bytes=cache_bytes)


def plain_loop(clips, batch: int) -> Iterator[dict]:
    """A loop over shuffled clips in the caller's thread."""
    for epoch in itertools.count():
        order = np.random.default_rng(epoch).permutation(len(clips))
        for start in range(0, len(order) - batch + 1, batch):
            picked = [clips[i] for i in order[start : start + batch]]
            yield {key: np.stack([clip[key] for clip in picked]) for key in picked[0]}


def torch_loader(clips, batch: int) -> Iterator[dict]:
    """`torch.utils.data.DataLoader` with its defaults but for the workers, which it keeps."""
    import torch

    loader = torch.utils.data.DataLoader(
        clips, batch, shuffle=True, drop_last=True, num_workers=WORKERS, persistent_workers=True
    )
    for _ in itertools.count():
        yield from loader


def ours(clips, batch: int, **options) -> Iterator[dict]:
    """The project's pipeline."""
    batches = iter(training_batches(clips, batch, seed=0, **options))
    try:
        yield from batches
    finally:
        batches.close()


def loaders(kaggle: Path, prepared: Path, synthetic: int) -> dict:
    """Name -> a function of the batch size, which gives `(clips, iterator of batches)`."""
    threads, workers = {"threads": WORKERS}, {"threads": 1, "workers": WORKERS}

    def files():
        return Files(kaggle)

    def jpeg_png():
        return Clips(NYUKaggle(kaggle))

    def array_record():
        return Clips(open_folder(prepared, layout="nyu_video"))

    def rooms():
        from smoothdino_jax.data.synthetic import SyntheticRooms

        return Clips(SyntheticRooms(2, synthetic // 2, size=(480, 640)))

    def cached():
        return Clips(NYUKaggle(kaggle), cache_bytes=2**31)

    table = {
        "plain loop, files": (files, plain_loop, {}),
        "torch, files": (files, torch_loader, {}),
        "ours, files, 2 threads": (jpeg_png, ours, threads),
        "ours, files, 2 workers": (jpeg_png, ours, workers),
        "torch, array_record": (array_record, torch_loader, {}),
        "ours, array_record, 2 threads": (array_record, ours, threads),
        "ours, array_record, 2 workers": (array_record, ours, workers),
        "ours, files in the frame cache, 2 threads": (cached, ours, threads),
        "plain loop, synthetic": (rooms, plain_loop, {}),
        "ours, synthetic, 2 threads": (rooms, ours, threads),
    }

    def start(make, loader, options):
        def build(batch):
            clips = make()
            return clips, loader(clips, batch, **options)

        return build

    return {name: start(*row) for name, row in table.items()}
