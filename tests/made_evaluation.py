"""A small made-up evaluation, right in every way, as `eval.py` writes one: two scenes of a ramp, eight rows.

A row's prediction of a frame is the truth times a scale, plus noise, so what the figures and the report must say
is known by construction: see `ROWS`. Values of the temporal metrics and of edges are formulas, not measured.
"""

import csv
import json
from pathlib import Path

import numpy as np
from made_frames import texture

from smoothdino_jax.evaluation.clip import Clip, FeaturePictures

SCENES = {"attic": 12, "cellar": 8}
EMPTY = ("cellar", 3)  # the frame without truth
SIZE = (24, 32)
CLIP_SIZE = (48, 64)
CLIP_FRAMES = 6
# Row -> (kind, mean scale, how much it swings from frame to frame, noise in metres).
ROWS = {
    "vanilla": ("model", 1.10, 0.03, 0.35),
    "adapter": ("model", 1.06, 0.01, 0.31),
    "biases": ("model", 1.07, 0.03, 0.345),
    "current_only": ("model", 1.08, 0.02, 0.32),
    "adapter/shuffled": ("ablation", 1.09, 0.02, 0.34),
    "adapter/no_shift": ("ablation", 1.07, 0.01, 0.315),
    "mean2": ("average", 1.10, 0.015, 0.37),
    "mean2_aligned": ("average", 1.10, 0.02, 0.345),
}
FRAME_METRICS = ("mse", "rmse", "abs_rel", "sq_rel", "log10", "silog", "delta1", "delta2", "delta3")
SCALE_METRICS = ("scale_median", "scale_ls", "mse_median_scaled", "mse_ls_scaled")
TEMPORAL_METRICS = ("flicker", "tae_vda")
SHARPNESS_METRICS = ("edge_precision", "edge_recall", "edge_f1", "gradient_error")
METRICS = FRAME_METRICS + SCALE_METRICS + TEMPORAL_METRICS + SHARPNESS_METRICS
MISSING = {"tae_zbuffer": "no poses"}


def made_rows(names=tuple(ROWS)) -> list[dict]:
    """Rows of `metrics.json`: the means of `made_frames`."""
    frames, rows = made_frames(names), []
    first = frames[names[0]]["mse"]
    for k, name in enumerate(names):
        kind = ROWS[name][0]
        columns = frames[name]
        mse, difference = columns["mse"], columns["mse"] - first
        half = 1.96 * np.nanstd(mse) / np.sqrt(len(mse))
        half_change = 1.96 * np.nanstd(difference) / np.sqrt(len(mse)) / np.nanmean(first)
        change = np.nanmean(difference) / np.nanmean(first)
        row = {
            "version": 2,
            "name": name,
            "kind": kind,
            "what": f"What {name} is, in one sentence.",
            "model": "models/x",
        }
        row |= {"frames": len(mse), "scenes": len(SCENES), "empty": 1, "nonfinite": 0}
        row |= {"unit": "scene", "units": len(SCENES)}
        row |= {metric: float(np.nanmean(columns[metric])) for metric in METRICS} | dict.fromkeys(MISSING)
        row["counts"] = {metric: int(np.isfinite(columns[metric]).sum()) for metric in METRICS}
        row["missing"] = dict(MISSING)
        row["mse_ci"] = [float(np.nanmean(mse) - half), float(np.nanmean(mse) + half)]
        row["mse_change"] = float(change)
        row["mse_change_ci"] = [float(change - half_change), float(change + half_change)]
        model = kind == "model"
        cost = {"ms_per_frame": 40.0 + 5 * k, "ms_p95": 46.0 + 5 * k, "parameters": 20_000_000 + 100_000 * k}
        cost |= {"flops": 5e10 + 1e9 * k, "xla_mib": 300.0 + k}
        cost["ms_parts"] = {"encoder": 25.0, "phase_correlation": 1.0, "adapter": 5.0 * k or None, "decoder": 14.0}
        rows.append(row | {name: value if model else None for name, value in cost.items()})
    return rows


def made_frames(names=tuple(ROWS)) -> dict[str, dict[str, np.ndarray]]:
    """Columns of `frames.csv` by row: `scene` str, `frame` int, else float with NaN where undefined."""
    return {name: _columns(name) for name in names}


def made_clip(predictions=("vanilla", "adapter", "biases"), features=True) -> Clip:
    """Six frames of the attic: a box before a wall with a strip that was never read; the picture moves by (2, -3)."""
    scene = np.full(CLIP_SIZE, 4.0, np.float32)
    scene[20:40, 20:40] = 2.0
    truth = np.stack([np.roll(scene, (-3 * k, 2 * k), (0, 1)) for k in range(CLIP_FRAMES)])
    truth[:, :3] = 0
    image = np.stack([np.roll(texture(CLIP_SIZE), (-3 * k, 2 * k), (0, 1)) for k in range(CLIP_FRAMES)])
    shift = np.tile([2.0, -3.0, 0.6], (CLIP_FRAMES, 1))
    shift[0], shift[3, 2] = np.nan, 0.03
    scales = {name: _scales(name, CLIP_FRAMES) for name in predictions}
    pictures = None
    if features:
        before = np.random.default_rng(0).integers(0, 256, (3, 6, 8, 3)).astype(np.uint8)
        pictures = FeaturePictures(
            frames=np.array([0, 2, 5]),
            before=before,
            after=255 - before,
            eigenvalues_before=np.array([1.0, 0.8, 0.6, 0.5]),
            eigenvalues_after=np.array([1.0, 0.7, 0.4, 0.3]),
            level=3,
        )
    return Clip(
        scene="attic",
        frames=np.arange(CLIP_FRAMES),
        image=image,
        truth=truth,
        predictions={
            name: (np.where(truth > 0, truth, 4) * values[:, None, None]).astype(np.float32)
            for name, values in scales.items()
        },
        shift=shift,
        features=pictures,
    )


