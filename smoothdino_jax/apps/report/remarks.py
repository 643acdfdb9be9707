"""What weakens an evaluation's numbers, and which of them are not there."""

from collections.abc import Mapping, Sequence

from smoothdino_jax.apps.report.words import counted, listed, named
from smoothdino_jax.evaluation.bootstrap import FEW
from smoothdino_jax.metrics import Definition

# Of metrics that stand or fall together, how their names start.
_FAMILIES = {
    "flicker": ("flicker",),
    "TAE": ("tae_",),
    "OPW": ("opw_",),
    "reprojection": ("consistency_",),
    "edges": ("edge_",),
    "scale": ("scale_", "mse_median_scaled", "mse_ls_scaled"),
}


def warnings(rows: Sequence[dict], definitions: Mapping[str, Definition] | None = None) -> list[str]:
    """What has to be kept in mind.

    Args:
        rows: of the evaluation, the first is the frozen model.
        definitions: of the metrics.

    Returns:
        Sentences: frames that are not in the means, predictions that are no depth, few scenes, models that differ in
        more than their adapters, whole families of metrics without a value.
    """
    told = []
    if empty := max(row["empty"] for row in rows):
        total = empty + max(row["frames"] for row in rows)
        told.append(f"Left out, because the truth has no reading: {empty:,} of {total:,} frames.")
    units = rows[0]["units"]
    if units < FEW and any(row["mse_change_ci"] for row in rows):
        over = counted(units, rows[0]["unit"])
        told.append(f"The intervals are over {over}: with so few, they are likely too narrow.")
    for row in rows:
        if row["nonfinite"]:
            told.append(
                f"{named(row['name'])}: the prediction of {counted(row['nonfinite'], 'frame')} has pixels that are NaN "
                "or infinite. Means over its frames are undefined."
            )
    if others := [named(row["name"]) for row in rows if row["kind"] == "model" and row.get("frozen_differs")]:
        first = named(rows[0]["name"])
        told.append(
            f"On another encoder or decoder than {first}’s: {listed(others)}. A change against {first} is then not the "
            "adapter’s alone."
        )
    return told + [
        f"Not measured: {listed(families)} ({reason})."
        for reason, families in _missing_families(rows, definitions or {}).items()
    ]


def gaps(rows: Sequence[dict], definitions: Mapping[str, Definition]) -> list[str]:
    """Which metrics no frame has a value of, and why; and which only a part of the frames has."""
    reasons: dict[str, dict[str, None]] = {}
    for row in rows:
        for metric, reason in (row["missing"] or {}).items():
            reasons.setdefault(reason, {})[metric] = None
        for metric, count in (row["counts"] or {}).items():
            if count < row["frames"]:
                reasons.setdefault(f"on {count:,} of {row['frames']:,} frames alone", {})[metric] = None
    return [
        f"{'; '.join(definitions[name].label if name in definitions else name for name in metrics)}: {reason}"
        for reason, metrics in reasons.items()
    ]


def _missing_families(rows: Sequence[dict], definitions: Mapping[str, Definition]) -> dict[str, list[str]]:
    """Reason -> the families that were to be measured, and of which no row has any value."""
    found: dict[str, list[str]] = {}
    for family, starts in _FAMILIES.items():
        names = [name for name in definitions if name.startswith(starts)]
        if any(row.get(name) is not None for row in rows for name in names):
            continue
        reasons = [(row, row["missing"][name]) for name in names for row in rows if name in (row["missing"] or {})]
        # A row that is broken lacks its metrics for that reason: what the others say is of the data.
        sound = [reason for row, reason in reasons if not row["nonfinite"]] or [reason for _, reason in reasons]
        if sound:
            found.setdefault(sound[0], []).append(family)
    return found
