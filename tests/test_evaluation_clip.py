"""The clip that an evaluation leaves for pictures: what evaluation it is of."""

import dataclasses

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


@pytest.mark.parametrize("version", ["x", 1, 3, [2, 2]])
def test_a_clip_of_another_version_is_refused(tmp_path, version):
    made_clip().save(tmp_path / "clip.npz")
    with np.load(tmp_path / "clip.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "clip.npz", **arrays | {"version": np.array(version)})
    with pytest.raises(DataError, match="another version"):
        Clip.load(tmp_path / "clip.npz")
