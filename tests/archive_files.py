"""Archives made on the fly."""

import io
import tarfile
import zipfile
from pathlib import Path


def archive(path: Path, files: dict[str, bytes]) -> Path:
    """Writes a zip or a tar of these files."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as opened:
            for name, data in files.items():
                opened.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz") as opened:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                opened.addfile(member, io.BytesIO(data))
    return path


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
