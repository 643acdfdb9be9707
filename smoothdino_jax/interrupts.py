"""Ctrl-C, and SIGTERM, in a program whose threads compile and decode.

Python raises KeyboardInterrupt wherever the main thread happens to be. Within a callback or in compiled code it can get
lost there, or come out as another exception: `never_lose` remembers it, `check` and `restored` raise it after all.
"""

import _thread
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

_received: list[int] = []  # signals that ask the program to end


def never_lose() -> None:
    """Has Ctrl-C and SIGTERM raise KeyboardInterrupt, and remembers them for `check` and `restored`."""
    if threading.current_thread() is not threading.main_thread():
        return

    def handle(number: int, frame: FrameType | None) -> None:
        _received.append(number)
        raise KeyboardInterrupt

    def unraisable(ignored) -> None:
        # In callbacks of the garbage collector (JAX has one) and finalizers, Python would only print and go on.
        if isinstance(ignored.exc_value, KeyboardInterrupt) and _received:
            again = threading.Timer(0.05, _thread.interrupt_main, [_received.pop()])
            again.daemon = True
            again.start()
        else:
            print_ignored(ignored)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as for what a script runs in the background
            signal.signal(number, handle)
    print_ignored, sys.unraisablehook = sys.unraisablehook, unraisable


def check() -> None:
    """For loops over frames: raises the KeyboardInterrupt that was swallowed since, if any."""
    if _received:
        raise KeyboardInterrupt


@contextlib.contextmanager
def restored(keep: type[Exception] | tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Within it, an error that came after Ctrl-C is taken for what became of it, and a KeyboardInterrupt again.

    Args:
        keep: errors that are what they say, whenever they come.
    """
    try:
        yield
    except keep:
        raise
    except Exception as error:
        if _received:
            raise KeyboardInterrupt from error
        raise


@contextlib.contextmanager
def ending(message: str) -> Iterator[None]:
    """For whole programs, from their imports on: within it, Ctrl-C ends the process with one line."""
    never_lose()
    try:
        with restored():
            yield
    except KeyboardInterrupt:
        stop(message)


def exit_code() -> int:
    """Of an interrupted program, as shells have it: 128 and the signal's number; 130 for Ctrl-C."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def stop(message: str = "") -> NoReturn:
    """Ends the process at once: threads may be compiling or decoding, and would crash in an interpreter taken down."""
    for child in multiprocessing.active_children():
        child.kill()  # a forked one has our handler
    sys.stdout.flush()
    if message:
        sys.stderr.write(f"\n{message}\n")  # a progress bar may have left its line unended
    sys.stderr.flush()
    os._exit(exit_code())
