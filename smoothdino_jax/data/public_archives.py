"""Public RGB-D archives: names, addresses, sizes, licences. docs/datasets.md says where each comes from."""

import difflib
import urllib.parse
from typing import NamedTuple

from smoothdino_jax.data.archives import gigabytes
from smoothdino_jax.data.frames import DataError


class Download(NamedTuple):
    """A public archive.

    Attributes:
        name: what the user types.
        url: where its bytes are.
        file: its name on disk.
        bytes: its size; None if not known for certain.
        sha256: hexadecimal; None if not known for certain.
        licence: of the data.
        page: where the publisher describes it and its terms.
        what: one line.
        about: its size in bytes as somebody noted it, only to be shown; nothing is checked against it.
    """

    name: str
    url: str
    file: str
    bytes: int | None
    sha256: str | None
    licence: str
    page: str
    what: str
    about: int | None = None

    @property
    def size(self) -> str:
        """Its size for messages; empty if nothing is known."""
        if self.bytes is not None:
            return gigabytes(self.bytes)
        return "" if self.about is None else f"about {gigabytes(self.about)}"


def _tum(name: str, size: int, sha256: str | None, what: str) -> Download:
    file = f"rgbd_dataset_{name}.tgz"
    url = f"https://cvg.cit.tum.de/rgbd/dataset/{name.split('_')[0]}/{file}"
    page = "https://cvg.cit.tum.de/data/datasets/rgbd-dataset"
    return Download(f"tum/{name}", url, file, size, sha256, "CC BY 4.0", page, f"TUM RGB-D, {what}")


def _seven_scenes(name: str, size: int, sha256: str | None = None) -> Download:
    url = f"https://download.microsoft.com/download/2/8/5/28564B23-0828-408F-8631-23B1EFF1DAC8/{name}.zip"
    page = "https://www.microsoft.com/en-us/research/project/rgb-d-dataset-7-scenes/"
    licence = "non-commercial (MSR-LA)"
    return Download(f"seven_scenes/{name}", url, f"{name}.zip", size, sha256, licence, page, f"7-Scenes, {name}")


_NYU_LICENCE = "not stated; research use"
_TABLE = (
    Download(
        "nyu_kaggle",
        "https://www.kaggle.com/api/v1/datasets/download/soumikrakshit/nyu-depth-v2",
        "nyu-depth-v2.zip",
        None,
        None,
        _NYU_LICENCE,
        "https://www.kaggle.com/datasets/soumikrakshit/nyu-depth-v2",
        "NYU Depth v2, 8-bit depth, as the paper used it",
        about=4 * 10**9,
    ),
    Download(
        "densedepth",
        "https://s3-eu-west-1.amazonaws.com/densedepth/nyu_data.zip",
        "nyu_data.zip",
        None,
        None,
        _NYU_LICENCE,
        "https://github.com/ialhashim/DenseDepth",
        "the same frames from their first publisher; often unreachable",
        about=41 * 10**8,
    ),
    Download(
        "fastdepth",
        "http://datasets.lids.mit.edu/fastdepth/data/nyudepthv2.tar.gz",
        "nyudepthv2.tar.gz",
        34_276_493_134,
        "063b5762eeb3041614bf40722ea5cf805cb8ca052e56f3d1c63cfd229e7ff7b3",
        _NYU_LICENCE,
        "https://github.com/dwofk/fast-depth",
        "NYU Depth v2, float depth in HDF5; often unreachable",
    ),
    _tum(
        "freiburg1_xyz",
        448_204_271,
        "a0236d97b8c30cd93b653656d2b6c293ff7c982a4130ef2a1a8beecdb124ef98",
        "a desk, the camera shifted along its axes",
    ),
    _tum(
        "freiburg1_desk",
        344_011_403,
        "e983d6830916e66dc4a46a71368046b149b283de87769690e7aa4e0b9483530c",
        "a sweep over desks",
    ),
    _tum("freiburg1_room", 782_381_450, None, "once round an office"),
    _tum("freiburg2_desk", 1_893_351_095, None, "once round a desk"),
    _tum("freiburg3_long_office_household", 1_483_556_251, None, "once round a larger office"),
    _seven_scenes("chess", 3_079_608_937, "d00b5b8f904123ec136768ee0ebd8f72aebb5473630fb5d8ec352e70ae4859d0"),
    _seven_scenes("fire", 2_301_204_154),
    _seven_scenes("heads", 956_332_240),
    _seven_scenes("office", 4_707_873_861),
    _seven_scenes("pumpkin", 2_890_874_911),
    _seven_scenes("redkitchen", 6_141_181_406),
    _seven_scenes("stairs", 1_496_412_431),
)
DOWNLOADS = {entry.name: entry for entry in _TABLE}


def find(name_or_url: str) -> Download:
    """The table's entry of a name, or an entry for an address that is not in it.

    Raises:
        DataError: neither a name nor an http(s) address of a file.
    """
    if name_or_url in DOWNLOADS:
        return DOWNLOADS[name_or_url]
    parts = urllib.parse.urlsplit(name_or_url)
    file = urllib.parse.unquote(parts.path.rpartition("/")[2])
    if parts.scheme in ("http", "https") and parts.netloc and file not in ("", ".", "..") and "/" not in file:
        return Download(name_or_url, name_or_url, file, None, None, "unknown", name_or_url, "")
    if "://" in name_or_url:
        raise DataError(f"{name_or_url}: not the http(s) address of a file.")
    near = difflib.get_close_matches(name_or_url, DOWNLOADS, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise DataError(f"no dataset {name_or_url!r}: {hint}`smoothdino data download --list` names them all.")
