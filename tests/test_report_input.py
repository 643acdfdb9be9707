"""What a report reads and where it goes: missing and broken parts are named, nobody's file is replaced."""

import dataclasses
import io
import json
import re

import numpy as np
import pytest
from made_evaluation import made_clip
from report_page import Tags, page_of, rewrite, write_rows_alone

from smoothdino_jax.apps.cli import main
from smoothdino_jax.apps.report.page import MARKER, make_report
from smoothdino_jax.apps.report.reading import read_evaluation
from smoothdino_jax.data import DataError
from smoothdino_jax.metrics import DEFINITIONS


@pytest.fixture
def workdir(tmp_path):
    return write_rows_alone(tmp_path / "run")


def test_parts_that_are_missing_are_said_to_be(workdir):
    (workdir / "eval/run.json").unlink()
    page = page_of(workdir)
    for name in ("eval/frames.csv", "eval/clip.npz", "eval/run.json", "log.jsonl"):
        assert f"<li>{name} is missing: " in page
    tags = Tags(page)
    assert not {"player", "scenes", "figure-metric_by_scene"} & {a.get("id") for _, a in tags.found}
    assert "42 % lower than <code>vanilla</code>’s" in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "can't be read as JSON"),
        ("[]", "has no rows"),
        ('{"mse": 1}', "holds no list of rows"),
        ('[{"name": "vanilla", "mse": 0.2}]', r"has no version; this smoothdino-jax reads version.*run eval.py again"),
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
    path = workdir / "eval/clip.npz"
    whole = io.BytesIO()
    np.savez(whole, version=np.array({"an": "object"}, object))
    for data in (b"", b"PK", b"no archive\n" * 99, whole.getvalue()):
        path.write_bytes(data)
        with pytest.raises(DataError) as caught:
            make_report(workdir, workdir / "report.html")
        assert (
            str(caught.value) == f"{path} is no archive of arrays: run eval.py again (with --config.eval.pictures=True)"
        )
    np.savez(path, scene=np.array("attic"))
    with pytest.raises(DataError, match="another version"):
        make_report(workdir, workdir / "report.html")


@pytest.mark.parametrize(
    ("rows", "remark"),
    [
        (("vanilla", "adapter", "mine"), "it shows mine, which the evaluation has no row of"),
        (("vanilla", "biases"), "it lacks the row <code>adapter</code>"),
        (("adapter",), "it lacks the row <code>vanilla</code>"),
    ],
)
def test_a_clip_of_other_rows_is_left_out(workdir, rows, remark):
    clip = made_clip(("vanilla",))
    shown = dict.fromkeys(rows, clip.predictions["vanilla"])
    dataclasses.replace(clip, predictions=shown).save(workdir / "eval/clip.npz")
    page = page_of(workdir)
    assert f"eval/clip.npz is of another evaluation, so there are no pictures and no player: {remark} (run" in page
    assert not {"player", "figure-comparison"} & {a.get("id") for _, a in Tags(page).found}


def test_a_clip_of_the_rows_is_shown(workdir):
    made_clip(("vanilla", "adapter"), features=False).save(workdir / "eval/clip.npz")
    assert {"player", "figure-comparison"} <= {a.get("id") for _, a in Tags(page_of(workdir)).found}


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


def test_the_command_writes_a_report_and_replaces_an_earlier_one(workdir, capsys):
    for _ in range(2):
        assert main(["report", str(workdir)]) == 0
    assert str(workdir / "report.html") in capsys.readouterr().out
    assert MARKER in (workdir / "report.html").read_text()[:1000]
    assert sorted(path.name for path in workdir.iterdir()) == ["config.json", "eval", "report.html"]


def test_the_report_of_another_evaluation_has_a_file_of_its_own(workdir):
    assert main(["report", str(workdir)]) == 0
    main_report = (workdir / "report.html").read_bytes()
    (workdir / "eval").rename(workdir / "eval_tum")
    assert main(["report", str(workdir), "--folder", "eval_tum/"]) == 0
    assert MARKER in (workdir / "report_eval_tum.html").read_text()[:1000]
    assert (workdir / "report.html").read_bytes() == main_report


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


def test_logs_of_the_other_models_are_found_beside_them(workdir, tmp_path):
    line = {"step": 10, "validation/mse": 0.1}
    for folder in (workdir, tmp_path / "biases"):
        folder.mkdir(exist_ok=True)
        (folder / "log.jsonl").write_text(json.dumps(line | {"of": folder.name}) + "\n")

    def place(rows):
        for made in rows:
            made["model"] = str((tmp_path / "biases" if made["name"] == "biases" else workdir) / "model")
        rows.insert(1, rows.pop(2))  # biases before the run's own model

    rewrite(workdir, place)
    logs = read_evaluation(workdir).logs
    assert [(name, lines[0]["of"]) for name, lines in logs.items()] == [("biases", "biases"), ("adapter", "run")]
