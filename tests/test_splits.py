"""Splits keep what they promise apart, and say what leaks."""

import re

import numpy as np
import pytest
from made_scenes import Scenes
from ml_collections import ConfigDict

from smoothdino_jax.data import (
    DataError,
    at_random,
    by_blocks,
    by_parts,
    by_scene,
    everything,
    from_scene_files,
    make_clips,
    make_split,
    open_source,
)
from smoothdino_jax.data.splits import NoTrainingClips


@pytest.fixture
def rooms():
    return Scenes(attic_out=100, cellar_out=60, porch_out=40)


def leaks(source, split) -> float:
    """The share of validation frames within one frame of training, counted the slow way."""
    used = {int(p) for p in split.train.ravel()}
    near = set()
    for positions in source.scenes.values():
        near |= {p for p in positions for q in (p - 1, p, p + 1) if q in used and q in positions}
    held_out = {int(p) for p in split.validation.ravel()}
    return len(held_out & near) / len(held_out)


def rows(clips) -> set[tuple[int, ...]]:
    return {tuple(map(int, clip)) for clip in clips}


def test_by_scene_holds_whole_scenes_out(rooms):
    clips = make_clips(rooms, 2)
    split = by_scene(rooms, clips, ["cellar_out"])
    assert rows(split.validation) == {(p, p + 1) for p in range(100, 159)}
    assert rows(split.train) | rows(split.validation) == rows(clips)
    assert len(split.train) + len(split.validation) == len(clips)
    assert split.leaking == 0  # position 99 precedes 100, but in another scene


def test_by_scene_refuses_unknown_scenes_and_empty_sides(rooms):
    clips = make_clips(rooms, 2)
    with pytest.raises(DataError, match=r"no such scene: garden.*attic_out"):
        by_scene(rooms, clips, ["attic_out", "garden"])
    with pytest.raises(DataError, match="no training clips"):
        by_scene(rooms, clips, list(rooms.scenes))
    with pytest.raises(DataError, match="no validation clips"):
        by_scene(rooms, clips, [])


@pytest.mark.parametrize("length", [2, 4])
@pytest.mark.parametrize("gap", [1, 5])
def test_blocks_with_a_gap_do_not_leak(rooms, length, gap):
    split = by_blocks(rooms, make_clips(rooms, length), block=10, gap=gap, seed=3)
    assert split.leaking == leaks(rooms, split) == 0
    for positions in rooms.scenes.values():
        train = [p for p in np.unique(split.train) if p in positions]
        held_out = [p for p in np.unique(split.validation) if p in positions]
        distances = np.abs(np.subtract.outer(train, held_out))
        assert distances.size == 0 or distances.min() > gap


def test_blocks_without_a_gap_leak_at_their_ends_alone(rooms):
    split = by_blocks(rooms, make_clips(rooms, 2), block=10, gap=0, seed=3)
    assert split.leaking == pytest.approx(leaks(rooms, split), abs=0)
    assert 0 < split.leaking < 0.5


def test_blocks_are_whole_and_take_their_fraction(rooms):
    split = by_blocks(rooms, make_clips(rooms, 1), block=10, fraction=0.25, gap=0, seed=0)
    held_out = {int(p) for p in split.validation.ravel()}
    assert len(held_out) == 50  # 5 of 20 blocks of 10
    for start in range(0, 200, 10):
        assert len(held_out & set(range(start, start + 10))) in (0, 10)
    assert len(split.train) + len(split.validation) == 200


