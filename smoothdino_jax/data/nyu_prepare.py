"""Preparing NYUv2 for fast reading, in one function."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from smoothdino_jax.data import archives
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.nyu_input import Input, find_input, open_input
from smoothdino_jax.data.nyu_record import read_record


class Prepared(NamedTuple):
    """A finished dataset.

    Attributes:
        folder: with its shards.
        frames: split -> number of frames.
        skipped: one line per file that was left out, and why.
        size_bytes: on disk.
    """

    folder: Path
    frames: dict[str, int]
    skipped: tuple[str, ...]
    size_bytes: int


def prepare(
    path: str | os.PathLike,
    data_dir: str | os.PathLike,
    *,
    config: str = "auto",
    bad_frames: str = "error",
    overwrite: bool = False,
    progress: bool = True,
) -> Prepared:
    """Builds the dataset `nyu_depth_v2_video`, unless it is there already.

    An interrupted build leaves nothing that looks finished, and the next one removes what it left. What was to be
    overwritten is then back in its place; only where the process was killed does the next call bring it back.

    Args:
        path: NYUv2 as the Kaggle zip, nyudepthv2.tar.gz, or a folder with either or with what was in it.
        data_dir: where TFDS keeps its datasets; a tar is unpacked to `downloads/extracted` in it.
        config: "kaggle", "fastdepth", or "auto" for what `path` is.
        bad_frames: "error" to stop at the first frame that is missing or can't be read; "skip" to leave such out.
        overwrite: build again what is there already. The old one is moved aside (`replaced.1.0.0`, which no reader
            takes for a dataset) and removed once the new one is finished, so there has to be room for both.
        progress: show bars, and say what is done.

    Returns:
        The dataset.

    Raises:
        DataError: `path` is missing, damaged or no NYUv2; `data_dir` has too little room, or can't be written
            to; another process is at it; or tensorflow-datasets isn't installed.
        ValueError: an unknown `config` or `bad_frames`.
    """
    if config not in ("auto", "kaggle", "fastdepth"):
        raise ValueError(f'config={config!r} must be "auto", "kaggle" or "fastdepth"')
    if bad_frames not in ("error", "skip"):
        raise ValueError(f'bad_frames={bad_frames!r} must be "error" or "skip"')
    from smoothdino_jax.data.nyu_depth_v2_video import NyuDepthV2Video, ParseError, tfds

    path, config = find_input(Path(path).expanduser(), config)
    data_dir = _writable(Path(data_dir).expanduser())
    folder = data_dir / NyuDepthV2Video.name / config / str(NyuDepthV2Video.VERSION)
    _after_a_killed_process(folder, progress)
    if folder.exists() and not overwrite:
        found = _described(folder)
        how = "add --overwrite (in Python: overwrite=True)"
        archives.say(f"{folder} is finished already; to build it again, {how}", progress)
        return found
    options = {"path": path, "config": config, "bad_frames": bad_frames, "progress": progress}
    try:
        builder = NyuDepthV2Video(data_dir=data_dir, **options)
    except ParseError as error:  # TFDS looks into what is there
        raise DataError(f"{folder}/dataset_info.json: damaged ({error}). Delete {folder} and build again.") from None
    if folder.exists():  # look before the old one is away
        source = open_input(path, config, builder.work_folder, progress)
        if bad_frames == "error":
            check_complete(source)
    mode = tfds.download.GenerateMode
    mode = mode.REUSE_CACHE_IF_EXISTS if overwrite else mode.REUSE_DATASET_IF_EXISTS
    try:
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(download_mode=mode))
    except OSError as error:
        raise DataError(f"{folder}: preparing stopped: {error.strerror or error}.") from None
    return _described(folder)


@contextlib.contextmanager
def moved_aside(folder: Path) -> Iterator[None]:
    """Moves a finished dataset aside while the context lasts; at its end see `settle`."""
    folder.rename(_aside(folder))
    try:
        yield
    finally:
        settle(folder)


def settle(folder: Path) -> None:
    """Clears up after builds, for who has claimed the folder above.

    A dataset that was moved aside is brought back; if there is a new one, which is finished then, it is removed.
    """
    aside = _aside(folder)
    for incomplete in _incomplete(folder):
        shutil.rmtree(incomplete, ignore_errors=True)
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
    elif aside.exists():
        aside.rename(folder)


@contextlib.contextmanager
def without_empty_folders(folder: Path) -> Iterator[None]:
    """Removes `folder`, and the one it is in, if they were not there before and are left empty: TFDS makes them."""
    made = [path for path in (folder, folder.parent) if not path.exists()]
    try:
        yield
    finally:
        for path in made:
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()


def _aside(folder: Path) -> Path:
    return folder.with_name(f"replaced.{folder.name}")


def _incomplete(folder: Path) -> list[Path]:
    return list(folder.parent.glob(f"incomplete.*_{folder.name}"))  # TFDS's name


def _after_a_killed_process(folder: Path, progress: bool) -> None:
    if not _aside(folder).exists() and not _incomplete(folder):
        return
    with archives.claim(folder.parent):
        if _aside(folder).exists() and not folder.exists():
            archives.say(f"{folder}: brought back, since the build that was to replace it was stopped", progress)
        settle(folder)


def check_complete(source: Input) -> None:
    """Raises DataError naming the first frame that an input's numbering lacks, or a scene of one frame."""
    for split, scenes in source.missing.items():
        for scene, names in scenes.items():
            if names:
                raise DataError(
                    f"{source.root}/{names[0]} is missing ({len(names)} such in scene {scene}). Unpack or download "
                    f'again, or build with bad_frames="skip": then no segment reaches over the gap.'
                )
        for scene in source.splits.get(split, ()):
            if split == "train" and len(scene.indices) == 1:
                raise DataError(
                    f"{source.root}/{source.name(split, scene, 0)}: a single frame in its scene, no video. Complete "
                    'it, or build with bad_frames="skip".'
                )


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror or error}. Choose a folder that can be written to.") from None
    return folder


def _described(folder: Path) -> Prepared:
    record = read_record(folder)
    frames = {split: sum(shard[1] for shard in part["shards"]) for split, part in record["splits"].items()}
    size = sum(file.stat().st_size for file in folder.iterdir())
    return Prepared(folder, frames, tuple(record["skipped"]), size)
