"""The part of the page that shows a frame: image, vanilla and smoothed depth, and the metres under the pointer.

The browser gets the depth itself, in millimetres, and colours it there; so what the pointer reads is the depth of
that pixel, not a colour read back. Larger frames are sampled to the size shown, by their nearest pixel: each value is
still one that the model gave.
"""

import base64
import functools
import json
import zlib
from importlib.resources import files

import cv2
import gradio as gr
import numpy as np

from smoothdino_jax.apps.figures import colour
from smoothdino_jax.apps.web.depth_zip import millimetres
from smoothdino_jax.apps.web.session import Progress
from smoothdino_jax.apps.web.take import Seen
from smoothdino_jax.apps.web.uploads import ENDINGS, Limits

SHOWN = 512  # pixels, the long side of what is sent
_HERE = files("smoothdino_jax.apps.web")


def viewer(limits: Limits) -> gr.HTML:
    """The component; its value is a `payload`, None leaves it empty.

    Its message is also where uploads are refused that need not be sent for that, by their name or size.
    """
    return gr.HTML(
        None,
        html_template=_read("viewer.html"),
        css_template=_read("viewer.css"),
        js_on_load=_read("viewer.js") + _read("uploads.js"),
        apply_default_css=False,
        elem_id="viewer",
        colours=_colours(),
        endings=list(ENDINGS),
        megabytes=limits.megabytes,
    )


def payload(progress: Progress) -> str:
    """What the browser needs to show how a take goes on: JSON.

    As text: Gradio's page would make every part of an object observable, at each frame.
    """
    seen = progress.seen
    return json.dumps(
        {
            "message": progress.message,
            "kind": progress.kind,
            "share": progress.share,
            "stop": progress.stop,
            "frame": None if seen is None else _frame(seen),
        }
    )


def _frame(seen: Seen) -> dict:
    height, width = seen.image.shape[:2]
    # The correlation may be negative around its peak, which is more than 1 then by as much.
    shift = seen.shift._replace(response=min(1, seen.shift.response))
    scale = min(1, SHOWN / max(height, width))
    shown = max(1, round(height * scale)), max(1, round(width * scale))
    # The same rule as in viewer.js: the pixel under the middle of the one that is shown.
    rows, columns = (
        ((np.arange(n) + 0.5) * whole / n).astype(int) for n, whole in zip(shown, (height, width), strict=True)
    )
    depths = {name: millimetres(depth[rows[:, None], columns]) for name, depth in seen.depths.items()}
    image = cv2.resize(seen.image, shown[::-1], interpolation=cv2.INTER_AREA) if scale < 1 else seen.image
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return {
        "number": seen.number,
        "time": seen.time,
        "size": [height, width],
        "shown": list(shown),
        "image": _base64(jpeg.tobytes()),
        "depths": {name: _base64(zlib.compress(depth.astype("<u2").tobytes(), 1)) for name, depth in depths.items()},
        "range": list(seen.depth_range),
        "shift": dict(zip(("dx", "dy", "response"), map(float, shift), strict=True)),
        "cuts": int(seen.cuts),
        "latency": _known(seen.latency),
        "fps": _known(seen.fps),
    }


@functools.cache
def _colours() -> str:
    """The 256 colours of depth from near to far, RGB bytes."""
    levels = np.arange(256)[None] / 255
    return _base64(colour(levels, (0, 1), known=np.ones_like(levels, bool)).tobytes())


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None  # JSON has no NaN


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _read(name: str) -> str:
    return (_HERE / name).read_text("utf-8")
