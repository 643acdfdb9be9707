"""What a result was made with: the command, the device and the versions of what computes."""

import datetime
import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

import jax

_PACKAGES = ("smoothdino-jax", "jax", "jaxlib", "flax", "optax", "numpy")


def provenance() -> dict:
    """`command`, `date`, `device` and `versions` of this process, for JSON."""
    return {
        "command": shlex.join(["python", *sys.argv]),
        "date": datetime.date.today().isoformat(),
        "device": device_name(),
        "versions": versions(_PACKAGES),
    }


def device_name() -> str:
    """The accelerator's kind; on a CPU its model name."""
    return cpu_name() if jax.default_backend() == "cpu" else jax.local_devices()[0].device_kind


def cpu_name() -> str:
    """The processor's model name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "CPU")


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """Package -> version; None where it is not installed."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found
