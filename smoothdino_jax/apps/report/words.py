"""How a report writes names and numbers of things.

Names of rows and folders stand between backticks until they are shown, so that none is read as a word of its sentence.
"""

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

LEAST = 5e-4
"""A relative change below reads as the same; of a gain below, shares are shares of nothing."""

_NAME = re.compile("`([^`]*)`")


def named(name: str) -> str:
    """A name within a sentence: "`adapter`"."""
    return f"`{name.replace('`', chr(39))}`"


def as_html(text: str) -> Markup:
    """A sentence as markup: names as code, a number and its unit on one line."""
    tight = re.sub(r"(?<=\d) (?=(?:%|m²|ms)(?!\w))", "\N{NO-BREAK SPACE}", text)
    return Markup(_NAME.sub(r"<code>\1</code>", str(escape(tight))))


def as_text(text: str) -> str:
    """A sentence where there is no markup: names in quotation marks."""
    return _NAME.sub("“\\1”", text)


def counted(count: int, name: str) -> str:
    """A number of things: "1 scene", "16 scenes"."""
    return f"{count:,} {name}" + "s" * (count != 1)


def listed(items: Sequence[str]) -> str:
    """An enumeration: "a, b and c"."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
