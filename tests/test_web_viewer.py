"""What the browser gets: depth, numbers, and which files it lets people choose."""

import base64
import json
import zlib

import av
import cv2
import numpy as np
import pytest

from smoothdino_jax.apps.web.session import Progress
from smoothdino_jax.apps.web.take import Seen
from smoothdino_jax.apps.web.uploads import ENDINGS, KINDS
from smoothdino_jax.models.phase_correlation import Shift

pytest.importorskip("gradio", reason="gradio is not installed: pip install -e .[web]")

from smoothdino_jax.apps.web.viewer import SHOWN, payload

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # Gradio's, see web_page.py


@pytest.mark.parametrize("size", [(42, 56), (300, 1300), (1300, 300)])
def test_the_browser_gets_the_depth_itself(size):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    depth = rng.uniform(0.5, 9, size).astype(np.float32)
    seen = Seen(0, 0.0, image, {"vanilla": depth}, (0.0, 10.0), Shift(1.0, -2.0, 0.5), 0, 12.0, np.nan)
    frame = json.loads(payload(Progress("", seen=seen)))["frame"]
    height, width = frame["shown"]
    assert max(height, width) <= SHOWN
    assert width / height == pytest.approx(size[1] / size[0], rel=0.02)
    sent = np.frombuffer(zlib.decompress(base64.b64decode(frame["depths"]["vanilla"])), "<u2").reshape(height, width)
    rows = [int((row + 0.5) * size[0] / height) for row in range(height)]
    columns = [int((column + 0.5) * size[1] / width) for column in range(width)]
    assert np.abs(sent / 1000 - depth[np.ix_(rows, columns)]).max() <= 0.00051
    assert frame["fps"] is None  # JSON has no NaN
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(frame["image"]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (height, width, 3)


@pytest.mark.parametrize(("response", "shown"), [(0.5, 0.5), (1.02, 1)])  # what is around the peak may be negative
def test_the_response_is_shown_as_a_share(response, shown):
    image = np.zeros((4, 4, 3), np.uint8)
    seen = Seen(1, 0.1, image, {}, (0.0, 10.0), Shift(0.0, 0.0, response), 0, 12.0, 5.0)
    assert json.loads(payload(Progress("", seen=seen)))["frame"]["shift"]["response"] == shown


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_each_kind_can_be_chosen_by_their_ending(kind):
    endings = {f".{ending}" for ending in av.ContainerFormat(kind).extensions}
    assert endings & set(KINDS[kind])
    assert endings & set(ENDINGS)
