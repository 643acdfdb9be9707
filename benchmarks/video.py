"""Watches the memory of `smoothdino video` over a long video.

    python benchmarks/video.py --frames 10000 --json benchmarks/results/video_cpu.json

A moving texture is written as an H.264 file first. Then what the command runs streams it into an MP4 and an archive of
float32 depth at once, with the embedded model; the resident set is read at every frame that is decoded.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from machine import context

from smoothdino_jax import Stream, load
from smoothdino_jax.apps.video import depth_video
from smoothdino_jax.apps.video_outputs import open_output
from smoothdino_jax.apps.video_sources import open_video
from smoothdino_jax.apps.video_writer import VideoWriter

GOAL = 5.0  # percent
WARM = 500  # frames until the pools of buffers have filled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--size", type=int, nargs=2, default=(240, 320), metavar=("H", "W"))
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the report here as well")
    args = parser.parse_args()
    if args.frames < 2 * WARM:
        parser.error(f"--frames {args.frames}: at least {2 * WARM}")
    with tempfile.TemporaryDirectory() as scratch:
        source = made_up(Path(scratch) / "in.mp4", args.frames, args.size)
        samples, done = watched(source, Path(scratch))
    warm = samples[WARM:]
    spread = 100 * (max(warm) - min(warm)) / min(warm)
    report = {
        "context": context(),
        "frames": done.frames,
        "fps": done.rate,
        "warm_mib": warm[0],
        "end_mib": warm[-1],
        "peak_mib": max(samples),
        "spread_percent": spread,
        "goal_percent": GOAL,
    }
    print(
        f"{done.frames} frames, {done.rate:.1f} FPS; resident {warm[0]:.0f} MiB after {WARM} frames, {warm[-1]:.0f} at "
        f"the end, spread {spread:.2f} % (wanted: under {GOAL:g})"
    )
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(spread > GOAL)


def made_up(path: Path, frames: int, size: tuple[int, int]) -> Path:
    """A texture that moves a pixel per frame, there and back."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (size[0] // 8, size[1] // 4, 3), np.uint8)
    wide = np.repeat(np.repeat(coarse, 8, 0), 8, 1)
    room = wide.shape[1] - size[1]
    with VideoWriter(path, 30) as writer:
        for number in range(frames):
            left = abs(number % (2 * room) - room)
            writer.write(np.ascontiguousarray(wide[: size[0], left : left + size[1]]))
    return path


def watched(source: Path, folder: Path):
    """MiB resident at every frame, and what came of the video."""
    samples = []

    def sampled(frames):
        for frame in frames:
            samples.append(_resident_mib())
            yield frame

    with open_video(source) as video:
        options = {"size": video.size, "fps": video.fps, "titles": ["depth"], "depth_range": (0, 10)}
        outputs = [open_output(folder / name, **options) for name in ("out.mp4", "out.npz")]
        stream = Stream(load("tiny-synthetic"), size=(112, 154))
        done = depth_video(stream, video._replace(frames=sampled(video.frames)), outputs)
    return samples, done


def _resident_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main()
