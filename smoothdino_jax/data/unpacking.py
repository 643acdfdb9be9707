"""Unpacking archives, whole or not at all: only what is complete gets its final name.

A zip has a table of contents, so `archives.ZipFiles` reads its entries in place. A tar.gz has to be unpacked, because
its frames lie in no useful order and can't be reached one by one.
"""

import contextlib
import gzip
import hashlib
import json
import lzma
import os
import secrets
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tqdm import tqdm

from smoothdino_jax.data.archives import check_space, claim, gigabytes, say
from smoothdino_jax.data.frames import DataError

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
# Left in archives by file managers; in 7-Scenes some of them are damaged.
_LITTER = ("Thumbs.db", ".DS_Store", "__MACOSX")
# What damage, and encryption, raises.
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
)
_RECORD = "unpacked.json"


def unpack(archive: str | os.PathLike, progress: bool = True) -> Path:
    """Unpacks an archive beside itself, whole or not at all.

    Zips inside a zip (the sequences of 7-Scenes) are unpacked too. If all is in one folder of the archive's own
    name, that folder is the result, not a folder in it.

    Args:
        archive: `NAME.zip`, `.tgz`, `.tar.gz` or `.tar`.
        progress: show a bar on stderr, if that is a terminal.

    Returns:
        The folder, `NAME` beside the archive.

    Raises:
        DataError: not such an archive, damaged, with a path that leads out of it, disk full, or the folder exists.
    """
    archive = Path(archive)
    stem = stem_of(archive)
    target = archive.with_name(stem)
    if target.exists():
        raise DataError(f"{target} exists already: move it away to unpack {archive.name} anew.")
    partial = archive.with_name(f".{stem}.{secrets.token_hex(4)}.partial")
    try:
        whole = partial / "whole"
        whole.mkdir(parents=True)
        (_unzip if archive.suffix.lower() == ".zip" else _untar)(archive, whole, progress)
        names = os.listdir(whole)
        if not names:
            raise DataError(f"{archive}: an empty archive.")
        if names == [stem] and (whole / stem).is_dir():
            whole = whole / stem
        whole.rename(target)
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{archive} can't be unpacked ({reason}): delete it and download it again.") from None
    except OSError as error:
        raise DataError(f"{archive} can't be unpacked: {error.strerror or error}; nothing is left of it.") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def stem_of(archive: Path) -> str:
    """An archive's name without its suffix; DataError if it has none of `SUFFIXES`."""
    for suffix in SUFFIXES:
        if archive.name.lower().endswith(suffix) and len(archive.name) > len(suffix):
            return archive.name[: -len(suffix)]
    raise DataError(f"{archive.name}: no archive that can be unpacked ({', '.join(SUFFIXES)}).")


def unpack_tar(archive: Path, folder: Path, progress: bool = True) -> str:
    """Unpacks a tar, compressed or not; only a complete folder gets the name `folder`.

    A folder that was unpacked from this archive before (same name, size and time) is kept as it is.

    Args:
        archive: file.
        folder: where to.
        progress: show a bar.

    Returns:
        The archive's SHA-256, computed on the way.

    Raises:
        DataError: the archive is damaged, the disk too small, or another process unpacks beside `folder`.
    """
    status = archive.stat()
    identity = {"name": archive.name, "size": status.st_size, "time": status.st_mtime_ns}
    with contextlib.suppress(OSError, ValueError, AttributeError):
        record = json.loads((folder / _RECORD).read_text())
        if identity.items() <= record.items():
            say(f"using {folder}, unpacked before", progress)
            return record["sha256"]
    part = folder.with_name(f"incomplete.{folder.name}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with claim(folder.parent):
            shutil.rmtree(part, ignore_errors=True)  # of a killed process; it may be what fills the disk
            # What is inside hardly compresses, but the exact size is known only at the end.
            check_space(folder.parent, 1.1 * status.st_size, f"unpacking {archive.name}")
            about = f"{gigabytes(status.st_size)}, and about as much unpacked"
            say(f"unpacking {archive.name} ({about}) to {folder}", progress)
            try:
                part.mkdir()
                with tqdm(total=status.st_size, unit="B", unit_scale=True, disable=not progress) as bar:
                    sha256 = _extract(archive, part, bar)
                (part / _RECORD).write_text(json.dumps(identity | {"sha256": sha256}))
                shutil.rmtree(folder, ignore_errors=True)
                part.rename(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    except _DAMAGE as error:
        raise DataError(f"{archive}: can't be unpacked ({error}). Is the download complete?") from None
    except OSError as error:
        raise DataError(f"{part}: unpacking stopped: {error.strerror or error}.") from None
    return sha256


def _unzip(archive: Path, folder: Path, progress: bool) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = [info for info in opened.infolist() if not _is_litter(_path(archive, info.filename))]
        inner = [info for info in members if info.filename.lower().endswith(".zip")]
        # Images hardly shrink: an inner zip holds about its own size.
        check_space(folder.parent, sum(info.file_size for info in members + inner), f"unpacking {archive.name}")
        for info in tqdm(members, f"unpacking {archive.name}", disable=None if progress else True):
            opened.extract(info, folder)
    for info in inner:
        path = folder / info.filename
        _unzip(path, path.parent, progress)
        path.unlink()


def _untar(archive: Path, folder: Path, progress: bool) -> None:
    size = archive.stat().st_size
    check_space(folder.parent, 1.1 * size, f"unpacking {archive.name}")  # a tar doesn't tell
    off = None if progress else True
    with tqdm(total=size, desc=f"unpacking {archive.name}", unit="B", unit_scale=True, disable=off) as bar:
        _extract(archive, folder, bar)


def _is_litter(path: PurePosixPath) -> bool:
    return any(part in _LITTER for part in path.parts)


def _path(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{archive}: {name!r} leads out of the archive: it is not to be trusted.")
    return path


def _extract(archive: Path, folder: Path, bar: tqdm) -> str:
    """Unpacks a tar, and returns its SHA-256."""
    if not hasattr(tarfile, "data_filter"):
        raise DataError(f"{archive}: unpacking a tar safely needs Python 3.11.4 or later.")
    with open(archive, "rb") as file:
        reader = _Hashed(file, bar)
        with tarfile.open(fileobj=reader) as opened:
            for member in opened:
                if not _is_litter(PurePosixPath(member.name)):
                    opened.extract(member, folder, filter="data")
            while opened.fileobj.read(1 << 20):  # gzip checks its sum at the very end, past what tar reads
                pass
        reader.seek(0, os.SEEK_END)
        reader.read(0)  # what follows the compressed data belongs to the checksum too
        return reader.sha256.hexdigest()


class _Hashed:
    """A file whose bytes are hashed and counted once each, in their order, whatever way it is read."""

    def __init__(self, file: BinaryIO, bar: tqdm):
        self._file, self._bar, self._hashed = file, bar, 0
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        position = self._file.tell()
        if position > self._hashed:  # something was passed over
            self._file.seek(self._hashed)
            while self._hashed < position:
                self._take(self._file.read(min(1 << 20, position - self._hashed)))
        data = self._file.read(size)
        self._take(data[self._hashed - position :])
        return data

    def seek(self, *where: int) -> int:
        return self._file.seek(*where)

    def tell(self) -> int:
        return self._file.tell()

    def _take(self, data: bytes) -> None:
        self.sha256.update(data)
        self._hashed += len(data)
        self._bar.update(len(data))
