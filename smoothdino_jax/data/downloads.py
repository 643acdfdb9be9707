"""Fetching public RGB-D archives.

Archives of gigabytes come over connections that break, so a download goes on where it stopped, and no file has
its final name before its size and checksum are right, as far as they are known: for a file with neither in the table
there is only the length that the server announces. By urllib: the HTTP client that huggingface_hub brings changes
with its version, and pooch starts over after every cut.
"""

import email.utils
import errno
import http.client
import os
import re
import shlex
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from absl import logging
from tqdm import tqdm

from smoothdino_jax.data.archives import check_space, gigabytes, say, sha256_of
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.public_archives import Download, find

_CHUNK = 2**20
_TIMEOUT = 60  # seconds without a byte
# Seconds to wait before each new try, once a connection has broken that had brought something.
_PAUSES = (1, 2, 4, 8, 16, 32)


def download(
    name_or_url: str,
    folder: str | os.PathLike,
    *,
    sha256: str | None = None,
    then: str | None = None,
    progress: bool = True,
) -> Path:
    """Fetches an archive, going on with what an earlier call left in `FILE.part`.

    A file that is there already is checked, as far as its size and checksum are known, and not fetched again. A
    connection that breaks is taken up again for about a minute. Stopped in between (Ctrl-C, too), the part stays.

    Args:
        name_or_url: a name in `DOWNLOADS`, or any http(s) address of a file.
        folder: where to put it; made if need be.
        sha256: what its checksum has to be, instead of the table's size and checksum.
        then: for messages, the command to give once the file was downloaded by hand; default: one that checks it.
        progress: show a bar on stderr, if that is a terminal.

    Returns:
        The file.

    Raises:
        DataError: unknown name, no network, refused by the server, disk full, wrong size or checksum.
    """
    entry = find(name_or_url)
    if sha256 is not None:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
            raise DataError(f"{sha256!r} is no sha256: 64 hexadecimal digits.")
        entry = entry._replace(bytes=None, sha256=sha256.lower())
    folder = Path(folder).expanduser()
    target = folder / entry.file
    part = folder / f"{entry.file}.part"
    try:
        if target.exists():
            _check(target, entry, progress)
            return target
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(entry, part, progress)
        _check(part, entry, progress)
        part.rename(target)
    except _ByHandError as error:
        then = then or shlex.join(["smoothdino", "data", "download", name_or_url, "-o", str(folder)])
        raise DataError(f"{error}download it by hand from {entry.page} to {target}, then: {then}") from None
    except OSError as error:
        kept = " What has arrived is kept; run the same command again to go on." if part.exists() else ""
        raise DataError(f"{target} can't be written: {error.strerror or error}.{kept}") from None
    return target


def _check(path: Path, entry: Download, progress: bool) -> None:
    size = path.stat().st_size
    if entry.sha256 and size > 1e9:
        say(f"checking {path}", progress)
    if entry.bytes not in (None, size):
        problem = f"{size:,} bytes, expected {entry.bytes:,}"
    elif entry.sha256 is not None and (found := sha256_of(path)) != entry.sha256:
        problem = f"its sha256 is {found}, expected {entry.sha256}"
    else:
        return
    if path.name != entry.file:
        # Not to be taken for a part to go on with.
        path = path.rename(path.with_name(f"{entry.file}.wrong"))
    raise DataError(
        f"{path}: {problem}. It is damaged, or another version: delete it and download it again. If the publisher "
        "has replaced it, give the new checksum with --sha256."
    )


class _ByHandError(Exception):
    """The server won't give the file; the message is one to which the way by hand is added."""


class _CutError(Exception):
    """The connection broke or could not be made; the message says how."""


def _fetch(entry: Download, part: Path, progress: bool) -> None:
    """Fetches what `part` lacks, with a new try after a cut."""
    pauses = iter(())  # An address that never answered is not tried again.
    while True:
        before = _size(part)
        try:
            return _fetch_rest(entry, part, progress)
        except _CutError as error:
            cut = error
        if _size(part) > before:
            pauses = iter(_PAUSES)
        pause = next(pauses, None)
        if pause is None:
            what = "Try later"
            if part.exists():
                what = f"{gigabytes(_size(part))} are kept in {part}, the same command goes on from there"
            raise _ByHandError(f"{entry.url}: {cut}. {what}, or ")
        logging.warning("%s: %s; trying again in %d s", entry.file, cut, pause)
        time.sleep(pause)


