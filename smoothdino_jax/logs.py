"""Logs of a run: JSON lines for programs, TensorBoard for people."""

import json
from pathlib import Path

from tensorboardX import SummaryWriter


class Logs:
    """Writes scalars to `WORKDIR/log.jsonl` and `WORKDIR/tensorboard/`.

    Args:
        workdir: made if it does not exist.
        resume_at: lines of later steps are dropped: a killed run wrote them after its last checkpoint, and the
            resumed one will write them again.
    """

    def __init__(self, workdir: Path, resume_at: int = 0):
        self._path = workdir / "log.jsonl"
        self._lines = []
        if self._path.exists():
            lines = [json.loads(line) for line in self._path.read_text().splitlines() if line.endswith("}")]
            self._lines = [line for line in lines if line["step"] <= resume_at] if resume_at else []
        self._path.write_text("".join(json.dumps(line) + "\n" for line in self._lines))
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=resume_at + 1)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Appends one line `{"step": step, **values}`."""
        self._lines.append({"step": step, **values})
        with self._path.open("a") as file:
            file.write(json.dumps(self._lines[-1]) + "\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def latest(self, name: str) -> float | None:
        """The last value written under `name`; None where there is none."""
        return next((line[name] for line in reversed(self._lines) if name in line), None)

    def close(self) -> None:
        """Flushes TensorBoard's file."""
        self._board.close()
