"""`smoothdino data download`: public RGB-D archives, fetched and unpacked."""

import argparse
import shlex
import sys
from pathlib import Path

from smoothdino_jax.data.archives import gigabytes, sha256_of
from smoothdino_jax.data.downloads import download
from smoothdino_jax.data.public_archives import DOWNLOADS, Download, find
from smoothdino_jax.data.unpacking import SUFFIXES, stem_of, unpack

_DESCRIPTION = """\
Downloads a public RGB-D archive, and unpacks it with --unpack. A download that was stopped goes on where it was when
the same command is run again. Size and checksum are checked as far as they are known. Without NAME: the table of what
there is.
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

  Downloaded by hand to data/nyudepthv2.tar.gz: this checks and unpacks it:
    smoothdino data download fastdepth -o data --unpack

The licences are those of the publishers; read them before use. docs/datasets.md has more on each dataset.
"""
_NEXT = """\
next: smoothdino data download NAME -o data --unpack
      for NYU Depth v2 without --unpack, and then: smoothdino data prepare FILE -o prepared"""
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
        unpacked = folder / stem_of(Path(entry.file))
        if unpacked.exists():
            print(f"{unpacked} is there already; to unpack anew, move it away")
            _say_next(entry, unpacked)
            return
    target = folder / entry.file
    if target.exists():
        print(f"found {target}; nothing is downloaded")
    else:
        print(f"{entry.url} ({entry.size or 'size unknown'}) -> {target}")
    if entry.name in DOWNLOADS:
        print(f"  licence  {entry.licence}; terms: {entry.page}", flush=True)
    try:
        archive = download(args.name, folder, sha256=args.sha256, then=_then(args, entry, target))
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
        print(f"next: {_prepare(archive)}")
    elif entry.file.lower().endswith(SUFFIXES):
        print(f"next: {_command('data', 'download', args.name, '-o', folder, '--unpack')}")


def _say_next(entry: Download, folder: Path) -> None:
    while len(inner := list(folder.iterdir())) == 1 and inner[0].is_dir():
        folder = inner[0]
    print(f"next: {_command('data', 'inspect', folder)}")
    if entry.name in _PREPARED:
        print(f"      {_prepare(folder)}")


def _then(args: argparse.Namespace, entry: Download, target: Path) -> str:
    """What to do with an archive that was downloaded by hand: the same again, if there is something left to do."""
    if entry.name in _PREPARED and not (args.unpack or args.sha256 or entry.sha256):
        return _prepare(target)
    checksum = ("--sha256", args.sha256) if args.sha256 else ()
    unpack_too = ("--unpack",) if args.unpack else ()
    return _command("data", "download", args.name, "-o", args.output, *unpack_too, *checksum)


def _prepare(path: Path) -> str:
    return _command("data", "prepare", path, "-o", "prepared")


def _command(*words: object) -> str:
    return shlex.join(["smoothdino", *map(str, words)])


def _table() -> str:
    rows = [("NAME", "SIZE", "LICENCE", "WHAT")]
    for entry in DOWNLOADS.values():
        rows.append((entry.name, entry.size or "?", entry.licence, entry.what))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, "", _NEXT])