def _fetch_rest(entry: Download, part: Path, progress: bool) -> None:
    """One connection; _CutError if it does not bring all."""
    start = _size(part)
    if start and start == entry.bytes:
        return
    if start > (entry.bytes or start):
        part.unlink()
        start = 0
    try:
        response = _open(entry, start)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not start:
            account = "It wants an account: log in, and " if error.code in (401, 403) else "Perhaps it has moved: "
            text = f"{entry.url}: the server answered {error.code} {error.reason}. {account}"
            raise _ByHandError(text) from None
        if error.headers.get("Content-Range", "").endswith(f"/{start}"):
            return  # Nothing is missing.
        part.unlink()
        return _fetch_rest(entry, part, progress)
    with response:
        if start and response.status == 206 and _changed_since(response, part.stat().st_mtime):
            logging.warning("%s has changed on the server: starting over", entry.file)
            part.unlink()
            return _fetch_rest(entry, part, progress)
        total, first = _extent(response, entry, start)
        if first < start:
            logging.warning("%s: the server can't go on in the middle: starting over", entry.file)
        if total is not None:
            check_space(part.parent, total - first, f"the rest of {entry.file}" if first else entry.file)
        with part.open("ab" if first else "wb") as file, _bar(total, first, entry.file, progress) as bar:
            for chunk in _chunks(response):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and _size(part) < total:
        raise _CutError(f"the connection broke after {_size(part):,} of {total:,} bytes")
    if total is not None and _size(part) > total:
        part.unlink()
        raise DataError(
            f"{part}: more bytes than the {total:,} announced; is it downloaded twice at once? Start again."
        )


def _open(entry: Download, start: int) -> http.client.HTTPResponse:
    # Some servers turn away urllib's own name.
    headers = {"User-Agent": "smoothdino-jax"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        return urllib.request.urlopen(urllib.request.Request(entry.url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 429 or error.code >= 500:
            raise _CutError(f"the server answered {error.code} {error.reason}") from None
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        hint = "; no network, or is a proxy needed?" if _is_offline(reason) else ""
        raise _CutError(f"no connection ({reason}{hint})") from None


def _is_offline(reason: object) -> bool:
    unreachable = (errno.ENETUNREACH, errno.EHOSTUNREACH)
    return isinstance(reason, socket.gaierror) or getattr(reason, "errno", None) in unreachable


def _extent(response: http.client.HTTPResponse, entry: Download, start: int) -> tuple[int | None, int]:
    """The whole file's size (None if not told) and the first byte that this response brings."""
    if response.headers.get_content_type() == "text/html" and not entry.file.endswith((".html", ".htm")):
        raise _ByHandError(f"{entry.url}: a web page came instead of {entry.file}, perhaps to log in: ")
    total, first = response.headers.get("Content-Length"), 0
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != start:
            raise DataError(f"{entry.url}: the server sent another part than asked for: delete the .part file.")
        total, first = match[2], start
    total = None if total is None else int(total)
    if total is None and entry.bytes is None and entry.sha256 is None and not response.chunked:
        raise DataError(f"{entry.url}: the server does not say how long the file is: give its checksum with --sha256.")
    if total is not None and entry.bytes not in (None, total):
        raise DataError(
            f"{entry.url}: {total:,} bytes on the server, expected {entry.bytes:,}: another version. See {entry.page}; "
            "to take it all the same, give its checksum with --sha256."
        )
    return (entry.bytes if total is None else total), first


def _changed_since(response: http.client.HTTPResponse, moment: float) -> bool:
    try:
        return email.utils.parsedate_to_datetime(response.headers["Last-Modified"]).timestamp() > moment
    except (TypeError, ValueError):
        return False


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """What the response brings; network errors only, so that a full disk is not taken for a cut."""
    while True:
        try:
            chunk = response.read1(_CHUNK)  # what is there already: a cut loses nothing
        except (OSError, http.client.HTTPException) as error:
            raise _CutError(f"the connection broke ({str(error) or type(error).__name__})") from None
        if not chunk:
            return
        yield chunk


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _bar(total: int | None, initial: int, text: str, progress: bool) -> tqdm:
    off = None if progress else True  # None: off unless stderr is a terminal.
    return tqdm(total=total, initial=initial, desc=text, unit="B", unit_scale=True, disable=off)
