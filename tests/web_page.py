"""The page for tests, with what Gradio leaves behind cleared up."""

import gc
import warnings
from contextlib import contextmanager

from smoothdino_jax.apps.web.page import serve


@contextmanager
def served(*arguments, **options):
    """`serve`. Gradio never closes some event loops and sockets; they are collected here, not in another test."""
    try:
        with serve(*arguments, **options) as demo:
            yield demo
    finally:
        demo = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
