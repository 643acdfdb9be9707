"""`nyu_depth_v2_video`: NYU Depth v2 as ordered video, a TensorFlow Datasets builder that needs no TensorFlow.

    smoothdino data prepare nyu_data.zip -o DATA_DIR

does it all. In Python, once this module is imported:

    builder = tfds.builder("nyu_depth_v2_video/kaggle", data_dir=DATA_DIR, path="nyu_data.zip")
    builder.download_and_prepare()

TFDS's own command finds it by its file, from the root of a checkout, or by `--imports` from anywhere:

    tfds build smoothdino_jax/data/nyu_depth_v2_video.py --config kaggle --manual_dir DOWNLOADS --data_dir DATA_DIR
    tfds build nyu_depth_v2_video/kaggle --imports smoothdino_jax.data.nyu_depth_v2_video --manual_dir ...

(Its --overwrite removes the old dataset before it starts; that of `smoothdino data prepare`, once the new one is
finished.) What is built is read by `tfds.data_source` or `nyu_video.NYUVideo`. `tfds.load` and `as_dataset` can't
read array_record: they raise NotImplementedError and name `as_data_source`.

`tfds` of TFDS 4.9.10 starts only where tensorflow, apache_beam and mlcroissant are installed, for its other
subcommands. Where they aren't, this is the same as `tfds build`:

    python -c "import simple_parsing as s, tensorflow_datasets.scripts.cli.build as b; s.parse(b.Args).execute()" ...

Two configs differ in where depth comes from: "kaggle" (8 bits, 255 = 10 m, holes filled in) and "fastdepth"
(float metres as measured, every 5th frame); `nyu_input` says what files they take and how frames are stored.
Features:

    scene    text; "test" (kaggle) or "official" (fastdepth) for test images
    index    the frame's number in its files
    segment  number of the gap-free stretch of frames within the scene: only frames of one segment are a video
    image    JPEG or, for test images, PNG; 8-bit RGB
    depth    16-bit PNG, millimetres, 0 = no reading

Splits: "train", the video, and "test", the 654 test images, each a segment of its own, if the input has them.
`metadata.json`, beside the shards, has the checksums of what went in, what was left out, and where
segments begin, so that `NYUVideo` opens 50000 frames without reading one.

TFDS's own writer sorts all it has written before it makes shards; past 1 GB it does so in files that only
TensorFlow can open, and since ordered keys all fall into the first of its buckets, the whole split has to
fit in memory. These frames come in order, so `_generate_splits` writes them straight to their shards.
"""

import contextlib
import io
import itertools
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from smoothdino_jax.data import archives
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.nyu_input import FASTDEPTH, KAGGLE, Encoded, Input, open_input
from smoothdino_jax.data.nyu_prepare import (
    Prepared,
    check_complete,
    moved_aside,
    prepare,
    settle,
    without_empty_folders,
)
from smoothdino_jax.data.nyu_record import SceneWriter, combined_sha256

try:
    import tensorflow_datasets as tfds
    from google.protobuf.json_format import ParseError
    from tensorflow_datasets.core.example_serializer import ExampleSerializer
except ImportError:
    raise DataError("preparing NYUv2 needs tensorflow-datasets: pip install 'smoothdino-jax[data]'.") from None

__all__ = ["NyuDepthV2Video", "ParseError", "Prepared", "prepare"]

_FRAMES_PER_SHARD = 512  # 60 to 150 MB


