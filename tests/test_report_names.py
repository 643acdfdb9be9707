"""Names in a report can't be read as words: code on the page, in quotation marks where there is no markup."""

import pytest
from made_evaluation import made_clip
from report_page import Tags, page_of, rewrite, write_rows_alone

from smoothdino_jax.apps.report.drawings import drawings
from smoothdino_jax.apps.report.reading import read_evaluation
from smoothdino_jax.apps.report.words import as_html, as_text, counted, listed, named


def test_names_are_code_and_nothing_is_markup():
    sentence = f"{named('<b>')} is {named('vs')} & 5 % of 2 m²"
    assert (
        as_html(sentence)
        == "<code>&lt;b&gt;</code> is <code>vs</code> &amp; 5\N{NO-BREAK SPACE}% of 2\N{NO-BREAK SPACE}m²"
    )
    assert as_text(sentence) == "“<b>” is “vs” & 5 % of 2 m²"
    assert as_html(named("a`b")) == "<code>a&#39;b</code>"


@pytest.mark.parametrize(("items", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_enumerations(items, text):
    assert listed(items) == text
    assert (counted(1, "scene"), counted(1200, "scene")) == ("1 scene", "1,200 scenes")


def test_a_row_called_vs_is_set_off_wherever_it_stands_in_a_text(tmp_path):
    workdir = write_rows_alone(tmp_path / "on")

    def rename(rows):
        for made in rows:
            made["name"] = {"vanilla": "vs", "biases": "than"}.get(made["name"], made["name"])

    rewrite(workdir, rename)
    made_clip(("vanilla", "adapter")).save(workdir / "eval/clip.npz")
    page = page_of(workdir)
    assert "lower than <code>vs</code>’s" in page
    assert "that of <code>than</code> (" in page
    assert ">against <code>vs</code></button>" in page
    assert 'data-tip="Change of the MSE against “vs”."' in page
    assert "<h1>SmoothDINO: evaluation of <code>on</code></h1>" in page
    assert "<title>SmoothDINO: evaluation of “on”</title>" in page
    assert "`" not in "".join(Tags(page).text.get(kind, "") for kind in ("p", "li", "td", "th", "button", "figcaption"))
    (chart,) = [made for made in drawings(read_evaluation(workdir)) if made.key == "uses_the_past"]
    assert "against “vs”" in chart.figure.axes[0].get_xlabel()
