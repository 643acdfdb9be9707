"""The Python that README.md shows does run, and does what it says.

Each fenced `python` block runs as it stands in a folder of its own, where there are an image and a camera. One after
a comment `<!-- not run: reason -->` is left out.
"""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_frames import texture

import smoothdino_jax as sd

ROOT = Path(__file__).parents[1]
SIZE = (42, 56)
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


def blocks(page: str) -> list[str]:
    """The blocks of a page that are to run, in their order."""
    return [found["code"] for found in _BLOCK.finditer((ROOT / page).read_text()) if found["reason"] is None]


def cases(page):
    return [pytest.param(code, id=f"{page}-{number}") for number, code in enumerate(blocks(page))]


class Camera:
    """What `cv2.VideoCapture` is to a program: five frames that move, a cut to another scene, then the end."""

    frames = 7

    def __init__(self, index):
        assert index == 0
        self.number, self.released = 0, False
        Camera.last = self

    def isOpened(self):
        return True

    def read(self):
        if self.number == Camera.frames:
            return False, None
        self.number += 1
        moving = np.roll(texture((240, 320)), 3 * self.number, 1)
        return True, np.ascontiguousarray(moving if self.number <= 5 else 255 - texture((240, 320), seed=9))

    def release(self):
        self.released = True


@pytest.fixture
def place(tmp_path, monkeypatch, tiny_model):
    """A folder with an image, a camera, and a model that compiles fast, whatever its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    monkeypatch.setattr(sd, "load", lambda *args, **kwargs: tiny_model)
    cv2.imwrite(str(tmp_path / "image.jpg"), texture(SIZE))
    return tmp_path


def run(code, names=None):
    """What a block leaves, as one who pastes it into a file has it."""
    names = {"__name__": "__main__"} | (names or {})
    exec(compile(code, "block", "exec"), names)
    return names


def block(word):
    """The one block with this word in it."""
    [code] = [code for code in blocks("README.md") if word in code]
    return code


@pytest.mark.parametrize("code", cases("README.md"))
def test_blocks_for_pasting_are_short_and_stand_alone(code):
    assert len(code.splitlines()) <= 20
    assert "import smoothdino_jax as sd" in code
    assert all(len(line) <= 120 for line in code.splitlines())


def test_one_image_becomes_a_png_in_millimetres(place, capsys):
    left = run(block("imwrite"))
    depth = cv2.imread(str(place / "depth.png"), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16
    assert depth.shape == SIZE
    expected = np.asarray(left["model"](left["image"][None])[0])
    assert np.abs(depth / 1000 - expected).max() <= 0.00051  # half a millimetre, rounding
    assert re.fullmatch(r"\d+\.\d\d to \d+\.\d\d m\n", capsys.readouterr().out)


def test_the_camera_loop_tells_the_nearest_distance_of_every_frame(place, capsys):
    left = run(block("VideoCapture"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == Camera.frames
    said = [
        re.fullmatch(r"nearest (\d+\.\d\d) m; moved ([+-].+), ([+-].+) pixels(; new scene)?", line) for line in lines
    ]
    assert all(said)
    assert float(said[-1][1]) == pytest.approx(left["depth"].min(), abs=0.0051)
    for found in said[1:5]:
        assert float(found[2]) == pytest.approx(3, abs=0.5)  # found on less than half the resolution
        assert float(found[3]) == pytest.approx(0, abs=0.3)
    assert left["depth"].shape == (240, 320)
    assert Camera.last.released


def test_the_camera_loop_ends_on_ctrl_c(place, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Camera, "read", interrupted)
    run(block("VideoCapture"))
    assert Camera.last.released


def test_of_several_cameras_one_starts_anew(place, capsys, tiny_model):
    left = run(block("reset="))
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert left["depths"].shape == (2, 112, 154)
    # The second's frames before the restart leave no trace; the first's do.
    rng = np.random.default_rng(0)
    walls = rng.integers(0, 256, (2, 112, 200, 3), np.uint8)
    frames = [walls[:, :, 8 * number : 8 * number + 154] for number in range(4)]
    state = tiny_model.init_state(frames[0])
    for images in frames[2:]:
        depths, state = tiny_model.step(images, state)
    np.testing.assert_allclose(left["depths"][1], depths[1], rtol=1e-4)


def test_the_readme_has_a_block_for_an_image_a_camera_and_several_cameras():
    assert len(blocks("README.md")) == 3


def test_points_lie_where_the_depth_says(place):
    [code] = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/library.md").read_text(), re.MULTILINE | re.DOTALL)
    depth = np.full((480, 640), 2.0, np.float32)
    points = run(code, {"np": np, "depth": depth, "image": texture((480, 640))})["points"]
    np.testing.assert_allclose(points[0, 0], [-319.5 / 525 * 2, -239.5 / 525 * 2, 2])
