"""`smoothdino data prepare`: what it prints, what it leaves, how it refuses."""

import functools
import json
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_command import run_data

from smoothdino_jax.data.opening import open_folder

BUILDER = "smoothdino_jax.data.nyu_depth_v2_video"


@pytest.fixture
def command(capsys):
    return functools.partial(run_data, capsys)


@pytest.fixture
def kaggle(tmp_path) -> Path:
    """A folder as Kaggle's zip unpacks: two scenes of three frames."""
    folder = tmp_path / "nyu_data"
    for scene in ("attic_out", "cellar_out"):
        (folder / "data" / "nyu2_train" / scene).mkdir(parents=True)
        for n in (1, 2, 3):
            stem = str(folder / "data" / "nyu2_train" / scene / str(n))
            cv2.imwrite(f"{stem}.jpg", np.full((16, 16, 3), 40 * n, np.uint8))
            cv2.imwrite(f"{stem}.png", np.full((16, 16), 51 * n, np.uint8))  # 2, 4, 6 m
    return folder


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Puts a `prepare` in place of the real one; returns what it was called with."""
    calls = []
    folder = tmp_path / "prepared" / "nyu_depth_v2_video" / "kaggle" / "1.0.0"
    fields = {"folder": folder, "frames": {"train": 50_688, "test": 654}, "skipped": (), "size_bytes": 7 * 10**9}

    def prepare(path, data_dir, **options):
        calls.append((path, data_dir, options))
        return types.SimpleNamespace(**fields)

    monkeypatch.setitem(sys.modules, BUILDER, types.SimpleNamespace(prepare=prepare))
    return calls, fields


def test_prepare_says_what_it_does_what_came_out_and_what_is_next(command, kaggle, stand_in, tmp_path):
    calls, fields = stand_in
    code, out, err = command("prepare", kaggle, "-o", "prepared")
    assert (code, err) == (0, "")
    first, second, *rest = out.splitlines()
    assert first == f"{kaggle} (config kaggle) -> prepared"
    assert second == f"{fields['folder']}: 50,688 train, 654 test frames, 7 GB"
    assert rest[0] == f"next: smoothdino data inspect {fields['folder']}"
    train = "python train.py --config=configs/own_video.py"
    assert rest[1].strip() == f"{train} --config.data.source.path={fields['folder']} --workdir=runs/own"
    options = {"config": "kaggle", "bad_frames": "error", "overwrite": False}
    assert calls == [(kaggle, "prepared", options)]


def test_an_interrupted_prepare_says_that_nothing_is_kept(command, kaggle, monkeypatch):
    def prepare(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, BUILDER, types.SimpleNamespace(prepare=prepare))
    code, _, err = command("prepare", kaggle, "-o", "prepared")
    assert code == 130
    assert "no frame that was written is kept: the next run begins anew\n" in err
    assert err.endswith("\nsmoothdino data prepare: interrupted\n")


def test_prepare_passes_its_options_on(command, kaggle, stand_in):
    calls, _ = stand_in
    options = "--config", "kaggle", "--bad-frames", "skip", "--overwrite"
    assert command("prepare", kaggle, "--data-dir", "prepared", *options)[0] == 0
    assert calls[0][2] == {"config": "kaggle", "bad_frames": "skip", "overwrite": True}


def test_prepare_lists_twenty_skipped_files_and_says_where_the_rest_is(command, kaggle, stand_in):
    _, fields = stand_in
    fields["skipped"] = tuple(f"attic_out/{n}.png: missing" for n in range(25))
    code, out, _ = command("prepare", kaggle, "-o", "prepared", "--bad-frames", "skip")
    assert code == 0
    assert [line for line in out.splitlines() if "left out:" in line] == [
        f"  left out: attic_out/{n}.png: missing" for n in range(20)
    ]
    assert f"  25 files left out, all of them in {fields['folder'] / 'skipped.txt'}" in out


def test_prepare_refuses_in_one_line_what_is_no_nyu(command, stand_in, tmp_path):
    calls, _ = stand_in
    (tmp_path / "rgb").mkdir()
    for path, word in ((tmp_path / "nowhere", "no such file or folder"), (tmp_path, "no frames of NYUv2")):
        code, out, err = command("prepare", path, "-o", "prepared")
        assert (code, out) == (2, "")
        assert err.startswith(f"smoothdino data prepare: {path}: {word}")
        assert err.count("\n") == 1
    assert calls == []


def test_prepare_without_tensorflow_datasets_names_the_extra(command, kaggle, monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, BUILDER, raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    code, _, err = command("prepare", kaggle, "-o", tmp_path / "prepared")
    assert code == 2
    assert "pip install 'smoothdino-jax[data]'" in err
    assert not (tmp_path / "prepared").exists()


def test_prepared_frames_are_the_frames_that_went_in(command, kaggle, tmp_path):
    pytest.importorskip("tensorflow_datasets")
    (kaggle / "data" / "nyu2_train" / "cellar_out" / "4.jpg").write_bytes(b"")
    code, out, err = command("prepare", kaggle, "-o", tmp_path / "prepared")
    assert code == 2
    assert "cellar_out/4.png is missing" in err
    assert "give --bad-frames skip" in err
    code, out, _ = command("prepare", kaggle, "-o", tmp_path / "prepared", "--bad-frames", "skip")
    assert code == 0
    folder = Path(out.splitlines()[1].partition(": 6 train frames")[0])
    assert (folder / "dataset_info.json").is_file()
    assert "cellar_out/4" in (folder / "skipped.txt").read_text()
    assert json.loads((folder / "metadata.json").read_text())["skipped"]
    source = open_folder(folder)
    assert source.scenes == {"attic_out": range(3), "cellar_out": range(3, 6)}
    np.testing.assert_allclose([source[k].depth[0, 0] for k in range(3)], [2, 4, 6], rtol=1e-6)  # float32
