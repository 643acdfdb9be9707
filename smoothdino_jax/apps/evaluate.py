"""Behind `eval.py`: models compared on the validation split, in tables, files and pictures."""

import dataclasses
import json
import math
from pathlib import Path

import cv2
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from smoothdino_jax.apps import eval_tables
from smoothdino_jax.apps.figures import Comparison
from smoothdino_jax.apps.gif import write_gif
from smoothdino_jax.apps.video_writer import VideoWriter
from smoothdino_jax.data import ClipSource, DataError
from smoothdino_jax.evaluation import (
    Lanes,
    add_costs,
    capture,
    make_rows,
    measure,
    other_frozen,
    plain,
    share_frozen,
    streams,
)
from smoothdino_jax.evaluation.bootstrap import FEW
from smoothdino_jax.evaluation.clip import Clip
from smoothdino_jax.evaluation.cost import device_peak_mib, latency, parameters
from smoothdino_jax.evaluation.predictors import ABLATIONS, Predictor, Smoothed, Vanilla, averages
from smoothdino_jax.evaluation.rows import VERSION
from smoothdino_jax.experiment import check_config, open_data, working_size
from smoothdino_jax.machine import provenance
from smoothdino_jax.metrics import Protocol
from smoothdino_jax.models.smoothdino import SmoothDINO
from smoothdino_jax.weights.folder import load

_PICTURE_FRAMES = 48
_PICTURES = ("clip.npz", "comparison.png", "comparison.mp4", "comparison.gif")


def evaluate_workdir(config: ConfigDict, workdir: Path) -> list[dict]:
    """Evaluates WORKDIR/model, the frozen model under it, and `config.eval.checkpoints`.

    Args:
        config: the one the run was trained with.
        workdir: of `train.py`; without a model in it, the checkpoints alone are compared. Into its folder `eval` are
            written: `metrics.json`, a list of rows as `evaluation.make_rows` describes them; the same as
            `metrics.csv`; `table.md`, for a paper; `frames.csv`, every metric of every frame; `run.json`, with what and
            on what this was made. With `eval.pictures` also `comparison.png`, `.mp4` and `.gif`, and `clip.npz`, which
            `smoothdino report` draws from.

    Returns:
        The rows.

    Raises:
        DataError, WeightsError, ValueError: bad input, before anything is evaluated; but that no frame has a reading
            that counts is known only in the end.
    """
    check_config(config)
    protocol = _protocol(config)
    checkpoints = _checkpoints(config.eval.checkpoints)
    source, split = open_data(config, training=False)
    frames = ClipSource(source, split.validation, working_size(config), config.data.cache_bytes)
    models, folders = _models(config, workdir, checkpoints)
    predictors = _predictors(config, models)
    paths = streams(source, split.validation)
    adapted = any(model.adapter is not None for model in models.values())
    lanes = Lanes(
        frames,
        paths,
        config.eval.batch_size,
        # Without an adapter there is no past, and the first frame of a stream is as good as any.
        config.eval.warmup if adapted else 0,
        config.eval.frames,
        native_truth=config.eval.native_truth,
        others=config.ablations,
    )
    if not 0 <= config.eval.picture_stream < len(paths):
        raise ValueError(f"eval.picture_stream={config.eval.picture_stream}: the streams are 0 to {len(paths) - 1}")
    shown = paths[config.eval.picture_stream][:_PICTURE_FRAMES]
    records = measure(
        models, predictors, lanes, groups=tuple(config.eval.measures), protocol=protocol, progress="evaluating"
    )
    adapters = {name: model.config.adapter for name, model in models.items()}
    rows = make_rows(
        records,
        predictors,
        folders,
        adapters=adapters,
        resamples=config.eval.resamples,
        other_frozen=other_frozen(models),
    )
    # What took long first.
    folder = workdir / config.eval.folder
    folder.mkdir(parents=True, exist_ok=True)
    records.write_csv(folder / "frames.csv")
    images = np.stack([frames.frame(position).image for position in shown])
    for name, taken in latency(models, images, config.eval.timing_frames, progress="timing").items():
        row = next(row for row in rows if row["name"] == name)
        add_costs(row, taken, parameters(models[name]))
    rows = plain(rows)

    print(eval_tables.comparison_table(rows))
    _print_remarks(rows)
    (folder / "metrics.json").write_text(json.dumps(rows, indent=2) + "\n")
    eval_tables.write_csv(rows, folder / "metrics.csv")
    tables = eval_tables.paper_table(rows), eval_tables.comparison_table(rows, short=False)
    (folder / "table.md").write_text("\n\n".join(tables) + "\n")
    (folder / "run.json").write_text(json.dumps(_run(config, len(records.frames), rows, protocol), indent=2) + "\n")
    written = ["metrics.json", "metrics.csv", "table.md", "frames.csv", "run.json"]
    for name in _PICTURES:  # of an evaluation before
        (folder / name).unlink(missing_ok=True)
    if config.eval.pictures:
        own = config.eval.name if config.eval.name in models else list(models)[-1]
        clip = capture({name: models[name] for name in dict.fromkeys([next(iter(models)), own])}, frames, shown)
        clip = dataclasses.replace(clip, evaluated={row["name"]: row["mse"] for row in rows})
        clip.save(folder / "clip.npz")
        _draw(clip, folder)
        written += _PICTURES
    print(f"\n{folder}: {', '.join(written)}")
    if config.eval.pictures:
        where = "" if config.eval.folder == "eval" else f" --folder {config.eval.folder}"
        print(f"`smoothdino report {workdir}{where}` makes one page of it")
    return rows


def _protocol(config: ConfigDict) -> Protocol:
    fields = config.eval
    return Protocol(fields.min_depth, fields.max_depth or math.inf, fields.crop)


