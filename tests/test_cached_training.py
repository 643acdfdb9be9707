"""Training on stored features: the same training without the encoder."""

import functools
import json
import pickle

import chex
import jax
import numpy as np
import pytest
from experiments import leaves, randomise, tiny_experiment
from feature_clips import clips_of, filler

from smoothdino_jax import save, training
from smoothdino_jax.data import Augment, DataError, training_batches
from smoothdino_jax.data.feature_store import DTYPES
from smoothdino_jax.experiment import check_config, open_data
from smoothdino_jax.models.smoothdino import SmoothDINO


@pytest.fixture
def fill(tiny_model, tmp_path):
    randomise(tiny_model)
    return filler(tmp_path / "cache", tiny_model)


def test_batches_carry_features_through_threads_and_processes_and_reversal(fill):
    clips = clips_of()
    store = fill(clips, dtype="bfloat16")
    clips.use_features(store)
    off = {"flip": 0, "brightness": 0, "contrast": 0, "gamma": 0, "colour": 0}
    for workers in (0, 1):
        batches = iter(training_batches(clips, 4, seed=0, augment=Augment(**off), threads=1, workers=workers))
        batch = next(batches)
        batches.close()
        assert batch["features"].dtype == DTYPES["bfloat16"]
        positions = batch["depth"][..., 0, 0].astype(int) - 1
        assert {row[1] - row[0] for row in positions.tolist()} == {-1, 1}  # some played backwards, some not
        for row, features in zip(positions, batch["features"], strict=True):
            np.testing.assert_array_equal(features, store.read(row))
    with pytest.raises(ValueError, match="flip must be 0"):
        Augment(**off | {"flip": 0.5})(clips[0], np.random.default_rng(0))
    assert len(pickle.dumps(store)) < 2000  # no features in a pickle


@pytest.mark.parametrize("adapter", [True, False])
def test_the_loss_of_stored_features_is_the_loss_and_encodes_nothing(tiny_model, fill, monkeypatch, adapter):
    clips = clips_of()
    clips.use_features(fill(clips, dtype="float32"))
    batch = next(iter(training_batches(clips, 4, seed=0, threads=0)))
    config = tiny_experiment("", trainable=("adapter",) if adapter else ("decoder",))
    model = tiny_model if adapter else tiny_model.vanilla()
    loss = jax.jit(functools.partial(training.loss, config))
    expected = loss(model, batch["image"], batch["depth"])

    def encode(*_):
        raise AssertionError("encoded")

    monkeypatch.setattr(SmoothDINO, "encode", encode)
    np.testing.assert_allclose(loss(model, batch["image"], batch["depth"], batch["features"]), expected, rtol=1e-6)


def test_training_with_and_without_a_cache_is_the_same_training(tiny_model, tmp_path, capsys):
    checkpoint = save(tiny_model.vanilla(), tmp_path / "depther")

    def trained(name, cache):
        config = tiny_experiment(checkpoint, steps=3, validations_per_epoch=1)
        config.data.augment = True
        config.data.augmentation = dict.fromkeys(config.data.augmentation, 0.0) | {"reverse": 0.5}
        config.data.feature_cache, config.data.feature_dtype = cache, "float32"
        model = training.train_and_evaluate(config, tmp_path / name)
        lines = [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        return leaves(model.adapter), next(line["train/loss"] for line in lines if "train/loss" in line)

    plain, plain_loss = trained("plain", "")
    cached, cached_loss = trained("cached", str(tmp_path / "cache"))
    assert "features of 18 frames" in capsys.readouterr().out
    assert cached_loss == pytest.approx(plain_loss, rel=1e-5)
    # Bit for bit the same on the CPU; Adam's steps of up to 1e-2 enlarge last bits elsewhere.
    chex.assert_trees_all_close(cached, plain, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train.trainable": ("adapter", "encoder")}, "frozen encoder"),
        ({"data.feature_dtype": "int8"}, "float16, bfloat16, float32"),
        (
            {"data.augment": True, "data.augmentation.noise": 2.0, "data.augmentation.gamma": 0.0},
            r"--config\.data\.augment=False, or --config\.data\.augmentation\.flip=0 "
            r"--config\.data\.augmentation\.brightness=0 --config\.data\.augmentation\.contrast=0 "
            r"--config\.data\.augmentation\.colour=0 --config\.data\.augmentation\.noise=0$",
        ),
    ],
)
def test_what_a_cache_cannot_follow_is_refused_before_any_work(tmp_path, fields, message):
    config = tiny_experiment("nowhere")
    config.data.feature_cache = str(tmp_path / "cache")
    config.update_from_flattened_dict(fields)
    with pytest.raises(ValueError, match=message):
        training.train_and_evaluate(config, tmp_path / "run")
    config.data.feature_cache = ""
    if "data.feature_dtype" not in fields:
        check_config(config)
    assert not list(tmp_path.iterdir())


def test_a_step_spaces_training_clips_and_leaves_validation_whole():
    config = tiny_experiment("")
    _, whole = open_data(config)
    config.data.step = 3
    _, spaced = open_data(config)
    np.testing.assert_array_equal(spaced.train[:4], [[0, 1], [3, 4], [6, 7], [9, 10]])
    np.testing.assert_array_equal(spaced.validation, whole.validation)
    config.data.step = 0
    with pytest.raises(ValueError, match="step=0"):
        open_data(config)


def test_evaluation_needs_no_training_clips_and_training_does(tmp_path):
    config = tiny_experiment("")
    config.data.split.validation_scenes = tuple(f"room_{k:06d}" for k in range(4))
    with pytest.raises(DataError, match="no training clips"):
        training.train_and_evaluate(config, tmp_path / "run")
    source, split = open_data(config, training=False)
    assert len(np.unique(split.validation)) == len(source) == 24
    config.data.step = 100  # spaces training clips alone
    assert open_data(config, training=False)[1].validation.shape == split.validation.shape
