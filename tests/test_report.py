"""The report: what it says of an evaluation, whom it doesn't name, and that it needs nothing but itself."""

import base64
import dataclasses
import json
import re

import cv2
import numpy as np
import pytest
from made_evaluation import made_clip, write_workdir
from matplotlib.colors import to_hex
from report_page import Tags, page_of, rewrite, write_rows_alone

from smoothdino_jax.apps.report import style
from smoothdino_jax.apps.report.drawings import drawings
from smoothdino_jax.apps.report.page import make_report
from smoothdino_jax.apps.report.paths import without_homes
from smoothdino_jax.apps.report.reading import read_evaluation
from smoothdino_jax.apps.report.scenes import scene_changes
from smoothdino_jax.apps.report.tables import scenes_table
from smoothdino_jax.evaluation.bootstrap import bootstrap_change


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A whole evaluation and its report; not to be changed."""
    workdir = write_workdir(tmp_path_factory.mktemp("whole") / "run")
    figures = workdir / "figures"
    return make_report(workdir, workdir / "report.html", figures=figures)


@pytest.fixture
def workdir(tmp_path):
    return write_rows_alone(tmp_path / "run")


def test_the_page_loads_nothing(whole):
    page = whole.read_text()
    for tag, attributes in Tags(page).found:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value[:60])
    style = re.search(r"<style>(.*?)</style>", page, re.S).group(1)
    assert "@import" not in style
    assert "url(" not in style


def test_the_page_forbids_itself_to_load_anything(whole):
    policy = next(a["content"] for _, a in Tags(whole.read_text()).found if "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[\w+/]{43}='", policy)


def test_the_page_has_every_part_and_is_small(whole):
    page = whole.read_text()
    ids = {attributes.get("id") for _, attributes in Tags(page).found}
    assert {"headline", "summary", "player", "figures", "depth", "scale", "over-time", "sharpness", "cost"} <= ids
    assert {"gaps", "scenes", "rows", "metrics", "how"} <= ids
    assert "Left out</h2>" not in page
    links = {a["href"][1:] for tag, a in Tags(page).found if tag == "a"}
    assert links <= ids
    assert {"gaps", "cost", "scenes"} <= links
    assert whole.stat().st_size < 2e6


def test_figures_are_embedded_and_written(whole):
    embedded = {
        a["id"].removeprefix("figure-") for tag, a in Tags(whole.read_text()).found if tag == "figure" and "id" in a
    }
    assert {"time_against_mse", "uses_the_past", "mse_parts", "scale_over_time", "metric_by_scene"} <= embedded
    assert {"validation_curves", "comparison", "time_slice", "shift_arrows", "features"} <= embedded
    written = {path.stem for path in (whole.parent / "figures").iterdir()}
    assert written == embedded
    assert all(cv2.imread(str(path)).std() > 1 for path in (whole.parent / "figures").iterdir())


def test_the_words_on_scale_name_the_colours_that_are_drawn(workdir):
    drawing = next(made for made in drawings(read_evaluation(workdir)) if made.key == "mse_parts")
    left, scale = (bars.patches[0].get_facecolor() for bars in drawing.figure.axes[0].containers)
    assert (to_hex(left), to_hex(scale)) == (style.BLUE.lower(), style.YELLOW.lower())
    assert "would leave of the MSE (blue), and what it would take away (yellow)" in drawing.caption


def test_the_player_has_every_frame_of_every_layer(whole):
    text = re.search(r'id="frames">(.*?)</script>', whole.read_text(), re.S).group(1)
    data = json.loads(text)
    assert data["numbers"] == [0, 1, 2, 3, 4, 5]
    layers = {"image", "truth", "vanilla", "smoothed", "vanilla error", "smoothed error"}
    assert set(data["pictures"]) == layers
    for uris in data["pictures"].values():
        assert len(uris) == 6
        kind, _, encoded = uris[3].partition(",")
        assert kind == "data:image/webp;base64"
        assert cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), 1).shape == (48, 64, 3)
    mse = read_evaluation(whole.parent).frames["adapter"]["mse"]
    assert data["mse"]["smoothed"] == pytest.approx(mse[:6].tolist())


def test_scenes_are_means_over_their_frames_with_a_reading(whole):
    evaluation = read_evaluation(whole.parent)
    table = scenes_table(evaluation)
    cellar = next(line for line in table.rows if line[0].value == "cellar")
    vanilla, adapter = (evaluation.frames[name]["mse"][12:] for name in ("vanilla", "adapter"))
    assert cellar[1].value == 7  # of 8 frames one is empty
    assert cellar[2].value == pytest.approx(np.nanmean(vanilla))
    assert cellar[-1].value == pytest.approx(np.nanmean(adapter) / np.nanmean(vanilla) - 1)


def test_a_scene_with_an_undefined_frame_has_no_mean_in_any_table(whole):
    evaluation = read_evaluation(whole.parent)
    evaluation.frames["adapter"]["mse"][14] = np.nan
    cellar = next(line for line in scenes_table(evaluation).rows if line[0].value == "cellar")
    adapter = [column.key for column in scenes_table(evaluation).columns].index("adapter")
    assert cellar[adapter].text == cellar[-1].text == "–"
    _, scenes, changes = scene_changes(evaluation.rows, evaluation.frames, "mse")
    assert np.isnan(changes[scenes.index("cellar"), 0])


def test_intervals_say_what_was_resampled(workdir):
    assert "Intervals are by a bootstrap over the 2 scenes." in page_of(workdir)

    def of_images(rows):
        for made in rows:
            made |= {"unit": "image", "units": 19}

    rewrite(workdir, of_images)
    page = page_of(workdir)
    assert "Of the MSE, by a bootstrap over the 19 images. Sorts by its lower end." in page
    assert "The intervals are over 19 images: with so few" in page
    assert "<span>20 single images</span>" in page


def test_without_intervals_none_are_spoken_of(workdir):
    assert "(its 95 % interval as a bar)" in page_of(workdir)
    assert "Lines are 95 % intervals, by a bootstrap over the 2 scenes." in page_of(workdir)

    def of_one_scene(rows):
        for made in rows:
            made |= {"mse_ci": None, "mse_change_ci": None}

    rewrite(workdir, of_one_scene)
    page = page_of(workdir)
    assert "95 % interval" not in page
    assert "by a bootstrap" not in page.split('id="how"')[0]


def test_intervals_between_rows_resample_what_the_rows_do(whole):
    evaluation = read_evaluation(whole.parent)
    columns = evaluation.frames
    use = columns["adapter"]["pixels"] > 0
    ours, other = columns["adapter"]["mse"][use], columns["mean2"]["mse"][use]
    scenes = bootstrap_change(ours, other, columns["adapter"]["scene"][use])
    images = bootstrap_change(ours, other, np.arange(19))
    assert scenes != images
    assert evaluation.change_interval("adapter", "mean2") == scenes
    single = dataclasses.replace(evaluation, rows=[row | {"unit": "image", "units": 19} for row in evaluation.rows])
    assert single.change_interval("adapter", "mean2") == images


def test_values_of_the_method_are_shown_as_they_are(workdir):
    path = workdir / "eval/run.json"
    run = json.loads(path.read_text())
    run["data"]["source"] = "'NoneSuch'"
    run["protocol"] = {"max_depth": None, "crop": "None of it", "range": [0.5, None]}
    path.write_text(json.dumps(run))
    page = page_of(workdir)
    for name, value in (("data.source", "&#39;NoneSuch&#39;"), ("protocol.max_depth", "–")):
        assert f'<th scope="row">{name}</th><td>{value}</td>' in page
    assert '<th scope="row">protocol.crop</th><td>None of it</td>' in page
    assert '<th scope="row">protocol.range</th><td>[0.5, None]</td>' in page
    assert "peak memory" not in page
    path.write_text(json.dumps(run | {"device_peak_mib": 1234.4}))
    assert '<th scope="row">device’s peak memory</th><td>1,234 MiB over the whole evaluation</td>' in page_of(workdir)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("eval.py --workdir=/home/jane/runs/nyu/demo", "eval.py --workdir=…/nyu/demo"),
        ("smoothdino report '/Users/jane/my runs/demo' -o x.html", "smoothdino report '…/my runs/demo' -o x.html"),
        ("a=/home/jane/a,b=/srv/models/large/b", "a=…/a,b=…/large/b"),
        ("/home/jane", "…"),
        ("/home/jane/demo", "…/demo"),
        ("/root/demo", "…/demo"),
        ("/data/nyu", "/data/nyu"),
        ("/data/home/nyu", "…/home/nyu"),
        ("runs/demo/model", "runs/demo/model"),
        ("../runs/home/demo", "../runs/home/demo"),
        ("https://a.org/home/b/c", "https://a.org/home/b/c"),
        ("depth / truth, m/s, 1/2", "depth / truth, m/s, 1/2"),
    ],
)
def test_absolute_paths_are_cut_and_homes_are_hidden(text, shown):
    assert without_homes(text) == shown


def test_the_home_of_whoever_makes_the_report_is_hidden_wherever_it_is(monkeypatch):
    monkeypatch.setenv("HOME", "/srv/people/jane")
    assert without_homes("/srv/people/jane/demo") == "…/demo"
    assert without_homes("/srv/people/jane") == "…"
    assert without_homes("/srv/people/janet/demo") == "…/janet/demo"


def test_no_path_of_the_page_leads_to_a_home(workdir, monkeypatch):
    monkeypatch.setenv("HOME", str(workdir.parent.parent))
    home = str(workdir.parent.parent)

    def place(rows):
        for made in rows:
            made["model"] = f"{home}/runs/{made['name']}/model"

    rewrite(workdir, place)
    path = workdir / "eval/run.json"
    run = json.loads(path.read_text())
    run["command"] = f"python {home}/code/eval.py --config=configs/demo.py --workdir={workdir}"
    run["config"]["data"]["source"]["folder"] = f"{home}/data/nyu"
    path.write_text(json.dumps(run))
    page = page_of(workdir)
    assert home not in page
    assert "[model, …/adapter/model]" in page
    assert f"--workdir=…/{workdir.parent.name}/run" in page
    assert "…/data/nyu" in page


def test_a_name_is_never_markup(tmp_path):
    write_workdir(tmp_path)
    name = '<script>alert("x")</script>'
    for file in ("eval/metrics.json", "eval/frames.csv"):
        path = tmp_path / file
        escaped = json.dumps(name) if file.endswith("json") else '"' + name.replace('"', '""') + '"'
        text = path.read_text().replace('"biases"', escaped).replace("biases,", escaped + ",")
        path.write_text(text)
    clip = made_clip()
    clip.predictions[name] = clip.predictions.pop("biases")
    clip.save(tmp_path / "eval/clip.npz")
    run = json.loads((tmp_path / "eval/run.json").read_text())
    run["command"], run["data"]["source"] = "eval.py '</script><img src=x>'", "<b>bold</b>"
    (tmp_path / "eval/run.json").write_text(json.dumps(run))
    page = make_report(tmp_path, tmp_path / "report.html").read_text()
    assert "&lt;script&gt;alert(" in page
    for markup in ("<script>alert", "<img src=x>", "<b>bold", "</script><img"):
        assert markup not in page
    scripts = [attributes for tag, attributes in Tags(page).found if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "frames"}, {}]


def test_equal_evaluations_make_equal_pages(workdir):
    assert page_of(workdir) == page_of(workdir)


def test_scale_over_time_is_that_of_the_scene_in_the_pictures(whole):
    evaluation = read_evaluation(whole.parent)

    def drawn(scene):
        clip = dataclasses.replace(evaluation.clip, scene=scene)
        made = drawings(dataclasses.replace(evaluation, clip=clip))
        drawing = next(drawing for drawing in made if drawing.key == "scale_over_time")
        return drawing.figure.axes[0].get_xlabel(), drawing.caption

    label, caption = drawn("cellar")
    assert label == "frame of cellar"
    assert "along `cellar`, the scene of the pictures" in caption
    label, caption = drawn("garden")  # that was not scored
    assert label == "frame of attic"
    assert "along the longest scene" in caption


def test_the_features_caption_tells_how_much_changed(whole):
    (drawing,) = [made for made in drawings(read_evaluation(whole.parent)) if made.key == "features"]
    assert "from black for none to white for 100 %; the mean over these frames is 5" in drawing.caption


def test_memory_is_said_to_be_planned(whole):
    cost = whole.read_text().split('<section id="cost">')[1].split("</section>")[0]
    assert "XLA’s plan [MiB]" in cost
    assert "The memory is what the compiler, XLA, plans for a step; a process needs more." in cost
