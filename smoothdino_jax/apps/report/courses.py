"""Charts along an axis that goes on: the training's steps, a scene's frames. Otherwise as `charts`."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from smoothdino_jax.apps.report import style


def validation_curves(logs: Mapping[str, Sequence[dict]]) -> Figure | None:
    """MSE on the validation frames during training, with the vanilla model's as a dashed line (Figs. 4 and 5).

    An adapter starts as the vanilla model, so the vanilla MSE of a log is also where its run starts, at step 0.

    Args:
        logs: name of a run -> its lines of `log.jsonl`. A step logged twice (training went on from a checkpoint)
            counts as it was logged last.

    Returns:
        None if no run was validated.
    """
    curves = {name: _series(lines, "validation/mse") for name, lines in logs.items()}
    if not any(curves.values()):
        return None
    figure = style.new_figure(4.2)
    axes = style.tidy(figure.add_subplot())
    vanillas = {}
    for k, (name, curve) in enumerate(curves.items()):
        colour, stroke = style.PALETTE[k % len(style.PALETTE)], ("-", "-.", ":")[k // len(style.PALETTE) % 3]
        vanilla = _series(logs[name], "validation/vanilla_mse")
        if curve:
            start = {0: vanilla[0]} if 0 in vanilla else {}
            steps, values = zip(*(start | curve).items(), strict=True)
            lowest = min(curve, key=curve.get)
            text = f"{style.label(name)}: lowest {style.number(curve[lowest])} at step {lowest:,}"
            look = {"color": colour, "linewidth": 1.6, "marker": "o", "markersize": 3.5, "clip_on": False}
            axes.plot(steps, values, stroke, label=text, **look)
        if vanilla:
            vanillas.setdefault(f"{list(vanilla.values())[-1]:.6g}", []).append((name, colour))
    for value, of in vanillas.items():
        name = "" if len(vanillas) == 1 else f" ({', '.join(style.label(name, 20) for name, _ in of[:3])})"
        colour = style.FIRST if len(vanillas) == 1 else of[0][1]
        text = f"vanilla{name}: {style.number(float(value))}"
        axes.axhline(float(value), linestyle="--", color=colour, linewidth=1.2, label=text)
    axes.set_xlim(left=0)
    axes.set_xlabel("training step")
    axes.set_ylabel("validation MSE [m²]")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.title(axes, "Validation during training")
    style.legend_below(figure, axes)
    return figure


def scale_over_time(
    frames: Mapping[str, Mapping[str, np.ndarray]],
    scene: str | None = None,
    rows: Sequence[str] | None = None,
    metric: str = "scale_median",
) -> Figure | None:
    """The scale of each frame over the frames of a scene; its standard deviation is in the legend.

    Args:
        frames: row name -> column -> values of `frames.csv`.
        scene: which; by default the one with the most frames.
        rows: which to draw, all by default.
        metric: column with the scale, 1 where it is right.

    Returns:
        None where the scene has no such value.
    """
    look = style.looks(list(frames))
    series = {name: frames[name] for name in (frames if rows is None else rows) if name in frames}
    series = {name: columns for name, columns in series.items() if {metric, "scene", "frame"} <= set(columns)}
    if scene is None and series:
        scene = _longest_scene(next(iter(series.values()))["scene"])
    drawn = {}
    for name, columns in series.items():
        there = columns["scene"] == scene
        numbers, values = columns["frame"][there], np.asarray(columns[metric], float)[there]
        if np.isfinite(values).any():
            order = np.argsort(numbers, kind="stable")
            drawn[name] = numbers[order], np.where(np.isfinite(values), values, np.nan)[order]
    if not drawn:
        return None
    figure = style.new_figure(3.9 + 0.07 * len(drawn))
    axes = style.tidy(figure.add_subplot())
    axes.axhline(1, color=style.INK, linewidth=0.9, linestyle=(0, (1, 1)))
    for name, (numbers, values) in drawn.items():
        colour, stroke, marker = look[name]
        known = np.isfinite(values)
        text = f"{style.label(name, 26)}: std {np.std(values[known]):.3f}"
        alone = {"marker": marker, "markersize": 4} if known.sum() <= 60 else {}
        axes.plot(numbers, values, stroke, color=colour, linewidth=1.4, label=text, **alone)
    axes.set_xlabel(f"frame of {style.label(scene)}")
    axes.set_ylabel(f"{metric.replace('_', ' ')}   (1 is right)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.title(axes, "Scale from frame to frame")
    style.legend_below(figure, axes)
    return figure


def _series(lines: Sequence[dict], name: str) -> dict[int, float]:
    """Step -> value, in the order of the steps; of a step logged twice the last value."""
    values = {line["step"]: line[name] for line in lines if "step" in line and style.finite(line.get(name))}
    return dict(sorted(values.items()))


def _longest_scene(scenes: np.ndarray) -> str:
    names, first, counts = np.unique(scenes, return_index=True, return_counts=True)
    return str(names[np.lexsort((first, -counts))[0]])
