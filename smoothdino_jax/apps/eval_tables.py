"""Tables of an evaluation: for the terminal, for a paper, for a spreadsheet."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from smoothdino_jax.metrics import DEFINITIONS

# Beside MSE, time and frames: what fits into a terminal, and what goes into table.md. metrics.csv has everything.
_SHORT = ("abs_rel", "delta1", "flicker", "tae_zbuffer")
_LONG = ("rmse", "abs_rel", "delta1", "silog", "mse_ls_scaled", "scale_std", "flicker", "tae_zbuffer", "edge_f1")


def comparison_table(rows: Sequence[dict], short: bool = True) -> str:
    """All rows with their most telling columns, as a Markdown table; metrics that no row has are left out.

    Args:
        rows: of `metrics.json`.
        short: narrow enough for a terminal.
    """
    shown = [name for name in (_SHORT if short else _LONG) if any(row.get(name) is not None for row in rows)]
    columns: list[tuple[str, Callable[[dict], str]]] = [
        ("model", lambda row: row["name"]),
        ("MSE [m²]", lambda row: number(row["mse"])),
        *([] if short else [("95 % interval", lambda row: interval(row["mse_ci"]))]),
        (f"vs {rows[0]['name']}", lambda row: percent(row["mse_change"])),
        ("95 % interval", lambda row: interval(row["mse_change_ci"], percent)),
        *((DEFINITIONS[name].heading, lambda row, name=name: number(row.get(name))) for name in shown),
        ("ms/frame", lambda row: number(row["ms_per_frame"], 1)),
        ("frames", lambda row: str(row["frames"])),
    ]
    return markdown(columns, rows)


def paper_table(rows: Sequence[dict]) -> str:
    """Model, inference time and MSE, as the paper's Table I has them, with the interval; models alone."""
    columns = [
        ("Model", lambda row: row["name"]),
        ("Inference time [ms]", lambda row: number(row["ms_per_frame"], 1)),
        ("MSE [m²]", lambda row: number(row["mse"])),
        ("95 % interval", lambda row: interval(row["mse_ci"])),
        (f"MSE vs {rows[0]['name']}", lambda row: percent(row["mse_change"])),
    ]
    return markdown(columns, [row for row in rows if row["kind"] == "model"])


def markdown(columns: Sequence[tuple[str, Callable[[dict], str]]], rows: Sequence[dict]) -> str:
    """A Markdown table whose source is aligned; the first column to the left, the others to the right."""
    cells = [[head for head, _ in columns]] + [[cell(row) for _, cell in columns] for row in rows]
    widths = [max(3, *(len(line[k]) for line in cells)) for k in range(len(columns))]
    lines = [
        [
            text.rjust(width) if k else text.ljust(width)
            for k, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in cells
    ]
    lines.insert(1, ["-" * (width - 1) + (":" if k else "-") for k, width in enumerate(widths)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_csv(rows: Sequence[dict], path: Path) -> None:
    """All rows; parts and intervals in columns of their own (`ms_encoder`, `mse_ci_low`), empty where there is none."""
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(flat)


def _flat(row: dict) -> dict:
    found = {}
    for name, value in row.items():
        if name == "ms_parts":
            found |= {f"ms_{part}": ms for part, ms in (value or {}).items()}
        elif name.endswith("_ci"):
            found |= dict(zip((f"{name}_low", f"{name}_high"), value or (None, None), strict=True))
        elif name == "missing":
            found[name] = "; ".join(f"{metric}: {why}" for metric, why in value.items())
        elif name == "counts":
            found |= {f"frames_{metric}": count for metric, count in value.items()}
        else:
            found[name] = value
    return {name: "" if value is None else value for name, value in found.items()}


def number(value: float | None, digits: int = 4) -> str:
    """Four digits after the point, fewer from ten on; a dash for none."""
    if value is None:
        return "–"
    return f"{value:.{min(digits, 2) if abs(value) >= 10 else digits}f}"


def percent(value: float | None) -> str:
    """A relative change in percent, with its sign."""
    return "–" if value is None else f"{100 * value:+.1f} %"


def interval(ends: Sequence[float] | None, text: Callable[[float], str] = number) -> str:
    """From … to …; a dash for none."""
    return "–" if ends is None else f"{text(ends[0])} … {text(ends[1])}"
