"""Reads what training and `eval.py` left in a WORKDIR, and says plainly what is not there.

Without `metrics.json` there is nothing to report. All else adds to a report: what is absent is left out, with the
reason in `Evaluation.absent`. A file that is there but can't be read is an error: it should not pass for absent.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from smoothdino_jax.apps.report.frames_file import read_frames
from smoothdino_jax.apps.report.words import named
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.evaluation.bootstrap import bootstrap_change
from smoothdino_jax.evaluation.clip import Clip
from smoothdino_jax.evaluation.rows import AGAIN, check_version

FIELDS = ("name", "kind", "what", "model", "frames", "scenes", "empty", "nonfinite", "counts", "missing")
FIELDS += ("unit", "units", "mse", "mse_ci", "mse_change", "mse_change_ci")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """An evaluation and the training it is of.

    Attributes:
        workdir: the run's folder.
        folder: within it, of the evaluation.
        rows: of `metrics.json`, the first is what the others are compared with.
        frames: row name -> column -> `(F,)` values of `frames.csv`: `scene` str, `frame`, `pixels` and `nonfinite` int,
            the others float with NaN where undefined; empty where there is no such file.
        run: how it was measured (command, date, device, its peak memory, versions, config, data, protocol); empty where
            unknown.
        clip: what pictures are drawn from.
        logs: row name -> lines of that model's `log.jsonl`, where it is found.
        config: of the training.
        trained_by: the command that trained it; "" where unknown.
        absent: what is left out of a report and why, sentences.
    """

    workdir: Path
    folder: str
    rows: list[dict]
    frames: dict[str, dict[str, Shaped[np.ndarray, "f"]]]
    run: dict
    clip: Clip | None
    logs: dict[str, list[dict]]
    config: dict
    trained_by: str
    absent: list[str]

    @property
    def smoothed(self) -> dict | None:
        """The row of the run's own model; None where the evaluation has only the frozen one."""
        name = self.config_of_run.get("eval", {}).get("name", "adapter")
        models = [row for row in self.rows[1:] if row["kind"] == "model"]
        return next((row for row in models if row["name"] == name), models[-1] if models else None)

    @property
    def config_of_run(self) -> dict:
        """The whole configuration: of the evaluation where it was kept, else of the training."""
        return self.run.get("config") or self.config

    def change_interval(self, name: str, against: str) -> tuple[float, float] | None:
        """95 % interval of the relative change of one row's MSE against another's, by a bootstrap.

        As the rows' own intervals, it resamples scenes, or images where none follows another (`unit` of the rows).

        Args:
            name: of the row.
            against: name of the row that it is compared with.

        Returns:
            Low and high, -0.1: 10 % lower; None without `frames.csv`, with fewer than two units, or where an MSE is
            undefined.
        """
        if not self.frames:
            return None
        ours, other = self.frames[name], self.frames[against]
        use = ours["pixels"] > 0
        if not (np.isfinite(ours["mse"][use]).all() and np.isfinite(other["mse"][use]).all()):
            return None
        units = np.arange(use.sum()) if self.rows[0]["unit"] == "image" else ours["scene"][use]
        return bootstrap_change(ours["mse"][use], other["mse"][use], units)


