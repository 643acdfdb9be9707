"""Which layout a folder of RGB-D frames has, by the names in it.

Nothing is decoded, and of each folder only the first names are looked at, so that it takes no time on a large data set.
"""

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.listing import named_errors
from smoothdino_jax.data.recordings import looks_like_recording, read_meta
from smoothdino_jax.data.scene_names import some

_MOST_NAMES = 500  # of a folder's entries to look at
_MOST_FOLDERS = 30  # of its subfolders to look into
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_KAGGLE = ("data/nyu2_train", "nyu2_train")  # where its scenes may be
_PARTS = ("image", "rgb", "color", "colour", "depth", "pose")  # folders inside a scene
_PREPARED = "nyu_depth_v2_video"  # the folder that `smoothdino data prepare` makes
_VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv")

# What each layout looks like, for people.
DESCRIPTIONS = {
    "nyu_kaggle": "NYUv2, Kaggle: data/nyu2_train/<scene>/1.jpg, 1.png, ...",
    "fastdepth": "NYUv2, FastDepth: nyudepthv2/train/<scene>/00001.h5, ...",
    "nyu_video": "NYUv2, from `smoothdino data prepare`: nyu_depth_v2_video/*/1.0.0/dataset_info.json, *.array_record*",
    "tum": "TUM RGB-D: rgb.txt, depth.txt, rgb/, depth/",
    "seven_scenes": "7-Scenes: <scene>/seq-01/frame-000000.color.png, frame-000000.depth.png, ...",
    "recordings": "your own: meta.json, image/000000.jpg, depth/000000.png, ...",
}


@named_errors()
def layout_of(path: str | os.PathLike) -> str:
    """Finds out a folder's layout.

    That the frames can be read is for the source to find out.

    Args:
        path: what a person gives as the path to the data: a scene, a folder of scenes, or the folder above it.

    Returns:
        One of `opening.LAYOUTS`.

    Raises:
        DataError: no such folder; a file; no known layout, or several; a folder of images and one of depth without a
            meta.json; or a folder that can't be read.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DataError(_not_a_folder(folder))
    inner = [folder, *_subfolders(folder)]
    if _scene_layout(folder):  # a scene itself: what is in it are its parts
        inner = [one for one in inner if one.name not in _PARTS or one == folder]
    found: dict[str, list[Path]] = {}
    for layout, place in _places(folder, inner):
        found.setdefault(layout, []).append(place)
    deeper = [one / nyu for one in inner[1:] for nyu in _KAGGLE if (one / nyu).is_dir()]
    if found and deeper:
        found.setdefault("nyu_kaggle", deeper)
    if len(found) > 1:
        listed = "\n".join(f"  {layout}: {some([str(place) for place in found[layout]], 3)}" for layout in found)
        raise DataError(
            f"{folder}: it holds several layouts:\n{listed}\nGive the folder of one of them, or name the layout "
            f"instead of auto, such as {next(iter(found))}."
        )
    if found:
        return next(iter(found))
    if deeper:
        raise DataError(f"{folder}: the frames are further down. Give {deeper[0]}.")
    if any((one / "meta.json").is_file() for one in inner):
        return "recordings"  # unfinished; the source says what it lacks
    for one in filter(looks_like_recording, inner):
        read_meta(one)  # raises: there is no meta.json, and the message has one to paste
    for one in (one.absolute() for one in inner):
        if _PREPARED in (one.name, one.parent.name):
            raise DataError(
                f"{one}: no finished version inside: an unfinished `smoothdino data prepare`: run it again."
            )
    names = sorted(_names(folder))
    raise DataError(
        f"{folder}: none of the layouts that can be read. It holds {some(names) or 'nothing'}. Known are\n"
        + "\n".join(f"  {layout}: {description}" for layout, description in DESCRIPTIONS.items())
        + "\nGive the folder that holds the scenes; docs/recordings.md says how to bring other frames into the last."
    )


def _places(folder: Path, inner: list[Path]) -> Iterator[tuple[str, Path]]:
    """The layouts that a folder holds, and where."""
    for one in _KAGGLE:
        if (folder / one).is_dir():
            yield "nyu_kaggle", folder / one
    for split in (top / part for top in (folder, folder / "nyudepthv2") for part in ("train", "val")):
        if any(map(_has_h5, _subfolders(split))):
            yield "fastdepth", split
    for one in inner:
        if layout := _scene_layout(one):
            yield layout, one
        elif any(map(_is_prepared, _versions(one))):
            yield "nyu_video", one
        elif any(_is_seven_scenes(sequence) for sequence in _subfolders(one) if sequence.name.startswith("seq-")):
            yield "seven_scenes", one


def _scene_layout(folder: Path) -> str:
    """The layout of a folder that is itself a scene (or a prepared data set); "" if it is none.

    The first that fits: a meta.json makes a recording of what would otherwise be another layout.
    """
    if (folder / "meta.json").is_file() and any((folder / name).is_dir() for name in _PARTS):
        return "recordings"
    if _is_prepared(folder):
        return "nyu_video"
    if (folder / "rgb.txt").is_file() and (folder / "depth.txt").is_file():
        return "tum"
    if _is_seven_scenes(folder):
        return "seven_scenes"
    if _has_h5(folder):
        return "fastdepth"
    return "nyu_kaggle" if _is_kaggle(folder) else ""


def _not_a_folder(path: Path) -> str:
    suffix = path.suffix.lower()
    if not path.exists():
        return f"{path}: no such folder."
    if suffix in _ARCHIVES:
        return (
            f"{path}: an archive. Unpack it and give the folder; for an archive of NYUv2 see `smoothdino data prepare "
            "--help`."
        )
    if suffix in _VIDEOS:
        return f"{path}: a video, without depth to train on. `smoothdino video {path}` estimates its depth."
    return f"{path}: a file. Give the folder of the frames; docs/recordings.md says how to lay them out."


def _entries(folder: Path) -> list[os.DirEntry]:
    """The first entries of a folder, in the order of the disk, without hidden ones; none if it isn't there."""
    try:
        with os.scandir(folder) as entries:
            found = list(itertools.islice(entries, _MOST_NAMES))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror or error}.") from None
    return [entry for entry in found if not entry.name.startswith((".", "__MACOSX"))]


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder)]


def _subfolders(folder: Path) -> list[Path]:
    return [folder / name for name in sorted(entry.name for entry in _entries(folder) if entry.is_dir())][
        :_MOST_FOLDERS
    ]


def _versions(folder: Path) -> Iterator[Path]:
    """Where a prepared data set's version may be: DATA_DIR/nyu_depth_v2_video/kaggle/1.0.0, or from further down."""
    for below in _subfolders(folder):
        if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", below.name):
            yield below
        elif folder.name == _PREPARED:
            yield from _subfolders(below)


def _is_prepared(folder: Path) -> bool:
    return (folder / "dataset_info.json").is_file() and any(".array_record" in name for name in _names(folder))


def _is_seven_scenes(folder: Path) -> bool:
    return any(re.match(r"frame-[0-9]+\.color\.", name) for name in _names(folder))


def _has_h5(folder: Path) -> bool:
    return any(re.fullmatch(r"[0-9]+\.h5", name) for name in _names(folder))


def _is_kaggle(folder: Path) -> bool:
    jpegs = [name for name in _names(folder) if re.fullmatch(r"(0|[1-9][0-9]*)\.jpg", name)]
    return any((folder / name.replace(".jpg", ".png")).is_file() for name in jpegs[:5])
