"""The page for tests, with what Gradio leaves behind cleared up, and its tabs in a browser."""

import gc
import os
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

from smoothdino_jax.apps.web.page import serve


@contextmanager
def served(*arguments, **options):
    """`serve`; the page's `root` is the folder of what is stored.

    Gradio never closes some event loops and sockets; they are collected here, not in another test.
    """
    try:
        with serve(*arguments, **options) as demo:
            demo.root = Path(os.environ["GRADIO_TEMP_DIR"])
            yield demo
    finally:
        demo = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@contextmanager
def tabs(browser, server):
    """A function that opens tabs; nothing may go wrong in them, or be asked of anybody else."""
    contexts, requests, complaints = [], [], []

    def open_page(width=1200, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, permissions=["camera"]
        )
        contexts.append(context)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.local_url)
        page.locator("#start").wait_for()
        page.locator("#viewer").wait_for(state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith((server.local_url, "data:", "blob:"))] == []
    # Tabs that are closed leave nothing behind.
    end = time.monotonic() + 60
    while (left := list(server.root.iterdir())) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == []


def choose(page, path):
    """A file for the video's box."""
    page.set_input_files("#file input[type=file]", path)


def start(page, path):
    """Chooses a video and starts it."""
    choose(page, path)
    message(page, "press Start")
    page.click("#start")


def record(page):
    """Starts the webcam."""
    page.get_by_role("tab", name="Webcam").click()
    page.get_by_text("Click to Access Webcam").click()
    page.locator("#camera").get_by_text("Record").click()


def message(page, text):
    """Waits for it."""
    page.locator("#viewer .message", has_text=text).wait_for()


def metres(page, name):
    """What is read under the pointer."""
    return float(page.locator(f".read[data-depth={name}]").inner_text().removesuffix(" m"))
