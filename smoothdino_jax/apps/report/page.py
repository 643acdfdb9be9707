"""The report: one HTML file that needs nothing else, so that it can be mailed, archived and opened from a disk.

Style, script, figures and the player's frames are all inside. A content security policy in the file forbids it to load
anything, and to run any script but its own. Absolute paths are cut to their last parts.
"""

import base64
import hashlib
import importlib.metadata
import importlib.resources
import shlex
from pathlib import Path

import jinja2
from markupsafe import Markup

from smoothdino_jax.apps.report import player
from smoothdino_jax.apps.report.drawings import drawings, write_figures
from smoothdino_jax.apps.report.findings import extent, findings, headline
from smoothdino_jax.apps.report.paths import without_homes
from smoothdino_jax.apps.report.reading import Evaluation, read_evaluation
from smoothdino_jax.apps.report.remarks import gaps, warnings
from smoothdino_jax.apps.report.tables import flattened, metric_names, metric_tables, scenes_table, summary
from smoothdino_jax.apps.report.words import as_html, as_text, named
from smoothdino_jax.apps.writing import check_free, write_whole
from smoothdino_jax.metrics import DEFINITIONS

MARKER = '<meta name="generator" content="smoothdino report">'


def make_report(
    workdir: Path, output: Path, folder: str = "eval", *, figures: Path | None = None, overwrite: bool = False
) -> Path:
    """Writes the report of an evaluation.

    Args:
        workdir: of `train.py` and `eval.py`.
        output: HTML file to write, whole or not at all. An earlier report there is replaced.
        folder: within `workdir`, that `eval.py` wrote.
        figures: folder to write each figure to as a PNG too; None for none.
        overwrite: replace `output` even if it is no report.

    Returns:
        `output`.

    Raises:
        DataError: no evaluation that can be read, or a file that can't be written or must not be replaced.
    """
    workdir, output = Path(workdir), Path(output)
    # A slip of `-o` must not cost somebody's file.
    check_free(output, overwrite, MARKER.encode(), "report")
    evaluation = read_evaluation(workdir, folder)
    found = list(drawings(evaluation))
    page = render(evaluation, [drawing.embedded() for drawing in found])
    write_whole(output, page.encode())
    if figures is not None:
        write_figures(found, Path(figures))
    return output


def render(evaluation: Evaluation, figures: list[dict]) -> str:
    """The page.

    Args:
        evaluation: what it tells of.
        figures: of `Drawing.embedded`.
    """
    rows, smoothed, run = evaluation.rows, evaluation.smoothed, evaluation.run
    tables, scenes, missing = metric_tables(rows, DEFINITIONS), scenes_table(evaluation), gaps(rows, DEFINITIONS)
    played = player.player(evaluation)
    contents = [
        ("summary", "Result"),
        *[("player", "Player")] * bool(played),
        *[("figures", "Figures")] * bool(figures),
    ]
    contents += [(table.key, table.title) for table in tables]
    contents += [*[("gaps", "Missing values")] * bool(missing), *[("scenes", "Scenes")] * bool(scenes)]
    contents += [("rows", "Rows"), ("metrics", "Metrics"), ("how", "Method")]
    script = _resource("report.js")
    measured = metric_names(rows, DEFINITIONS)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"words": as_html, "plain": as_text}
    text = environment.from_string(_resource("report.html.j2")).render(
        title=f"SmoothDINO: evaluation of {named(evaluation.workdir.resolve().name)}",
        facts=_facts(evaluation),
        headline=headline(rows, smoothed),
        findings=findings(rows, smoothed, DEFINITIONS, evaluation.change_interval),
        warnings=warnings(rows, DEFINITIONS),
        absent=evaluation.absent,
        contents=contents,
        summary=summary(evaluation),
        player=played,
        figures=figures,
        tables=tables,
        gaps=missing,
        scenes=scenes,
        rows=[(row["name"], _row_text(row, rows[0])) for row in rows],
        metrics=[(name, definition) for name, definition in DEFINITIONS.items() if name in measured],
        how=_how(run),
        commands=_commands(evaluation),
        versions=list(run.get("versions", {}).items()),
        config=[(name, without_homes(repr(value))) for name, value in flattened(evaluation.config_of_run)],
        footer=f"Made by smoothdino report (smoothdino-jax {importlib.metadata.version('smoothdino-jax')}) "
        f"from {without_homes(str(evaluation.workdir / evaluation.folder))}.",
        style=Markup(_resource("report.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return text.strip() + "\n"


def _row_text(row: dict, first: dict) -> str:
    told = f"{row['what']} [{row['kind']}, {without_homes(row['model'])}]"
    return told + f"; not on {named(first['name'])}’s encoder and decoder" * bool(row.get("frozen_differs"))


def _facts(evaluation: Evaluation) -> list[str]:
    run, row = evaluation.run, evaluation.rows[0]
    facts = [extent(row)]
    if source := run.get("data", {}).get("source"):
        facts.insert(0, without_homes(str(source)))
    if run.get("device"):
        facts.append(str(run["device"]))
    if run.get("date"):
        facts.append(str(run["date"]).replace("T", " ")[:16])  # to the minute
    return facts


def _how(run: dict) -> list[tuple[str, str]]:
    told = [(name, run[name]) for name in ("date", "device") if run.get(name)]
    if (peak := run.get("device_peak_mib")) is not None:
        told.append(("device’s peak memory", f"{peak:,.0f} MiB over the whole evaluation"))
    for part in ("data", "protocol"):
        told += flattened(run.get(part, {}), f"{part}.")
    return [(name, "–" if value is None else without_homes(str(value))) for name, value in told]


def _commands(evaluation: Evaluation) -> list[str]:
    folder = "" if evaluation.folder == "eval" else f" --folder {shlex.quote(evaluation.folder)}"
    own = f"smoothdino report {shlex.quote(str(evaluation.workdir))}{folder}"
    commands = evaluation.trained_by, evaluation.run.get("command"), own
    return [without_homes(command) for command in commands if command]


def _resource(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