def _checkpoints(text: str) -> dict[str, str]:
    """Reads "name=folder,name=folder"."""
    pairs = [pair.split("=", 1) for pair in text.split(",") if pair]
    for pair in pairs:
        if len(pair) != 2 or not all(pair):
            raise ValueError(f"eval.checkpoints={text!r}: expected name=folder,name=folder")
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"eval.checkpoints={text!r}: a name stands twice")
    return dict(pairs)


def _models(config: ConfigDict, workdir: Path, folders: dict[str, str]):
    models: dict[str, SmoothDINO] = {}
    for name, folder in folders.items():
        if name in ("vanilla", config.eval.name) or "/" in name:
            raise ValueError(f"eval.checkpoints: the name {name!r} is taken")
        models[name] = load(folder, dtype=config.model.dtype)
    if (workdir / "model").exists():
        own = load(workdir / "model", dtype=config.model.dtype)
        models, paths = {"vanilla": own.vanilla()} | models, {"vanilla": workdir / "model"} | folders
        if own.adapter is not None:
            models[config.eval.name], paths[config.eval.name] = own, workdir / "model"
    elif folders:
        paths = folders
        first = next(iter(folders))
        if models[first].adapter is not None:  # else it is the frozen model itself
            models, paths = {"vanilla": models[first].vanilla()} | models, {"vanilla": folders[first]} | folders
    else:
        raise DataError(
            f"{workdir} holds no trained model: let train.py with this --workdir finish first, or name models with "
            "--config.eval.checkpoints=name=folder,name=folder"
        )
    share_frozen(models)
    return models, paths


def _predictors(config: ConfigDict, models: dict[str, SmoothDINO]) -> dict[str, Predictor]:
    predictors: dict[str, Predictor] = {
        name: Vanilla(name) if model.adapter is None else Smoothed(name) for name, model in models.items()
    }
    smoothed = [name for name, predictor in predictors.items() if isinstance(predictor, Smoothed)]
    if config.eval.ablated and config.eval.ablated not in smoothed:
        why = "has no adapter" if config.eval.ablated in predictors else "is not compared"
        raise ValueError(
            f"eval.ablated={config.eval.ablated!r} {why}: models with an adapter are {', '.join(smoothed) or 'none'}"
        )
    if config.ablations:
        if not smoothed:
            raise ValueError("--config.ablations: none of the models has an adapter to be denied its past")
        ablated = config.eval.ablated or smoothed[-1]
        more: dict[str, Predictor] = {f"{ablated}/{how}": Smoothed(ablated, how) for how in ABLATIONS}
        more |= averages(next(iter(models)))
        if taken := predictors.keys() & more.keys():
            raise ValueError(f"eval.checkpoints: the name {taken.pop()!r} is that of an average: choose another")
        predictors |= more
    return predictors


def _print_remarks(rows: list[dict]) -> None:
    """What the table's numbers leave out."""
    first = rows[0]
    if first["empty"]:
        print(f"\n{first['empty']} frame(s) without any reading that counts are left out")
    for row in rows:
        if row["nonfinite"]:
            print(f"\n{row['name']}: {row['nonfinite']} frame(s) with NaN or infinite predictions, so it has no means")
    if others := [row["name"] for row in rows if row.get("frozen_differs")]:
        print(f"\non another frozen model: {', '.join(others)}")
    reasons: dict[str, list[str]] = {}
    for metric, why in first["missing"].items():
        reasons.setdefault(why, []).append(metric)
    for why, metrics in reasons.items():
        print(f"\nnot measured, {why}: {', '.join(metrics)}")
    units = f"{first['units']} {first['unit']}{'s' * (first['units'] > 1)}"
    if first["units"] < 2:
        print(f"\nno confidence intervals: they resample {first['unit']}s, and this is one")
    elif first["mse_ci"] is not None and first["units"] < FEW:
        print(f"\nthe intervals are over {units} and likely too narrow: fewer than {FEW}")


def _run(config: ConfigDict, frames: int, rows: list[dict], protocol: Protocol) -> dict:
    fields = json.loads(config.to_json_best_effort())
    return plain(
        {
            "version": VERSION,
            **provenance(),
            "data": {
                "source": _source(fields["data"]["source"]),
                "split": fields["data"]["split"]["how"],
                "scenes": rows[0]["scenes"],
                "frames": frames,
            },
            "protocol": dataclasses.asdict(protocol),
            "device_peak_mib": device_peak_mib(),
            "config": fields,
        }
    )


def _source(fields: dict) -> str:
    """What the frames are called: the folder, and its layout."""
    path = fields.get("path", "")
    return f"{Path(path).resolve().name} ({fields['name']})" if path else fields["name"]


def _draw(clip: Clip, folder: Path) -> None:
    """Draws the clip: the frame in the middle as a picture, all of them as a film."""
    valid = clip.truth[clip.truth > 0]
    near, far = np.percentile(valid, [1, 99]) if len(valid) else (0.0, 10.0)
    range_ = math.floor(near), max(math.ceil(far), math.floor(near) + 1)
    canvas = Comparison(clip.image.shape[1:3], tuple(clip.predictions), range_, error_range=1.0)
    drawn = []
    for k in tqdm(range(len(clip.frames)), "drawing", leave=False, disable=None):
        depths = {name: depth[k] for name, depth in clip.predictions.items()}
        drawn.append(canvas.draw(clip.image[k], clip.truth[k], depths))
    cv2.imwrite(str(folder / "comparison.png"), cv2.cvtColor(drawn[len(drawn) // 2], cv2.COLOR_RGB2BGR))
    with VideoWriter(folder / "comparison.mp4", fps=10) as video:
        for picture in drawn:
            video.write(picture)
    write_gif(folder / "comparison.gif", drawn[::2], fps=5)
