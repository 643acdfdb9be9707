"""What an evaluation says in words, computed from its rows, with no more certainty than they have.

A mean that is lower by chance is not a finding: whether a change differs from none is read from its interval, and what
has no interval is said as a number alone.
"""

from collections.abc import Callable, Mapping, Sequence

from smoothdino_jax.apps.report.ablations import past_verdict, remaining_gain
from smoothdino_jax.apps.report.scale_gain import scale_of_gain
from smoothdino_jax.apps.report.words import LEAST, counted, named
from smoothdino_jax.metrics import Definition

Interval = Callable[[str, str], tuple[float, float] | None]


def percent(change: float) -> str:
    """A relative change, -0.17 -> "17 % lower"."""
    if _same(change):
        return "the same to 0.1 %"
    return f"{_number(abs(100 * change))} % {'lower' if change < 0 else 'higher'}"


def headline(rows: Sequence[dict], smoothed: dict | None) -> str:
    """The model's MSE against the frozen model's and whether that can be told from no change; does it use the past?

    Args:
        rows: of the evaluation, the first is the frozen model.
        smoothed: the row in question; None where there is none.

    Returns:
        A sentence, and a second one where the ablations say of what the gain is.
    """
    first = named(rows[0]["name"])
    if smoothed is None:
        return f"Only {first} was evaluated: there is nothing to compare it with."
    name, change = named(smoothed["name"]), smoothed["mse_change"]
    if change is None:
        return f"The MSE of {name} or of {first} is undefined, so there is no result."
    told = f"The MSE of {name} is {percent(change)} {'as' if _same(change) else 'than'} {first}’s on {extent(smoothed)}"
    sentences = [told + _certainty(change, smoothed["mse_change_ci"]), past_verdict(rows, smoothed)]
    return " ".join(sentence for sentence in sentences if sentence)


def _certainty(change: float, interval: Sequence[float] | None) -> str:
    if _same(change) and interval is None:
        return "; there is no interval."
    if interval is None:
        return "; there is no interval, so whether it is chance is not known."
    if _same(change) and all(map(_same, interval)):
        return ", and so it is at both ends of its 95 % interval."
    low, high = interval
    if low <= 0 <= high and not _same(change):
        return f", but its 95 % interval ({_interval(interval)}) includes no change: it may be chance."
    return f" (95 % interval: {_interval(interval)})."


def findings(
    rows: Sequence[dict],
    smoothed: dict | None,
    definitions: Mapping[str, Definition],
    interval: Interval = lambda name, against: None,
) -> list[str]:
    """What else has to be said of the model: what its gain is made of, other rows, other metrics, and what it costs.

    Args:
        rows: of the evaluation, the first is the frozen model.
        smoothed: the row in question; None where there is none.
        definitions: of the metrics.
        interval: of the relative change of the MSE, by the names of a row and of the one it is compared with.

    Returns:
        Sentences, none where nothing can be said.
    """
    if smoothed is None or smoothed["mse"] is None or rows[0]["mse"] is None:
        return []
    told = [*remaining_gain(rows, smoothed), scale_of_gain(rows[0], smoothed)]
    told += [_against(row, smoothed, interval) for row in rows[1:] if row["kind"] == "model" and row is not smoothed]
    averages = [row for row in rows if row["kind"] == "average" and row["mse"] is not None]
    if averages:
        best = min(averages, key=lambda row: row["mse"])
        called = f"{named(best['name'])}, the best of {counted(len(averages), 'average')} over time"
        told.append(_against(best, smoothed, interval, called))
    told += [_others(rows[0], smoothed, definitions), _cost(rows[0], smoothed)]
    return [sentence for sentence in told if sentence]


