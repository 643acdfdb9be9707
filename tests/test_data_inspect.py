"""`smoothdino data inspect`: the contact sheet, the report and the command."""

import argparse
import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from absl import logging
from made_frames import SIZE, Made, ramp, texture

from smoothdino_jax.apps import data_inspect
from smoothdino_jax.apps.contact_sheet import WIDTH, contact_sheet, depth_edges
from smoothdino_jax.apps.figures import NO_READING
from smoothdino_jax.data import DataError
from smoothdino_jax.data.opening import open_folder
from smoothdino_jax.inspection import inspect_source

SHARED = Path(os.environ.get("SMOOTHDINO_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))


def test_the_sheet_shows_images_depth_edges_and_histograms():
    def corner(scene, k, frame):
        depth = frame.depth.copy()
        depth[:10, :10] = 0
        depth[20:40, 20:40] = 8
        return frame._replace(depth=depth)

    source = Made(corner)
    sheet = contact_sheet(source, inspect_source(source), "my/data")
    assert sheet.shape[1:] == (WIDTH, 3)
    assert sheet.dtype == np.uint8
    assert 1000 < len(sheet) < 2500
    # Bands of the sheet from top to bottom: header, 4 rows of 3 frames, overlays, histograms; none is blank.
    for band in np.array_split(sheet, 16):
        assert band.std() > 5
    for part in np.array_split(sheet[-260:], 3, axis=1):
        assert (np.abs(part.astype(int) - (76, 114, 176)).max(-1) < 3).mean() > 0.02  # the histograms' blue
    assert (sheet == NO_READING).all(-1).sum() > 12 * 1000
    magenta = (sheet[..., 0] > 200) & (sheet[..., 1] < 60) & (sheet[..., 2] > 150)
    assert magenta.sum() > 3 * 1000


def test_depth_edges_lie_where_depth_jumps_and_not_at_holes():
    depth = np.full(SIZE, 2, np.float32)
    depth[:, 32:] = 3
    depth[:10, :10] = 0
    edges = depth_edges(np.zeros((*SIZE, 3), np.uint8), depth).any(-1)
    np.testing.assert_array_equal(np.flatnonzero(edges.any(0)), [31, 32])
    assert edges[:, 31:33].all()


@pytest.fixture
def folder(tmp_path) -> Path:
    """NYU's Kaggle layout: two scenes of eight frames that move and look right."""
    path = tmp_path / "rooms"
    for seed, scene in enumerate(("attic_out", "cellar_out")):
        (path / scene).mkdir(parents=True)
        image = texture((96, 128), seed)
        for n in range(1, 9):
            cv2.imwrite(str(path / scene / f"{n}.jpg"), np.roll(image, 4 * n, 1))
            depth = np.roll(np.linspace(30, 120, 96 * 128).reshape(96, 128).astype(np.uint8), 4 * n, 1)
            cv2.imwrite(str(path / scene / f"{n}.png"), depth)
    return path


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Runs `inspect ...` in an empty folder; returns stdout."""
    parser = argparse.ArgumentParser()
    data_inspect.add_parser(parser.add_subparsers())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*arguments):
        args = parser.parse_args(["inspect", *map(str, arguments)])
        args.run(args)
        return capsys.readouterr().out

    return run


def test_the_command_reports_and_draws(run, folder, tmp_path):
    out = run(folder, "--json", "out/figures.json").splitlines()
    assert out[0] == "contact sheet: rooms_inspect.png, figures: out/figures.json"
    assert out[1] == f"{folder}: 16 frames in 2 scenes, nyu_kaggle"
    assert out[-1] == "looks right by its figures; now look at rooms_inspect.png"
    assert cv2.imread("rooms_inspect.png").shape[1] == WIDTH
    assert sorted(path.name for path in (tmp_path / "here").rglob("*")) == ["figures.json", "out", "rooms_inspect.png"]


def test_the_sheet_is_not_named_after_a_version(run, folder):
    folder = folder.rename(folder.parent / "1.0.0")
    run(folder, "--layout", "nyu_kaggle")
    assert [path.name for path in Path().iterdir()] == [f"{folder.parent.name}_inspect.png"]


def test_a_scene_without_depth_is_told_and_the_others_measured(run, folder):
    for path in (folder / "attic_out").glob("*.png"):
        path.unlink()
    out = run(folder)
    assert re.search(r"problem .*attic_out", out)
    assert re.search(r"scenes +cellar_out 8\n", out)
    assert out.endswith("1 thing to look at\n")


def test_json_has_the_numbers_of_the_report(run, folder):
    (folder / "cellar_out" / "5.jpg").write_bytes(b"no image")
    out = run(folder, "--json", "figures.json")
    figures = json.loads(Path("figures.json").read_text())
    assert figures["verdict"] == out.splitlines()[-1] == "1 thing to look at"
    depth, shift = figures["depth"], figures["shift"]
    assert f"{depth['low']:.3g} m to {depth['high']:.3g} m, median {depth['median']:.3g} m" in out
    assert f"1 % of it under {depth['percent_1']:.3g} m, 99 % under {depth['percent_99']:.3g} m" in out
    assert f"median {shift['median']:.3g} px; {shift['pairs']} consecutive pairs" in out
    assert f"(no match) {shift['low_response']:.1%}" in out
    assert figures["sizes"] == [{"width": 128, "height": 96, "frames": 15}]
    assert [scene["name"] for scene in figures["scenes"]] == ["attic_out", "cellar_out"]
    (row,) = figures["unreadable"]
    assert row["frame"] == "cellar_out/5"
    assert row["reason"] in out
    (warning,) = figures["warnings"]
    assert figures["warning_count"] == 1
    assert warning["kind"] == "unreadable"
    assert warning["what"] in out
    assert warning["advice"] in out
    assert figures["path"] == str(folder)


def test_missing_frames_are_reported_and_not_refused(run, folder):
    (folder / "attic_out" / "4.png").unlink()
    out = run(folder)
    assert re.search(r"gaps +attic_out/3 → 5", out)
    assert re.search(r"problem +\S+attic_out/4.png is missing", out)
    assert out.endswith("1 thing to look at\n")


def test_scenes_and_frames_can_be_chosen(run, folder):
    out = run(folder, "--scenes", "cellar_out", "--frames", 4, "--layout", "nyu_kaggle", "-o", "a.PNG")
    assert re.search(r"scenes +cellar_out 8\n", out)
    assert "sample: 4 frames" in out
    assert Path("a.PNG").is_file()


def test_nothing_is_overwritten_unless_asked(run, folder):
    run(folder, "-o", "sheet.png", "--json", "figures.json")
    before = {path: path.stat().st_mtime_ns for path in Path().iterdir()}
    with pytest.raises(DataError, match=r"sheet.png exists already.*--overwrite"):
        run(folder, "-o", "sheet.png")
    with pytest.raises(DataError, match=r"figures.json exists already.*--overwrite"):
        run(folder, "-o", "other.png", "--json", "figures.json")
    assert {path: path.stat().st_mtime_ns for path in Path().iterdir()} == before
    run(folder, "-o", "sheet.png", "--json", "figures.json", "--overwrite")
    assert {path: path.stat().st_mtime_ns > before[path] for path in Path().iterdir()} == dict.fromkeys(before, True)


def test_the_sheet_of_an_earlier_run_is_replaced(run, folder):
    Path("rooms_inspect.png").write_bytes(b"earlier")
    run(folder)
    assert cv2.imread("rooms_inspect.png").shape[1] == WIDTH


def test_a_problem_is_reported_and_not_logged_too(run, folder, caplog):
    before = logging.get_verbosity()
    (folder / "attic_out" / "4.png").unlink()
    assert "4.png is missing" in run(folder)
    assert caplog.records == []
    with pytest.raises(DataError, match="no such scene"):
        run(folder, "--scenes", "porch")
    assert logging.get_verbosity() == before
    open_folder(folder, missing="skip", check=False)
    assert "4.png is missing" in caplog.text  # as it is where nobody else says it


def test_the_help_tells_scripts_what_to_rely_on(run, capsys):
    with pytest.raises(SystemExit):
        run("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "exit code is 0 whenever the data could be looked at" in text
    assert '"warning_count"' in text
    assert "an earlier NAME_inspect.png there is replaced" in text


def test_holes_of_65535_in_a_recording_are_warned_of_with_the_line_to_paste(run, folder):
    recording = folder.parent / "kitchen"
    for name in ("image", "depth"):
        (recording / name).mkdir(parents=True)
    for n in range(8):
        cv2.imwrite(str(recording / "image" / f"{n}.png"), np.roll(texture(), 2 * n, 1))
        depth = (ramp() * 1000).astype(np.uint16) + n
        depth[:5] = 65535
        cv2.imwrite(str(recording / "depth" / f"{n}.png"), depth)
    (recording / "meta.json").write_text('{"depth_units_per_metre": 1000}')
    out = run(recording)
    assert "1. 10.4% of the pixels have the one largest depth, 65.5 m (stored as 65535)\n" in out
    assert 'put "invalid": [0, 65535] into meta.json' in out
    assert out.endswith("\n1 thing to look at\n")
    (recording / "meta.json").write_text('{"depth_units_per_metre": 1000, "invalid": [0, 65535]}')
    assert "\nlooks right" in run(recording)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--frames", 1), "--frames 1: at least 2"),
        (("-o", "sheet.jpg"), "has to end in .png"),
        (("-o", "."), "has to end in .png"),
        (("--json", "."), "is a folder"),
        (("--scenes", "porch"), "no such scene"),
    ],
)
def test_wrong_arguments_are_refused_and_nothing_written(run, folder, arguments, words):
    with pytest.raises(DataError, match=re.escape(words)):
        run(folder, *arguments)
    assert list(Path().iterdir()) == []


def test_a_corrupt_first_frame_is_listed_and_the_rest_measured(run, folder):
    (folder / "attic_out" / "1.jpg").write_bytes(b"")
    out = run(folder)
    assert re.search(r"unreadable +\S+attic_out/1.jpg: not a readable image", out)
    assert re.search(r"shift +median", out)
    assert out.endswith("1 thing to look at\n")


@pytest.mark.parametrize(
    ("name", "frames"), [("nyu_kaggle", 773), ("tum_rgbd", 30), ("posed_rgbd", 150)], ids=lambda value: str(value)
)
def test_real_data_looks_right(run, name, frames):
    path = SHARED / "data" / name
    if not path.is_dir():
        pytest.skip(f"no frames at {path} (set SMOOTHDINO_SHARED)")
    out = run(path, "--frames", 20)
    assert f": {frames} frames in " in out
    assert out.endswith(f"\nlooks right by its figures; now look at {name}_inspect.png\n")
