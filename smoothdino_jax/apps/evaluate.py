"""Behind `eval.py`: a table of models on the validation split, `metrics.json`, and pictures."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from smoothdino_jax.apps.figures import Comparison
from smoothdino_jax.apps.video_io import VideoWriter, write_gif
from smoothdino_jax.data import ClipSource, DataError
from smoothdino_jax.evaluation import Lanes, evaluate, milliseconds_per_frame, share_frozen, streams
from smoothdino_jax.experiment import check_config, open_data, trainable_parts, working_size
from smoothdino_jax.models.smoothdino import SmoothDINO
from smoothdino_jax.weights.folder import load

_COLUMNS = {
    "mse": "MSE [m²]",
    "rmse": "RMSE [m]",
    "abs_rel": "AbsRel",
    "log10": "log10",
    "delta1": "δ1",
    "delta2": "δ2",
    "delta3": "δ3",
    "silog": "SILog",
    "ms_per_frame": "ms/frame",
    "frames": "frames",
}
_PICTURE_FRAMES = 48


def evaluate_workdir(config: ConfigDict, workdir: Path) -> list[dict]:
    """Evaluates WORKDIR/model, the frozen model under it, and `config.eval.checkpoints`.

    Args:
        config: the one the run was trained with.
        workdir: of `train.py`. `metrics.json` in its folder `eval` is written into it: a list of rows with `name`, the
            metrics of `metrics.frame_metrics`, `frames`, `empty`, `ms_per_frame` (one stream, median) and
            `model`, the folder. With `eval.pictures` also `comparison.png`, `.mp4` and `.gif`.

    Returns:
        The rows.

    Raises:
        DataError, WeightsError, ValueError: bad input, before anything is evaluated.
    """
    check_config(config)
    folders = _checkpoints(config.eval.checkpoints)
    source, split = open_data(config)
    frames = ClipSource(source, split.validation, working_size(config), config.data.cache_bytes)
    models, folders = _models(config, workdir, folders)
    warmup = config.eval.warmup if "adapter" in trainable_parts(config) else 0
    paths = streams(source, split.validation)
    if not 0 <= config.eval.picture_stream < len(paths):
        raise ValueError(f"eval.picture_stream={config.eval.picture_stream}: the streams are 0 to {len(paths) - 1}")
    lanes = Lanes(frames, paths, config.eval.batch_size, warmup, config.eval.frames)
    results = evaluate(models, lanes, progress="evaluating")

    clip = [frames.frame(position) for position in paths[config.eval.picture_stream][:_PICTURE_FRAMES]]
    images = np.stack([frame.image for frame in clip])
    latency = milliseconds_per_frame(models, images, config.eval.timing_frames)
    rows = [
        {"name": name} | results[name] | {"ms_per_frame": latency[name], "model": str(folders[name])} for name in models
    ]
    print(table(rows))
    folder = workdir / config.eval.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(rows, indent=2) + "\n")
    print(f"\n{folder / 'metrics.json'}")
    if config.eval.pictures:
        shown = {name: models[name] for name in ("vanilla", config.eval.name) if name in models}
        for path in _pictures(shown, images, np.stack([frame.depth for frame in clip]), folder):
            print(path)
    return rows


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table, with the change of the MSE against the first row."""
    header = ["model", *_COLUMNS.values(), f"MSE vs {rows[0]['name']}"]
    lines = [header, ["---"] + ["---:"] * (len(header) - 1)]
    for row in rows:
        cells = [row["name"]]
        for name in _COLUMNS:
            value = row[name]
            cells.append(str(value) if isinstance(value, int) else f"{value:.{2 if value >= 10 else 4}f}")
        cells.append(f"{100 * (row['mse'] / rows[0]['mse'] - 1):+.1f} %")
        lines.append(cells)
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]

    def cell(text, k):
        if set(text) <= set("-:"):
            return "-" * (widths[k] - 1) + text[-1]
        return text.ljust(widths[k]) if k == 0 else text.rjust(widths[k])

    return "\n".join("| " + " | ".join(cell(text, k) for k, text in enumerate(line)) + " |" for line in lines)


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
    if not (workdir / "model").exists():
        raise DataError(f"{workdir} holds no trained model: let train.py with this --workdir finish first")
    own = load(workdir / "model", dtype=config.model.dtype)
    models: dict[str, SmoothDINO] = {"vanilla": own.vanilla()}
    paths = {"vanilla": workdir / "model"}
    for name, folder in folders.items():
        if name in ("vanilla", config.eval.name):
            raise ValueError(f"eval.checkpoints: the name {name!r} is taken")
        models[name], paths[name] = load(folder, dtype=config.model.dtype), folder
    if own.adapter is not None:
        models[config.eval.name], paths[config.eval.name] = own, workdir / "model"
    share_frozen(models)
    return models, paths


def _pictures(models: dict[str, SmoothDINO], images: np.ndarray, truth: np.ndarray, folder: Path):
    """Draws one scene: the frame in the middle as a picture, all of them as a film."""
    valid = truth[truth > 0]
    near, far = np.percentile(valid, [1, 99]) if len(valid) else (0.0, 10.0)
    range_ = math.floor(near), max(math.ceil(far), math.floor(near) + 1)
    states = {name: model.init_state(images[:1]) for name, model in models.items() if model.adapter}
    canvas = Comparison(images.shape[1:3], tuple(models), range_, error_range=1.0)
    drawn = []
    for image, depth in tqdm(zip(images, truth, strict=True), "drawing", len(images), leave=False, disable=None):
        predictions = {}
        for name, model in models.items():
            if name in states:
                prediction, states[name] = model.step(image[None], states[name])
            else:
                prediction = model(image[None])
            predictions[name] = np.asarray(prediction[0])
        drawn.append(canvas.draw(image, depth, predictions))
    paths = [folder / f"comparison.{kind}" for kind in ("png", "mp4", "gif")]
    cv2.imwrite(str(paths[0]), cv2.cvtColor(drawn[len(drawn) // 2], cv2.COLOR_RGB2BGR))
    with VideoWriter(paths[1], fps=10) as video:
        for picture in drawn:
            video.write(picture)
    write_gif(paths[2], drawn[::2], fps=5)
    return paths
