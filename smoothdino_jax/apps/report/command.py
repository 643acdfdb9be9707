"""`smoothdino report`: an evaluation as one HTML file."""

import argparse
from pathlib import Path

from smoothdino_jax.apps.report.page import make_report

_DESCRIPTION = """\
Makes one HTML file of what eval.py wrote into WORKDIR: the result in words, tables that sort, figures, and
a player that scrubs image, vanilla, smoothed and error together. The file needs no network and no other
file: mail it, archive it.
"""
_EXAMPLES = """\
examples:
  The report of an evaluation, WORKDIR/report.html:
    python eval.py --config=configs/demo.py --workdir=runs/demo
    smoothdino report runs/demo

  An evaluation in another folder (--config.eval.folder=eval_bathroom), WORKDIR/report_eval_bathroom.html:
    smoothdino report runs/nyu/adapter --folder eval_bathroom

  Each figure as a PNG too, for slides:
    smoothdino report runs/demo --figures runs/demo/figures

A part whose file is missing is left out, and the report says so: pictures and player need eval.py with
eval.pictures=True (the default), curves of the training need WORKDIR/log.jsonl.
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand to the command's parser."""
    parser = commands.add_parser(
        "report",
        help="make one HTML file of an evaluation",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workdir", metavar="WORKDIR", type=Path, help="folder of train.py and eval.py")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE.html",
        type=Path,
        help="file to write (default: WORKDIR/report.html, or WORKDIR/report_NAME.html with --folder NAME); an earlier "
        "report there is replaced",
    )
    parser.add_argument(
        "--folder",
        metavar="NAME",
        default="eval",
        help="folder of the evaluation within WORKDIR (default: eval)",
    )
    parser.add_argument("--figures", metavar="DIR", type=Path, help="write each figure to this folder too, as PNG")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE.html even if it is no report")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    workdir = args.workdir.expanduser()
    output = (args.output or workdir / _file_name(args.folder)).expanduser()
    make_report(workdir, output, args.folder, figures=args.figures, overwrite=args.overwrite)
    print(f"{output} ({output.stat().st_size / 1e6:.1f} MB): open it in a browser")
    if args.figures:
        print(f"{args.figures}: {len(list(args.figures.glob('*.png')))} figures")


def _file_name(folder: str) -> str:
    """Of a report by default: that of another evaluation must not replace the main one's."""
    name = "_".join(part for part in Path(folder).parts if part not in ("/", ".."))
    return "report.html" if name in ("eval", "") else f"report_{name}.html"
