"""The webcam in a real browser: watched, its turn ended for the next user, its depth downloaded."""

import types
import zipfile

import pytest
from chromium import CHROMIUM, launched

from smoothdino_jax.apps.web.uploads import Limits

pytest.importorskip("gradio", reason="gradio is not installed: pip install -e .[web]")
pytest.importorskip("playwright", reason="playwright is not installed: pip install -e .[test]")
from web_page import message, metres, record, served, tabs

import smoothdino_jax.apps.web.actions as actions

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH"),
    # Gradio's: what it leaves open (web_page.py), and an option of pandas for the analytics that it always counts.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting.*"),
]


@pytest.fixture(scope="module")
def browser():
    with launched("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as browser:
        yield browser


def download(page, path):
    """The names in the ZIP."""
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(path)
    with zipfile.ZipFile(path) as file:
        return file.namelist()


def test_a_turn_of_the_webcam_ends_by_itself_and_the_next_user_has_one(browser, tmp_path, monkeypatch):
    now = [0.0]  # turns end when the test says so
    monkeypatch.setattr(actions, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    with served(["tiny-synthetic"], Limits(seconds=60)) as server, tabs(browser, server) as open_page:
        first, second = open_page(), open_page()
        record(first)
        message(first, "webcam, 60 s left of this turn")
        # Not every frame is shown: the second or a later one.
        first.wait_for_function("() => Number(document.querySelector('[data-frame]')?.dataset.frame) >= 2")
        assert first.locator("#queue").is_hidden()  # Gradio's clock
        first.locator("[data-panel=smoothed] canvas").hover()
        assert 0 <= metres(first, "smoothed") <= 10
        record(second)
        second.locator("#queue", has_text="queue: 1/1").wait_for()
        now[0] += 61
        message(first, "your turn is over: its depth can be downloaded; press Record for another")
        first.locator("#camera").get_by_text("Record").wait_for()
        message(second, "webcam, 60 s left of this turn")  # what the first tab may have sent meanwhile is dealt with
        assert "smoothed/000002.png" in download(first, tmp_path / "first.zip")
        now[0] += 61
        message(second, "your turn is over")

        # Another turn, stopped.
        first.locator("#camera").get_by_text("Record").click()
        message(first, "left of this turn")
        assert first.locator("#download").is_disabled()
        first.locator("#camera").get_by_text("Stop").click()
        message(first, "its depth can be downloaded")
        assert "smoothed/000000.png" in download(first, tmp_path / "again.zip")
