"""The feature cache: it holds what the encoder gives, and no store is used for what it isn't of."""

import shutil
import threading
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments import randomise
from feature_clips import clips_of, filler
from flax import nnx

from smoothdino_jax import feature_cache
from smoothdino_jax.data import DataError
from smoothdino_jax.data.feature_store import DTYPES


@pytest.fixture
def model(tiny_model):
    randomise(tiny_model)
    return tiny_model


@pytest.fixture
def fill(model, tmp_path):
    return filler(tmp_path / "cache", model)


def encoded(model, clips, positions):
    return np.asarray(feature_cache.pack(model.encode(np.stack([clips.frame(p).image for p in positions]))))


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-5), ("float16", 2**-10), ("bfloat16", 2**-7)])
def test_stored_features_are_the_encoders(model, fill, dtype, error):
    clips = clips_of()
    store = fill(clips, dtype=dtype)
    read = store.read(np.array([5, 1, 5]))
    assert read.dtype == DTYPES[dtype]
    assert read.shape == (3, 4, 1 + 2 * 3, 16)
    expected = encoded(model, clips, [5, 1, 5])
    # Half a step of the stored dtype, beside what another size of batch changes in the last bits.
    np.testing.assert_allclose(read.astype(np.float32), expected, rtol=error, atol=2e-5)
    assert store.frame_bytes == 4 * 7 * 16 * DTYPES[dtype].itemsize
    size = (store.folder / "tokens.bin").stat().st_size
    assert size == 9 * store.frame_bytes


def test_unpacking_undoes_packing(model):
    images = np.random.default_rng(0).integers(0, 256, (2, 30, 42, 3), np.uint8)
    features = model.encode(images)
    back = feature_cache.unpack(feature_cache.pack(features), model.config.encoder, (30, 42))
    for ours, theirs in zip(jax.tree.leaves(back), jax.tree.leaves(features), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_only_the_clips_frames_are_encoded_and_each_once(fill):
    first = clips_of(clips=[[0, 1], [1, 2], [5, 6]])
    store = fill(first)
    assert len(store) == 5
    np.testing.assert_array_equal(store.missing(np.array([[7, 6], [0, 3]])), [3, 7])
    with pytest.raises(DataError, match="position 3 are not stored"):
        store.read(np.array([0, 3]))
    with pytest.raises(DataError, match="1 of the clips' frames are not stored"):
        clips_of(clips=[[2, 3]]).use_features(store)

    before = (store.folder / "tokens.bin").read_bytes()
    assert len(fill(clips_of(clips=[[2, 3], [5, 6]]))) == 6  # frame 3 is added, nothing rewritten
    assert (store.folder / "tokens.bin").read_bytes()[: len(before)] == before


def test_a_full_store_is_opened_without_encoding_or_writing(fill, monkeypatch):
    folder = fill(clips_of()).folder
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    monkeypatch.setattr(feature_cache, "_tokens", None)
    monkeypatch.setattr(feature_cache.jax, "eval_shape", lambda *_: jax.ShapeDtypeStruct((1, 4, 7, 16), jnp.float32))
    assert len(fill(clips_of())) == 9
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.parametrize("torn", [(0, 0), (0.5, 0), (1, 3)])
def test_an_interrupted_filling_goes_on_where_it_was(model, fill, tmp_path, torn):
    clips = clips_of()
    clips.source.broken = 6  # in the second batch; not one of the frames whose pixels are compared
    with pytest.raises(DataError, match="frame 6 is broken"):
        fill(clips, threads=0)
    store = feature_cache.open_store(tmp_path / "cache", model, clips)
    np.testing.assert_array_equal(store.missing(clips.clips), [4, 5, 6, 7, 8])
    with pytest.raises(DataError, match="5 of the clips' frames are not stored"):
        clips.use_features(store)

    # What a kill or a power cut may leave behind the last whole frame: parts of a record, and of its position.
    records, position = torn
    for name, size in (("tokens.bin", int(records * store.frame_bytes)), ("positions.bin", position)):
        with open(store.folder / name, "ab") as file:
            file.write(b"\x7f" * size)
    clips.source.broken = None
    clips.source.reads.clear()
    store = fill(clips)
    assert clips.source.reads.count(1) == 0
    assert clips.source.reads.count(6) == 1
    expected = encoded(model, clips, range(9))
    np.testing.assert_allclose(store.read(np.arange(9)), expected, rtol=2**-10, atol=2e-5)
    np.testing.assert_array_equal(np.fromfile(store.folder / "positions.bin", "<i8"), np.arange(9))
    assert (store.folder / "tokens.bin").stat().st_size == 9 * store.frame_bytes


def test_two_trainings_that_fill_one_store_at_once_share_the_work(model, fill, monkeypatch):
    both = threading.Barrier(2, timeout=60)
    check_room = feature_cache.check_room
    monkeypatch.setattr(feature_cache, "check_room", lambda *args: (check_room(*args), both.wait()))
    sources = [clips_of(), clips_of()]
    with ThreadPoolExecutor(2) as pool:
        stores = list(pool.map(fill, sources))
    assert [len(store) for store in stores] == [9, 9]
    assert sorted(clips.source.reads.count(6) for clips in sources) == [0, 1]
    np.testing.assert_array_equal(np.fromfile(stores[0].folder / "positions.bin", "<i8"), np.arange(9))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "frames: pixels"),
        ({"length": 41}, "frames: number of frames: 40 there, 41 here"),
        ({"name": "kitchen"}, "frames: scenes and frame numbers"),
        ({"size": (28, 28)}, r"frames: working size \(height, width\): \[28, 42\] there, \[28, 28\] here"),
    ],
)
def test_a_store_of_other_frames_is_refused_and_left_alone(fill, change, named):
    folder = fill(clips_of()).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(DataError, match=rf"cache holds features of something else.*delete this one[^$]*{named}"):
        fill(clips_of(**change))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_store_of_another_encoder_or_dtype_is_refused(model, fill):
    fill(clips_of())
    with pytest.raises(DataError, match=r"dtype: float16 there, float32 here"):
        fill(clips_of(), dtype="float32")
    randomise(model.decoder, seed=1)  # not part of it
    assert len(fill(clips_of())) == 9
    other = model.vanilla()
    graph, weights = nnx.split(other)
    other = nnx.merge(graph, jax.tree.map(lambda leaf: leaf, weights))
    other.encoder.cls_token[...] += 1e-6
    with pytest.raises(DataError, match=r"encoder: weights: [0-9a-f]{12}… there, [0-9a-f]{12}… here"):
        fill(clips_of(), model=other)


