"""`smoothdino data download`: public RGB-D archives, fetched and unpacked."""

import argparse
import gzip
import os
import secrets
import shlex
import shutil
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from smoothdino_jax.data.archives import check_space, gigabytes, sha256_of
from smoothdino_jax.data.downloads import download
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.public_archives import DOWNLOADS, Download, find

_DESCRIPTION = """\
Downloads a public RGB-D archive and unpacks it. A download that was stopped goes on where it was when the same
command is run again; what is complete has been checked. Without NAME: the table of what there is.
"""
_EXAMPLES = """\
examples:
  What there is:
    smoothdino data download

  A short sequence of TUM RGB-D (448 MB), unpacked to data/rgbd_dataset_freiburg1_xyz:
    smoothdino data download tum/freiburg1_xyz -o data --unpack

  NYU Depth v2 as the paper used it, made ready for training without unpacking:
    smoothdino data download nyu_kaggle -o data
    smoothdino data prepare data/nyu-depth-v2.zip -o prepared

  An archive from elsewhere:
    smoothdino data download https://example.org/frames.zip -o data --unpack

  Downloaded by hand to data/nyu_data.zip: this checks and unpacks it:
    smoothdino data download densedepth -o data --unpack

The licences are those of the publishers; read them before use. docs/datasets.md has more on each dataset.
"""
_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
# Left in archives by file managers; in 7-Scenes some of them are damaged.
_LITTER = ("Thumbs.db", ".DS_Store", "__MACOSX")
# What damage, and encryption, raises.
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
)
_PREPARED = ("nyu_kaggle", "densedepth", "fastdepth")


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand to the command's parser."""
    parser = commands.add_parser(
        "download",
        help="download and unpack a public RGB-D archive",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="name from the table, or an http(s) address")
    parser.add_argument("-o", "--output", metavar="FOLDER", default="data", help="where to; default: data")
    parser.add_argument("--unpack", action="store_true", help="unpack it too, to a folder of the archive's name")
    parser.add_argument("--list", action="store_true", help="print the table and stop")
    parser.add_argument("--sha256", metavar="HEX", help="what the checksum has to be, instead of the known one")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    if args.list or args.name is None:
        print(_table())
        return
    entry, folder = find(args.name), Path(args.output).expanduser()
    if args.unpack:
        unpacked = folder / _stem(Path(entry.file))
        if unpacked.exists():
            print(f"{unpacked} is there already; to unpack anew, move it away")
            _say_next(entry, unpacked)
            return
    size = "size unknown" if entry.bytes is None else gigabytes(entry.bytes)
    print(f"{entry.url} ({size}) -> {folder / entry.file}")
    if entry.name in DOWNLOADS:
        print(f"  licence  {entry.licence}; terms: {entry.page}", flush=True)
    try:
        archive = download(args.name, folder, sha256=args.sha256)
    except KeyboardInterrupt:
        print(f"stopped; what has arrived is kept in {folder}: run the same command to go on", file=sys.stderr)
        raise
    if args.sha256 or entry.sha256:
        print(f"{archive}: {gigabytes(archive.stat().st_size)}, sha256 as expected")
    else:
        print(f"{archive}: {gigabytes(archive.stat().st_size)}, sha256 {sha256_of(archive)} (nothing to compare with)")
    if args.unpack:
        unpacked = unpack(archive)
        print(f"{unpacked}: unpacked; {archive} is no longer needed")
        _say_next(entry, unpacked)
    elif entry.name in _PREPARED:
        print(f"next: {_command('data', 'prepare', archive, '-o', 'prepared')}")
    elif entry.file.lower().endswith(_SUFFIXES):
        print(f"next: {_command('data', 'download', args.name, '-o', folder, '--unpack')}")


def _say_next(entry: Download, folder: Path) -> None:
    while len(inner := list(folder.iterdir())) == 1 and inner[0].is_dir():
        folder = inner[0]
    print(f"next: {_command('data', 'inspect', folder)}")
    if entry.name in _PREPARED:
        print(f"      {_command('data', 'prepare', folder, '-o', 'prepared')}")


def _command(*words: object) -> str:
    return shlex.join(["smoothdino", *map(str, words)])


def _table() -> str:
    rows = [("NAME", "SIZE", "LICENCE", "WHAT")]
    for entry in DOWNLOADS.values():
        size = "?" if entry.bytes is None else gigabytes(entry.bytes)
        rows.append((entry.name, size, entry.licence, entry.what))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, "", f"next: {_command('data', 'download', 'NAME', '-o', 'data', '--unpack')}"])


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
    stem = _stem(archive)
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


def _stem(archive: Path) -> str:
    for suffix in _SUFFIXES:
        if archive.name.lower().endswith(suffix) and len(archive.name) > len(suffix):
            return archive.name[: -len(suffix)]
    raise DataError(f"{archive.name}: no archive that can be unpacked ({', '.join(_SUFFIXES)}).")


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
    if not hasattr(tarfile, "data_filter"):
        raise DataError(f"{archive}: unpacking a tar safely needs Python 3.11.4 or later.")
    size = archive.stat().st_size
    check_space(folder.parent, 1.1 * size, f"unpacking {archive.name}")  # a tar doesn't tell
    off = None if progress else True
    bar = tqdm(total=size, desc=f"unpacking {archive.name}", unit="B", unit_scale=True, disable=off)
    with archive.open("rb") as file, bar, tarfile.open(fileobj=file) as opened:
        for member in opened:
            if not _is_litter(PurePosixPath(member.name)):
                opened.extract(member, folder, filter="data")
            bar.update(file.tell() - bar.n)
        while opened.fileobj.read(2**20):  # gzip checks its sum at the very end, past what tar reads
            pass


def _is_litter(path: PurePosixPath) -> bool:
    return any(part in _LITTER for part in path.parts)


def _path(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{archive}: {name!r} leads out of the archive: it is not to be trusted.")
    return path
