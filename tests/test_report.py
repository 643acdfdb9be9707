"""The report: what it says of an evaluation, that it says what is missing, and that it needs nothing but itself."""

import base64
import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from made_evaluation import made_rows, write_workdir

from smoothdino_jax.apps.cli import main
from smoothdino_jax.apps.report.findings import findings, gaps, headline, percent, warnings
from smoothdino_jax.apps.report.page import MARKER, make_report
from smoothdino_jax.apps.report.reading import read_evaluation
from smoothdino_jax.apps.report.tables import metric_tables, scenes_table
from smoothdino_jax.data import DataError
from smoothdino_jax.metrics import DEFINITIONS


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A whole evaluation and its report; not to be changed."""
    workdir = write_workdir(tmp_path_factory.mktemp("whole") / "run")
    figures = workdir / "figures"
    return make_report(workdir, workdir / "report.html", figures=figures)


@pytest.fixture
def workdir(tmp_path):
    """Rows alone: cheap to report on, and to change."""
    write_workdir(tmp_path / "run")
    for name in ("eval/frames.csv", "eval/clip.npz", "log.jsonl"):
        (tmp_path / "run" / name).unlink()
    return tmp_path / "run"


class Tags(HTMLParser):
    """Every element with its attributes, and the text of each kind of element."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text, self._open = [], {}, ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data):
        self.text[self._open] = self.text.get(self._open, "") + data


def rewrite(workdir, change):
    path = workdir / "eval/metrics.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def page_of(workdir):
    return make_report(workdir, workdir / "report.html").read_text().replace("\N{NO-BREAK SPACE}", " ")


# --- the page


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


def test_a_name_is_never_markup(tmp_path):
    write_workdir(tmp_path)
    name = '<script>alert("x")</script>'
    for file in ("eval/metrics.json", "eval/frames.csv"):
        path = tmp_path / file
        escaped = json.dumps(name) if file.endswith("json") else '"' + name.replace('"', '""') + '"'
        text = path.read_text().replace('"biases"', escaped).replace("biases,", escaped + ",")
        path.write_text(text)
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


# --- what it says in words


def row(name, mse, kind="model", interval=None, **fields):
    first = 0.2
    change = None if mse is None else mse / first - 1
    made = {"name": name, "kind": kind, "what": "", "model": "m", "frames": 100, "scenes": 30, "empty": 0}
    made |= {"nonfinite": 0, "counts": {}, "missing": {}, "mse": mse, "mse_ci": None}
    return made | {"mse_change": change, "mse_change_ci": interval} | fields


VANILLA = row("vanilla", 0.2)


@pytest.mark.parametrize(
    ("change", "text"),
    [(-0.1743, "17 % lower"), (0.0512, "5.1 % higher"), (-0.0996, "10 % lower"), (1e-4, "the same to 0.1 %")],
)
def test_changes_in_words(change, text):
    assert percent(change) == text


def test_the_headline_says_by_how_much_and_how_surely():
    adapter = row("adapter", 0.16, interval=[-0.25, -0.146])
    assert headline([VANILLA, adapter], adapter) == (
        "The MSE of adapter is 20 % lower than vanilla’s on 100 frames of 30 scenes (interval 15 to 25 % lower)."
    )


def test_a_change_that_may_be_chance_is_said_to():
    adapter = row("adapter", 0.19, interval=[-0.12, 0.021])
    assert "5.0 % lower" in headline([VANILLA, adapter], adapter)
    assert headline([VANILLA, adapter], adapter).endswith(
        "its interval (12 % lower to 2.1 % higher) includes no change: it may be chance."
    )
    alone = row("adapter", 0.19, scenes=1)
    assert headline([VANILLA, alone], alone).endswith(
        "on 100 frames of 1 scene. There is no interval, so whether it is chance is not known."
    )


def test_a_result_that_is_none_is_no_result():
    broken = row("adapter", None)
    assert headline([VANILLA, broken], broken).endswith("undefined, so there is no result.")
    assert headline([VANILLA], None) == "Only vanilla was evaluated: there is nothing to compare it with."
    assert findings([VANILLA, broken], broken, DEFINITIONS) == []


@pytest.mark.parametrize(
    ("shuffled", "text"),
    [
        (
            0.1610,
            "The gain survives a shuffled past (98 % of the gain over vanilla remains): most of it is not the past.",
        ),
        (0.1760, "With a shuffled past, 60 % of the gain over vanilla remains: more than half of it is not the past."),
        (0.1880, "With a shuffled past, 30 % of the gain over vanilla remains: it depends on the past in good part."),
        (
            0.1996,
            "With a shuffled past, 1 % of the gain over vanilla remains: nearly all of it depends on the right past.",
        ),
        (0.2400, "With a shuffled past it is worse than vanilla: the model relies on its past being right."),
    ],
)
def test_what_is_left_of_the_gain_without_the_past(shuffled, text):
    adapter = row("adapter", 0.16, interval=[-0.25, -0.1])
    rows = [VANILLA, adapter, row("adapter/shuffled", shuffled, "ablation")]
    assert findings(rows, adapter, DEFINITIONS)[0] == text


