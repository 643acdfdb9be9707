"""`smoothdino data prepare`: NYU Depth v2, from the archives as published to shards that are fast to read in order."""

import argparse
import contextlib
import io
import shlex
import sys
from pathlib import Path

from smoothdino_jax.data.archives import gigabytes
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.nyu_input import find_input

_DESCRIPTION = """\
Turns NYU Depth v2, as Kaggle (DenseDepth) or MIT (FastDepth) publish it, into the TFDS dataset
nyu_depth_v2_video: every frame in order, with its scene, number and gap-free segment. Every frame is decoded
once, so that what is truncated, can't be decoded or fails its checksum comes up now. Archives and PNGs have
checksums, an unpacked JPEG has none: build from the archive. Of a build that is stopped no frame is kept, and
the next one begins anew. After the last frame of a zip its checksum is taken, which takes a while.
Needs pip install 'smoothdino-jax[data]'.
"""
_EXAMPLES = """\
examples:
  From Kaggle's zip as it is; it needn't be unpacked:
    smoothdino data prepare data/nyu-depth-v2.zip -o prepared

  From an unpacked folder that has data/nyu2_train:
    smoothdino data prepare data/nyu-depth-v2 -o prepared

  FastDepth's archive; it is unpacked to prepared/downloads/extracted first (the same size again):
    smoothdino data prepare data/nyudepthv2.tar.gz -o prepared

  Some frames are missing or damaged: leave them out, and list them:
    smoothdino data prepare data/nyu-depth-v2 -o prepared --bad-frames skip

No clip ever reaches over a frame that was left out. `smoothdino data download` gets the archives;
docs/datasets.md tells their depth apart and what disk they take.
"""
_SHOWN = 20  # skipped files, by name
_SKIPPED = "skipped.txt"  # in the dataset's folder


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand to the command's parser."""
    parser = commands.add_parser(
        "prepare",
        help="prepare NYU Depth v2 for training",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("src", metavar="SRC", help="archive, or folder with it or with what was in it")
    parser.add_argument(
        "-o", "--data-dir", metavar="DATA_DIR", required=True, help="folder for TFDS datasets; made if need be"
    )
    parser.add_argument(
        "--config", choices=("auto", "kaggle", "fastdepth"), default="auto", help="which files SRC has; default: look"
    )
    parser.add_argument(
        "--bad-frames",
        choices=("error", "skip"),
        default="error",
        help="at a frame that is missing or can't be read: stop (the default), or leave it out",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="build again what is there already; the old one is kept until the new one is finished: "
        "there has to be room for both",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    source, config = find_input(Path(args.src).expanduser(), args.config)
    print(f"{source} (config {config}) -> {Path(args.data_dir).expanduser()}", flush=True)
    # It imports tensorflow_datasets, which is slow to load and may be missing.
    from smoothdino_jax.data.nyu_depth_v2_video import prepare

    try:
        # TFDS prints of downloads of unknown size, where there are none.
        with contextlib.redirect_stdout(io.StringIO()):
            prepared = prepare(
                source, args.data_dir, config=config, bad_frames=args.bad_frames, overwrite=args.overwrite
            )
    except DataError as error:
        raise DataError(str(error).replace('build with bad_frames="skip"', "give --bad-frames skip")) from None
    except KeyboardInterrupt:
        print("stopped; no frame that was written is kept: the next run begins anew", file=sys.stderr)
        raise
    frames = ", ".join(f"{count:,} {split}" for split, count in prepared.frames.items())
    print(f"{prepared.folder}: {frames} frames, {gigabytes(prepared.size_bytes)}")
    for line in prepared.skipped[:_SHOWN]:
        print(f"  left out: {line}")
    if prepared.skipped:
        print(f"  {len(prepared.skipped)} files left out, all of them in {prepared.folder / _SKIPPED}")
    folder = shlex.quote(str(prepared.folder))
    print(f"next: smoothdino data inspect {folder}")
    print(f"      python train.py --config=configs/own_video.py --config.data.source.path={folder} --workdir=runs/own")
