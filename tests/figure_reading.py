"""What a figure shows, read back from it."""

import io

from matplotlib.figure import Figure


def rendered(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert file.getvalue()[:4] == b"\x89PNG"
    return file.getvalue()


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def ticks(axis) -> list[str]:
    return [text.get_text() for text in axis.get_ticklabels()]


def legend(figure: Figure) -> list[str]:
    (found,) = figure.legends or [figure.axes[0].get_legend()]
    return [text.get_text() for text in found.get_texts()]
