"""The tables of a report: what is in each cell, how it reads, how it sorts, and which of a column is best."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from smoothdino_jax.apps.report import style
from smoothdino_jax.apps.report.findings import percent, resampled
from smoothdino_jax.apps.report.reading import FIELDS, Evaluation
from smoothdino_jax.apps.report.scenes import scene_means
from smoothdino_jax.apps.report.words import named
from smoothdino_jax.metrics import Definition

# Title -> how the names of its metrics start; the first that fits, and the last takes what is left.
_GROUPS = {
    "Scale": ("scale_", "mse_median_scaled", "mse_ls_scaled"),
    "Over time": ("flicker", "tae_", "opw_", "consistency_"),
    "Sharpness": ("edge_", "gradient_"),
    "Depth": ("",),
}
_CAPTIONS = {
    "Depth": "Means over the frames of what is measured in each frame by itself.",
    "Scale": "How much of the error is one factor on the whole frame, and what remains when that is divided out.",
    "Over time": "How much a prediction changes from frame to frame where the scene does not.",
    "Sharpness": "Whether depth edges are kept: a smoother can win in MSE by blurring them.",
    "Cost": "Of one stream at batch 1. The memory is what the compiler, XLA, plans for a step; a process needs more.",
}
_COST = {
    "ms_per_frame": Definition("time", "ms", "lower", "Median time of a frame."),
    "ms_p95": Definition("95 %", "ms", "lower", "95 % of the frames take no longer."),
    "encoder": Definition("encoder", "ms", "", "Of the time, the encoder's."),
    "phase_correlation": Definition("phase corr.", "ms", "", "Of the time, the phase correlation's."),
    "adapter": Definition("adapter", "ms", "", "Of the time, the adapter's."),
    "decoder": Definition("decoder", "ms", "", "Of the time, the decoder's."),
    "parameters": Definition("weights", "10⁶", "", "Number of weights, in millions."),
    "parameters_adapter": Definition("adapter’s", "10⁶", "", "Number of weights of the adapter, in millions."),
    "flops": Definition("work", "GFLOP", "lower", "Floating-point operations of a frame, as the compiler counts."),
    "xla_mib": Definition(
        "XLA’s plan",
        "MiB",
        "lower",
        "Memory that XLA plans for the compiled step: weights, frames, state, temporaries.",
    ),
}
_UNITS = {"parameters": 1e6, "parameters_adapter": 1e6, "flops": 1e9}
_INTERVALS = ("mse_ci", "mse_change_ci")
_NOT_METRICS = {*FIELDS, *_COST, "version", "ms_parts"} - {"mse"}


class Cell(NamedTuple):
    """A value as it reads and as it sorts; `value` None goes last."""

    text: str
    value: float | str | None
    best: bool = False
    tip: str = ""


class Column(NamedTuple):
    """A column's head: `key` names the metric, `tip` explains it."""

    key: str
    heading: str
    tip: str = ""
    text: bool = False  # sorts as text and aligns left


class Table(NamedTuple):
    """A table; the first cell of each of `rows` is its heading."""

    key: str
    title: str
    caption: str
    columns: list[Column]
    rows: list[list[Cell]]


def summary(evaluation: Evaluation) -> Table:
    """Model, MSE and inference time, as the paper's Table I, with the change against the first row."""
    first, units = named(evaluation.rows[0]["name"]), resampled(evaluation.rows)
    rows = [row for row in evaluation.rows if row["kind"] == "model"]
    columns = [Column("model", "model", text=True), Column("mse", "MSE [m²]", "Mean squared error of depth.")]
    columns += [
        Column("mse_ci", "95 % interval", f"Of the MSE, by a bootstrap over {units}. Sorts by its lower end."),
        Column("mse_change", f"against {first}", f"Change of the MSE against {first}."),
        Column("mse_change_ci", "95 % interval", f"Of the change against {first}, by a bootstrap over {units}."),
        Column("ms_per_frame", "inference time [ms]", "Median time of a frame, one stream."),
    ]
    values = {name: [row.get(name) for row in rows] for name in ("mse", "ms_per_frame")}
    cells = {name: _numbers(column, "lower") for name, column in values.items()}
    made = []
    for k, row in enumerate(rows):
        change = None if row is evaluation.rows[0] else row["mse_change"]
        made.append(
            [
                _name(row),
                cells["mse"][k],
                _pair(row["mse_ci"], "{:.4f}".format),
                Cell("–" if change is None else percent(change), change),
                _pair(None if change is None else row["mse_change_ci"], style.percent),
                cells["ms_per_frame"][k],
            ]
        )
    none = {
        k
        for k, column in enumerate(columns)
        if column.key in _INTERVALS and all(line[k].value is None for line in made)
    }
    columns, *made = ([cell for k, cell in enumerate(line) if k not in none] for line in (columns, *made))
    caption = "In the shape of the paper’s Table I. Every metric and every row follow below."
    if any(row["mse_ci"] for row in rows):
        caption += f" Intervals are by a bootstrap over {units}."
    return Table("summary", "Result", caption, columns, made)


