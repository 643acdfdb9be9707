"""Whether a place can be written to, asked before anything is made there, and what people are told where it can't."""

import errno
import os
from pathlib import Path

from smoothdino_jax.data.frames import DataError


def check_place(path: Path) -> None:
    """Refuses a file name that can be seen to fail; changes nothing on the disk.

    Args:
        path: to be written; its folders may be missing.

    Raises:
        DataError: a folder has its name, a file is in a folder's place, the name is too long, or permission is missing.
    """
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder, a file of this name is needed there: choose another name")
        folder = path.parent
        while not os.path.lexists(folder):
            folder = folder.parent
        if not folder.is_dir():
            raise DataError(f"{path} can't be written: {folder} is not a folder")
        (folder / partial(path).name).exists()  # raises where the name is too long
        target = path if path.exists() else folder
        if not may_write(target):
            raise DataError(f"{path} can't be written: no permission for {target}; choose another place")
    except OSError as error:
        raise unwritable(path, error) from None


def may_write(place: Path) -> bool:
    """Whether a file may be changed, or files in a folder made and removed."""
    mode = os.W_OK | (os.X_OK if place.is_dir() else 0)
    return os.access(place, mode, effective_ids=os.access in os.supports_effective_ids)


def partial(path: Path) -> Path:
    """What a file is called until it is whole."""
    return path.with_name(f".{path.name}.partial")


def unwritable(path: str | os.PathLike, error: Exception, what: str = "can't be written") -> DataError:
    """The error for people of an `OSError` or FFmpeg's: names the file, and what to do where that is known."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    todo = {
        errno.ENOSPC: "make room, then go on with --resume",
        errno.EDQUOT: "make room, then go on with --resume",
        errno.EACCES: "choose another place, or change its permissions",
        errno.EROFS: "choose another place",
        errno.ENAMETOOLONG: "choose a shorter one",
    }.get(getattr(error, "errno", None))
    colon = "" if what.startswith("can't") else ":"
    return DataError(f"{path}{colon} {what}: {reason}" + (f"; {todo}" if todo else ""))
