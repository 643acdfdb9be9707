"""The page in a real browser: upload, wait, see depth, read metres, download; and nothing from the network."""

import re
import shutil
import threading
import zipfile

import cv2
import numpy as np
import pytest
from chromium import CHROMIUM, launched
from video_files import clip, write_video

from smoothdino_jax.apps.video_arguments import usual_short_side, working_size
from smoothdino_jax.apps.video_sources import open_video
from smoothdino_jax.apps.web.take import Take
from smoothdino_jax.apps.web.uploads import Limits
from smoothdino_jax.stream import Stream
from smoothdino_jax.weights import load

pytest.importorskip("gradio", reason="gradio is not installed: pip install -e .[web]")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[test]")
from web_page import choose, message, metres, served, start, tabs  # noqa: E402

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH"),
    # Gradio's: what it leaves open (web_page.py), and an option of pandas for the analytics that it always counts.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting.*"),
]

TINY, SIZE, FRAMES = "tiny-synthetic", (84, 112), 12


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def server():
    with served([TINY], Limits(megabytes=1, seconds=60)) as demo:
        yield demo


@pytest.fixture
def open_page(browser, server):
    with tabs(browser, server) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clip") / "walk.mp4", clip(FRAMES, SIZE))


@pytest.fixture(scope="module")
def depths(video):
    """What the model itself says: vanilla and smoothed, each `(T, H, W)`."""
    model = load(TINY)
    stream = Stream(model, size=working_size(SIZE, usual_short_side(model)), compare=True)
    with open_video(video) as frames:
        both = [stream(frame.image) for frame in frames.frames]
    return {name: np.stack(maps) for name, maps in zip(("vanilla", "smoothed"), zip(*both, strict=True), strict=True)}


@pytest.fixture
def gate(monkeypatch):
    """Closed (`clear`), it holds every take at its next frame."""
    gate, see = threading.Event(), Take.see
    gate.set()

    def held(take, *arguments):
        assert gate.wait(30)
        return see(take, *arguments)

    monkeypatch.setattr(Take, "see", held)
    yield gate
    gate.set()


def number(page, name):
    return page.locator(f"[data-number={name}]").inner_text()


def place(page):
    x, y = re.fullmatch(r"x (\d+), y (\d+)", number(page, "point")).groups()
    return int(x), int(y)


def drop(page, name):
    """As if a file had been dragged there."""
    page.evaluate(
        """name => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File(["any"], name));
          const target = document.querySelector("#file button");
          for (const kind of ["dragenter", "drop"]) {
            target.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer }));
          }
        }""",
        name,
    )


def check_reading(page, depths):
    x, y = place(page)
    for name, maps in depths.items():
        assert metres(page, name) == pytest.approx(maps[-1, y, x], abs=0.0056), (name, x, y)
    return x, y


def test_upload_wait_see_depth_read_metres_download(open_page, video, depths, tmp_path):
    page = open_page()
    assert page.locator("#start").is_disabled()
    coming = "e => getComputedStyle(e, '::after').content"
    panels = page.locator(".picture")
    expected = ["image", "vanilla depth", "smoothed depth"]
    assert [panel.evaluate(coming) for panel in panels.all()] == [f'"{what}"' for what in expected]
    page.evaluate(
        """() => {
          window.seen = [];
          new MutationObserver(() => window.seen.push(
            [...document.querySelectorAll("#viewer .picture canvas")].map((canvas) => canvas.toDataURL())
          )).observe(document.querySelector("#viewer"), {subtree: true, attributeFilter: ["data-frame"]});
        }"""
    )
    start(page, video)
    message(page, f"walk.mp4: {FRAMES} frames")
    page.locator(f"[data-frame='{FRAMES - 1}']").wait_for()
    assert [panel.evaluate(coming) for panel in panels.all()] == ["none"] * 3
    assert page.locator("#file a").first.is_hidden()  # what was uploaded has been moved
    frames = page.evaluate("window.seen")
    assert len(frames) >= 2
    assert all(first != last for first, last in zip(frames[0], frames[-1], strict=True))
    assert len(set(frames[-1])) == 3

    # Metres under the pointer, of the frame shown, in each picture.
    assert page.locator(".cross").first.is_hidden()
    read = set()
    for panel, part in (
        ("vanilla", (0.3, 0.6)),
        ("smoothed", (0.7, 0.2)),
        ("image", (0.5, 0.5)),
        ("smoothed", (0.03, 0.97)),
    ):
        canvas = page.locator(f"[data-panel={panel}] canvas")
        box = canvas.bounding_box()
        canvas.hover(position={"x": part[0] * box["width"], "y": part[1] * box["height"]})
        x, y = check_reading(page, depths)
        assert (x, y) == pytest.approx((part[0] * SIZE[1], part[1] * SIZE[0]), abs=1.5)
        read.add((metres(page, "vanilla"), metres(page, "smoothed")))
    assert len(read) > 1
    page.mouse.move(5, 5)
    assert number(page, "point") == "–"
    # A click stays, arrow keys move it, Escape takes it away.
    canvas.click(position={"x": 40, "y": 40})
    page.mouse.move(5, 5)
    x, y = check_reading(page, depths)
    canvas.press("ArrowRight")
    canvas.press("ArrowDown")
    assert check_reading(page, depths) == (x + 1, y + 1)
    canvas.press("Escape")
    assert number(page, "point") == "–"

    # The clip moves two pixels to the left per frame: numbers and arrow say so.
    dx, dy = map(float, re.fullmatch(r"(-?[\d.]+), (-?[\d.]+) px", number(page, "shift")).groups())
    assert (dx, dy) == pytest.approx((-2, 0), abs=0.3)
    assert 0.05 < float(number(page, "response")) <= 1
    assert re.fullmatch(r"[\d.]+ ms", number(page, "latency"))
    assert re.fullmatch(r"[\d.]+ FPS", number(page, "fps"))
    assert number(page, "frame").startswith(f"{FRAMES - 1} at 0.7")
    assert number(page, "cuts") == "0"
    shaft = re.match(r"M ([\d.]+) ([\d.]+) L ([\d.]+) ([\d.]+)", page.locator(".arrow .over").get_attribute("d"))
    x, y, to_x, to_y = map(float, shaft.groups())
    assert (x, y) == (SIZE[1] / 2, SIZE[0] / 2)
    assert (to_x - x, to_y - y) == pytest.approx((5 * dx, 5 * dy), abs=0.26)
    assert page.locator(".ticks span").all_inner_texts() == ["0 m", "2.5 m", "5 m", "7.5 m", "10 m"]

    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "walk_depth.zip"
    download.value.save_as(tmp_path / "depth.zip")
    with zipfile.ZipFile(tmp_path / "depth.zip") as file:
        for name, maps in depths.items():
            for frame, expected in enumerate(maps):
                data = np.frombuffer(file.read(f"{name}/{frame:06d}.png"), np.uint8)
                assert np.abs(cv2.imdecode(data, cv2.IMREAD_UNCHANGED) / 1000 - expected).max() < 0.0016


