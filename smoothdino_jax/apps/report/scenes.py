"""Changes of a metric scene by scene, from the records of single frames."""

from collections.abc import Mapping, Sequence

import numpy as np


def scene_changes(
    rows: Sequence[dict], frames: Mapping[str, Mapping[str, np.ndarray]], metric: str
) -> tuple[list[str], list[str], np.ndarray]:
    """How the mean of a metric over each scene changes against the first row, for every further model.

    Args:
        rows: of `metrics.json`.
        frames: row name -> column -> values of `frames.csv`; a frame counts where both rows have a value for it.
        metric: column.

    Returns:
        Names of the models; names of the scenes in the order of their mean change, least first; `(scenes, models)` per
        cent, NaN where undefined. No scene where there is nothing to compare.
    """
    names = [row["name"] for row in rows[1:] if row.get("kind", "model") == "model"]
    names = [name for name in names if metric in frames.get(name, ())]
    if not names or metric not in frames.get(rows[0]["name"], ()):
        return names, [], np.empty((0, len(names)))
    first = _by_frame(frames[rows[0]["name"]], metric)
    scenes = list(dict.fromkeys(scene for scene, _ in first))
    table = np.full((len(scenes), len(names)), np.nan)
    for j, name in enumerate(names):
        values = _by_frame(frames[name], metric)
        pairs = {scene: [] for scene in scenes}
        for frame in first.keys() & values.keys():
            pairs[frame[0]].append((first[frame], values[frame]))
        for i, scene in enumerate(scenes):
            before, after = np.sum(pairs[scene], axis=0) if pairs[scene] else (0, 0)
            if before > 0:
                table[i, j] = 100 * (after / before - 1)
    known = np.isfinite(table)
    means = np.where(known, table, 0).sum(1) / np.maximum(known.sum(1), 1)
    order = [k for k in np.argsort(means, kind="stable") if known[k].any()]
    return names, [scenes[k] for k in order], table[order]


def _by_frame(columns: Mapping[str, np.ndarray], metric: str) -> dict[tuple[str, int], float]:
    values = zip(columns["scene"].tolist(), columns["frame"].tolist(), columns[metric].tolist(), strict=True)
    return {(scene, frame): value for scene, frame, value in values if np.isfinite(value)}
