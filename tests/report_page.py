"""Reports of made-up evaluations: made, changed and taken apart."""

import json
from html.parser import HTMLParser
from pathlib import Path

from made_evaluation import write_workdir

from smoothdino_jax.apps.report.page import make_report


def write_rows_alone(folder: Path) -> Path:
    """An evaluation of rows alone: cheap to report on, and to change."""
    write_workdir(folder)
    for name in ("eval/frames.csv", "eval/clip.npz", "log.jsonl"):
        (folder / name).unlink()
    return folder


def rewrite(workdir, change):
    path = workdir / "eval/metrics.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def page_of(workdir):
    return make_report(workdir, workdir / "report.html").read_text().replace("\N{NO-BREAK SPACE}", " ")


class Tags(HTMLParser):
    """Every element with its attributes, and the text of each kind of element."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text, self._open = [], {}, ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data):
        self.text[self._open] = self.text.get(self._open, "") + data
