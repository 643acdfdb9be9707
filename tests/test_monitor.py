"""Progress of a training run: its speed, and a bar that does not flood a file."""

import subprocess
import sys

import pytest

from smoothdino_jax import monitor


def test_throughput_is_counted_from_one_look_to_the_next(monkeypatch):
    moments = iter([100.0, 102.0, 102.5])
    monkeypatch.setattr(monitor, "perf_counter", lambda: next(moments))
    throughput = monitor.Throughput(step=40, frames=8)
    assert throughput.look(50) == pytest.approx(40)
    assert throughput.look(52) == pytest.approx(32)


def test_a_bar_in_a_file_is_drawn_now_and_then():
    program = (
        "import time\nfrom smoothdino_jax.monitor import step_bar\nbar = step_bar(30, 0, shown=True)\n"
        "for _ in range(30):\n    time.sleep(0.02)\n    bar.update()\nbar.close()\n"
    )
    drawn = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr
    assert "30/30" in drawn
    assert drawn.count("/30") <= 3
