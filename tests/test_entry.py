"""What train.py and eval.py say when they end before their time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "demo.py"


@pytest.fixture
def start(tmp_path):
    """Runs a program that raises `error`, in a process of its own."""

    def run(error, *arguments, resumes=True):
        code = f"""
RESUMES = {resumes}
from smoothdino_jax.apps.entry import run
from smoothdino_jax.data import DataError
def main(config, workdir):
    raise {error}
run(main, "A program.", resumes=RESUMES)
"""
        command = [sys.executable, "-c", code, f"--config={CONFIG}", f"--workdir={tmp_path}", *arguments]
        environment = os.environ | {"JAX_PLATFORMS": "cpu"}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    return run


def test_an_interrupted_run_says_where_it_goes_on(start, tmp_path):
    done = start("KeyboardInterrupt")
    assert done.returncode == 130
    assert "no checkpoint yet, so the same command starts anew" in done.stderr
    for step in (8, 40):
        (tmp_path / "checkpoints" / str(step)).mkdir(parents=True)
    (tmp_path / "checkpoints" / "48.orbax-checkpoint-tmp").mkdir()
    assert "goes on from its last checkpoint, step 40, with the same command" in start("KeyboardInterrupt").stderr


def test_bad_input_ends_with_a_line_and_code_2(start):
    done = start("DataError('frame.jpg: not a readable image')")
    assert done.returncode == 2
    assert done.stderr == "error: frame.jpg: not a readable image\n"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config.train.speed=9", '--config.train.speed=9: there is no field "speed" ('),
        ("--config.modle.window=9", '--config.modle.window=9: there is no field "modle", did you mean "model"? ('),
        ("--config.train.steps=many", "flag --config.train.steps=many: invalid literal"),
        (f"--config={CONFIG}:none", 'error: configs/demo.py:none: use "adapter"'),
    ],
)
def test_a_wrong_option_is_told_on_one_line(start, argument, message):
    done = start("None", argument)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_config_file_that_breaks_is_told_on_one_line(tmp_path):
    (tmp_path / "broken.py").write_text("import does_not_exist\n")
    (tmp_path / "misspelt.py").write_text(
        "from smoothdino_jax.config import default_config\n"
        "def get_config():\n    config = default_config()\n    config.train.stepps = 3\n    return config\n"
    )
    for name, message in (("broken", "No module named 'does_not_exist'"), ("misspelt", 'did you mean "steps"?')):
        command = [sys.executable, "train.py", f"--config={tmp_path / name}.py", f"--workdir={tmp_path}"]
        done = subprocess.run(command, cwd=CONFIG.parents[1], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: --config and --workdir must be given ("),
        (["--config=configs/demo.py"], "error: --workdir must be given ("),
        (["--config=none.py", "--workdir=w"], "error: no such config file: none.py\n"),
        (["--config=none.py", "--workdir=w", "--config.seed=1"], "error: no such config file: none.py\n"),
    ],
)
def test_what_is_not_given_or_not_there_is_told(arguments, message):
    command = [sys.executable, "train.py", *arguments]
    done = subprocess.run(command, cwd=CONFIG.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
