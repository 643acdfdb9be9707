"""Files in a folder or a zip, read alike; room on the disk; and marks of folders that are being worked on."""

import contextlib
import errno
import hashlib
import os
import shutil
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from absl import logging
from tqdm import tqdm

from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.images import file_bytes

LOCK = "build.lock"


class FolderFiles:
    """The files under a folder. `root` is what names are relative to."""

    def __init__(self, root: Path):
        self.root = root

    def sizes(self) -> dict[str, int]:
        """Name -> bytes, for every file at most 5 folders down; links to folders are followed."""
        found = {}
        for folder, inner, _ in os.walk(self.root, followlinks=True):
            if len(Path(folder).relative_to(self.root).parts) == 5:  # or a link to a parent would never end
                inner.clear()
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_file():
                        name = os.path.relpath(entry.path, self.root)
                        found[name.replace(os.sep, "/")] = entry.stat().st_size
        return found

    def read(self, name: str) -> bytes:
        """A file's contents; DataError if it can't be read."""
        try:
            return file_bytes(self.root / name)
        except DataError as error:
            raise DataError(f"{name}: {str(error).removeprefix(f'{self.root / name}: ')}") from None


class ZipFiles:
    """The entries of a zip, read in place, from several threads at once if need be."""

    def __init__(self, path: Path):
        self.root = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{path}: not a readable zip ({error}). Is the download complete?") from None

    def sizes(self) -> dict[str, int]:
        """Name -> bytes unpacked, for every entry."""
        return {info.filename: info.file_size for info in self._zip.infolist() if not info.is_dir()}

    def read(self, name: str) -> bytes:
        """An entry's contents; DataError if it is damaged."""
        try:
            return self._zip.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise DataError(f"{name}: damaged in the zip ({error}). Download it again.") from None


def sha256_of(path: Path) -> str:
    """A file's SHA-256, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def say(message: str, aloud: bool) -> None:
    """Tells the user, beside a progress bar if `aloud`; otherwise the log."""
    if aloud:
        tqdm.write(message, file=sys.stderr)
    else:
        logging.info("%s", message)


def gigabytes(size: float) -> str:
    """A size for messages."""
    return f"{size / 1e9:.3g} GB" if size >= 1e8 else f"{size / 1e6:.3g} MB"


def check_space(folder: Path, needed: float, what: str) -> None:
    """Raises DataError if the disk of `folder`, which need not exist yet, has less than `needed` bytes free."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"{folder}: {what} takes about {gigabytes(needed)}, but only {gigabytes(free)} are free. "
            "Make room, or choose a folder on another disk."
        )


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Marks a folder as being worked on while the context lasts; the mark of a killed process doesn't count.

    Raises:
        DataError: another process works on it.
    """
    import fcntl  # not on Windows, where the rest works

    path = folder / LOCK
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = path.stat().st_ino == os.fstat(lock.fileno()).st_ino
        except FileNotFoundError:
            ours = False
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            ours = False
        if not ours:  # or it was another's, who removed it before it could be locked
            raise DataError(f"{folder}: another process is writing here. Wait for it, or stop it.")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
