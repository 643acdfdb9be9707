"""Rows of `metrics.json`: means, intervals and costs of each predictor."""

import math
from collections.abc import Collection, Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from smoothdino_jax.data.frames import DataError
from smoothdino_jax.evaluation.bootstrap import bootstrap_change, bootstrap_mean
from smoothdino_jax.evaluation.cost import Latency
from smoothdino_jax.evaluation.predictors import ABLATIONS, Average, Predictor, Smoothed
from smoothdino_jax.evaluation.records import Records
from smoothdino_jax.metrics import DEFINITIONS, temporal
from smoothdino_jax.models.adapters import AdapterConfig

VERSION = 2
"""Of `metrics.json` and `run.json`; raised when a field changes its meaning."""

AGAIN = "run eval.py again"
"""What mends a file of an evaluation that can't be used."""

NEEDS_POSES = tuple(name for name in temporal.DEFINITIONS if name != "flicker")

# What `add_costs` writes.
_COSTS = ("ms_per_frame", "ms_p95", "ms_parts", "parameters", "parameters_adapter", "flops", "xla_mib")


def make_rows(
    records: Records,
    predictors: Mapping[str, Predictor],
    folders: Mapping[str, str | PathLike],
    *,
    adapters: Mapping[str, AdapterConfig | None],
    resamples: int = 2000,
    other_frozen: Collection[str] = (),
) -> list[dict]:
    """A row per predictor; the first is what the others are compared with.

    Args:
        records: of these predictors.
        predictors: row name -> predictor.
        folders: model name -> where it was loaded from.
        adapters: model name -> its adapter's configuration.
        resamples: for the bootstrap over scenes; 0 for no intervals.
        other_frozen: names of the models whose encoder or decoder is not the first one's.

    Returns:
        Dicts with `version`, `name`, `kind` ("model", "ablation" or "average"), `what` (one sentence), `model` (its
        folder), `frozen_differs` (of `other_frozen`, so that a change against the first row is not the adapter's
        alone), `unit` ("scene" or "image") and `units` (how many: what the intervals resample), everything of
        `Records.means`, `missing` (metric -> why no frame has a value), `mse_ci`, `mse_change` (0.1: 10 % above the
        first row) and `mse_change_ci` (95 %; None with fewer than two units), and what a model costs, None until
        `add_costs`.

    Raises:
        ValueError: no frame has a reading.
    """
    first = next(iter(predictors))
    scenes = records.units[records.usable(first)]
    reference = records.rows[first]["mse"][records.usable(first)]
    rows = []
    for name, predictor in predictors.items():
        means = records.means(name)
        mse = records.rows[name]["mse"][records.usable(name)]
        sound = bool(resamples) and math.isfinite(means["mse"]) and math.isfinite(rows[0]["mse"] if rows else 0.0)
        rows.append(
            {
                "version": VERSION,
                "name": name,
                "kind": kind(predictor),
                "what": describe(predictor, adapters[predictor.model]),
                "model": str(folders[predictor.model]),
                "frozen_differs": predictor.model in other_frozen,
                "unit": "image" if records.single else "scene",
                "units": len(np.unique(scenes)),
            }
            | means
            | {
                "missing": _missing(records, name, means),
                "mse_ci": bootstrap_mean(mse, scenes, resamples=resamples) if sound else None,
                "mse_change": means["mse"] / rows[0]["mse"] - 1 if rows else 0.0,
                "mse_change_ci": bootstrap_change(mse, reference, scenes, resamples=resamples)
                if sound and rows
                else None,
            }
            | dict.fromkeys(_COSTS)
        )
    return rows


def add_costs(row: dict, latency: Latency, weights: tuple[int, int]) -> None:
    """Writes what a model costs into its row.

    Args:
        row: of `make_rows`.
        latency: of a stream at batch 1; its memory, `xla_mib`, is what XLA planned, not a measurement.
        weights: numbers of weights: of the whole model, of its adapter.
    """
    row |= {
        "ms_per_frame": latency.median,
        "ms_p95": latency.p95,
        "ms_parts": dict(latency.parts),
        "parameters": weights[0],
        "parameters_adapter": weights[1],
        "flops": latency.cost.flops,
        "xla_mib": latency.cost.mib,
    }


def check_version(path: Path, found: Mapping) -> None:
    """Raises DataError unless a row of `metrics.json`, or a `run.json`, is of this version.

    Args:
        path: of the file, for the message.
        found: the row, or all that `run.json` holds.
    """
    version = found.get("version")
    if type(version) is not int:
        told = "has no version" if version is None else f"is of an unknown version, {version!r}"
        raise DataError(f"{path} {told}; this smoothdino-jax reads version {VERSION}: {AGAIN}")
    if version != VERSION:
        age, mend = ("a newer", "update smoothdino-jax") if version > VERSION else ("an older", AGAIN)
        raise DataError(
            f"{path} was written in version {version}, by {age} eval.py; this smoothdino-jax reads version {VERSION}: "
            f"{mend}"
        )


def kind(predictor: Predictor) -> str:
    """What sort of row a predictor makes."""
    if isinstance(predictor, Average):
        return "average"
    return "ablation" if isinstance(predictor, Smoothed) and predictor.ablation else "model"


def describe(predictor: Predictor, adapter: AdapterConfig | None) -> str:
    """A predictor in a sentence.

    Args:
        predictor: the row's.
        adapter: of its model.
    """
    if isinstance(predictor, Average):
        how = "exponential average" if predictor.exponential else "mean"
        aligned = ", moved by the measured shift first" if predictor.aligned else ""
        return f"{how} of the frozen model's depth over {predictor.frames} frames{aligned}"
    if not isinstance(predictor, Smoothed) or adapter is None:
        return "without an adapter, frame by frame"
    if predictor.ablation:
        return ABLATIONS[predictor.ablation]
    said = f"an adapter that sees {', '.join(adapter.inputs)}"
    if "previous" in adapter.inputs and adapter.memory == "adapted":
        said += ", where the previous is its own last output"
    if adapter.init == "released":
        said += "; every weight started at zero, so that biases alone trained"
    return said


def plain(value):
    """`value` as JSON can hold it: NaN and infinity become None, tuples lists."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _missing(records: Records, name: str, means: dict) -> dict[str, str]:
    """Why a metric has no value in this row."""
    found = {}
    for metric in (name for name in DEFINITIONS if name in means):
        if math.isfinite(means[metric]):
            continue
        if means["nonfinite"]:
            found[metric] = f"{means['nonfinite']} frame(s) with NaN or infinite predictions"
        elif metric in NEEDS_POSES:
            found[metric] = "no two consecutive frames with poses and intrinsics"
        elif metric == "flicker":
            found[metric] = "no two consecutive frames"
        elif metric == "scale_std":
            found[metric] = _no_spread(records, name)
        else:
            found[metric] = "no frame has a value"
    return found


def _no_spread(records: Records, name: str) -> str:
    if records.single:
        return "single images, none follows another"
    _, frames = np.unique(records.scenes[records.usable(name)], return_counts=True)
    return f"no scene with two {'frames that have a scale' if frames.max() > 1 else 'counted frames'}"
