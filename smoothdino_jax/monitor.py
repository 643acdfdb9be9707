"""What watches a training run: the NaN guard, the progress bar and the text beside it."""

import math
import sys
from time import perf_counter

import jax
from tqdm import tqdm

from smoothdino_jax.weights.checkpoints import Checkpoints


class TrainingDiverged(Exception):
    """The loss or a gradient is NaN or infinite. The message names the step and the last good checkpoint."""


class Watch:
    """Looks at what steps measured, one step late, and stops the run at the first NaN."""

    def __init__(self, checkpoints: Checkpoints):
        self._checkpoints = checkpoints
        self._pending = None
        self._values: dict[str, float] = {}

    def look(self, number: int, measured: dict[str, jax.Array]) -> None:
        """Takes a step's measurements, and checks the previous step's."""
        self.flush()
        self._pending = number, measured

    def flush(self) -> dict[str, float]:
        """Checks what is pending; the latest values."""
        if self._pending is not None:
            number, measured = self._pending
            self._pending = None
            self._values = {name: float(value) for name, value in measured.items()}
            self.check(number, self._values)
        return self._values

    def check(self, number: int, values: dict[str, float]) -> None:
        """Raises `TrainingDiverged` if one of the values measured at step `number` is NaN or infinite."""
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            latest = self._checkpoints.latest
            good = "none was written yet" if latest is None else str(self._checkpoints.path(latest))
            raise TrainingDiverged(
                f"step {number}: {', '.join(bad)} is not finite. Last good checkpoint: {good}. Check the data for "
                "NaN, or lower train.learning_rate or set train.clip_norm."
            )


def step_bar(total: int, done: int, shown: bool) -> tqdm:
    """A progress bar over training steps; where it goes into a file, it is drawn now and then only."""
    interval = 0.1 if sys.stderr.isatty() else 20
    return tqdm(total=total, initial=done, unit="step", disable=not shown, dynamic_ncols=True, mininterval=interval)


class Throughput:
    """Frames per second from one look to the next.

    Args:
        step: steps done so far.
        frames: of a step.
    """

    def __init__(self, step: int, frames: int):
        self._frames, self._step, self._then = frames, step, perf_counter()

    def look(self, step: int) -> float:
        """The rate since the last look."""
        now = perf_counter()
        rate = (step - self._step) * self._frames / (now - self._then)
        self._step, self._then = step, now
        return rate


class Postfix:
    """What the progress bar says at its end."""

    def __init__(self, vanilla: float | None, validation: float | None):
        self._vanilla = vanilla
        self._validation = validation
        self._train = ""

    def train(self, loss: float, frames_per_second: float) -> str:
        """With a new training loss."""
        self._train = f"loss {loss:.4f}, {frames_per_second:.0f} frames/s"
        return self._text()

    def validation(self, mse: float) -> str:
        """With a new validation MSE."""
        self._validation = mse
        return self._text()

    def _text(self) -> str:
        if self._validation is None:
            return self._train
        text = f"{self._train}, val MSE {self._validation:.4f}"
        if self._vanilla:
            text += f" (vanilla {self._vanilla:.4f}, {100 * (self._validation / self._vanilla - 1):+.1f} %)"
        return text
