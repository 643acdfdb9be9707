"""What `nyu_depth_v2_video` keeps beside its shards, in `metadata.json`, as TFDS saves it.

    source   name of the archive or folder that it was built from
    sha256   of that archive; for a folder, of the `sha256` of all scenes, one after the other (as bytes)
    skipped  one line per damaged or missing file that was left out
    splits   split -> shards: [file name, frames, bytes] of each
                      scenes: of each, in order, name, number of frames, sha256 and segments

A scene's `sha256` is taken over the SHA-256 (as bytes) of each of its frames, in order, and that of a frame over
its files, image before depth. A segment is [first index, step, number of frames].
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.listing import Scene

_AGAIN = "Prepare the dataset again (smoothdino data prepare ... --overwrite)."


class SceneWriter:
    """Gathers one scene's entry while its frames are written."""

    def __init__(self, scene: Scene):
        self._scene, self._gaps = scene, set(scene.gaps)
        self._last = None
        self._segments: list[list[int]] = []
        self._digest = hashlib.sha256()

    def add(self, k: int, sha256: bytes) -> int:
        """Takes the scene's k-th frame, which is left out if it isn't passed; returns its segment's number."""
        index = int(self._scene.indices[k])
        if self._last is None or k != self._last + 1 or k in self._gaps:
            self._segments.append([index, 1, 1])
        else:
            segment = self._segments[-1]
            segment[1] = index - int(self._scene.indices[k - 1])
            segment[2] += 1
        self._last = k
        self._digest.update(sha256)
        return len(self._segments) - 1

    def entry(self) -> dict | None:
        """The entry for `splits`; None if every frame was left out."""
        if not self._segments:
            return None
        return {
            "name": self._scene.name,
            "frames": sum(count for _, _, count in self._segments),
            "sha256": self._digest.hexdigest(),
            "segments": self._segments,
        }


def combined_sha256(splits: dict[str, list[dict]]) -> str:
    """The SHA-256 of all scenes' entries together."""
    return hashlib.sha256(
        b"".join(bytes.fromhex(scene["sha256"]) for scenes in splits.values() for scene in scenes)
    ).hexdigest()


def read_record(folder: Path) -> dict:
    """Reads `metadata.json`, and checks that the shards it names are there in full.

    Args:
        folder: of one version, with the shards.

    Returns:
        Its contents.

    Raises:
        DataError: it is missing or damaged, or a shard is missing or of another size.
    """
    path = folder / "metadata.json"
    try:
        record = json.loads(path.read_text())
        shards = [shard for split in record["splits"].values() for shard in split["shards"]]
        for key in ("source", "sha256", "skipped"):
            record[key]
    except FileNotFoundError:
        raise DataError(f"{path} is missing: no nyu_depth_v2_video, or a damaged one. {_AGAIN}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: damaged ({error}). {_AGAIN}") from None
    for name, _, size in shards:
        try:
            actual = (folder / name).stat().st_size
        except OSError as error:
            raise DataError(f"{folder / name}: {error.strerror}. {_AGAIN}") from None
        if actual != size:
            raise DataError(f"{folder / name}: {actual} bytes instead of {size}. Copy it again, or: {_AGAIN}")
    return record


def listed_scenes(entries: list[dict]) -> list[Scene]:
    """The scenes of a split as `ListedFrames` takes them."""
    scenes = []
    for entry in entries:
        runs = [first + step * np.arange(count, dtype=np.int64) for first, step, count in entry["segments"]]
        gaps = np.cumsum([len(run) for run in runs])[:-1]
        scenes.append(Scene(entry["name"], np.concatenate(runs), gaps.tolist()))
    return scenes
