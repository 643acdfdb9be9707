"""Charts of an evaluation's numbers: what a row costs, where its gain lies, whether it comes from the past.

Each takes rows of `metrics.json`, columns of `frames.csv` or lines of `log.jsonl` as they are and returns a figure, or
None where they hold nothing to draw: a chart never fails for a value that is missing. The first row is the one that the
others are compared with.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from smoothdino_jax.apps.report import style
from smoothdino_jax.apps.report.labels import place_labels
from smoothdino_jax.apps.report.scenes import scene_changes
from smoothdino_jax.evaluation.clip import FeaturePictures

_GROUPS = {  # of `uses_the_past`: colour and name
    "adapter": (style.BLUE, "the smoothed model"),
    "ablation": (style.SKY, "the same model, deprived of a part of its input"),
    "average": (style.YELLOW, "average of the first row's depth over frames"),
    "other": (style.PINK, "other model"),
}


def time_against_mse(rows: Sequence[dict]) -> Figure | None:
    """Time per frame against MSE, a point for each model (Fig. 3 of the paper).

    Args:
        rows: of `metrics.json`; those of kind "model" with `mse` and `ms_per_frame` are drawn, with `mse_ci` as a bar.

    Returns:
        None without such a row.
    """
    models = style.having((row for row in rows if row.get("kind", "model") == "model"), "mse", "ms_per_frame")
    if not models:
        return None
    figure = style.new_figure(4.8, layout=None)
    figure.subplots_adjust(0.085, 0.115, 0.985, 0.915)
    axes = style.tidy(figure.add_subplot())
    look = style.looks([row["name"] for row in rows])
    for row in models:
        colour, _, marker = look[row["name"]]
        axes.plot(row["ms_per_frame"], row["mse"], marker, color=colour, markersize=8, zorder=3, label=row["name"])
        if ends := style.interval(row, "mse_ci"):
            axes.vlines(row["ms_per_frame"], *ends, color=colour, linewidth=1.3)
    axes.margins(0.08, 0.12)
    axes.set_xlim(0, 1.2 * max(row["ms_per_frame"] for row in models) or 1)
    axes.set_xlabel("time per frame, median [ms]")
    axes.set_ylabel("MSE [m²]")
    style.title(axes, "Accuracy and time")
    style.title(axes, "↙ better", "right")
    place_labels(axes, [(row["ms_per_frame"], row["mse"], row["name"], look[row["name"]].colour) for row in models])
    return figure


def mse_parts(rows: Sequence[dict]) -> Figure | None:
    """How much of the MSE one factor per frame would take away, and how much is left.

    The two parts are `mse - mse_ls_scaled` and `mse_ls_scaled`. Beside each bar: the change against the first row in
    per cent of that row's MSE, in all and of each part. A bar much longer than most is cut, and told in numbers.

    Args:
        rows: of `metrics.json`; those with `mse` and `mse_ls_scaled` are drawn.

    Returns:
        None without such a row.
    """
    drawn = style.having(rows, "mse", "mse_ls_scaled")
    if not drawn:
        return None
    figure = style.new_figure(1.5 + 0.32 * len(drawn))
    axes = style.tidy(figure.add_subplot(), "x")
    rest = np.array([row["mse_ls_scaled"] for row in drawn])
    scale = np.array([row["mse"] for row in drawn]) - rest
    places = np.arange(len(drawn))
    axes.barh(places, rest, color=style.BLUE, height=0.7, label="left after the best scale of each frame")
    axes.barh(places, scale, left=rest, color=style.YELLOW, height=0.7, label="due to the scale of each frame")
    style.cut_bars(axes, rest + scale, 2 * (rest + scale)[0] if drawn[0] is rows[0] else 0, style.number)
    whole = rest[0] + scale[0]
    if drawn[0] is rows[0] and whole > 0:
        parts = np.stack([rest + scale, scale, rest], 1)
        changes = [[style.percent(part) for part in line] for line in (parts - parts[0]) / whole]
        edges = (56, 112, 178)
        head = "change", "in scale", "in the rest"
        style.columns_beside(axes, edges, [(-0.8, head)], weight="bold")
        style.columns_beside(axes, edges, list(zip(places, changes, strict=True))[1:])
    style.names_beside(axes, drawn)
    axes.set_xlabel("MSE [m²]")
    style.title(axes, "How much of the error is scale")
    style.legend_below(figure, axes)
    return figure


def uses_the_past(rows: Sequence[dict]) -> Figure | None:
    """Change of the MSE against the first row: models, what is left of it without parts of the input, averages.

    If a model uses the past, it loses its gain where the past is spoiled ("adapter/shuffled"), and gains more than an
    average over the same frames does. The reverse need not hold: a spoiled past is an unusual input too.

    Args:
        rows: of `metrics.json`; those after the first with `mse_change` are drawn, with `mse_change_ci` as an interval.

    Returns:
        None without such a row.
    """
    drawn = style.having(rows[1:], "mse_change")
    if not drawn:
        return None
    owners = {row["name"].rpartition("/")[0] for row in drawn if row.get("kind") == "ablation"} | {"adapter"}
    groups = {name: [] for name in _GROUPS}
    for row in drawn:
        kind = row.get("kind", "model")
        groups[kind if kind in groups else "adapter" if row["name"] in owners else "other"].append(row)
    drawn = [row for group in groups.values() for row in group]
    colours = [_GROUPS[name][0] for name, group in groups.items() for _ in group]
    figure = style.new_figure(1.6 + 0.3 * len(drawn))
    axes = style.tidy(figure.add_subplot(), "x")
    places = np.arange(len(drawn))
    changes = [100 * row["mse_change"] for row in drawn]
    axes.barh(places, changes, color=colours, height=0.7)
    texts = []
    for place, row in zip(places, drawn, strict=True):
        ends = style.interval(row, "mse_change_ci")
        texts.append((place, [style.percent(row["mse_change"])]))
        if ends:
            axes.hlines(place, 100 * ends[0], 100 * ends[1], color=style.INK, linewidth=1.3)
            texts[-1][1].append(f"[{style.percent(ends[0])[:-2]}, {style.percent(ends[1])[:-2]}]")
    intervals = [style.interval(row, "mse_change_ci") for row in drawn]
    intervals = [ends and (100 * ends[0], 100 * ends[1]) for ends in intervals]
    style.cut_bars(axes, changes, 50, lambda value: style.percent(value / 100), intervals)
    style.columns_beside(axes, (50, 140), texts)
    axes.axvline(0, color=style.INK, linewidth=1)
    style.names_beside(axes, drawn)
    axes.set_xlabel(f"change of the MSE against {style.quoted(rows[0]['name'])} [%]   (← better)")
    style.title(axes, "Does it use the past?")
    used = [Patch(color=colour, label=text) for name, (colour, text) in _GROUPS.items() if groups[name]]
    style.legend_below(figure, axes, used)
    return figure


def eigenvalue_spectra(features: FeaturePictures | None) -> Figure | None:
    """Eigenvalues of the features' normalised cut before the adapter and after it; None without any."""
    parts = {} if features is None else {
        "before the adapter": (np.asarray(features.eigenvalues_before, float), style.looks(["", "a"])[""]),
        "after it": (np.asarray(features.eigenvalues_after, float), style.looks(["", "a"])["a"]),
    }  # fmt: skip
    parts = {name: part for name, part in parts.items() if np.isfinite(part[0]).any()}
    if not parts:
        return None
    figure = style.new_figure(3.6)
    axes = style.tidy(figure.add_subplot())
    for name, (values, (colour, stroke, marker)) in parts.items():
        axes.plot(np.arange(1, len(values) + 1), values, stroke, marker=marker, color=colour, linewidth=1.5, label=name)
    axes.set_xlabel("eigenvector")
    axes.set_ylabel("eigenvalue")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.title(axes, f"Spectrum of the normalised cut, level {features.level + 1} of 4")
    axes.legend(fontsize=style.NORMAL, frameon=False)
    return figure


