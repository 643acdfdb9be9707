"""Ctrl-C in a program whose threads compile and decode.

Python raises KeyboardInterrupt wherever the main thread happens to be. Within a callback or in compiled code it can get
lost there, or come out as another exception: `never_lose` remembers it, `check` and `restored` raise it after all.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

EXIT_CODE = 130

_asked = threading.Event()


def never_lose() -> None:
    """Has Ctrl-C remembered, for `check` and `restored`.

    Where Python would only print and go on (JAX has the garbage collector call it, and an exception in such a callback
    is ignored), it comes again a moment later.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_name == "_xla_gc_callback":
            threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
            return
        _asked.set()
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handle)


def check() -> None:
    """For loops over frames: raises the KeyboardInterrupt that was swallowed since, if any."""
    if _asked.is_set():
        raise KeyboardInterrupt


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Within it, an error that came after Ctrl-C is taken for what became of it, and a KeyboardInterrupt again."""
    try:
        yield
    except Exception as error:
        if _asked.is_set():
            raise KeyboardInterrupt from error
        raise


def stop(message: str = "") -> NoReturn:
    """Ends the process at once: threads may be compiling or decoding, and would crash in an interpreter taken down."""
    for child in multiprocessing.active_children():
        child.terminate()
    sys.stdout.flush()
    if message:
        sys.stderr.write(f"\n{message}\n")  # a progress bar may have left its line unended
    sys.stderr.flush()
    os._exit(EXIT_CODE)
