"""A headless Chromium for tests that look at a page."""

import contextlib
import shutil

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

_SWITCHES = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
_SWITCHES += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@contextlib.contextmanager
def launched(*switches):
    """The browser, with further switches."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_SWITCHES, *switches])
        yield browser
        browser.close()
