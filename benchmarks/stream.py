"""Speed and memory of `Stream` over thousands of frames: the resident set must stay flat.

    python benchmarks/stream.py --frames 10000
    python benchmarks/stream.py --model PATH --size 480 640 --frames 1000 --json result.json

Frames come from a rendered room, forwards and backwards without end, so that no cut is found and nothing is read
from disk.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import jax
import numpy as np
from machine import context
from precision import random_small

from smoothdino_jax import Stream, load
from smoothdino_jax.data.synthetic import SyntheticRooms

SPREAD = 0.05  # of the resident set after warming up, at most
_ROOM_FRAMES = 32
_WARM = 50  # frames before memory is judged


def main() -> None:
    args = parse()
    if not Path("/proc/self/statm").exists():
        sys.exit("benchmarks/stream.py reads the resident set from /proc, which only Linux has")
    source = SyntheticRooms(1, _ROOM_FRAMES, tuple(args.size), first_scene=30_000)
    frames = [source[k].image for k in range(_ROOM_FRAMES)]
    frames += frames[-2:0:-1]
    start = resident()
    stream = Stream(random_small() if args.model == "random-small" else load(args.model), size=args.working)
    stream.warm_up(tuple(args.size))
    report = {"context": context(), "model": args.model, "size": args.size, "working_size": args.working}
    report |= measure(stream, frames, args.frames)
    report["resident_mib"]["start"] = start / 2**20
    print(markdown(report))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    if report["resident_mib"]["spread"] > SPREAD:
        sys.exit(f"the resident set varies by {report['resident_mib']['spread']:.1%}: more than {SPREAD:.0%}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="tiny-synthetic", help='a model folder, or "random-small" (%(default)s)')
    parser.add_argument("--size", type=int, nargs=2, default=(112, 154), metavar=("H", "W"), help="of the frames")
    parser.add_argument("--working", type=int, nargs=2, metavar=("H", "W"), help="size that the model sees")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the report here as well")
    args = parser.parse_args()
    if args.frames <= _WARM:
        parser.error(f"--frames {args.frames}: memory is judged from frame {_WARM} on")
    return args


def measure(stream: Stream, frames: list[np.ndarray], count: int) -> dict:
    """`count` frames one after the other, each waited for."""
    times, sizes, cuts = np.zeros(count), np.zeros(count), 0
    begin = time.perf_counter()
    for k in range(count):
        frame = frames[k % len(frames)]
        before = time.perf_counter()
        stream(frame)
        times[k] = time.perf_counter() - before
        sizes[k] = resident()
        cuts += stream.cut
        if sys.stderr.isatty() and k % 100 == 0:
            print(f"\r{k} of {count}", end="", file=sys.stderr)
    taken = time.perf_counter() - begin
    flat = sizes[_WARM:]
    peak = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return {
        "frames": count,
        "cuts": cuts,
        "fps": count / taken,
        "latency_ms": {"median": 1e3 * float(np.median(times)), "p95": 1e3 * float(np.percentile(times, 95))},
        "resident_mib": {
            "after_warm_up": sizes[_WARM] / 2**20,
            "end": sizes[-1] / 2**20,
            "least": flat.min() / 2**20,
            "most": flat.max() / 2**20,
            "spread": float((flat.max() - flat.min()) / flat.min()),
        },
        "device_peak_mib": None if peak is None else peak / 2**20,
    }


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def markdown(report: dict) -> str:
    machine, memory, latency = report["context"], report["resident_mib"], report["latency_ms"]
    return "\n".join(
        [
            f"`{machine['command']}`, {machine['date']}, {machine['device']}, {machine['cores']} cores; "
            f"load before: {machine['load_before']}",
            "",
            "| frames | FPS | median ms | p95 ms | MiB at the start | warm | at the end | spread |",
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            f"| {report['frames']} | {report['fps']:.1f} | {latency['median']:.2f} | {latency['p95']:.2f} | "
            f"{memory['start']:.0f} | {memory['after_warm_up']:.0f} | {memory['end']:.0f} | {memory['spread']:.2%} |",
        ]
    )


if __name__ == "__main__":
    main()
