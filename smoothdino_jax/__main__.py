"""Behind `smoothdino` and `python -m smoothdino_jax`."""

import sys
from typing import NoReturn

from smoothdino_jax import interrupts


def command() -> NoReturn:
    """Runs the command line and ends the process with its exit code; by Ctrl-C at once, from the first moment on."""
    with interrupts.ending("smoothdino: interrupted"):
        from smoothdino_jax.apps.cli import main  # imports JAX, which takes seconds

        code = main()
    if code == interrupts.exit_code():
        interrupts.stop()
    sys.exit(code)


if __name__ == "__main__":
    command()
