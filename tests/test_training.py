"""The training loop: what trains, what stays, resuming bit for bit, and errors before any work."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import chex
import numpy as np
import pytest
from experiments import leaves, tiny_experiment

from smoothdino_jax import load, save
from smoothdino_jax.data import DataError
from smoothdino_jax.monitor import TrainingDiverged
from smoothdino_jax.training import train_and_evaluate
from smoothdino_jax.weights.checkpoints import CheckpointError, Checkpoints

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkpoint(tiny_model, tmp_path):
    return save(tiny_model.vanilla(), tmp_path / "depther")


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    chex.assert_trees_all_equal(a, b)


def log(workdir):
    return [json.loads(line) for line in (workdir / "log.jsonl").read_text().splitlines()]


def test_training_moves_the_adapter_and_leaves_every_frozen_weight_bit_identical(checkpoint, tmp_path):
    before = load(checkpoint)
    model = train_and_evaluate(tiny_experiment(checkpoint), tmp_path / "run")
    for part in ("encoder", "decoder"):
        assert_same_bits(leaves(getattr(before, part)), leaves(getattr(model, part)))
    for path, leaf in leaves(model.adapter).items():
        assert leaf.any() or (path[-1] == "bias"), path
    assert_same_bits(leaves(load(tmp_path / "run/model")), leaves(model))

    lines = log(tmp_path / "run")
    validation = [line["validation/mse"] for line in lines if "validation/mse" in line]
    assert len(validation) >= 1
    assert lines[0]["validation/vanilla_mse"] > 0
    assert all(np.isfinite(line["train/loss"]) for line in lines if "train/loss" in line)
    assert list((tmp_path / "run/tensorboard").iterdir())
    assert (tmp_path / "run/config.json").exists()


def test_released_start_trains_biases_alone(checkpoint, tmp_path):
    config = tiny_experiment(checkpoint)
    config.model.adapter.inputs = ("previous", "shift")
    config.model.adapter.init = "released"
    adapter = leaves(train_and_evaluate(config, tmp_path / "run").adapter)
    moved = {path for path, leaf in adapter.items() if leaf.any()}
    assert moved == {path for path in adapter if path[-1] == "bias" and path[-2].endswith("_out")}


def test_depther_trains_from_scratch_on_single_frames(tmp_path):
    config = tiny_experiment("", trainable=("encoder", "decoder"), steps=2)
    config.model.encoder = {"width": 16, "depth": 4, "heads": 2, "blocks": (0, 1, 2, 3), "native_grid": 3}
    config.model.decoder = {"features": 8, "last": 8}
    config.data.clip_length = 1
    model = train_and_evaluate(config, tmp_path / "run")
    assert model.adapter is None
    assert load(tmp_path / "run/model").adapter is None
    assert np.isfinite(log(tmp_path / "run")[-1]["validation/mse"])


@pytest.mark.parametrize("regulariser", ["features", "depth"])
def test_a_strong_regulariser_holds_the_adapter_back(checkpoint, tmp_path, regulariser):
    images = np.random.default_rng(0).integers(0, 255, (2, 28, 42, 3)).astype(np.uint8)

    def change(weight):
        train = {"regulariser": regulariser, "regulariser_weight": weight}
        model = train_and_evaluate(tiny_experiment(checkpoint, **train), tmp_path / f"run{weight}")
        depth, state = model.step(images[:1], model.init_state(images[:1]))
        depth, _ = model.step(images[1:], state)
        return np.abs(depth - model(images[1:])).mean()

    assert change(100.0) < 0.8 * change(0.0)


def test_accumulation_steps_once_per_so_many_batches(checkpoint, tmp_path):
    def moved(steps):
        config = tiny_experiment(checkpoint, accumulate=4, steps=4)
        config.train.steps = steps
        model = train_and_evaluate(config, tmp_path / "run")
        return any(leaf.any() for path, leaf in leaves(model.adapter).items() if path[-2].endswith("_out"))

    with pytest.raises(ValueError, match="no update"):
        moved(3)
    assert moved(4)


def test_a_killed_run_resumes_to_the_same_bits(checkpoint, tmp_path):
    """SIGKILL between two checkpoints; the same command then ends where an undisturbed run ends."""
    # A run of its own process, since a kill must not reach this one.
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from experiments import tiny_experiment
from smoothdino_jax.training import train_and_evaluate
if __name__ == "__main__":
    config = tiny_experiment({str(checkpoint)!r}, steps=200, validations_per_epoch=1)
    config.data.augment = True
    config.train.validation_frames = 2
    config.train.steps = int(sys.argv[2])
    train_and_evaluate(config, sys.argv[1])
"""
    (tmp_path / "main.py").write_text(script)

    def start(name, steps):
        return subprocess.Popen(
            [sys.executable, str(tmp_path / "main.py"), str(tmp_path / name), str(steps)],
            stderr=subprocess.DEVNULL,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )

    killed = start("killed", 24)
    deadline = time.monotonic() + 300

    def checkpoints():
        return [int(path.name) for path in (tmp_path / "killed/checkpoints").glob("*") if path.name.isdigit()]

    while not checkpoints():
        assert killed.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert max(checkpoints()) < 24
    assert start("killed", 24).wait() == 0
    assert start("whole", 24).wait() == 0
    assert_same_bits(*(leaves(load(tmp_path / name / "model")) for name in ("killed", "whole")))
    drop = ("train/frames_per_second",)
    lines = [
        [{k: v for k, v in line.items() if k not in drop} for line in log(tmp_path / name)]
        for name in ("killed", "whole")
    ]
    assert lines[0] == lines[1]