def _against(row: dict, smoothed: dict, interval: Interval, called: str = "") -> str:
    if row["mse"] is None or not row["mse"]:
        return ""
    change, between = smoothed["mse"] / row["mse"] - 1, interval(smoothed["name"], row["name"])
    called = called or named(row["name"])
    told = f"{percent(change)} {'as' if _same(change) else 'than'} that of {called} ({row['mse']:.4f} m²)"
    sentence = f"The MSE of {named(smoothed['name'])} ({smoothed['mse']:.4f} m²) is {told}"
    if between is None:
        return f"{sentence}; no interval."
    if all(map(_same, between)):
        return f"{sentence}, and so it is at both ends of the interval."
    if between[0] <= 0 <= between[1]:
        return f"{sentence}; the interval ({_interval(between)}) includes no difference."
    return f"{sentence}, interval {_interval(between)}."


def _others(first: dict, smoothed: dict, definitions: Mapping[str, Definition]) -> str:
    """How many metrics are better, which are worse, and which can't be compared."""
    better, worse, undefined, elsewhere = [], [], [], []
    for name, definition in definitions.items():
        ours, other = smoothed.get(name), first.get(name)
        if not definition.better or other is None:
            continue
        if ours is None:
            undefined.append(definition.label)
        elif _defined(smoothed, name) != _defined(first, name):
            elsewhere.append(definition.label)
        elif ours != other and not (other and _same(ours / other - 1)):
            change = percent(ours / other - 1) if other else f"{ours:.3g} instead of 0"
            (better if (ours < other) == (definition.better == "lower") else worse).append(
                f"{definition.label} {change}"
            )
    told = [_tally(len(better), worse, named(first["name"]))] if better or worse else []
    if undefined:
        told.append(f"Undefined for {named(smoothed['name'])}: {'; '.join(undefined)}.")
    if elsewhere:
        told.append(f"Not compared, as the two rows have it on different numbers of frames: {'; '.join(elsewhere)}.")
    return " ".join(told)


def _defined(row: dict, metric: str) -> int:
    """On how many frames."""
    return (row["counts"] or {}).get(metric, row["frames"])


def _tally(better: int, worse: Sequence[str], first: str) -> str:
    total = better + len(worse)
    if total == 1:
        verdict = f"worse in the mean (no interval): {worse[0]}" if worse else "better in the mean (no interval)"
        return f"The one metric that differs from {first}’s is {verdict}."
    if not worse:
        return f"All {total} metrics that differ from {first}’s are better in the mean (no intervals)."
    verdict = f"{better or 'none'} {'are' if better > 1 else 'is'} better in the mean (no intervals)"
    return f"Of {total} metrics that differ from {first}’s, {verdict}; worse: {'; '.join(worse)}."


def _cost(first: dict, smoothed: dict) -> str:
    ours, other = smoothed.get("ms_per_frame"), first.get("ms_per_frame")
    if not ours or not other:
        return ""
    return f"A frame takes {ours:.3g} ms, {named(first['name'])} {other:.3g} ms ({ours / other:.2f} times)."


def _same(change: float) -> bool:
    return abs(change) < LEAST


def _interval(interval: Sequence[float]) -> str:
    low, high = sorted(interval)
    if (low < 0) == (high < 0):
        small, large = sorted((abs(low), abs(high)))
        return f"{_number(100 * small)} to {_number(100 * large)} % {'lower' if low < 0 else 'higher'}"
    return f"{_number(100 * -low)} % lower to {_number(100 * high)} % higher"


def _number(value: float) -> str:
    return f"{value:.0f}" if round(abs(value), 1) >= 10 else f"{value:.1f}"


def extent(row: dict) -> str:
    """How much was measured: "368 frames of 16 scenes", "654 single images"."""
    if row["unit"] == "image":
        return counted(row["frames"], "single image")
    return f"{counted(row['frames'], 'frame')} of {counted(row['scenes'], 'scene')}"


def resampled(rows: Sequence[dict]) -> str:
    """What the intervals are over: "the 16 scenes"."""
    return f"the {counted(rows[0]['units'], rows[0]['unit'])}"
