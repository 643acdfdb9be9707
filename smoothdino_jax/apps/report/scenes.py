"""Means of a metric over single scenes, and how they change, from the records of single frames."""

from collections.abc import Mapping, Sequence

import numpy as np


def scene_means(columns: Mapping[str, np.ndarray], metric: str) -> dict[str, tuple[int, float | None]]:
    """Means over the frames of each scene that have a reading.

    Args:
        columns: `scene`, `pixels` and the metric's `(F,)`, of one row of `frames.csv`.
        metric: column, one that every frame with a reading has a value of.

    Returns:
        Scene, in the order of the frames -> number of frames with a reading, and their mean. The mean is None without
        such a frame, and where the value of one is not finite: a mean that leaves out what went wrong is none.
    """
    means = {}
    for scene in dict.fromkeys(columns["scene"].tolist()):
        values = columns[metric][(columns["scene"] == scene) & (columns["pixels"] > 0)]
        means[scene] = len(values), float(values.mean()) if len(values) and np.isfinite(values).all() else None
    return means


def scene_changes(
    rows: Sequence[dict], frames: Mapping[str, Mapping[str, np.ndarray]], metric: str
) -> tuple[list[str], list[str], np.ndarray]:
    """How the mean of a metric over each scene changes against the first row, for every further model.

    Args:
        rows: of `metrics.json`.
        frames: row name -> column -> values of `frames.csv`.
        metric: column; means are those of `scene_means`.

    Returns:
        Names of the models; names of the scenes in the order of their mean change, least first; `(scenes, models)` per
        cent, NaN where one of the two means is undefined. No scene where there is nothing to compare.
    """
    names = [row["name"] for row in rows[1:] if row.get("kind", "model") == "model"]
    names = [name for name in names if metric in frames.get(name, ())]
    if not names or metric not in frames.get(rows[0]["name"], ()):
        return names, [], np.empty((0, len(names)))
    first = {scene: mean for scene, (_, mean) in scene_means(frames[rows[0]["name"]], metric).items()}
    scenes = list(first)
    table = np.full((len(scenes), len(names)), np.nan)
    for j, name in enumerate(names):
        means = scene_means(frames[name], metric)
        for i, scene in enumerate(scenes):
            _, after = means.get(scene, (0, None))
            if after is not None and first[scene]:
                table[i, j] = 100 * (after / first[scene] - 1)
    known = np.isfinite(table)
    means = np.where(known, table, 0).sum(1) / np.maximum(known.sum(1), 1)
    order = [k for k in np.argsort(means, kind="stable") if known[k].any()]
    return names, [scenes[k] for k in order], table[order]
