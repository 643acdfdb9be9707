"""How much of a change of the MSE is the scale of whole frames, in words.

`mse - mse_ls_scaled` is the part of a row's MSE that one factor per frame, fitted to the truth, would remove. The share
of a gain that is scale is the change of this part over the change of the MSE.
"""

from smoothdino_jax.apps.report.words import LEAST, named


def scale_of_gain(first: dict, smoothed: dict) -> str:
    """A sentence on what the change against the first row is made of; "" where it can't be told.

    Args:
        first: row of the frozen model.
        smoothed: the row in question.
    """
    if not all(_comparable(row) for row in (first, smoothed)) or not first["mse"]:
        return ""
    rest = (smoothed["mse_ls_scaled"] - first["mse_ls_scaled"]) / first["mse"]
    change = smoothed["mse"] / first["mse"] - 1
    scale = change - rest
    if max(abs(scale), abs(rest)) < LEAST:
        return ""
    if abs(change) < LEAST or (min(abs(scale), abs(rest)) >= LEAST and (scale < 0) != (rest < 0)):
        return _opposed(first["name"], scale, rest)
    share = round(100 * min(1.0, max(0.0, scale / change)))
    interval = smoothed["mse_change_ci"]
    told = f"of the {'gain' if change < 0 else 'loss'}"
    if interval and interval[0] <= 0 <= interval[1]:
        told = "of the change, which may be chance,"
    what = "is scale of whole frames, which one factor per frame would mend"
    if share == 0:
        return f"None {told} {what}."
    return f"{f'{share} %' if share < 100 else 'All'} {told} {what}" + (
        f"; {100 - share} % is the rest." if share < 100 else "."
    )


def _comparable(row: dict) -> bool:
    """Whether the parts of the MSE are means over the same frames as the MSE."""
    counts = row["counts"] or {}
    known = row["mse"] is not None and row.get("mse_ls_scaled") is not None
    return known and counts.get("mse") == counts.get("mse_ls_scaled")


def _opposed(first: str, scale: float, rest: float) -> str:
    """Of two parts that go opposite ways no share can be told."""

    def told(part: float) -> str:
        if abs(part) < LEAST:
            return "changes nothing"
        return f"takes {100 * -part:.2g} % off" if part < 0 else f"adds {100 * part:.2g} %"

    return (
        f"Scale of whole frames, which one factor per frame would mend, {told(scale)}, the rest of the error "
        f"{told(rest)}, both in per cent of {named(first)}’s MSE."
    )
