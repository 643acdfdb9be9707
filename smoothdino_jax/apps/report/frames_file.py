"""Reads `frames.csv`, the values of single frames that `eval.py` wrote."""

import csv
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from smoothdino_jax.data.frames import DataError
from smoothdino_jax.evaluation.rows import AGAIN

_LABELS = ("row", "scene")
_COUNTS = ("frame", "pixels", "nonfinite")


def read_frames(path: Path) -> dict[str, dict[str, Shaped[np.ndarray, "f"]]]:
    """The columns of a `frames.csv` by row name, see `Evaluation.frames`.

    Raises:
        DataError: columns that lack, or a cell that is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = csv.reader(file)
    except (OSError, ValueError, csv.Error) as error:  # of UTF-8 too; and of a file without a line
        raise DataError(f"{path} can't be read ({error}): {AGAIN}") from None
    if lacking := [name for name in (*_LABELS, *_COUNTS) if name not in header]:
        raise DataError(f"{path} has no column {', '.join(lacking)}: {AGAIN}")
    rows = {}
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            raise DataError(f"{path}, line {number}: {len(line)} cells under {len(header)} columns: {AGAIN}")
        rows.setdefault(line[header.index("row")], []).append(line)
    try:
        return {row: _columns(header, cells) for row, cells in rows.items()}
    except ValueError as error:
        raise DataError(f"{path} has a cell that is no number ({error}): {AGAIN}") from None


def _columns(header: list[str], lines: list[list[str]]) -> dict[str, Shaped[np.ndarray, "f"]]:
    columns = {name: cells for name, cells in zip(header, zip(*lines, strict=True), strict=True) if name != "row"}
    numbers = {name: np.array([float(cell or "nan") for cell in columns[name]]) for name in columns if name != "scene"}
    counts = {name: np.array([int(float(cell)) for cell in columns[name]]) for name in _COUNTS}
    return {"scene": np.array(columns["scene"])} | numbers | counts
