"""Downloads over connections that break, from servers that refuse, move and replace; against a server in a thread."""

import errno
import os
import re
import shutil
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import namedtuple

import pytest
from download_server import BODY, SHA, SIZE, running

from smoothdino_jax.data import downloads
from smoothdino_jax.data.downloads import download
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.public_archives import DOWNLOADS, Download, find


@pytest.fixture
def server(monkeypatch):
    """A running server; no proxy in between, and no waiting between tries."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(downloads, "_PAUSES", (0, 0))
    with running() as server:
        yield server


@pytest.fixture
def listed(server, monkeypatch):
    """Puts the server's file into the table, with these size and checksum."""

    def add(size=SIZE, sha256=SHA):
        entry = Download("frames", server.url, "frames.zip", size, sha256, "CC0", "http://example.org/page", "frames")
        monkeypatch.setitem(DOWNLOADS, "frames", entry)
        return "frames"

    return add


def refused(name, folder, *words, **arguments) -> str:
    """The download fails with one DataError that has all the words, and nothing looks finished."""
    with pytest.raises(DataError) as caught:
        download(name, folder, progress=False, **arguments)
    for word in words:
        assert word in str(caught.value)
    assert not (folder / "frames.zip").exists()
    return str(caught.value)


def test_a_file_arrives_whole_under_its_name(server, listed, tmp_path):
    folder = tmp_path / "new" / "folder"
    assert download(listed(), folder) == folder / "frames.zip"
    assert (folder / "frames.zip").read_bytes() == BODY
    assert os.listdir(folder) == ["frames.zip"]
    assert server.starts == [0]


def test_an_address_that_is_not_in_the_table_will_do(server, tmp_path):
    assert download(f"{server.url}?a=b", tmp_path).read_bytes() == BODY
    assert os.listdir(tmp_path) == ["frames.zip"]


def test_a_file_that_is_there_is_checked_and_not_fetched_again(server, listed, tmp_path):
    (tmp_path / "frames.zip").write_bytes(BODY)
    assert download(listed(), tmp_path) == tmp_path / "frames.zip"
    (tmp_path / "frames.zip").write_bytes(BODY[:-1] + b"x")
    with pytest.raises(DataError, match=r"sha256 is .*delete it"):
        download("frames", tmp_path)
    (tmp_path / "frames.zip").write_bytes(BODY[:-1])
    with pytest.raises(DataError, match="2,999,999 bytes, expected 3,000,000"):
        download("frames", tmp_path)
    assert (tmp_path / "frames.zip").exists()  # by hand, perhaps: not ours to move
    assert server.starts == []


def test_a_part_is_gone_on_with(server, listed, tmp_path):
    (tmp_path / "frames.zip.part").write_bytes(BODY[:1_234_567])
    assert download(listed(), tmp_path).read_bytes() == BODY
    assert server.starts == [1_234_567]
    assert os.listdir(tmp_path) == ["frames.zip"]


@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_part_that_lacks_nothing_is_finished(server, listed, tmp_path, size):
    (tmp_path / "frames.zip.part").write_bytes(BODY)
    assert download(listed(size), tmp_path).read_bytes() == BODY
    assert server.starts == ([] if size else [len(BODY)])


@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_part_longer_than_the_file_is_fetched_anew(server, listed, tmp_path, size):
    (tmp_path / "frames.zip.part").write_bytes(BODY + b"x")
    assert download(listed(size), tmp_path).read_bytes() == BODY
    assert server.starts[-1] == 0


def test_a_cut_connection_is_taken_up_where_it_broke(server, listed, tmp_path):
    server.cuts = (700_000, 1_000_000)
    assert download(listed(), tmp_path).read_bytes() == BODY
    assert server.starts == [0, 700_000, 1_700_000]


def test_a_chunked_answer_that_breaks_is_no_whole_file(server, tmp_path):
    server.chunked = True
    server.cuts = (2**20 + 5,)
    assert download(server.url, tmp_path).read_bytes() == BODY
    assert len(server.starts) == 2


def test_a_server_that_keeps_breaking_leaves_the_part(server, listed, tmp_path):
    server.cuts = (500_000, 0, 0, 0, 0)
    message = refused(listed(), tmp_path, "500,000 of 3,000,000", "kept in", "same command", "http://example.org/page")
    assert message.endswith(f"then: smoothdino data download frames -o {tmp_path}")
    assert (tmp_path / "frames.zip.part").read_bytes() == BODY[:500_000]
    server.cuts = ()
    assert download("frames", tmp_path).read_bytes() == BODY
    assert server.starts[-1] == 500_000


def test_a_server_without_ranges_starts_over(server, listed, tmp_path):
    server.ranges = False
    (tmp_path / "frames.zip.part").write_bytes(b"x" * 1000)
    assert download(listed(), tmp_path).read_bytes() == BODY


def test_a_file_replaced_on_the_server_is_not_mixed_with_the_old_part(server, tmp_path):
    part = tmp_path / "frames.zip.part"
    part.write_bytes(b"x" * 1000)
    os.utime(part, (time.time() - 86_400,) * 2)
    server.modified = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 60))
    assert download(server.url, tmp_path).read_bytes() == BODY
    assert server.starts == [1000, 0]


def test_a_wrong_checksum_is_refused_and_the_next_try_starts_afresh(server, listed, tmp_path):
    message = refused(listed(sha256="0" * 64), tmp_path, SHA, "0" * 64, "frames.zip.wrong", "--sha256")
    assert os.listdir(tmp_path) == ["frames.zip.wrong"]
    assert "delete it" in message
    assert download("frames", tmp_path, sha256=SHA.upper()).read_bytes() == BODY
    assert server.starts == [0, 0]