def made_log() -> list[dict]:
    """Lines of `log.jsonl`: vanilla's MSE at step 0, a loss every 10 steps, validation every 50."""
    lines = [{"step": 0, "validation/vanilla_mse": 0.19}]
    for step in range(10, 201, 10):
        lines.append({"step": step, "train/loss": 0.1 + 1 / step, "train/mse": 0.1 + 1 / step})
        if step % 50 == 0:
            lines.append({"step": step, "validation/mse": 0.14 + 2 / step, "validation/abs_rel": 0.1})
    return lines


def write_workdir(folder: Path) -> Path:
    """Writes what training and `eval.py` leave behind; returns the folder.

    `eval/metrics.json`, `eval/frames.csv`, `eval/clip.npz`, `eval/run.json`, `log.jsonl`, `config.json`.
    """
    folder = Path(folder)
    evaluation = folder / "eval"
    evaluation.mkdir(parents=True, exist_ok=True)
    (evaluation / "metrics.json").write_text(json.dumps(made_rows(), indent=1))
    write_frames(evaluation / "frames.csv", made_frames())
    made_clip().save(evaluation / "clip.npz")
    config = {"seed": 0, "model": {"checkpoint": "models/x"}, "data": {"source": {"name": "synthetic"}}}
    run = {
        "version": 2,
        "command": "eval.py --config=configs/demo.py --workdir=runs/demo",
        "date": "2025-06-01T12:00:00+00:00",
        "device": "cpu",
        "device_peak_mib": None,
        "versions": {"smoothdino-jax": "0.1.0", "jax": "0.10.2"},
        "config": config,
        "data": {"source": "synthetic", "split": "by scene", "scenes": len(SCENES), "frames": sum(SCENES.values())},
        "protocol": {"crop": "none", "min_depth": 0.001, "max_depth": 10.0},
    }
    (evaluation / "run.json").write_text(json.dumps(run, indent=1))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in made_log()))
    return folder


def write_frames(path: Path, frames: dict[str, dict[str, np.ndarray]]) -> None:
    """Writes `frames.csv`; an empty cell is an undefined value."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        names = list(next(iter(frames.values())))
        writer.writerow(["row", *names])
        for row, columns in frames.items():
            for values in zip(*columns.values(), strict=True):
                cells = ["" if isinstance(v, np.floating) and np.isnan(v) else v for v in values]
                writer.writerow([row, *cells])


def _scales(row: str, count: int) -> np.ndarray:
    """What the row multiplies the truth by, frame for frame."""
    _, mean, swing, _ = ROWS[row]
    return mean + swing * np.where(np.arange(count) % 2, 1.0, -1.0)


def _columns(row: str) -> dict[str, np.ndarray]:
    ramp = np.linspace(1, 4, SIZE[0] * SIZE[1]).reshape(SIZE)
    noise = ROWS[row][3] * np.random.default_rng(1).standard_normal(SIZE)
    found = []
    for scene, count in SCENES.items():
        truth = ramp * (1.0 if scene == "attic" else 1.5)
        for frame, scale in enumerate(_scales(row, count)):
            empty = (scene, frame) == EMPTY
            values = dict.fromkeys(METRICS, np.nan) if empty else _measure(truth * scale + noise, truth, scale)
            if frame == 0:
                values |= dict.fromkeys(TEMPORAL_METRICS, np.nan)
            moved = (np.nan,) * 3 if frame == 0 else (2.0, -3.0, 0.6)
            shift = dict(zip(("dx", "dy", "response"), moved, strict=True))
            pixels = 0 if empty else truth.size
            found.append({"scene": scene, "frame": frame, "pixels": pixels, "nonfinite": 0} | values | shift)
    columns = {name: np.array([values[name] for values in found]) for name in found[0]}
    return columns | {name: columns[name].astype(float) for name in (*METRICS, "dx", "dy", "response")}


def _measure(prediction: np.ndarray, truth: np.ndarray, scale: float) -> dict[str, float]:
    prediction = np.maximum(prediction, 1e-3)
    error, log = prediction - truth, np.log(prediction / truth)
    ratio = np.exp(np.abs(log))
    median = np.median(truth) / np.median(prediction)
    least_squares = (prediction * truth).sum() / np.square(prediction).sum()
    mse = np.mean(error**2)
    return {
        "mse": mse,
        "rmse": np.sqrt(mse),
        "abs_rel": np.mean(np.abs(error) / truth),
        "sq_rel": np.mean(error**2 / truth),
        "log10": np.mean(np.abs(log)) / np.log(10),
        "silog": 100 * np.std(log),
        "delta1": np.mean(ratio < 1.25),
        "delta2": np.mean(ratio < 1.25**2),
        "delta3": np.mean(ratio < 1.25**3),
        "scale_median": median,
        "scale_ls": least_squares,
        "mse_median_scaled": np.mean((median * prediction - truth) ** 2),
        "mse_ls_scaled": np.mean((least_squares * prediction - truth) ** 2),
        "flicker": abs(scale - 1) / 10,
        "tae_vda": abs(scale - 1) * 20,
        "edge_precision": 0.5,
        "edge_recall": 0.4,
        "edge_f1": 4 / 9,
        "gradient_error": 0.1,
    }