def test_no_block_is_too_short_for_the_clips_it_was_made_for():
    source = Scenes(hall=29, den=10, nook=3)
    split = by_blocks(source, make_clips(source, 1), block=10, fraction=0.5, gap=0, seed=1)
    sizes = []
    for positions in source.scenes.values():
        marked = np.isin(list(positions), split.validation)
        edges = np.flatnonzero(np.diff([False, *marked, False]))
        sizes += [int(b - a) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    assert sizes
    assert all(size == 3 or size >= 10 for size in sizes)


def test_clips_that_straddle_blocks_are_dropped(rooms):
    clips = make_clips(rooms, 3)
    split = by_blocks(rooms, clips, block=10, gap=0, seed=0)
    held_out = {int(p) for p in split.validation.ravel()}
    straddling = [c for c in rows(clips) if 0 < len(set(c) & held_out) < 3]
    assert straddling
    assert rows(split.train).isdisjoint(straddling)
    assert rows(split.train) | rows(split.validation) | set(straddling) == rows(clips)


def test_splitting_at_random_leaks_and_says_so(rooms):
    clips = make_clips(rooms, 2)
    split = at_random(rooms, clips, fraction=0.2, seed=0)
    assert len(split.validation) == round(0.2 * len(clips))
    assert rows(split.train) | rows(split.validation) == rows(clips)
    assert rows(split.train).isdisjoint(rows(split.validation))
    assert split.leaking == pytest.approx(leaks(rooms, split), abs=0)
    assert split.leaking > 0.95


@pytest.mark.parametrize("how", [by_blocks, at_random])
def test_a_seed_decides_the_split(rooms, how):
    clips = make_clips(rooms, 2)
    arguments = {"block": 10} if how is by_blocks else {}
    once, again, other = (how(rooms, clips, seed=seed, **arguments) for seed in (5, 5, 6))
    np.testing.assert_array_equal(once.train, again.train)
    np.testing.assert_array_equal(once.validation, again.validation)
    assert rows(once.validation) != rows(other.validation)


def test_impossible_splits_are_refused(rooms):
    clips = make_clips(rooms, 30)
    with pytest.raises(DataError, match=r"no validation clips.*blocks of 10"):
        by_blocks(rooms, clips, block=10)
    with pytest.raises(DataError, match=r"no training clips.*blocks of 1000.*block=16"):
        by_blocks(Scenes(attic=50), np.array([[0, 1]]), block=1000)
    with pytest.raises(DataError, match="no validation clips"):
        at_random(rooms, clips[:2])
    for fraction in (0, 1, -0.1):
        with pytest.raises(ValueError, match="fraction"):
            at_random(rooms, clips, fraction)
        with pytest.raises(ValueError, match="fraction"):
            by_blocks(rooms, clips, fraction=fraction)
    with pytest.raises(ValueError, match="block=0"):
        by_blocks(rooms, clips, block=0)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"how": "scene_files", "train_file": ""}, ["'scene_files'", "--config.data.split.validation_file=..."]),
        ({"how": "lists"}, ["--config.data.split.train_json=... --config.data.split.validation_json=..."]),
        ({"how": "by_blocks", "block": 9, "seed": 0}, ["fraction, gap: give --config.data.split.fraction=..."]),
    ],
)
def test_all_fields_that_a_split_lacks_are_named(rooms, config, words):
    with pytest.raises(DataError) as caught:
        make_split(ConfigDict(config), rooms, make_clips(rooms, 2))
    for word in [*words, "has to be added there."]:
        assert word in str(caught.value)
    assert not any(ugly in str(caught.value) for ugly in ("\\", "\n", "Did you mean"))


def test_a_source_names_the_fields_it_lacks():
    with pytest.raises(DataError, match=r"'synthetic'.* seed, first_scene, noise: give --config\.data\.source\.seed="):
        open_source(ConfigDict({"name": "synthetic", "scenes": 1, "frames_per_scene": 2, "size": (28, 28)}))


@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        ({"how": "scene_files", "validation_file": "", "train_file": ""}, "validation_file=FILE"),
        ({"how": "lists", "train_json": "x", "validation_json": ""}, "validation_json=FILE"),
        ({"how": "lists", "train_json": "", "validation_json": "x"}, "train_json=FILE"),
        ({"how": "by_scene", "validation_scenes": ()}, "validation_scenes=\"('NAME',)\""),
    ],
)
def test_an_empty_field_that_a_split_needs_is_named(rooms, fields, flag):
    with pytest.raises(DataError, match=re.escape(f"is empty: give --config.data.split.{flag}.")):
        make_split(ConfigDict(fields), rooms, make_clips(rooms, 2))