def test_bad_uploads_are_a_message_and_the_page_goes_on(open_page, server, video, tmp_path):
    page = open_page()
    (tmp_path / "text.mp4").write_text("no video at all\n" * 100)
    start(page, tmp_path / "text.mp4")
    message(page, "text.mp4 can't be read as a video")
    assert page.locator("#viewer .message").get_attribute("role") == "alert"
    page.locator("#file").get_by_label("Clear").or_(page.locator("#file button[aria-label*=lear]")).first.click()
    message(page, "Choose a video")
    sync_api.expect(page.locator("#start")).to_be_disabled()
    # What need not be sent to be refused isn't, and Gradio says nothing of its own.
    (tmp_path / "large.mp4").write_bytes(bytes(2**20 + 1))
    choose(page, tmp_path / "large.mp4")
    message(page, "large.mp4 has 1.1 MB, this page takes up to 1 MB")
    assert page.locator("#viewer .message").get_attribute("role") == "alert"
    (tmp_path / "picture.png").write_bytes(b"any")
    choose(page, tmp_path / "picture.png")
    message(page, "picture.png can't be read as a video")
    drop(page, "song.mp3")
    message(page, "song.mp3 can't be read as a video")
    assert page.locator("#file").get_by_text("Error").or_(page.get_by_test_id("toast-body")).count() == 0
    assert list(server.root.rglob("upload*")) == []
    video = shutil.copy(video, tmp_path / "WALK.MP4")
    start(page, video)
    message(page, f"WALK.MP4: {FRAMES} frames")


def test_the_server_refuses_what_is_too_large_whoever_sends_it(browser, server):
    context = browser.new_context()
    files = {"name": "large.mp4", "mimeType": "video/mp4", "buffer": bytes(2**20 + 1)}
    answer = context.request.post(f"{server.local_url}gradio_api/upload", multipart={"files": files})
    assert answer.status == 413
    assert list(server.root.rglob("large*")) == []
    context.close()


def test_a_second_user_waits_in_the_queue_and_stop_ends_a_take(open_page, video, gate):
    gate.clear()
    first = open_page()
    start(first, video)
    message(first, "getting tiny-synthetic ready")
    second = open_page()
    start(second, video)
    message(second, "waiting for the model")
    sync_api.expect(second.locator("#queue")).to_contain_text("queue: 1/1")
    first.click("#stop")
    gate.set()
    message(first, "walk.mp4: 1 frames, stopped")
    message(second, f"walk.mp4: {FRAMES} frames")
    sync_api.expect(first.locator("#start")).to_be_enabled()
    sync_api.expect(first.locator("#download")).to_be_enabled()


def test_a_tab_closed_midway_leaves_nothing_and_the_next_gets_its_turn(open_page, video, gate):
    gate.clear()
    first = open_page()
    start(first, video)
    message(first, "getting tiny-synthetic ready")
    first.close()
    gate.set()
    second = open_page()
    start(second, video)
    message(second, f"walk.mp4: {FRAMES} frames")


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_window_in_both_schemes(open_page, width, scheme):
    page = open_page(width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    text = page.locator("#viewer .message")
    luminance = "e => getComputedStyle(e).color.match(/[\\d.]+/g).slice(0, 3).map(Number)"
    ink = np.mean(text.evaluate(luminance))
    paper = np.mean(page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number)")[:3])
    ink *= 1 if ink > 1 else 255  # color(srgb …) counts to 1
    assert (ink < 120 < 230 < paper) if scheme == "light" else (paper < 40 < 150 < ink)