def metric_by_scene(
    rows: Sequence[dict],
    frames: Mapping[str, Mapping[str, np.ndarray]],
    metric: str = "mse",
    most: int = 40,
) -> Figure | None:
    """Change of a metric against the first row, scene by scene, for each further model: a table in colours.

    Scenes are in the order of the mean change, the best first.

    Args:
        rows: of `metrics.json`.
        frames: row name -> column -> values of `frames.csv`; a scene's mean is that of `scenes.scene_means`.
        metric: column; less of it is better.
        most: scenes at most; of more, those at the two ends of the order are drawn, and the title says so.

    Returns:
        None without a model besides the first row, or with fewer than two scenes.
    """
    names, scenes, table = scene_changes(rows, frames, metric)
    if len(scenes) < 2:
        return None
    order = range(len(scenes))
    shown = [k for k in order if k < most // 2 or k >= len(order) - (most - most // 2)] if len(order) > most else order
    table = table[shown]
    limit = float(np.clip(np.nanmax(np.abs(table)), 1, 100))
    figure = style.new_figure(1.5 + 0.22 * len(shown) + 0.06 * min(26, max(map(len, names))))
    axes = style.tidy(figure.add_subplot(), "x")
    axes.grid(False)
    picture = axes.imshow(table, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto")
    if len(names) <= 12:
        for (i, j), value in np.ndenumerate(table):
            if np.isfinite(value):
                ink = "white" if abs(value) > 0.65 * limit else style.INK
                text = f"{value:+.0f}".replace("-", "−")
                axes.text(j, i, text, ha="center", va="center", fontsize=style.SMALL, color=ink)
    flat = len(names) <= 6 and max(map(len, names)) <= 14
    turned = {} if flat else {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(names)), [style.label(name, 26) for name in names], **turned)
    axes.set_yticks(range(len(shown)), [style.label(scenes[k]) for k in shown])
    bar = figure.colorbar(picture, ax=axes, shrink=min(1, 3 / figure.get_figheight() + 0.2), pad=0.02)
    bar.set_label(f"change of the {metric.upper()} [%]", fontsize=style.NORMAL, color=style.INK)
    bar.ax.tick_params(labelsize=style.SMALL)
    of = "" if len(shown) == len(order) else f": the {len(shown)} of {len(order)} at the two ends"
    style.title(axes, f"Where it helps, against {style.quoted(rows[0]['name'])}{of}")
    return figure