def test_without_a_gain_nothing_is_said_of_where_it_comes_from():
    for mse, interval in ((0.21, [0.01, 0.09]), (0.19, [-0.12, 0.02])):
        adapter = row("adapter", mse, interval=interval)
        rows = [VANILLA, adapter, row("adapter/shuffled", 0.195, "ablation")]
        assert not [sentence for sentence in findings(rows, adapter, DEFINITIONS) if "past" in sentence]


def test_the_best_average_is_the_one_to_beat():
    adapter = row("adapter", 0.19)
    rows = [VANILLA, adapter, row("mean2", 0.195, "average"), row("mean3_aligned", 0.152, "average")]
    assert findings(rows, adapter, DEFINITIONS)[0] == (
        "The MSE of adapter (0.1900 m²) is 25 % higher than that of mean3_aligned, the best of 2 averages over time "
        "(0.1520 m²); no interval."
    )


def test_a_difference_between_two_rows_has_its_own_interval():
    adapter, other = row("adapter", 0.16), row("current_only", 0.164)
    told = findings([VANILLA, adapter, other], adapter, DEFINITIONS, lambda name, against: (-0.05, 0.01))[0]
    assert told.endswith("(0.1640 m²); the interval (5.0 % lower to 1.0 % higher) includes no difference.")


def test_what_got_worse_is_named():
    better = VANILLA | {"flicker": 0.02, "delta1": 0.8, "edge_f1": 0.5}
    adapter = row("adapter", 0.16, flicker=0.01, delta1=0.9, edge_f1=0.45)
    told = findings([better, adapter], adapter, DEFINITIONS)[0]
    assert told == "Of 4 metrics that differ from vanilla’s, 3 are better; worse: edge F1 10 % lower."


def test_frames_that_do_not_count_are_counted():
    rows = [VANILLA | {"empty": 4}, row("adapter", None, empty=4, nonfinite=2, interval=None)]
    assert warnings(rows) == [
        "Left out, because the truth has no reading: 4 of 104 frames.",
        "adapter: the prediction of 2 frames has pixels that are NaN or infinite. Means over its frames are undefined.",
    ]
    few = [VANILLA | {"scenes": 5}, row("adapter", 0.1, interval=[-0.6, -0.4])]
    assert warnings(few) == ["The intervals are over 5 scenes: with so few, they are likely too narrow."]


def test_metrics_that_are_missing_come_with_the_reason():
    rows = [VANILLA | {"missing": {"tae_zbuffer": "no poses", "opw_nvds": "no poses"}, "counts": {"flicker": 98}}]
    assert gaps(rows) == ["tae_zbuffer, opw_nvds: no poses", "flicker: on 98 of 100 frames alone"]


# --- tables


def test_the_best_of_a_column_is_marked_by_what_it_reads():
    rows = [row("a", 0.20001, delta1=0.9), row("b", 0.20002, delta1=0.8), row("c", 0.3, delta1=None)]
    depth = metric_tables(rows, DEFINITIONS)[0]
    assert [column.key for column in depth.columns] == ["row", "mse", "delta1"]
    marked = [[(cell.text, cell.best) for cell in line[1:]] for line in depth.rows]
    assert marked == [
        [("0.2000", True), ("0.9000", True)],
        [("0.2000", True), ("0.8000", False)],
        [("0.3000", False), ("–", False)],
    ]


def test_a_scale_has_no_best():
    scale = metric_tables([row("a", 0.2, scale_median=0.9), row("b", 0.2, scale_median=1.1)], DEFINITIONS)[1]
    assert scale.title == "Scale"
    assert not any(cell.best for line in scale.rows for cell in line)


def test_every_metric_of_a_row_is_in_one_table():
    rows = made_rows()
    shown = [column.key for table in metric_tables(rows, DEFINITIONS)[:-1] for column in table.columns[1:]]
    assert sorted(shown) == sorted(name for name in DEFINITIONS if rows[0].get(name) is not None)


def test_scenes_are_means_over_their_frames_with_a_reading(whole):
    evaluation = read_evaluation(whole.parent)
    table = scenes_table(evaluation)
    cellar = next(line for line in table.rows if line[0].value == "cellar")
    vanilla, adapter = (evaluation.frames[name]["mse"][12:] for name in ("vanilla", "adapter"))
    assert cellar[1].value == 7  # of 8 frames one is empty
    assert cellar[2].value == pytest.approx(np.nanmean(vanilla))
    assert cellar[-1].value == pytest.approx(np.nanmean(adapter) / np.nanmean(vanilla) - 1)


# --- what is missing or wrong