@pytest.mark.parametrize("how", [by_blocks, lambda *arguments, block: by_parts(*arguments, 0, 1, block=block)])
def test_blocks_that_leave_a_side_empty_are_told_by_their_flag(how):
    source = Scenes(hall=30)
    with pytest.raises(DataError) as caught:
        how(source, make_clips(source, 2), block=40)
    for word in (
        "30 frames in 1 scene(s)",
        "blocks of 40",
        "--config.data.split.block=10",
        "--config.data.clip_length",
    ):
        assert word in str(caught.value)
    with pytest.raises(DataError, match=r"several times a clip's 6 frame\(s\) \(--config\.data\.split\.block\)"):
        how(source, make_clips(source, 6), block=5)


def test_what_leaves_nothing_to_train_on_still_has_its_validation_side():
    source = Scenes(hall=30)
    clips = make_clips(source, 2)
    with pytest.raises(NoTrainingClips, match=r"no training clips.*eval\.py") as caught:
        by_blocks(source, clips, block=30)
    assert rows(caught.value.split.validation) == rows(clips)
    assert not len(caught.value.split.train)


def test_a_config_names_its_source(tmp_path):
    with pytest.raises(ValueError, match=r"'kitti'.*'synthetic'.*nyu_kaggle"):
        open_source(ConfigDict({"name": "kitti"}))
    with pytest.raises(DataError, match=r"--config\.data\.source\.path="):
        open_source(ConfigDict({"name": "nyu_kaggle", "path": "", "scenes": ()}))
    with pytest.raises(DataError, match="no scenes found"):
        open_source(ConfigDict({"name": "nyu_kaggle", "path": str(tmp_path), "scenes": ()}))


def test_parts_do_not_share_frames_and_cover_their_shares(rooms):
    clips = make_clips(rooms, 2)
    sides = [by_parts(rooms, clips, train, 2, (0.5, 0.3, 0.2), 10, 1, 3) for train in (0, 1)]
    first, second = (set(split.train.ravel()) for split in sides)
    held_out = set(sides[0].validation.ravel())
    assert np.array_equal(sides[0].validation, sides[1].validation)
    assert not first & second
    assert not first & held_out
    assert not second & held_out
    assert sides[0].leaking == sides[1].leaking == 0
    assert len(first) > len(second) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0), "two of"),
        ((0, 3), "two of"),
        ((0, 1, (0.5, 0.6)), "add up"),
        ((0, 1, (1.0, 0.0)), "positive"),
    ],
)
def test_parts_refuse_what_makes_no_split(rooms, arguments, message):
    with pytest.raises(ValueError, match=message):
        by_parts(rooms, make_clips(rooms, 2), *arguments)


def test_everything_is_on_both_sides(rooms):
    clips = make_clips(rooms, 2)
    split = everything(rooms, clips)
    assert np.array_equal(split.train, clips)
    assert np.array_equal(split.validation, clips)


def test_the_takes_of_a_room_are_held_out_together(tmp_path):
    names = ("chess/seq-01", "chess/seq-02", "heads/seq-01", "heads-2/seq-01")
    rooms = Scenes(**dict.fromkeys(names, 10))
    clips = make_clips(rooms, 2)
    assert {int(p) for p in by_scene(rooms, clips, ["chess"]).validation.ravel()} == set(range(20))
    assert {int(p) for p in by_scene(rooms, clips, ["heads/"]).validation.ravel()} == set(range(20, 30))
    assert {int(p) for p in by_scene(rooms, clips, ["chess/seq-02"]).validation.ravel()} == set(range(10, 20))
    (tmp_path / "scenes.txt").write_text("chess\n")
    assert len(from_scene_files(rooms, clips, tmp_path / "scenes.txt").validation) == 18