def test_another_size_is_refused_before_a_byte_is_written(server, listed, tmp_path):
    refused(listed(size=2_999_999), tmp_path, "3,000,000 bytes on the server, expected 2,999,999")
    assert os.listdir(tmp_path) == []
    # A checksum of one's own stands for the table's size too.
    assert download("frames", tmp_path, sha256=SHA).read_bytes() == BODY


def test_a_full_disk_is_noticed_before_a_byte_is_written(server, listed, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1_000_000))
    refused(listed(), tmp_path, "frames.zip takes about 3 MB", "only 1 MB are free")
    assert os.listdir(tmp_path) == []
    (tmp_path / "frames.zip.part").write_bytes(BODY[:2_500_000])
    assert download("frames", tmp_path).read_bytes() == BODY  # only the rest needs room


def test_a_disk_that_fills_up_meanwhile_leaves_the_part(server, listed, tmp_path, monkeypatch):
    def full(response):
        yield BODY[:1000]
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(downloads, "_chunks", full)
        refused(listed(), tmp_path, "No space left on device", "kept", "same command")
    assert download("frames", tmp_path).read_bytes() == BODY
    assert server.starts == [0, 1000]


def test_ctrl_c_leaves_the_part(server, listed, tmp_path, monkeypatch):
    def interrupted(response):
        yield BODY[:1000]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(downloads, "_chunks", interrupted)
        with pytest.raises(KeyboardInterrupt):
            download(listed(), tmp_path)
    assert os.listdir(tmp_path) == ["frames.zip.part"]
    assert download("frames", tmp_path).read_bytes() == BODY
    assert server.starts == [0, 1000]


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, ("404", "moved")), (403, ("403", "account", "log in")), (503, ("503", "Try later"))],
)
def test_a_refusing_server_is_quoted_and_the_way_by_hand_told(server, listed, tmp_path, status, words):
    server.status = status
    message = refused(listed(), tmp_path, *words, "http://example.org/page", str(tmp_path / "frames.zip"))
    assert message.endswith(f"then: smoothdino data download frames -o {tmp_path}")
    assert refused("frames", tmp_path, then="go on").endswith(f"to {tmp_path / 'frames.zip'}, then: go on")
    assert server.starts == [0, 0]
    assert os.listdir(tmp_path) == []


def test_a_web_page_in_place_of_the_file_is_refused(server, listed, tmp_path):
    server.kind = "text/html; charset=utf-8"
    (tmp_path / "frames.zip.part").write_bytes(BODY[:1000])
    server.ranges = False
    refused(listed(None, None), tmp_path, "web page", "log in", "by hand")
    assert (tmp_path / "frames.zip.part").read_bytes() == BODY[:1000]


def test_an_answer_of_unknown_length_needs_a_checksum(server, tmp_path):
    server.length = False
    refused(server.url, tmp_path, "how long", "--sha256")
    assert download(server.url, tmp_path, sha256=SHA).read_bytes() == BODY


def test_without_a_network_the_way_by_hand_is_told(tmp_path, listed, server, monkeypatch):
    entry = find(listed())._replace(url="http://127.0.0.1:9/frames.zip")
    monkeypatch.setitem(DOWNLOADS, "frames", entry)
    message = refused("frames", tmp_path, "no connection", "refused", "by hand from http://example.org/page")
    assert "proxy" not in message  # somebody answered
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "reason", [socket.gaierror(-2, "Name or service not known"), OSError(errno.ENETUNREACH, "Network is unreachable")]
)
def test_a_name_that_is_not_found_may_want_a_proxy(tmp_path, listed, monkeypatch, reason):
    def urlopen(*_, **__):
        raise urllib.error.URLError(reason)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    refused(listed(), tmp_path, f"no connection ({reason}; no network, or is a proxy needed?). Try later, or download")


def test_a_folder_that_can_not_be_made_is_told(listed, server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="can't be written"):
        download(listed(), tmp_path / "file" / "folder")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tum/freiburg1_xzy", ("did you mean tum/freiburg1_xyz",)),
        ("zzz", ("no dataset 'zzz'", "--list")),
        ("file:///etc/passwd", ("http(s) address",)),
        ("http://example.org/", ("http(s) address",)),
        ("http://example.org/a%2F..%2Fb", ("http(s) address",)),
        ("http://example.org/..", ("http(s) address",)),
    ],
)
def test_what_is_neither_name_nor_address_is_refused(tmp_path, name, words):
    refused(name, tmp_path, *words)


def test_a_checksum_that_is_none_is_refused(tmp_path):
    refused("tum/freiburg1_xyz", tmp_path, "64 hexadecimal digits", sha256="abc")


def test_the_table_is_sound():
    assert len(DOWNLOADS) == 15
    for name, entry in DOWNLOADS.items():
        assert entry.name == name
        assert urllib.parse.urlsplit(entry.url).scheme in ("http", "https")
        assert entry.page.startswith("https://")
        assert entry.file.endswith((".zip", ".tgz", ".tar.gz"))
        assert entry.bytes is None or entry.bytes > 10**8
        assert (entry.about is None) is (entry.bytes is not None)
        assert entry.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
        assert entry.licence
        assert entry.what
    assert len({entry.file for entry in DOWNLOADS.values()}) == 15
