"""`eval.py`: rows, and the files it leaves."""

import json
import runpy
from pathlib import Path

import numpy as np
import nyu_files
import pytest
from experiments import randomise, tiny_experiment
from flax import nnx

from smoothdino_jax import load, save
from smoothdino_jax.apps.eval_tables import comparison_table
from smoothdino_jax.apps.evaluate import evaluate_workdir
from smoothdino_jax.data import DataError
from smoothdino_jax.data.clips import resize_frame
from smoothdino_jax.data.nyu_video import NYUVideo
from smoothdino_jax.data.synthetic import SyntheticRooms
from smoothdino_jax.evaluation.clip import Clip
from smoothdino_jax.evaluation.predictors import ABLATIONS
from smoothdino_jax.metrics import DEFINITIONS
from smoothdino_jax.models.adapters import AdapterConfig
from smoothdino_jax.models.dpt import resize_depth

ROOT = Path(__file__).parents[1]


@pytest.fixture
def workdir(tiny_model, tmp_path):
    randomise(tiny_model.adapter, scale=0.1)
    save(tiny_model, tmp_path / "run/model")
    randomise(other := tiny_model.with_adapter(AdapterConfig.current_only(16), nnx.Rngs(0)).adapter, scale=0.1)
    tiny_model.adapter, tiny_model.config = other, tiny_model.with_adapter(other.config, nnx.Rngs(0)).config
    save(tiny_model, tmp_path / "other/model")
    return tmp_path / "run"


def test_evaluation_prints_a_table_and_writes_metrics_and_pictures(workdir, capsys):
    config = tiny_experiment("unused")
    config.eval.checkpoints = f"current_only={workdir.parent / 'other/model'}"
    config.eval.timing_frames = 2
    rows = evaluate_workdir(config, workdir)
    assert [row["name"] for row in rows] == ["vanilla", "current_only", "adapter"]
    assert json.loads((workdir / "eval/metrics.json").read_text()) == rows
    for row in rows:
        assert {"mse", "rmse", "abs_rel", "log10", "delta1", "delta2", "delta3", "silog", "frames"} <= row.keys()
        assert row["ms_per_frame"] > 0
        assert row["frames"] == 5
    printed = capsys.readouterr().out
    assert comparison_table(rows) in printed
    clip = Clip.load(workdir / "eval/clip.npz")
    assert clip.evaluated == {row["name"]: row["mse"] for row in rows}
    assert clip.foreign(rows) == ""
    for kind in ("png", "mp4", "gif"):
        assert (workdir / f"eval/comparison.{kind}").stat().st_size > 1000


@pytest.mark.parametrize(
    ("checkpoints", "message"),
    [
        ("nonsense", "name=folder"),
        ("a=x,a=y", "twice"),
        ("vanilla=x", "taken"),
        ("other=nowhere", "nowhere"),
    ],
)
def test_wrong_checkpoints_stop_the_evaluation(workdir, checkpoints, message):
    config = tiny_experiment("unused")
    config.eval.checkpoints = checkpoints
    with pytest.raises((ValueError, DataError), match=message):
        evaluate_workdir(config, workdir)
    assert not (workdir / "eval").exists()


