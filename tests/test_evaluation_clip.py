"""The clip that an evaluation leaves for pictures: what evaluation it is of."""

import dataclasses
import zipfile

import numpy as np
import pytest
from made_evaluation import made_clip, made_rows

from smoothdino_jax.data import DataError
from smoothdino_jax.evaluation.clip import Clip


@pytest.fixture
def rows():
    return made_rows()


def saved(folder, clip):
    clip.save(folder / "clip.npz")
    return Clip.load(folder / "clip.npz")


def test_a_clip_knows_its_evaluation(tmp_path, rows):
    rows[3]["mse"] = None  # broken predictions
    errors = {row["name"]: row["mse"] for row in rows}
    clip = saved(tmp_path, dataclasses.replace(made_clip(), evaluated=errors))
    assert clip.evaluated == errors
    assert clip.foreign(rows) == ""
    rows[1]["mse"] *= 1.001
    assert "in which the MSE of adapter is" in clip.foreign(rows)
    rows[1]["mse"] = None
    assert "MSE of adapter" in clip.foreign(rows)
    assert clip.foreign(rows[:3]).startswith("it is of an evaluation with the rows vanilla, adapter, biases, current_")


def test_a_clip_that_does_not_tell_is_known_by_its_rows_alone(tmp_path, rows):
    clip = saved(tmp_path, made_clip())
    assert clip.evaluated == {}
    assert clip.foreign(rows) == ""
    assert clip.foreign(rows[:1]) == "it shows adapter, biases, which the evaluation has no row of"


@pytest.mark.parametrize("value", [np.nan, np.inf, None])
def test_an_mse_that_is_not_finite_is_jsons_null(rows, value):
    errors = {row["name"]: row["mse"] for row in rows}
    rows[0]["mse"] = None
    clip = dataclasses.replace(made_clip(), evaluated=errors | {"vanilla": value})
    assert clip.foreign(rows) == ""
    rows[0]["mse"] = 0.2
    assert "MSE of vanilla" in clip.foreign(rows)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image": None}, "lacks 'image'"),
        ({"evaluated_mse": np.array([0.2])}, r"is damaged \(zip"),
        ({"evaluated_mse": np.array(["a", "b", "c"])}, "is damaged"),
        ({"rows": np.array("vanilla")}, "is damaged"),
        ({"truth": np.array(["far"])}, "is damaged"),
        ({"ncut_before": None}, "is damaged"),
        ({"scene": np.array([None])}, "is no archive of arrays"),
    ],
)
def test_a_damaged_clip_is_refused(tmp_path, changes, told):
    path = tmp_path / "clip.npz"
    dataclasses.replace(made_clip(), evaluated={"vanilla": 0.2, "adapter": 0.1, "biases": None}).save(path)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})
    with pytest.raises(DataError, match=f"{told}.*: run eval.py again"):
        Clip.load(path)


def test_what_is_no_archive_of_arrays_is_refused(tmp_path):
    path = tmp_path / "clip.npz"
    made_clip().save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "not an array")
    for spoil in (lambda: None, lambda: path.write_bytes(b"junk"), lambda: path.write_bytes(b"")):
        spoil()
        with pytest.raises(DataError, match="is no archive of arrays"):
            Clip.load(path)
    path.unlink()
    with pytest.raises(DataError, match="does not exist"):
        Clip.load(path)


@pytest.mark.parametrize("version", ["x", 1, 3, [2, 2]])
def test_a_clip_of_another_version_is_refused(tmp_path, version):
    made_clip().save(tmp_path / "clip.npz")
    with np.load(tmp_path / "clip.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "clip.npz", **arrays | {"version": np.array(version)})
    with pytest.raises(DataError, match="another version"):
        Clip.load(tmp_path / "clip.npz")