def test_nan_stops_the_run_and_names_step_and_checkpoint(checkpoint, tmp_path):
    config = tiny_experiment(checkpoint, steps=8, validations_per_epoch=8)
    train_and_evaluate(config, tmp_path / "run")
    config.train.steps = 40
    config.train.learning_rate = 1e30
    with pytest.raises(TrainingDiverged, match=r"step \d+: .*not finite") as error:
        train_and_evaluate(config, tmp_path / "run")
    named = int(re.search(r"checkpoints/(\d+)", str(error.value))[1])
    assert named == Checkpoints(tmp_path / "run/checkpoints").latest
    # The one it names is good: with a sane rate, the run goes on from there.
    config.train.learning_rate = 1e-3
    config.train.steps = named + 2
    model = train_and_evaluate(config, tmp_path / "run")
    assert all(np.isfinite(leaf).all() for leaf in leaves(model).values())


def test_a_checkpoint_of_another_size_is_refused_with_the_field_and_the_first_tensors(checkpoint, tmp_path):
    train_and_evaluate(tiny_experiment(checkpoint, steps=1), tmp_path / "run")
    config = tiny_experiment(checkpoint, steps=2)
    config.model.adapter.hidden = 24
    with pytest.raises(CheckpointError, match="another configuration") as error:
        train_and_evaluate(config, tmp_path / "run")
    assert "It differs in the model's adapter.hidden (24, by the tensors 16).\n" in str(error.value)
    _, *tensors, more = str(error.value).splitlines()
    assert len(tensors) == 3
    assert all("in the checkpoint" in tensor for tensor in tensors)
    assert re.fullmatch(r"  and \d+ more", more)


def test_a_checkpoint_of_other_trained_parts_is_refused_with_them(checkpoint, tmp_path):
    train_and_evaluate(tiny_experiment(checkpoint, steps=1), tmp_path / "run")
    config = tiny_experiment(checkpoint, trainable=("adapter", "decoder"), steps=2)
    with pytest.raises(CheckpointError, match=r"train\.trainable \(adapter, decoder, by the checkpoint adapter\)"):
        train_and_evaluate(config, tmp_path / "run")


def test_resuming_with_other_batches_is_refused_before_anything_is_filled_or_trained(checkpoint, tmp_path):
    train_and_evaluate(tiny_experiment(checkpoint, steps=1), tmp_path / "run")
    for change in ({"batch_size": 4}, {"workers": 2}, {"step": 2}):
        config = tiny_experiment(checkpoint, steps=2)
        for name, value in change.items():
            setattr(config.train if name == "batch_size" else config.data, name, value)
        config.data.feature_cache = str(tmp_path / "features")
        with pytest.raises(CheckpointError, match=r"other batches[^$]* then, [^$]* now"):
            train_and_evaluate(config, tmp_path / "run")
    assert not (tmp_path / "features").exists()


def test_finished_runs_do_nothing_more(checkpoint, tmp_path):
    config = tiny_experiment(checkpoint, steps=2)
    once = leaves(train_and_evaluate(config, tmp_path / "run"))
    assert_same_bits(once, leaves(train_and_evaluate(config, tmp_path / "run")))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model.checkpoint", "nowhere", "nowhere"),
        ("data.source.name", "kitti", "kitti"),
        ("data.clip_length", 1, "past"),
        ("data.clip_length", 7, "longest"),
        ("data.size", (7, 7), "at least 14"),
        ("train.trainable", ("head",), "trainable"),
        ("train.loss", "l3", "loss"),
        ("train.regulariser", "weights", "regulariser"),
        ("train.optimizer", "sgd", "optimizer"),
        ("train.schedule", "linear", "schedule"),
        ("train.export", "first", "export"),
        ("train.batch_size", 100, "batch"),
        ("train.batch_size", 0, "at least 1"),
        ("train.learning_rate", 0.0, "positive"),
        ("model.dtype", "float16", "bfloat16"),
        ("eval.name", "vanilla", "frozen"),
        ("data.split.how", "at_random", "fraction"),
        ("model.adapter.inputs", ("shift", "current"), "order"),
        ("model.keep_adapter", True, "no adapter"),
    ],
)
def test_bad_configurations_stop_before_any_work(checkpoint, tmp_path, field, value, message):
    config = tiny_experiment(checkpoint)
    config.update_from_flattened_dict({field: value})
    with pytest.raises((ValueError, DataError), match=message):
        train_and_evaluate(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.train.learning_rat=1"], "learning_rat"),
        (["--config.train.steps=many"], "steps"),
        (["--config=configs/nothing.py"], "nothing.py"),
        (["--config.data.source.size=(0, 0)"], "16 pixels"),
        (["steps=3"], "unexpected argument"),
    ],
)
def test_command_line_mistakes_get_one_line_and_exit_code_2(tmp_path, arguments, message):
    command = [sys.executable, "train.py", "--config=configs/demo.py", f"--workdir={tmp_path / 'run'}"]
    done = subprocess.run(command + arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_help_teaches():
    done = subprocess.run([sys.executable, "train.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert "configs/demo.py" in done.stdout
    assert "--workdir" in done.stdout