def test_test_images_are_judged_one_by_one_at_their_own_size(workdir, tmp_path):
    folder = nyu_files.make_folder(tmp_path / "kaggle")
    prepared = nyu_files.build(folder, tmp_path / "prepared").folder
    config = runpy.run_path(str(ROOT / "configs/nyu_test.py"))["get_config"]()
    config.data.source.path = str(prepared)
    config.data.size = (28, 42)  # of what the model sees; the truth stays at 32x48
    config.eval.timing_frames = 1
    config.eval.pictures = False
    vanilla = evaluate_workdir(config, workdir)[0]
    assert (vanilla["frames"], vanilla["scenes"]) == (2, 1)
    assert vanilla["mse_ci"] is not None  # the images are the units that are resampled
    model, expected = load(workdir / "model").vanilla(), []
    for frame in NYUVideo(prepared, split="test"):
        image = resize_frame(frame, (28, 42)).image
        depth = np.clip(resize_depth(model(image[None]), (32, 48)), 1e-3, 10.0)
        # Eigen's crop of 480x640, scaled: rows 3 to 30, columns 3 to 44.
        expected.append(np.square(depth[0, 3:31, 3:45] - frame.depth[3:31, 3:45]).mean())
    assert vanilla["mse"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert "flicker" not in vanilla


def test_checkpoints_are_compared_without_a_model_in_the_workdir(workdir, tmp_path):
    config = tiny_experiment("unused")
    config.eval.checkpoints = f"one={workdir / 'model'},two={workdir.parent / 'other/model'}"
    config.eval.measures = ("frame",)
    config.eval.timing_frames = 1
    config.eval.pictures = False
    rows = evaluate_workdir(config, tmp_path / "nothing")
    assert [row["name"] for row in rows] == ["vanilla", "one", "two"]
    assert rows[1]["mse"] != rows[2]["mse"]


def test_ablations_and_averages_are_rows_of_their_own(workdir):
    config = tiny_experiment("unused")
    config.ablations = True
    config.eval.measures = ("frame",)
    config.eval.timing_frames = 1
    config.eval.pictures = False
    rows = {row["name"]: row for row in evaluate_workdir(config, workdir)}
    assert [row["kind"] for row in rows.values()] == ["model"] * 2 + ["ablation"] * 5 + ["average"] * 12
    assert rows["mean2"]["mse"] != rows["vanilla"]["mse"] != rows["adapter/shuffled"]["mse"]
    assert all(rows[name]["ms_per_frame"] is None for name in ("mean2", "adapter/shuffled"))


def test_ablations_are_of_the_model_that_is_named(workdir):
    config = tiny_experiment("unused")
    config.ablations, config.eval.ablated = True, "other"
    config.eval.checkpoints = f"other={workdir.parent / 'other/model'}"
    config.eval.measures = ("frame",)
    config.eval.timing_frames = 1
    config.eval.pictures = False
    rows = {row["name"]: row for row in evaluate_workdir(config, workdir)}
    ablations = [row for row in rows.values() if row["kind"] == "ablation"]
    assert [row["name"] for row in ablations] == [f"other/{how}" for how in ABLATIONS]
    # It sees the current frame alone: no past to miss.
    assert [row["mse"] for row in ablations] == pytest.approx([rows["other"]["mse"]] * len(ABLATIONS))


@pytest.mark.parametrize(("name", "why"), [("adaptor", "is not compared"), ("vanilla", "has no adapter")])
def test_a_model_that_cannot_be_ablated_is_told_with_those_that_can(workdir, name, why):
    config = tiny_experiment("unused")
    config.ablations, config.eval.ablated = True, name
    config.eval.checkpoints = f"other={workdir.parent / 'other/model'}"
    with pytest.raises(ValueError, match=rf"eval\.ablated='{name}' {why}: .* other, adapter$"):
        evaluate_workdir(config, workdir)
    assert not (workdir / "eval").exists()


def test_a_model_on_another_frozen_part_is_told(tiny_model, workdir, capsys):
    randomise(tiny_model.decoder)
    save(tiny_model, workdir.parent / "tuned/model")
    config = tiny_experiment("unused")
    config.eval.checkpoints = f"other={workdir.parent / 'other/model'},tuned={workdir.parent / 'tuned/model'}"
    config.eval.measures = ("frame",)
    config.eval.timing_frames = 1
    config.eval.pictures = False
    differs = {row["name"]: row["frozen_differs"] for row in evaluate_workdir(config, workdir)}
    assert differs == {"vanilla": False, "other": False, "tuned": True, "adapter": False}
    assert "\non another frozen model: tuned\n" in capsys.readouterr().out


def test_frames_that_leave_nothing_to_train_on_are_evaluated(workdir):
    config = tiny_experiment("unused")
    config.data.split.validation_scenes = tuple(f"room_{k:06d}" for k in range(4))
    config.eval.measures = ("frame",)
    config.eval.timing_frames = 1
    config.eval.pictures = False
    assert evaluate_workdir(config, workdir)[0]["frames"] == 20  # all but the first of each scene


def test_a_model_without_adapter_has_no_past_to_be_denied(tiny_model, tmp_path):
    save(tiny_model.vanilla(), tmp_path / "model")
    config = tiny_experiment("unused")
    config.ablations = True
    with pytest.raises(ValueError, match="adapter"):
        evaluate_workdir(config, tmp_path)


def test_a_workdir_without_a_model_says_so(tmp_path):
    with pytest.raises(DataError, match="model"):
        evaluate_workdir(tiny_experiment("unused"), tmp_path)


def test_the_documentation_names_every_metric_and_every_ablation():
    text = (ROOT / "docs/evaluation.md").read_text()
    assert [name for name in DEFINITIONS if f"| `{name}` |" not in text] == []
    assert [name for name in ABLATIONS if f"| `adapter/{name}` |" not in text] == []


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("measures", ("temporal",), '"frame"'),
        ("measures", ("frame", "speed"), "sharpness"),
        ("crop", "garg", "eigen"),
        ("max_depth", 0.5, "0.5"),
        ("picture_stream", 9, "streams are 0 to 0"),
    ],
)
def test_fields_that_nothing_can_follow_stop_the_evaluation(workdir, field, value, message):
    config = tiny_experiment("unused")
    config.eval.min_depth = 1.0
    config.eval[field] = value
    with pytest.raises(ValueError, match=message):
        evaluate_workdir(config, workdir)
    assert not (workdir / "eval").exists()


def test_a_checkpoint_may_not_take_the_name_of_an_average(workdir):
    config = tiny_experiment("unused")
    config.ablations = True
    config.eval.checkpoints = f"mean2={workdir / 'model'}"
    with pytest.raises(ValueError, match="'mean2'"):
        evaluate_workdir(config, workdir)


def test_data_without_depth_say_so(workdir, monkeypatch):
    monkeypatch.setattr(SyntheticRooms, "__getitem__", without_depth(SyntheticRooms.__getitem__))
    config = tiny_experiment("unused")
    config.eval.measures = ("frame",)
    with pytest.raises(ValueError, match="the data have no depth"):
        evaluate_workdir(config, workdir)


def without_depth(read):
    def empty(source, position):
        frame = read(source, position)
        return frame._replace(depth=np.zeros_like(frame.depth))

    return empty
