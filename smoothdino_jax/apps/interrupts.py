"""Ctrl-C in a program whose threads compile and decode."""

import multiprocessing
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

EXIT_CODE = 130


def never_lose() -> None:
    """Makes Ctrl-C reach the program: where Python would only print and go on, it comes again a moment later.

    JAX has the garbage collector call it, and an exception in such a callback is ignored.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_name == "_xla_gc_callback":
            threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
            return
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handle)


def stop(message: str = "") -> NoReturn:
    """Ends the process at once: threads may be compiling or decoding, and would crash in an interpreter taken down."""
    for child in multiprocessing.active_children():
        child.terminate()
    sys.stdout.flush()
    if message:
        sys.stderr.write(f"\n{message}\n")  # a progress bar may have left its line unended
    sys.stderr.flush()
    os._exit(EXIT_CODE)
