"""Prepared NYUv2 and TensorFlow Datasets: built and read by name, and TensorFlow is not needed."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nyu_files import build, make_folder

from smoothdino_jax.data.nyu_video import NYUVideo

tfds = pytest.importorskip("tensorflow_datasets")

import smoothdino_jax.data.nyu_depth_v2_video  # noqa: E402, F401 - TFDS finds the dataset once it is imported


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_folder(tmp_path / "nyu")


_WITHOUT_TENSORFLOW = """
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
hidden = lambda name: name.split(".")[0] == "tensorflow"
PathFinder.find_spec = classmethod(lambda cls, name, *rest: None if hidden(name) else find(name, *rest))
from tensorflow_datasets.core import shuffle
shuffle.MAX_MEM_BUFFER_SIZE = 0  # from where on TFDS's own writer needs TensorFlow
from smoothdino_jax.data.nyu_depth_v2_video import prepare, tfds
from smoothdino_jax.data.nyu_video import NYUVideo
prepare(sys.argv[1], sys.argv[2], progress=False)
source = NYUVideo(sys.argv[2])
assert source[9].image.shape == (32, 48, 3)
rows = tfds.builder("nyu_depth_v2_video/kaggle", data_dir=sys.argv[2]).as_data_source("train")
assert rows[9]["depth"].shape == (32, 48, 1)
assert "tensorflow" not in sys.modules
print("as it should be")
"""


def test_building_and_reading_need_no_tensorflow(folder, tmp_path):
    command = [sys.executable, "-c", _WITHOUT_TENSORFLOW, folder, tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("as it should be\n", 0), done.stderr


def test_reading_needs_no_tensorflow_datasets(folder, tmp_path):
    build(folder, tmp_path / "out")
    code = (
        "import sys; sys.modules['tensorflow_datasets'] = None\n"
        "from smoothdino_jax.data.nyu_video import NYUVideo; print(NYUVideo(sys.argv[1])[3].index)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "out"], capture_output=True, text=True)
    assert done.stdout == "4\n", done.stderr


def test_tfds_builds_and_reads_it_by_name_and_manual_dir(folder, tmp_path):
    builder = tfds.builder("nyu_depth_v2_video/kaggle", data_dir=tmp_path / "out", progress=False)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=folder))
    assert builder.info.splits["train"].num_examples == 10
    assert builder.info.disable_shuffling
    rows = tfds.data_source("nyu_depth_v2_video/kaggle", data_dir=tmp_path / "out", split="train")
    assert [(row["scene"], int(row["index"])) for row in rows] == [
        *((b"attic_out", n) for n in range(1, 7)),
        *((b"cellar_out", n) for n in range(1, 5)),
    ]
    source = NYUVideo(tmp_path / "out")
    np.testing.assert_array_equal(rows[4]["image"], source[4].image)
    np.testing.assert_allclose(rows[4]["depth"][..., 0] / 1000, source[4].depth, atol=1e-6)


def test_the_code_in_the_documentation_reads_it(folder, tmp_path):
    text = (Path(__file__).parents[1] / "docs" / "datasets.md").read_text()
    section = text.partition("\n## Reading it with TFDS\n")[2].partition("\n## ")[0]
    code = re.search(r"\n```python\n(.*?)```", section, re.DOTALL)[1]
    build(folder, tmp_path / "prepared")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("10 b'attic_out' 1 (32, 48, 3) (32, 48, 1)\n", 0), done.stderr
    features = tfds.builder("nyu_depth_v2_video/kaggle", data_dir=tmp_path / "prepared").info.features
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(features)
    row = tfds.data_source("nyu_depth_v2_video/kaggle", split="train", data_dir=tmp_path / "prepared")[0]
    assert type(row["scene"]) is bytes
    assert np.asarray(row["index"]).dtype == np.asarray(row["segment"]).dtype == np.int64
    assert (row["image"].dtype, row["depth"].dtype) == (np.uint8, np.uint16)
    version = tmp_path / "prepared" / "nyu_depth_v2_video" / "kaggle" / "1.0.0"
    with pytest.raises(AssertionError, match=r"Manual directory .* does not exist"):
        tfds.data_source("nyu_depth_v2_video/kaggle", split="train", data_dir=version)