def read_evaluation(workdir: Path, folder: str = "eval") -> Evaluation:
    """Reads WORKDIR.

    Args:
        workdir: of `train.py` and `eval.py`.
        folder: that `eval.py` wrote within it (`config.eval.folder`).

    Raises:
        DataError: no evaluation, one of an older version, or a file that can't be read.
    """
    workdir = Path(workdir)
    evaluation = workdir / folder
    if not workdir.is_dir():
        raise DataError(f"{workdir} is no folder: give the --workdir of train.py and eval.py")
    if not (evaluation / "metrics.json").is_file():
        raise DataError(_no_evaluation(workdir, folder))
    rows, absent = read_rows(evaluation / "metrics.json"), []
    frames = {}
    if (evaluation / "frames.csv").is_file():
        frames = read_frames(evaluation / "frames.csv")
        if unknown := sorted({row["name"] for row in rows} - frames.keys()):
            raise DataError(f"{evaluation / 'frames.csv'} lacks the rows {', '.join(unknown)}: {AGAIN}")
    else:
        absent.append(f"{folder}/frames.csv is missing: no table of scenes, and no figure that shows single frames.")
    run = {}
    if (evaluation / "run.json").is_file():
        run = _read_object(evaluation / "run.json")
        check_version(evaluation / "run.json", run)
    else:
        absent.append(f"{folder}/run.json is missing: the command, the versions and the data are not known.")
    clip = None
    if (evaluation / "clip.npz").is_file():
        clip = Clip.load(evaluation / "clip.npz")
    else:
        absent.append(f"{folder}/clip.npz is missing: no pictures and no player (eval.py with eval.pictures=False).")
    config = _read_object(workdir / "config.json") if (workdir / "config.json").is_file() else {}
    if not (config or run.get("config")):
        absent.append("config.json is missing: the configuration is not known.")
    trained_by = ""
    if (workdir / "run.json").is_file():
        trained_by = str(_read_object(workdir / "run.json").get("command", ""))
    found = Evaluation(workdir, folder, rows, frames, run, clip, {}, config, trained_by, absent)
    if clip is not None and (unfit := _unfit(found)):
        absent.append(
            f"{folder}/clip.npz is of another evaluation, so there are no pictures and no player: {unfit} ({AGAIN})."
        )
        found = dataclasses.replace(found, clip=None)
    found.logs.update(_read_logs(found))
    if not found.logs:
        absent.append("log.jsonl is missing: no curves of the training.")
    return found


def read_rows(path: Path) -> list[dict]:
    """The rows of a `metrics.json`; numbers that are not finite become None.

    Raises:
        DataError: no JSON, no rows, rows of another version, or rows that lack fields.
    """
    rows = _read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} holds no list of rows: {AGAIN}")
    if not rows:
        raise DataError(f"{path} has no rows: {AGAIN}")
    for row in rows:
        check_version(path, row)
        if lacking := [field for field in FIELDS if field not in row]:
            name = row.get("name", "a row without a name")
            raise DataError(f"{path}: {name} lacks {', '.join(lacking)}: {AGAIN}")
    names = [row["name"] for row in rows]
    if len(set(names)) < len(names):
        raise DataError(f"{path} names a row twice ({', '.join(names)}): {AGAIN}")
    return rows


def _read_json(path: Path):
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be read as JSON ({error}): {AGAIN}") from None


def _read_object(path: Path) -> dict:
    found = _read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no JSON object: {AGAIN}")
    return found


def _unfit(found: Evaluation) -> str:
    """Why the clip's rows are not the evaluation's own; "" where they are."""
    wanted = [found.rows[0]["name"], *([found.smoothed["name"]] if found.smoothed else [])]
    if lacking := [name for name in wanted if name not in found.clip.predictions]:
        return f"it lacks the row {', '.join(map(named, lacking))}"
    return found.clip.foreign(found.rows)


def _read_logs(found: Evaluation) -> dict[str, list[dict]]:
    main = found.smoothed["name"] if found.smoothed else found.rows[0]["name"]
    paths = {main: found.workdir / "log.jsonl"}
    for row in found.rows[1:]:
        # A training writes its log beside its model.
        path = Path(row["model"]).parent / "log.jsonl"
        if row["kind"] == "model" and all(path.resolve() != other.resolve() for other in paths.values()):
            paths.setdefault(row["name"], path)
    # In the order of the rows, so that a row has the same colour in every figure.
    found_paths = [(row["name"], paths[row["name"]]) for row in found.rows if row["name"] in paths]
    return {name: _read_log(path) for name, path in found_paths if path.is_file()}


def _read_log(path: Path) -> list[dict]:
    lines = []
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(texts, 1):
        try:
            entry = json.loads(line, parse_constant=lambda _: None)
        except ValueError:
            if number == len(texts):
                break  # a training that was killed leaves its last line torn
            entry = None
        if not isinstance(entry, dict) or "step" not in entry:
            raise DataError(f"{path}, line {number} is no line of a training's log: mend or remove it")
        lines.append(entry)
    return lines


def _no_evaluation(workdir: Path, folder: str) -> str:
    others = sorted(path.parent.name for path in workdir.glob("*/metrics.json"))
    if others:
        return f"{workdir} has no {folder}/metrics.json, but {', '.join(others)}: give --folder {others[0]}"
    command = f"python eval.py --config=CONFIG --workdir={workdir}"
    return f"{workdir} has no {folder}/metrics.json: evaluate first, with {command}"
