"""The machine that a benchmark runs on: its cores, its memory, and what is installed."""

import datetime
import gc
import importlib.metadata
import json
import os
import platform
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from variants import JAX_SIDE

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch", "transformers")
_LOAD_BEFORE = os.getloadavg()


def limit_threads(threads: int | None) -> None:
    """Binds this process and its children to so many cores, before JAX and torch size their pools by them."""
    if threads is None:
        return
    allowed = sorted(os.sched_getaffinity(0))
    if not 1 <= threads <= len(allowed):
        sys.exit(f"--threads {threads}: this process may use 1 to {len(allowed)} cores")
    os.sched_setaffinity(0, allowed[:threads])


def context() -> dict:
    """Machine, versions, command and date, for the report."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    info = {
        "command": shlex.join(["python", *sys.argv]),
        "date": datetime.date.today().isoformat(),
        "device": _device(),
        "cpu": _cpu(),
        "cores": _cores(),
        "ram_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        "load_before": round(_LOAD_BEFORE[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
    }
    if "torch_reference" in sys.modules:
        info["torch"] = sys.modules["torch_reference"].describe()
    return info


def memory_apart(name: str) -> dict:
    """What `measure_memory` says in a fresh process, with this process's other arguments."""
    command = [sys.executable, *sys.argv, "--memory-of", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(f"memory of {name}: failed with {done.returncode}", file=sys.stderr)
        return {}
    return json.loads(done.stdout.splitlines()[-1])


def measure_memory(build: Callable[[], dict], name: str) -> dict:
    """Peak memory of one contestant, in this process.

    On a CPU, MiB of resident memory: `imports_mib` before anything is built, `peak_mib` over everything: imports,
    compiling, the first runs and two more; `running_mib` over these two alone, None where the system can't tell. On a
    GPU the device's peak instead of the last two.
    """
    if name in JAX_SIDE:
        import contestants
        import jax

        jax.device_put(0.0)  # starts the backend, which belongs to the imports
        del contestants
    else:
        import torch_reference  # noqa: F401
    gc.collect()
    before = _resident("VmRSS")
    contestant = build()[name]
    peak = _resident("VmHWM")
    gc.collect()
    resettable = _reset_peak()
    contestant.run()
    contestant.run()
    last = _resident("VmHWM")
    peak, running = max(peak, last), last if resettable else None
    device = _device_peak(name)
    if device is not None:
        peak = running = device
    found = {"imports_mib": before, "peak_mib": peak, "running_mib": running}
    return {key: None if value is None else value / 2**20 for key, value in found.items()}


def _resident(field: str) -> int | None:
    # `ru_maxrss` of a child starts at what its parent had when it was started; VmHWM does not.
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        if field != "VmHWM":
            return None
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field)) * 1024


def _reset_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _device_peak(name: str) -> int | None:
    if name in JAX_SIDE:
        import jax

        stats = jax.local_devices()[0].memory_stats() or {}
        return stats.get("peak_bytes_in_use")
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def _device() -> str:
    if "jax" in sys.modules and sys.modules["jax"].default_backend() != "cpu":
        return sys.modules["jax"].local_devices()[0].device_kind
    return _cpu()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "CPU")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