class NyuDepthV2Video(tfds.core.GeneratorBasedBuilder):
    """The builder.

    Args:
        path: what to build from, instead of TFDS's `manual_dir`; see `nyu_input.open_input`.
        bad_frames: what to do about damaged and missing frames: "error", or "skip" to leave them out, each
            listed in `metadata.json` and `skipped.txt`.
        progress: show bars.
        file_format: TFDS's; `NYUVideo` reads only the default.
        arguments: of `tfds.core.DatasetBuilder`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: dict[str, str] = {"1.0.0": "First version."}  # noqa: RUF012
    BUILDER_CONFIGS: list[tfds.core.BuilderConfig] = [  # noqa: RUF012
        tfds.core.BuilderConfig(name="kaggle", description="From the Kaggle (DenseDepth) files: 8-bit depth."),
        tfds.core.BuilderConfig(name="fastdepth", description="From MIT's FastDepth files: float depth, thinned."),
    ]
    # Nothing is downloaded, so there are no checksums of downloads. TFDS would look for them beside this file,
    # with importlib_resources, which it needn't have installed.
    url_infos: dict = {}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Put one of these in manual_dir, as it was downloaded or unpacked:
    config "kaggle": the zip with {KAGGLE}
    config "fastdepth": http://datasets.lids.mit.edu/fastdepth/data/nyudepthv2.tar.gz (32 GB), {FASTDEPTH}
    """

    def __init__(
        self,
        *,
        path: str | os.PathLike | None = None,
        bad_frames: str = "error",
        progress: bool = True,
        file_format: str | None = None,
        **arguments,
    ):
        if bad_frames not in ("error", "skip"):
            raise ValueError(f'bad_frames={bad_frames!r} must be "error" or "skip"')
        self._path, self._bad_frames, self._progress = path, bad_frames, progress
        super().__init__(file_format=file_format or "array_record", **arguments)

    @property
    def work_folder(self) -> Path:
        """Where a tar is unpacked to."""
        return Path(self.data_dir_root) / "downloads" / "extracted"

    def download_and_prepare(self, *, download_config: tfds.download.DownloadConfig | None = None, **arguments) -> None:
        """As TFDS's, but by one process at a time, and what is overwritten stays until the new one is finished."""
        folder = Path(self.data_path)
        mode = (download_config or tfds.download.DownloadConfig()).download_mode
        folder.parent.mkdir(parents=True, exist_ok=True)
        with archives.claim(folder.parent):
            settle(folder)
            old = folder.exists() and mode.overwrite_dataset
            with moved_aside(folder) if old else contextlib.nullcontext(), without_empty_folders(self.work_folder):
                super().download_and_prepare(download_config=download_config, **arguments)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="NYU Depth v2 as ordered video: scenes, and gap-free segments within them.",
            features=tfds.features.FeaturesDict(
                {
                    "scene": tfds.features.Text(),
                    "index": tfds.features.Scalar(np.int64),
                    "segment": tfds.features.Scalar(np.int64),
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                    "depth": tfds.features.Image(shape=(None, None, 1), dtype=np.uint16, encoding_format="png"),
                }
            ),
            homepage="https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html",
            citation=_CITATION,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def _log_download_bytes(self) -> None:
        """TFDS would announce downloads of unknown size; `_split_generators` says what is known."""

    def _log_download_done(self) -> None:
        archives.say(f"finished {self.data_dir}", self._progress)

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        path = Path(self._path or dl_manager.manual_dir).expanduser()
        source = open_input(path, self.builder_config.name, self.work_folder, self._progress)
        if self._bad_frames == "error":
            check_complete(source)
        archives.check_space(Path(self.data_dir_root), source.expected_bytes, "the dataset")
        total = sum(len(scene.indices) for scenes in source.splits.values() for scene in scenes)
        archives.say(
            f"writing {total} frames, an estimated {archives.gigabytes(source.expected_bytes)} at most, to "
            f"{self.data_dir_root}",
            self._progress,
        )
        self._bar = tqdm(total=total, unit=" frames", disable=not self._progress, smoothing=0.05)
        self._source, self._skipped = source, []
        self._writers = {split: [] for split in source.splits}
        return {split: self._generate_examples(source, split) for split in source.splits}

    def _generate_examples(self, source: Input, split: str) -> Iterator[tuple[int, dict]]:
        self._bar.set_description(split)
        key = 0
        self._skipped += [f"{name}: missing" for names in source.missing[split].values() for name in names]
        with contextlib.closing(_read_all(source, split)) as frames:
            for scene, group in itertools.groupby(frames, key=lambda item: item[0]):
                writer = SceneWriter(scene)
                self._writers[split].append(writer)
                for _, k, encoded in group:
                    self._bar.update()
                    if isinstance(encoded, DataError):
                        if self._bad_frames == "error":
                            raise DataError(f"{source.root}/{encoded}")
                        self._skipped.append(str(encoded))
                        continue
                    segment = writer.add(k, encoded.sha256)
                    yield (
                        key,
                        {
                            "scene": scene.name,
                            "index": int(scene.indices[k]),
                            "segment": segment,
                            "image": io.BytesIO(encoded.image),
                            "depth": io.BytesIO(encoded.depth),
                        },
                    )
                    key += 1

    def _generate_splits(self, dl_manager, download_config) -> list:
        """Writes the splits in their order; see the module's docstring for why not TFDS's way."""
        splits = self._split_generators(dl_manager)
        limit = download_config.max_examples_per_split
        written = []
        with self._bar:
            for split, examples in splits.items():
                with contextlib.closing(examples):
                    written.append(self._write_split(split, itertools.islice(examples, limit)))
        self._write_record(written)
        return [info for info, _ in written]

    def _write_split(self, split: str, examples: Iterator[tuple[int, dict]]) -> tuple[tfds.core.SplitInfo, list]:
        template = self._get_filename_template(split)
        serializer = ExampleSerializer(self.info.features.get_serialized_info())
        writer, paths, lengths = self._example_writer(), [], []
        for first in examples:
            shard = itertools.chain([first], itertools.islice(examples, _FRAMES_PER_SHARD - 1))
            paths.append(Path(self.data_path) / f"{split}-{len(paths):05d}.part")
            lengths.append(0)

            def serialized(shard=shard):
                for key, example in shard:
                    lengths[-1] += 1
                    record = serializer.get_tf_example(self.info.features.encode_example(example))
                    # By default protobuf orders the features differently in every process.
                    yield key, record.SerializeToString(deterministic=True)

            try:
                writer.write(paths[-1], serialized())
            except (OSError, RuntimeError) as error:
                raise DataError(f"{paths[-1]}: writing failed: {error}") from None
        if not paths:
            raise DataError(f"{self._source.root}: not one frame of the split {split!r} can be used.")
        names = template.sharded_filepaths(len(paths))
        for path, name in zip(paths, names, strict=True):
            path.rename(name)
        sizes = [Path(name).stat().st_size for name in names]
        info = tfds.core.SplitInfo(name=split, shard_lengths=lengths, num_bytes=sum(sizes), filename_template=template)
        return info, [[Path(n).name, *rest] for n, *rest in zip(names, lengths, sizes, strict=True)]

    def _write_record(self, written: list) -> None:
        if (archive := self._source.root).is_file():
            size = archives.gigabytes(archive.stat().st_size)
            archives.say(f"finishing: the checksum of {archive.name} ({size})", self._progress)
        scenes = {
            split: [entry for entry in (writer.entry() for writer in writers) if entry]
            for split, writers in self._writers.items()
        }
        self.info.metadata.update(
            source=self._source.source,
            sha256=self._source.archive_sha256() or combined_sha256(scenes),
            splits={info.name: {"shards": shards, "scenes": scenes[info.name]} for info, shards in written},
            skipped=self._skipped,
        )
        if self._skipped:
            (Path(self.data_path) / "skipped.txt").write_text("".join(f"{line}\n" for line in self._skipped))


def _read_all(source: Input, split: str) -> Iterator[tuple]:
    """Every frame of a split in order, read ahead by threads: (scene, k, `Encoded` or the DataError)."""

    def read(scene, k) -> Encoded | DataError:
        try:
            return source.read(split, scene, k)
        except DataError as error:
            return error

    threads = min(os.cpu_count() or 1, 8)
    pool, waiting = ThreadPoolExecutor(threads), deque()
    try:
        for scene in source.splits[split]:
            for k in range(len(scene.indices)):
                waiting.append((scene, k, pool.submit(read, scene, k)))
                if len(waiting) > 4 * threads:
                    scene_, k_, future = waiting.popleft()
                    yield scene_, k_, future.result()
        for scene, k, future in waiting:
            yield scene, k, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


_CITATION = """\
@inproceedings{silberman2012indoor,
  author = {Nathan Silberman and Derek Hoiem and Pushmeet Kohli and Rob Fergus},
  title = {Indoor Segmentation and Support Inference from {RGBD} Images},
  booktitle = {European Conference on Computer Vision},
  year = {2012},
}
"""
