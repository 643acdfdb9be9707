"""A folder's layout is found out by its names; what is none is told what there is."""

import contextlib
import json
import os
from pathlib import Path

import pytest
from refusals import assert_refused

from smoothdino_jax.data.detect import DESCRIPTIONS, layout_of
from smoothdino_jax.data.opening import LAYOUTS, open_folder

SHARED = Path(os.environ.get("SMOOTHDINO_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))

NYU_VIDEO = ["dataset_info.json", "features.json", "nyu_depth_v2_video-train.array_record-00000-of-00001"]


def touch(folder: Path, *files: str) -> Path:
    """Empty files: detection opens none."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def assert_refuses(path, *words) -> str:
    return assert_refused(lambda: layout_of(path), *words)


@pytest.mark.parametrize(
    ("layout", "files"),
    [
        ("nyu_kaggle", ["data/nyu2_train/attic_out/1.jpg", "data/nyu2_train/attic_out/1.png"]),
        ("nyu_kaggle", ["nyu2_train/attic_out/1.jpg", "nyu2_train/attic_out/1.png", "nyu2_test/00000_colors.png"]),
        ("nyu_kaggle", ["attic_out/57.jpg", "attic_out/57.png", "attic_out/58.jpg", "hall_out/1.jpg", "list.csv"]),
        ("nyu_kaggle", ["1.jpg", "1.png"]),
        ("fastdepth", ["nyudepthv2/train/attic/00001.h5"]),
        ("fastdepth", ["nyudepthv2/val/official/00001.h5"]),
        ("fastdepth", ["train/attic/00001.h5", "val/official/00001.h5"]),
        ("fastdepth", ["val/official/00001.h5"]),
        ("fastdepth", ["attic/00001.h5"]),
        ("fastdepth", ["00001.h5"]),
        ("nyu_video", [f"nyu_depth_v2_video/1.0.0/{name}" for name in NYU_VIDEO]),
        ("nyu_video", [f"nyu_depth_v2_video/kaggle/1.0.0/{name}" for name in NYU_VIDEO]),
        ("nyu_video", [f"kaggle/1.0.0/{name}" for name in NYU_VIDEO]),
        ("nyu_video", [f"1.0.0/{name}" for name in NYU_VIDEO]),
        ("nyu_video", NYU_VIDEO),
        ("tum", ["rgb.txt", "depth.txt", "rgb/1.5.png", "depth/1.5.png"]),
        ("tum", ["freiburg1_rpy/rgb.txt", "freiburg1_rpy/depth.txt", "freiburg1_rpy/rgb/1.5.png"]),
        ("seven_scenes", ["frame-000000.color.png", "frame-000000.depth.png"]),
        ("seven_scenes", ["frame-000000.color.jpg", "camera-intrinsics.txt"]),
        ("seven_scenes", ["seq-01/frame-000000.color.png", "seq-02/frame-000000.color.png", "TrainSplit.txt"]),
        ("seven_scenes", ["chess/seq-01/frame-000000.color.png", "fire/seq-01/frame-000000.color.png"]),
        ("recordings", ["meta.json", "image/000000.jpg", "depth/000000.png"]),
        ("recordings", ["hall/meta.json", "hall/image/000000.jpg", "notes/x.txt"]),
        ("recordings", ["meta.json", "rgb.txt", "depth.txt", "rgb/1.png", "depth/1.png"]),
        ("recordings", ["hall/meta.json"]),
        ("nyu_kaggle", ["hall/meta.json", "attic/1.jpg", "attic/1.png"]),
        ("nyu_kaggle", ["meta.json", "attic/1.jpg", "attic/1.png"]),
        ("recordings", ["meta.json", "image/frame-000000.color.png", "depth/frame-000000.color.png"]),
    ],
)
def test_a_layout_is_found_by_its_names(tmp_path, layout, files):
    touch(tmp_path, *files)
    assert layout_of(tmp_path) == layout
    assert layout_of(str(tmp_path)) == layout


@pytest.mark.parametrize(
    ("files", "places"),
    [
        (
            ["rgbd_desk/rgb.txt", "rgbd_desk/depth.txt", "nyu2_train/attic/1.jpg"],
            {"tum": "rgbd_desk", "nyu_kaggle": "nyu2_train"},
        ),
        (
            ["rgb.txt", "depth.txt", "rgb/1.png", "data/nyu2_train/attic/1.jpg"],
            {"tum": "", "nyu_kaggle": "data/nyu2_train"},
        ),
        (
            ["desk/rgb.txt", "desk/depth.txt", "nyu-depth-v2/data/nyu2_train/attic/1.jpg"],
            {"tum": "desk", "nyu_kaggle": "nyu-depth-v2/data/nyu2_train"},
        ),
        (
            ["hall/meta.json", "hall/image/0.jpg", "attic/1.jpg", "attic/1.png", "heads/seq-01/frame-000000.color.png"],
            {"recordings": "hall", "nyu_kaggle": "attic", "seven_scenes": "heads"},
        ),
        (
            [f"nyu_depth_v2_video/1.0.0/{name}" for name in NYU_VIDEO] + ["nyudepthv2/train/attic/00001.h5"],
            {"nyu_video": "nyu_depth_v2_video", "fastdepth": "nyudepthv2/train"},
        ),
    ],
)
def test_of_several_layouts_one_is_to_be_chosen(tmp_path, files, places):
    touch(tmp_path, *files)
    lines = assert_refuses(tmp_path, "several layouts").splitlines()
    assert sorted(lines[1:-1]) == sorted(f"  {layout}: {tmp_path / place}" for layout, place in places.items())


@pytest.mark.parametrize("file", ["incomplete.A1B2_1.0.0/x.array_record-00000", "1.0.0/features.json"])
@pytest.mark.parametrize("place", ["nyu_depth_v2_video", "nyu_depth_v2_video/kaggle"])
def test_an_unfinished_prepared_data_set_is_to_be_prepared_again(tmp_path, monkeypatch, place, file):
    touch(tmp_path / place, file)
    for given in (tmp_path, tmp_path / "nyu_depth_v2_video", tmp_path / place):
        message = assert_refuses(given, "an unfinished `smoothdino data prepare`: run it again")
        assert message.startswith(str(tmp_path / "nyu_depth_v2_video"))
    monkeypatch.chdir(tmp_path / place)
    assert_refuses(".", tmp_path / place, "run it again")


def test_frames_further_down_are_pointed_to(tmp_path):
    touch(tmp_path, "nyu-depth-v2/data/nyu2_train/attic/1.jpg")
    assert_refuses(tmp_path, f"Give {tmp_path / 'nyu-depth-v2/data/nyu2_train'}.")


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "attic/1.jpg", "attic/1.png")
    is_file = Path.is_file

    def forbidding(path):
        if path.parent.name == "attic":
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", forbidding)
    assert_refuses(tmp_path, tmp_path / "attic", "Permission denied")


def test_the_layout_found_is_logged(tmp_path, caplog):
    for n in (1, 2):
        touch(tmp_path, f"attic/{n}.jpg", f"attic/{n}.png")
    with caplog.at_level("INFO", logger="absl"):
        open_folder(tmp_path, check=False)
    assert caplog.messages == [f"{tmp_path}: its layout is nyu_kaggle"]


def test_every_layout_is_described_and_told_to_whoever_has_none(tmp_path):
    assert tuple(DESCRIPTIONS) == LAYOUTS
    touch(tmp_path, "holiday.txt", "photos/a.jpg", ".DS_Store")
    message = assert_refuses(tmp_path, tmp_path, "holiday.txt, photos", "docs/recordings.md", *DESCRIPTIONS.values())
    assert ".DS_Store" not in message
    lines = message.splitlines()
    assert all(any(line.strip().startswith(f"{layout}: ") for line in lines) for layout in LAYOUTS)


def test_an_empty_folder_holds_nothing(tmp_path):
    assert_refuses(tmp_path, "holds nothing")


@pytest.mark.parametrize(
    "files",
    [
        ["000001.jpg", "000001.png"],  # no numbering of Kaggle's
        ["attic/1.jpg", "attic/2.png"],
        ["dataset_info.json", "nyu_depth_v2-train.tfrecord-00000-of-00001"],
        ["frame-000000.jpg"],
        ["rgb.txt"],
        ["depth/000000.png"],
    ],
)
def test_a_likeness_is_not_enough(tmp_path, files):
    touch(tmp_path, *files)
    assert_refuses(tmp_path, "none of the layouts")


@pytest.mark.parametrize("folder", [".", "hall"])
@pytest.mark.parametrize("image", ["image", "rgb"])
def test_images_and_depth_without_meta_get_a_meta_to_paste(tmp_path, folder, image):
    touch(tmp_path / folder, f"{image}/000000.jpg", "depth/000000.png")
    message = assert_refuses(tmp_path, tmp_path / folder / "meta.json", "missing")
    pasted = next(line for line in message.splitlines() if line.startswith("    "))
    assert json.loads(pasted) == {"depth_units_per_metre": 1000}


@pytest.mark.parametrize("name", ["nyu_data.zip", "nyudepthv2.tar.gz", "x.TGZ"])
def test_an_archive_is_to_be_unpacked(tmp_path, name):
    touch(tmp_path, name)
    assert_refuses(tmp_path / name, tmp_path / name, "Unpack", "smoothdino data prepare")


@pytest.mark.parametrize("name", ["walk.mp4", "walk.MOV"])
def test_a_video_is_for_another_command(tmp_path, name):
    touch(tmp_path, name)
    assert_refuses(tmp_path / name, "smoothdino video", tmp_path / name)


def test_other_files_and_missing_folders_are_refused(tmp_path):
    touch(tmp_path, "kitchen.bag")
    assert_refuses(tmp_path / "kitchen.bag", "a file", "docs/recordings.md")
    assert_refuses(tmp_path / "nowhere", tmp_path / "nowhere", "no such folder")
    assert_refuses(tmp_path / "nowhere.zip", "no such folder")


def test_of_a_large_folder_only_the_first_names_are_looked_at(tmp_path, monkeypatch):
    touch(tmp_path, *(f"attic/{n}.{kind}" for n in range(1, 600) for kind in ("jpg", "png")))
    taken = []
    scandir = os.scandir

    @contextlib.contextmanager
    def counting(path):
        taken.append(0)
        with scandir(path) as entries:
            yield map(count, entries)

    def count(entry):
        taken[-1] += 1
        return entry

    monkeypatch.setattr(os, "scandir", counting)
    assert layout_of(tmp_path) == "nyu_kaggle"
    assert max(taken) == 500


@pytest.mark.parametrize(
    ("path", "layout"), [("nyu_kaggle", "nyu_kaggle"), ("posed_rgbd", "seven_scenes"), ("tum_rgbd", "tum")]
)
def test_real_folders_open_by_themselves(path, layout):
    folder = SHARED / "data" / path
    if not folder.is_dir():
        pytest.skip(f"no frames at {folder} (set SMOOTHDINO_SHARED)")
    assert layout_of(folder) == layout
    assert len(open_folder(folder)) >= 10