def test_parts_that_are_missing_are_said_to_be(workdir):
    (workdir / "eval/run.json").unlink()
    page = page_of(workdir)
    for name in ("eval/frames.csv", "eval/clip.npz", "eval/run.json", "log.jsonl"):
        assert f"<li>{name} is missing: " in page
    tags = Tags(page)
    assert not {"player", "scenes", "figure-metric_by_scene"} & {a.get("id") for _, a in tags.found}
    assert "42 % lower than vanilla’s" in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "can't be read as JSON"),
        ("[]", "has no rows"),
        ('{"mse": 1}', "holds no list of rows"),
        ('[{"name": "vanilla", "mse": 0.2}]', r"without a version, by an older eval.py.*run eval.py again"),
        ('[{"version": 1}]', "in version 1, by an older eval.py"),
        ('[{"version": 99}]', "by a newer eval.py.*update smoothdino-jax"),
        ('[{"version": 2, "name": "vanilla", "mse": 0.2}]', "vanilla lacks kind, what, model"),
    ],
)
def test_metrics_that_cannot_be_read(workdir, text, message):
    (workdir / "eval/metrics.json").write_text(text)
    with pytest.raises(DataError, match=message):
        make_report(workdir, workdir / "report.html")
    assert not (workdir / "report.html").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "can't be read"),
        ("row,scene,frame\n", "has no column pixels, nonfinite"),
        ("row,scene,frame,pixels,nonfinite,mse\nvanilla,a,0,5\n", "line 2: 4 cells under 6 columns"),
        ("row,scene,frame,pixels,nonfinite,mse\nvanilla,a,0,5,0,much\n", "cell that is no number.*much"),
        ("row,scene,frame,pixels,nonfinite,mse\nvanilla,a,0,5,0,\n", "lacks the rows adapter"),
    ],
)
def test_frames_that_cannot_be_read(workdir, text, message):
    (workdir / "eval/frames.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        make_report(workdir, workdir / "report.html")


def test_a_workdir_without_an_evaluation_says_what_to_run(workdir, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"python eval.py --config=CONFIG --workdir="):
        make_report(tmp_path / "empty", tmp_path / "report.html")
    with pytest.raises(DataError, match="is no folder"):
        make_report(tmp_path / "nowhere", tmp_path / "report.html")
    with pytest.raises(DataError, match=r"has no other/metrics\.json, but eval: give --folder eval"):
        make_report(workdir, tmp_path / "report.html", "other")


def test_a_broken_clip_is_not_an_absent_one(workdir):
    (workdir / "eval/clip.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"clip\.npz can't be read"):
        make_report(workdir, workdir / "report.html")


def test_the_torn_last_line_of_a_log_is_ignored(workdir):
    (workdir / "log.jsonl").write_text('{"step": 0, "validation/vanilla_mse": 0.2}\n{"step": 10, "val')
    assert read_evaluation(workdir).logs == {"adapter": [{"step": 0, "validation/vanilla_mse": 0.2}]}
    (workdir / "log.jsonl").write_text('nonsense\n{"step": 10}\n')
    with pytest.raises(DataError, match=r"log\.jsonl, line 1"):
        read_evaluation(workdir)


def test_undefined_metrics_leave_a_readable_page(workdir):
    def undefine(rows):
        for k, made in enumerate(rows):
            made |= dict.fromkeys(DEFINITIONS) | {"mse_ci": None, "mse_change": None, "mse_change_ci": None}
            made |= {"nonfinite": 3, "ms_per_frame": None, "ms_parts": None} if k else {}

    rewrite(workdir, undefine)
    page = page_of(workdir)
    assert "is undefined, so there is no result" in page
    assert "nan" not in re.sub(r"base64,[\w+/=]+", "", page.split("<main>")[1]).lower().replace("nan or infinite", "")


# --- the command


def test_the_command_writes_a_report_and_replaces_an_earlier_one(workdir, capsys):
    for _ in range(2):
        assert main(["report", str(workdir)]) == 0
    assert str(workdir / "report.html") in capsys.readouterr().out
    assert MARKER in (workdir / "report.html").read_text()[:1000]
    assert sorted(path.name for path in workdir.iterdir()) == ["config.json", "eval", "report.html"]


def test_the_command_replaces_no_file_of_somebody_else(workdir, tmp_path, capsys):
    other = tmp_path / "thesis.html"
    other.write_text("<p>mine</p>")
    assert main(["report", str(workdir), "-o", str(other)]) == 2
    assert "is no report: choose another name, or add --overwrite" in capsys.readouterr().err
    assert other.read_text() == "<p>mine</p>"
    assert main(["report", str(workdir), "-o", str(other), "--overwrite"]) == 0
    assert MARKER in other.read_text()


def test_a_file_that_cannot_be_written_is_an_error(workdir, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["report", str(workdir), "-o", str(tmp_path / "file/report.html")]) == 2
    assert "can't be written" in capsys.readouterr().err
    assert main(["report", str(workdir), "-o", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
