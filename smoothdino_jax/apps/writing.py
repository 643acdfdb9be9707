"""Files that a command writes for people: whole or not at all, and never over somebody's work by a slip."""

import os
from pathlib import Path

from smoothdino_jax.data.frames import DataError


def check_free(file: Path, overwrite: bool, marker: bytes = b"", kind: str = "") -> None:
    """Refuses a name that is taken, to be called before the long work starts.

    Args:
        file: to be written.
        overwrite: whether a file there may be replaced.
        marker: what the first 1024 bytes of a file hold that may be replaced in any case; empty for none.
        kind: what such a file is called, "report".

    Raises:
        DataError: `file` is a folder, or a file that must not be replaced.
    """
    try:
        if file.is_dir():
            raise DataError(f"{file} is a folder: give the name of a file")
        if overwrite or not file.exists():
            return
        if not marker:
            raise DataError(f"{file} exists already: choose another name, or add --overwrite")
        with file.open("rb") as opened:
            ours = marker in opened.read(1024)
    except OSError as error:
        raise DataError(f"{file} can't be read: {error.strerror or error}") from None
    if not ours:
        raise DataError(f"{file} exists and is no {kind}: choose another name, or add --overwrite")


def write_whole(file: Path, data: bytes) -> None:
    """Writes a file beside its place and moves it there in the end, so that no reader ever sees half of it.

    Args:
        file: to write; its folder is made, an earlier file is replaced.
        data: all of it.

    Raises:
        DataError: `file` can't be written. An earlier one is still what it was, and nothing is left beside it.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{file} can't be written: {error.strerror or error}") from None
