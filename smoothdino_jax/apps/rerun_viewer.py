"""Where a Rerun viewer listens, and starting one."""

import contextlib
import math
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from urllib.parse import urlsplit

from smoothdino_jax.data.frames import DataError

PORT = 9876  # Rerun's own
_PATIENCE = 10.0  # seconds, for a viewer to start
_SETTLING = 1.5  # seconds after which a viewer that listens has its window, too, or has failed for want of a display


def address_of(target: str) -> str:
    """The viewer's address in full. Raises `DataError` for what is none, nor "spawn" or "connect"."""
    if target in ("spawn", "connect"):
        return f"rerun+http://127.0.0.1:{PORT}/proxy"
    address = target if "://" in target else f"rerun+http://{target}/proxy"
    parts = urlsplit(address)
    with contextlib.suppress(ValueError):  # a port that is no number
        if parts.scheme in ("rerun", "rerun+http", "rerun+https") and parts.hostname and parts.port:
            return address
    raise DataError(f"{target}: Rerun logs to a file X.rrd, spawn, connect, HOST:PORT or rerun+http://HOST:PORT/proxy")


def answers(address: str) -> bool:
    """Whether something listens there."""
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=3).close()
    except OSError:
        return False
    return True


def spawn(address: str) -> None:
    """Starts a viewer that outlives this process, unless one is running.

    Not `rerun.spawn`: it does not tell a viewer that has no display from one that is slow, and its viewer listens to
    the whole network.
    """
    if answers(address):
        return
    command = [sys.executable, "-m", "rerun_cli", "--bind", "127.0.0.1", "--port", str(PORT), "--expect-data-soon"]
    # No usage data: short of changing the user's settings, CI is what the viewer listens to.
    environment = {"CI": "true", **os.environ}
    with tempfile.TemporaryFile() as said:
        viewer = subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)
        deadline, settled = time.monotonic() + _PATIENCE, math.inf
        while viewer.poll() is None and time.monotonic() < deadline:
            if time.monotonic() > settled:
                return
            if settled == math.inf and answers(address):
                settled = time.monotonic() + _SETTLING
            time.sleep(0.1)
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
    if viewer.poll() is None:
        raise DataError(f"the Rerun viewer has not started within {_PATIENCE:.0f} s: once it has, use connect")
    reason = next((line for line in lines if line.startswith("Error:")), f"exit code {viewer.returncode}")
    reason = re.sub(r":? os error at \S+", ":", reason.removeprefix("Error:")).strip(" .")
    raise DataError(f"the Rerun viewer did not start ({reason}): log to a file instead, X.rrd")
