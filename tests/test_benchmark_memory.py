"""What the benchmarks say of memory."""

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


class Contestant:
    def run(self):
        pass


@pytest.fixture
def bench(monkeypatch):
    """Imports a module of benchmarks/, which is no package."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module
    for name in set(sys.modules) - known:
        if str(BENCHMARKS) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("before", "after", "resets", "expected"),
    [(300, 250, True, (300, 250)), (250, 300, True, (300, 300)), (250, 300, False, (300, None))],
)
def test_the_peak_is_over_everything_the_last_runs_included(bench, monkeypatch, before, after, resets, expected):
    machine = bench("machine")
    highest = iter((before, after))
    monkeypatch.setattr(machine, "_resident", lambda field: 2**20 * (next(highest) if field == "VmHWM" else 100))
    monkeypatch.setattr(machine, "_reset_peak", lambda: resets)
    monkeypatch.setattr(machine, "_device_peak", lambda name: None)
    found = machine.measure_memory(lambda: {"vanilla": Contestant()}, "vanilla")
    assert found == {"imports_mib": 100, "peak_mib": expected[0], "running_mib": expected[1]}


def test_memory_alone_is_written_with_the_command_that_measured_it(bench, monkeypatch, tmp_path):
    step = bench("step")
    monkeypatch.setattr(step, "memory_apart", lambda name: {"peak_mib": 7.0})
    options = ["--only", "vanilla,encoder", "--memory-only", "--json", str(tmp_path / "memory.json")]
    monkeypatch.setattr(sys, "argv", ["benchmarks/step.py", *options])
    step.main()
    report = json.loads((tmp_path / "memory.json").read_text())
    assert report["context"]["command"].startswith("python benchmarks/step.py --only vanilla,encoder --memory-only")
    assert report["rows"] == [{"name": "vanilla", "peak_mib": 7.0}, {"name": "encoder", "peak_mib": 7.0}]