def test_a_folder_of_something_else_and_a_damaged_store_are_refused(fill, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/thesis.tex").write_text("x")
    with pytest.raises(DataError, match=r"cache is no folder of features"):
        fill(clips_of())
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["thesis.tex"]
    (tmp_path / "cache/thesis.tex").unlink()
    store = fill(clips_of())
    with open(store.folder / "tokens.bin", "r+b") as file:
        file.truncate(3 * store.frame_bytes)
    with pytest.raises(DataError, match=r"cache: damaged.*Delete it"):
        fill(clips_of())


def test_the_size_is_said_beforehand_and_refused_where_it_does_not_fit(fill, tmp_path, capsys, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 10**6 - 8063, 8063))
    with pytest.raises(
        DataError, match=r"9 frames × 0\.000896 MB \(float16\) = 8\.06e-06 GB, 8\.06e-06 GB free.*larger"
    ):
        fill(clips_of())
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 0, 10**12))
    fill(clips_of())
    assert "9 frames × 0.000896 MB (float16) = 8.06e-06 GB, 1e+03 GB free on this disk" in capsys.readouterr().out


def test_numbers_beyond_float16_are_refused_with_what_to_do(model, fill, tmp_path):
    model.encoder.blocks[3].mlp.fc2.bias[...] = 1e6
    with pytest.raises(DataError, match=r'frames 0 to 3 are beyond the range of float16.*"bfloat16"'):
        fill(clips_of())
    shutil.rmtree(tmp_path / "cache")
    model.encoder.blocks[3].mlp.fc2.bias[...] = np.nan
    with pytest.raises(DataError, match=r"not finite"):
        fill(clips_of())


def test_frames_of_different_sizes_need_a_working_size(fill):
    with pytest.raises(DataError, match=r"frame 7: .*\(28, 56\).*set data\.size"):
        fill(clips_of(clips=[[6, 7]], sizes={7: (28, 56)}))
