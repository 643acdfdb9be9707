"""Paths in a page that people mail: what a reader can tell folders apart by, and nobody's home directory."""

import re
from pathlib import Path

_PARTS = 2  # of an absolute path that are shown
_HOME = re.compile(r"\A/(?:(?:home|Users)/[^/]+|root(?=/|\Z))")
# An absolute path in quotes, which may have spaces, or one that starts a word, an argument or an item of a list. What
# follows "://" is no path.
_IN_TEXT = re.compile(r"""(?<=')/[^'\n]+(?=')|(?<=")/[^"\n]+(?=")|(?<![^\s=,'"(\[{])/[^\s'",;)\]}]+""")


def without_homes(text: str) -> str:
    """A text with its absolute paths cut to their last two parts; relative ones stay as they are.

    "eval.py --workdir=/home/jane/runs/demo" -> "eval.py --workdir=…/runs/demo"
    """
    return _IN_TEXT.sub(lambda found: _cut(found.group()), text)


def _cut(path: str) -> str:
    own = Path.home()
    inside = len(own.parts) > 1 and Path(path).is_relative_to(own)
    below = str(Path(path).relative_to(own)).removeprefix(".") if inside else _HOME.sub("", path)
    parts = [part for part in below.split("/") if part]
    if below == path and len(parts) <= _PARTS:
        return path
    return "/".join(["…", *parts[-_PARTS:]])
