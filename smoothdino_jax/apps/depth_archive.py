"""One `.npz` for a whole video: an array per frame, written as frames come; memory holds half a kB for each.

`np.savez` wants all arrays at once. Here each frame becomes an uncompressed entry of the ZIP archive as soon as it is
there, with its size and checksum before it and its time in the entry's extra field. The archive's directory, without
which `np.load` can't read it, is written at the end; until then, and after a kill, the entries can be found one
behind the other from the start of the file, which is how a run goes on.
"""

import io
import os
import struct
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from smoothdino_jax.apps.output_places import unwritable
from smoothdino_jax.data.frames import DataError

_HEADER = struct.Struct("<4s5H3L2H")  # a local file header, PKWARE's APPNOTE 4.3.7
_TIME = struct.Struct("<HHd")  # an extra field: a number that nobody has registered, the length, seconds
_TIME_ID = 0x4454


class DepthArchive:
    """Writes `X.npz`: `000000`, `000001`, … `(H, W)` float32 metres, and `time`, `(N,)` float64 seconds.

    Only once it is closed can `np.load` read it. Of what a kill leaves, `keep` makes a readable one again.

    Attributes:
        whole: frames that are kept and written.
    """

    def __init__(self, path: str | os.PathLike, *, keep: int = 0):
        """Prepares to write.

        The file is made, or cut to what is kept, by the first frame. Without one, all that an unclosed archive holds
        stays in it, and closing makes it readable.

        Args:
            path: a file that is there is overwritten.
            keep: frames to keep of the file that is there.

        Raises:
            DataError: the file isn't such an archive, or holds less.
        """
        self._path, self._file = Path(path), None
        self._entries = _entries(self._path) if keep else []
        self._keep: int | None = keep  # until they are cut to it
        if len(self._entries) < keep:
            raise DataError(f"{path} holds {len(self._entries)} whole frames, not {keep}: start anew with --overwrite")

    @property
    def whole(self) -> int:
        return len(self._entries) if self._keep is None else self._keep

    def __enter__(self) -> "DepthArchive":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def write(self, depth: np.ndarray, time: float) -> None:
        """Appends a frame.

        Args:
            depth: `(H, W)` float32.
            time: seconds from the start of the video.

        Raises:
            DataError: the file can't be written; the frames before are whole.
        """
        depth, header = np.ascontiguousarray(depth, "<f4"), io.BytesIO()
        np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(depth))
        start, end = header.getvalue(), self._end(self.whole)
        entry = zipfile.ZipInfo(f"{self.whole:06d}.npy")
        entry.file_size = entry.compress_size = len(start) + depth.nbytes
        entry.CRC, entry.header_offset = zlib.crc32(depth, zlib.crc32(start)), end
        entry.extra = _TIME.pack(_TIME_ID, 8, time)
        try:
            if self._file is None:
                self._file = self._opened(self.whole)
                del self._entries[self.whole :]
                self._keep = None
            self._file.write(entry.FileHeader() + start)
            self._file.write(depth)
            self._file.flush()
        except OSError as error:
            self._let_go()
            raise unwritable(self._path, error, f"writing frame {self.whole} failed") from None
        self._entries.append(entry)

    def close(self) -> None:
        """Writes the times and the directory. Without frames there is no file."""
        if not self._entries or (self._file is None and zipfile.is_zipfile(self._path)):
            return
        self._let_go()
        try:
            # A file object that stands at its end: ZipFile goes on there, and writes the directory of all it knows.
            with self._opened(len(self._entries)) as file, zipfile.ZipFile(file, "w") as archive:
                for entry in self._entries:
                    archive.filelist.append(entry)
                    archive.NameToInfo[entry.filename] = entry
                times = io.BytesIO()
                np.save(times, np.array([_TIME.unpack(entry.extra)[2] for entry in self._entries], np.float64))
                archive.writestr(zipfile.ZipInfo("time.npy"), times.getvalue())
        except OSError as error:
            raise unwritable(
                self._path, error, f"all {len(self._entries)} frames are in, but writing its end failed"
            ) from None

    def _end(self, count: int) -> int:
        return _end(self._entries[count - 1]) if count else 0

    def _opened(self, count: int) -> io.BufferedIOBase:
        """The file, cut behind so many entries."""
        file = open(self._path, "r+b" if count else "wb")  # noqa: SIM115
        if count:
            file.seek(self._end(count))
            file.truncate()
        return file

    def _let_go(self) -> None:
        """Closes the file, whatever it still fails to write."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()


def whole_depths(path: str | os.PathLike) -> int:
    """How many frames a `DepthArchive` holds, closed or not.

    Raises:
        DataError: the file isn't one.
    """
    return len(_entries(Path(path)))


def _entries(path: Path) -> list[zipfile.ZipInfo]:
    """The frames that lie one behind the other from the file's start; the first that isn't whole ends them."""
    entries, offset = [], 0
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            while entry := _entry(file, f"{len(entries):06d}.npy", offset):
                if (end := _end(entry)) > size:
                    return entries
                entries.append(entry)
                offset = end
    except OSError as error:
        raise unwritable(path, error, "can't be read") from None
    if not entries and size:
        raise DataError(
            f"{path} is no archive that could be gone on with, this program did not write it: choose another name, "
            "or --overwrite"
        )
    return entries


def _entry(file, name: str, offset: int) -> zipfile.ZipInfo | None:
    file.seek(offset)
    header = file.read(_HEADER.size + len(name) + _TIME.size)
    if len(header) < _HEADER.size + len(name) + _TIME.size:
        return None
    signature, *_, crc, packed, length, name_length, extra_length = _HEADER.unpack_from(header)
    extra = header[-_TIME.size :]
    ours = (signature, name_length, extra_length) == (b"PK\3\4", len(name), _TIME.size)
    if not ours or header[_HEADER.size : -_TIME.size] != name.encode() or _TIME.unpack(extra)[:2] != (_TIME_ID, 8):
        return None
    entry = zipfile.ZipInfo(name)
    entry.CRC, entry.compress_size, entry.file_size = crc, packed, length
    entry.header_offset, entry.extra = offset, extra
    return entry


def _end(entry: zipfile.ZipInfo) -> int:
    return entry.header_offset + _HEADER.size + len(entry.filename) + _TIME.size + entry.compress_size
