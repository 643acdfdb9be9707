"""The report in a real browser, from the disk: nothing is loaded, tables sort, the player plays."""

import time

import pytest
from chromium import CHROMIUM, launched
from made_evaluation import made_rows, write_workdir

from smoothdino_jax.apps.report.page import make_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[test]")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    workdir = write_workdir(tmp_path_factory.mktemp("run"))
    return make_report(workdir, workdir / "report.html")


@pytest.fixture
def page(browser, report):
    """The report, opened; at the end nothing may have been loaded or gone wrong."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    context.set_default_timeout(10_000)
    page = context.new_page()
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(report.as_uri())
    yield page
    context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]


def column(page, table, key):
    """Texts of a column, from the top."""
    place = page.locator(f"#{table} thead th").evaluate_all(
        "(heads, key) => heads.findIndex(h => h.dataset.key === key)", key
    )
    return page.locator(f"#{table} tbody tr").evaluate_all(
        "(rows, k) => rows.map(row => row.cells[k].firstChild.data)", place
    )


def head(page, table, key):
    return page.locator(f"#{table} thead th[data-key={key}]")


def sources(page):
    return dict(page.locator("img.layer").evaluate_all("all => all.map(image => [image.dataset.layer, image.src])"))


def shown(page):
    return page.locator("output.frame").inner_text()


def test_every_picture_is_decoded(page):
    images = page.locator("img")
    images.evaluate_all("all => Promise.all(all.map(image => image.decode()))")
    widths = images.evaluate_all("all => all.map(image => [image.alt, image.naturalWidth])")
    assert len(widths) > 15
    assert [alt for alt, width in widths if width == 0] == []
    assert [alt for alt, _ in widths if not alt] == []


def test_a_columns_head_sorts_by_number_and_a_second_click_reverses(page):
    made = sorted(row["mse"] for row in made_rows())
    before = column(page, "depth", "row")
    head(page, "depth", "mse").locator("button").click()
    assert column(page, "depth", "mse") == [f"{mse:.4f}" for mse in made]
    assert head(page, "depth", "mse").get_attribute("aria-sort") == "ascending"
    rows = column(page, "depth", "row")
    assert rows[0] == "adapter"
    assert rows[-1] == "mean2"
    assert sorted(rows) == sorted(before)
    head(page, "depth", "mse").locator("button").click()
    assert column(page, "depth", "mse") == [f"{mse:.4f}" for mse in reversed(made)]
    head(page, "depth", "row").locator("button").click()
    assert column(page, "depth", "row") == sorted(before)
    assert head(page, "depth", "mse").get_attribute("aria-sort") is None


def test_numbers_sort_as_numbers_and_what_is_undefined_stays_last(page):
    for expected in (["5.00", "10.00", "15.00", "–"], ["15.00", "10.00", "5.00", "–"]):
        head(page, "cost", "adapter").locator("button").click()
        assert column(page, "cost", "adapter") == expected


def test_tables_sort_by_the_keyboard_too(page):
    button = head(page, "scenes", "frames").locator("button")
    button.focus()
    button.press("Enter")
    assert column(page, "scenes", "frames") == ["7", "12"]


def test_a_head_explains_itself_to_pointer_and_keyboard(page):
    tip = page.locator("#tip")
    assert tip.is_hidden()
    button = head(page, "depth", "rmse").locator("button")
    button.hover()
    assert "Lower is better." in tip.inner_text()
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    button.focus()
    assert tip.is_visible()
    assert button.get_attribute("aria-describedby") == "tip"


def test_the_slider_moves_all_pictures_together(page):
    first = sources(page)
    assert set(first) == {"image", "vanilla", "smoothed", "truth", "vanilla error", "smoothed error"}
    assert shown(page) == "frame 0 (1 of 6)"
    slider = page.get_by_role("slider", name="Frame")
    slider.fill("3")
    assert shown(page) == "frame 3 (4 of 6)"
    assert slider.get_attribute("aria-valuetext") == "frame 3, 4 of 6"
    third = sources(page)
    assert all(third[layer] != first[layer] for layer in first)
    slider.fill("0")
    assert sources(page) == first


def test_the_error_of_the_shown_frame_is_told(page):
    slider, told = page.get_by_role("slider"), page.locator("output.mse[data-layer=smoothed]")
    slider.fill("0")
    even = told.inner_text()
    slider.fill("1")
    odd = told.inner_text()
    assert even.startswith("MSE 0.")
    assert even.endswith(" m²")
    assert even != odd
    slider.fill("2")
    assert told.inner_text() == even  # the made-up error swings from frame to frame


def test_arrow_keys_move_and_stop_at_the_ends(page):
    slider = page.get_by_role("slider")
    slider.focus()
    for key, frame in (
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("End", 5),
        ("ArrowRight", 5),
        ("Home", 0),
    ):
        slider.press(key)
        assert shown(page) == f"frame {frame} ({frame + 1} of 6)", key
    page.get_by_role("group", name="Player").press("ArrowRight")
    assert shown(page) == "frame 1 (2 of 6)"


def test_play_goes_on_and_round_until_pause(page):
    page.get_by_role("combobox").select_option("20")
    play = page.get_by_role("button", name="Play")
    play.click()
    seen, end = set(), time.monotonic() + 10
    while len(seen) < 6 and time.monotonic() < end:
        seen.add(shown(page))
    assert len(seen) == 6
    page.get_by_role("button", name="Pause").click()
    stopped = shown(page)
    page.wait_for_timeout(200)
    assert shown(page) == stopped
    assert play.get_attribute("aria-pressed") == "false"


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_window_in_both_schemes(page, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    luminance = "(e, name) => getComputedStyle(e)[name].match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0)"
    paper, ink = (page.locator("html").evaluate(luminance, name) for name in ("backgroundColor", "color"))
    assert (paper > 600 > 200 > ink) if scheme == "light" else (paper < 200 < 600 < ink)


def test_the_cost_table_fits_a_common_window(page):
    page.set_viewport_size({"width": 1280, "height": 800})
    frame = page.locator("#cost .scroll")
    assert frame.evaluate("frame => frame.scrollWidth - frame.clientWidth") == 0
    assert frame.evaluate("frame => frame.classList.contains('more')") is False


def test_a_table_that_is_cut_off_fades_until_it_is_scrolled_to_its_end(page):
    page.set_viewport_size({"width": 500, "height": 800})
    frame = page.locator("#cost .scroll")
    page.locator("#cost .scroll.more").wait_for()
    assert frame.evaluate("frame => getComputedStyle(frame).maskImage").startswith("linear-gradient")
    frame.evaluate("frame => frame.scrollLeft = frame.scrollWidth")
    page.locator("#cost .scroll.more").wait_for(state="detached")
    assert frame.evaluate("frame => getComputedStyle(frame).maskImage") == "none"


def test_a_table_that_fades_on_the_screen_is_whole_on_paper(page):
    page.emulate_media(media="print")
    # Printing need not wait until the script has taken the class away.
    look = page.locator("#cost .scroll").evaluate(
        "frame => { frame.classList.add('more'); const { maskImage, overflow } = getComputedStyle(frame);"
        " return [maskImage, overflow]; }"
    )
    assert look == ["none", "visible"]


def test_printing_unfolds_what_is_folded(page):
    assert page.locator("details[open]").count() == 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.emulate_media(media="print")
    assert page.locator(".controls").is_hidden()