def metric_tables(rows: Sequence[dict], definitions: Mapping[str, Definition]) -> list[Table]:
    """A table per group of metrics, all rows in each, and one of the costs.

    Args:
        rows: of the evaluation.
        definitions: of the metrics; one that has none goes by its name and is never best.
    """
    groups = {"Depth": [], "Scale": [], "Over time": [], "Sharpness": []}
    for name in metric_names(rows, definitions):
        groups[next(title for title, starts in _GROUPS.items() if name.startswith(starts))].append(name)
    tables = [_table(title, rows, names, definitions) for title, names in groups.items() if names]
    timed = [_costs(row) for row in rows if row.get("ms_per_frame") is not None]
    if timed:
        names = [name for name in _COST if any(row.get(name) is not None for row in timed)]
        tables.append(_table("Cost", timed, names, _COST))
    return tables


def _costs(row: dict) -> dict:
    scaled = {name: row.get(name) for name in _UNITS}
    scaled = {name: None if value is None else value / _UNITS[name] for name, value in scaled.items()}
    return row | (row.get("ms_parts") or {}) | scaled


def metric_names(rows: Sequence[dict], definitions: Mapping[str, Definition]) -> list[str]:
    """Metrics with a value in any row, in the order of the definitions."""
    found = dict.fromkeys(definitions)
    for row in rows:
        found |= dict.fromkeys(name for name, value in row.items() if _is_number(value) and name not in _NOT_METRICS)
    return [name for name in found if any(_is_number(row.get(name)) for row in rows)]


def scenes_table(evaluation: Evaluation) -> Table | None:
    """MSE of every model in every scene; None without single frames."""
    if not evaluation.frames:
        return None
    names = [row["name"] for row in evaluation.rows if row["kind"] == "model"]
    columns = [Column("scene", "scene", text=True), Column("frames", "frames", "Frames with a reading.")]
    columns += [Column(name, f"{named(name)} [m²]", f"MSE of {named(name)}.") for name in names]
    smoothed = evaluation.smoothed
    if smoothed:
        columns.append(Column("change", "change", f"Of the MSE, {named(smoothed['name'])} against {named(names[0])}."))
    means = {name: scene_means(evaluation.frames[name], "mse") for name in names}
    decimals = _decimals([mean for of_row in means.values() for _, mean in of_row.values() if mean is not None])
    rows = []
    for scene, (count, first) in means[names[0]].items():
        values = [means[name].get(scene, (0, None))[1] for name in names]
        row = [Cell(scene, scene), Cell(f"{count:,}", count), *_numbers(values, "lower", decimals)]
        if smoothed:
            ours = means[smoothed["name"]].get(scene, (0, None))[1]
            change = ours / first - 1 if ours is not None and first else None
            row.append(Cell("–" if change is None else style.percent(change), change))
        rows.append(row)
    return Table("scenes", "Scenes", "MSE in each scene; here the best of a line is marked.", columns, rows)


def flattened(config: Mapping, prefix: str = "") -> list[tuple[str, object]]:
    """Fields of nested mappings as `("train.steps", 100)`."""
    fields = []
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            fields += flattened(value, f"{prefix}{name}.")
        else:
            fields.append((prefix + name, value))
    return fields


def _table(title: str, rows: Sequence[dict], names: Sequence[str], definitions: Mapping[str, Definition]) -> Table:
    columns, cells = [Column("row", "row", text=True)], [[_name(row)] for row in rows]
    models = [row["kind"] == "model" for row in rows]
    for name in names:
        definition = definitions.get(name, Definition(name, "", "", ""))
        better = f" {definition.better.capitalize()} is better." if definition.better else ""
        columns.append(Column(name, definition.heading, definition.text + better))
        numbers = _numbers([row.get(name) for row in rows], definition.better, models=models)
        for line, cell in zip(cells, numbers, strict=True):
            line.append(cell)
    return Table(title.lower().replace(" ", "-"), title, _CAPTIONS[title], columns, cells)


def _numbers(
    values: Sequence[float | None], better: str = "", decimals: int | None = None, models: Sequence[bool] | None = None
) -> list[Cell]:
    """Cells with the same number of decimals; of the models, what reads like the best is marked, unless all do."""
    known = [value for value in values if _is_number(value)]
    if not known:
        return [Cell("–", None) for _ in values]
    decimals = _decimals(known) if decimals is None else decimals
    models = [True] * len(values) if models is None else models

    def text(value):
        return f"{value:,.{decimals}f}".replace("-", "−")

    best, rivals = None, [value for value, model in zip(values, models, strict=True) if model and _is_number(value)]
    if better and len({text(value) for value in rivals}) > 1:
        best = text(min(rivals) if better == "lower" else max(rivals))
    return [
        Cell(text(value), value, model and text(value) == best) if _is_number(value) else Cell("–", None)
        for value, model in zip(values, models, strict=True)
    ]


def _decimals(values: Sequence[float]) -> int:
    """So many that the largest has four digits; none for whole numbers."""
    largest = max((abs(value) for value in values), default=0)
    if not largest or all(isinstance(value, int) for value in values):
        return 0
    return min(9, max(0, 3 - math.floor(math.log10(largest))))


def _pair(interval: Sequence[float] | None, form: Callable[[float], str]) -> Cell:
    if interval is None:
        return Cell("–", None)
    return Cell(" … ".join(form(end) for end in interval), interval[0])


def _name(row: dict) -> Cell:
    return Cell(row["name"], row["name"], tip=row["what"])


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
