"""Splits in files: the released code's lists, and text files of scenes; those that do not fit are refused."""

import json
import re

import numpy as np
import pytest
from made_scenes import Scenes
from ml_collections import ConfigDict

from smoothdino_jax.data import (
    DataError,
    at_random,
    by_blocks,
    by_scene,
    from_lists,
    from_scene_files,
    make_clips,
    make_split,
)


@pytest.fixture
def rooms():
    return Scenes(attic_out=100, cellar_out=60, porch_out=40)


@pytest.fixture
def lists(tmp_path):
    """Writes the two lists, returns their paths."""

    def write(train, validation):
        paths = tmp_path / "train.json", tmp_path / "validation.json"
        for path, entries in zip(paths, (train, validation), strict=True):
            path.write_text(entries if isinstance(entries, str) else json.dumps(entries))
        return paths

    return write


def test_lists_name_pairs_by_the_number_of_their_first_frame(lists):
    source = Scenes(first=7, attic_out=5, cellar_out=5)
    clips = make_clips(source, 2)
    paths = lists([["cellar_out", 7], ["attic_out", 10], ["attic_out", 10]], [["attic_out", 8]])
    split = from_lists(source, clips, *paths)
    np.testing.assert_array_equal(split.train, [[5, 6], [3, 4]])
    np.testing.assert_array_equal(split.validation, [[1, 2]])
    assert split.leaking == 0.5  # frame 2 adjoins training frame 3, frame 1 none


def test_lists_may_write_scenes_with_a_path_or_without_the_suffix(lists):
    source = Scenes(attic_out=5, cellar_out=5)
    paths = lists(
        [["data/nyu2_train/attic_out", 1], ["attic", 2], ["attic_out", 3]],
        [["nyu2_train\\cellar", 1], ["x/cellar_out/", 2]],
    )
    split = from_lists(source, make_clips(source, 2), *paths)
    np.testing.assert_array_equal(split.train[:, 0], [0, 1, 2])
    np.testing.assert_array_equal(split.validation[:, 0], [5, 6])


def test_an_exact_scene_name_wins_and_an_ambiguous_one_is_refused(lists):
    source = Scenes(attic=5, attic_out=5)
    clips = make_clips(source, 2)
    split = from_lists(source, clips, *lists([["attic", 1]], [["attic_out", 1]]))
    np.testing.assert_array_equal([split.train[0, 0], split.validation[0, 0]], [0, 5])
    with pytest.raises(DataError, match="may be any of attic, attic_out"):
        from_lists(source, clips, *lists([["x/attic", 1]], [["attic_out", 1]]))


def test_entries_that_name_no_pair_are_counted_in_one_error(lists):
    source = Scenes(attic_out=5)
    # The last frame starts no pair, 0 and 9 are outside, the garden isn't there.
    train = [["attic_out", 1], ["attic_out", 5], ["attic_out", 0], ["garden_out", 1]]
    with pytest.raises(DataError, match="4 of 5 listed pairs") as caught:
        from_lists(source, make_clips(source, 2), *lists(train, [["attic_out", 9]]))
    assert "['attic_out', 5] in" in str(caught.value)
    assert "train.json" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[", "not JSON"),
        ('{"a": 1}', "JSON list"),
        ('[["attic_out", 1], ["attic_out"]]', "entry 1 is"),
        ('[[1, "attic_out"]]', "entry 0 is"),
        ("[]", "no training clips"),
    ],
)
def test_files_that_are_no_lists_are_refused(lists, text, message):
    source = Scenes(attic_out=5)
    paths = lists(text, [["attic_out", 1]])
    with pytest.raises(DataError, match=message):
        from_lists(source, make_clips(source, 2), *paths)
    with pytest.raises(DataError, match=re.escape("gone.json")):
        from_lists(source, make_clips(source, 2), paths[0].parent / "gone.json", paths[1])


def test_a_text_file_of_scenes_splits_by_scene(rooms, tmp_path):
    clips = make_clips(rooms, 2)
    held_out = tmp_path / "validation.txt"
    held_out.write_text("# two of three\n\ncellar   # without its suffix\nsome/where/porch_out\n")
    split = from_scene_files(rooms, clips, held_out)
    assert {int(p) for p in split.validation.ravel()} == set(range(100, 200))
    assert {int(p) for p in split.train.ravel()} == set(range(100))
    assert split.leaking == 0
    train = tmp_path / "train.txt"
    train.write_text("attic_out\n")
    held_out.write_text("porch_out\n")
    split = from_scene_files(rooms, clips, held_out, train)
    assert {int(p) for p in split.train.ravel()} == set(range(100))


@pytest.mark.parametrize(
    ("validation", "train", "message"),
    [
        ("garage\n", None, r"validation\.txt: no such scene: 'garage' \(line 1\).*attic_out"),
        ("# nothing\n", None, r"validation\.txt: names no scene"),
        ("porch\n", "attic\nporch\n", r"both name porch_out"),
        ("attic\ncellar\nporch\n", None, r"no training clips"),
    ],
)
def test_a_text_file_of_wrong_scenes_is_refused(rooms, tmp_path, validation, train, message):
    files = {"validation": validation, "train": train}
    paths = {}
    for side, text in files.items():
        if text is not None:
            paths[f"{side}_file"] = tmp_path / f"{side}.txt"
            paths[f"{side}_file"].write_text(text)
    with pytest.raises(DataError, match=message):
        from_scene_files(rooms, make_clips(rooms, 2), **paths)


def test_a_missing_or_binary_file_of_scenes_is_refused(rooms, tmp_path):
    with pytest.raises(DataError, match=r"none\.txt: No such file"):
        from_scene_files(rooms, make_clips(rooms, 2), tmp_path / "none.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"binary\.txt: "):
        from_scene_files(rooms, make_clips(rooms, 2), tmp_path / "binary.txt")


def test_a_config_names_its_split(rooms, lists):
    clips = make_clips(rooms, 2)
    paths = lists([["attic", 1]], [["porch", 1]])
    for config, expected in (
        (
            {"how": "by_scene", "validation_scenes": ("porch_out",)},
            by_scene(rooms, clips, ["porch_out"]),
        ),
        (
            {"how": "by_blocks", "block": 9, "fraction": 0.3, "gap": 2, "seed": 4},
            by_blocks(rooms, clips, 9, 0.3, 2, 4),
        ),
        ({"how": "at_random", "fraction": 0.3, "seed": 4}, at_random(rooms, clips, 0.3, 4)),
        (
            {"how": "lists", "train_json": str(paths[0]), "validation_json": str(paths[1])},
            from_lists(rooms, clips, *paths),
        ),
    ):
        split = make_split(ConfigDict(config), rooms, clips)
        np.testing.assert_array_equal(split.train, expected.train)
        np.testing.assert_array_equal(split.validation, expected.validation)
    with pytest.raises(ValueError, match=r"'by_hand'.*'by_scene', 'by_blocks', 'by_parts', 'at_random'"):
        make_split(ConfigDict({"how": "by_hand"}), rooms, clips)
