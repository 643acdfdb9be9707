"""Times ways to load shuffled clips of video at 480×640, and watches memory over many frames.

    python benchmarks/data.py --nyu PATH_TO_NYU --rounds 5 --json benchmarks/results/data_cpu.json

PATH_TO_NYU holds `data/nyu2_train/` of the Kaggle archive; without it, rendered rooms are written in that layout.
The prepared dataset is made from it first. Every contestant runs in a process of its own, one epoch to warm up (the
files are then in the page cache, the workers started) and a few timed; contestants take turns, round after round.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from loaders import CLIP, loaders
from machine import context

_BASE = "plain loop, files"
# A contestant, what it is divided by, and the least that the project wants.
_RATIOS = (
    ("ours, array_record, 2 threads", _BASE, 2.0),
    ("ours, array_record, 2 workers", _BASE, 2.0),
    ("ours, array_record, 2 threads", "torch, array_record", 1.0),
    ("ours, array_record, 2 threads", "torch, files", 1.0),
    ("ours, files, 2 threads", "torch, files", 1.0),
)


def main() -> None:
    args = parse()
    if args.one:
        measure = watch_memory if args.memory_frames else time_frames
        print(json.dumps(measure(args)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        kaggle = args.nyu or made_up(Path(scratch) / "kaggle", args.synthetic)
        prepared = args.prepared or prepare_from(kaggle, Path(scratch) / "tfds")
        names = [name for name in loaders(kaggle, prepared, args.synthetic) if not args.only or args.only in name]
        rates = {name: [] for name in names}
        for number in range(args.rounds):
            for name in names[:: -1 if number % 2 else 1]:
                found = apart(name, kaggle, prepared, args)
                rates[name].append(found["frames_per_second"])
                say(f"round {number + 1} of {args.rounds}: {name}: {rates[name][-1]:.0f} frames/s")
        memory = {}
        for name in ("ours, array_record, 2 threads", "ours, files, 2 threads"):
            if args.memory and name in names:
                say(f"memory over {args.memory} frames: {name}")
                memory[name] = apart(name, kaggle, prepared, args, args.memory)
        disk = {"files": size_of(Path(kaggle)), "array_record": size_of(Path(prepared))}
    rows = [{"name": name, "frames_per_second": median(series), "all": series} for name, series in rates.items()]
    report = {"context": context(), "rows": rows, "ratios": ratios(rates), "memory": memory, "mib_on_disk": disk}
    print(markdown(report))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        say(f"wrote {args.json}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nyu", metavar="PATH", help="Kaggle layout; rendered rooms if not given")
    parser.add_argument("--prepared", metavar="PATH", help="the same frames after `smoothdino data prepare`")
    parser.add_argument("--batch", type=int, default=8, help="clips of two frames (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3, help="timed in each round (%(default)s)")
    parser.add_argument("--synthetic", type=int, default=96, help="rendered frames (%(default)s)")
    parser.add_argument("--memory", type=int, default=10_000, help="frames to watch memory over; 0 to skip")
    parser.add_argument("--only", metavar="TEXT", help="contestants whose name has this in it")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the report here as well")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # what this script asks of its own children
    parser.add_argument("--memory-frames", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def apart(name: str, kaggle, prepared, args: argparse.Namespace, memory_frames: int = 0) -> dict:
    """Measures one contestant in a fresh process."""
    command = [sys.executable, __file__, "--nyu", str(kaggle), "--prepared", str(prepared), "--one", name]
    for field in ("batch", "epochs", "synthetic"):
        command += [f"--{field}", str(getattr(args, field))]
    command += ["--memory-frames", str(memory_frames)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def time_frames(args: argparse.Namespace) -> dict:
    """Frames per second, decoded and batched, of one contestant in this process."""
    clips, batches = loaders(Path(args.nyu), Path(args.prepared), args.synthetic)[args.one](args.batch)
    per_epoch = len(clips) // args.batch
    for _ in range(per_epoch):
        batch = next(batches)
    assert batch["image"].shape[1:] == (CLIP, 480, 640, 3), batch["image"].shape
    start = time.perf_counter()
    for _ in range(args.epochs * per_epoch):
        batch = next(batches)
    seconds = time.perf_counter() - start
    batches.close()
    return {"frames_per_second": args.epochs * per_epoch * args.batch * CLIP / seconds}


def watch_memory(args: argparse.Namespace) -> dict:
    """Resident MiB of one contestant: the median in each stretch of 500 frames, and the peak over all."""
    _, batches = loaders(Path(args.nyu), Path(args.prepared), args.synthetic)[args.one](args.batch)
    per_batch = args.batch * CLIP
    samples = []
    for _ in range(args.memory_frames // per_batch):
        next(batches)
        samples.append(_resident() / 2**20)
    batches.close()
    stretch = max(1, 500 // per_batch)
    medians = [median(samples[k : k + stretch]) for k in range(0, len(samples) - stretch + 1, stretch)]
    frames = [(k + 1) * stretch * per_batch for k in range(len(medians))]
    later = len(medians) // 5  # the pools of buffers have filled by then
    slope = np.polyfit(frames[later:], medians[later:], 1)[0]
    return {
        "frames": frames,
        "resident_mib": medians,
        "peak_mib": max(samples),
        "mib_per_1000_frames": 1000 * float(slope),
    }


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def made_up(folder: Path, frames: int) -> Path:
    """Rendered rooms in the Kaggle layout."""
    from smoothdino_jax.data.synthetic import SyntheticRooms

    say(f"rendering {frames} frames")
    source = SyntheticRooms(2, frames // 2, size=(480, 640))
    for scene, positions in source.scenes.items():
        (folder / "data/nyu2_train" / scene).mkdir(parents=True)
        for number, position in enumerate(positions, 1):
            stem = folder / "data/nyu2_train" / scene / str(number)
            frame = source[position]
            cv2.imwrite(f"{stem}.jpg", frame.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
            cv2.imwrite(f"{stem}.png", np.clip(np.rint(25.5 * frame.depth), 0, 255).astype(np.uint8))
    return folder


def prepare_from(kaggle, folder: Path) -> Path:
    from smoothdino_jax.data.nyu_depth_v2_video import prepare

    say("preparing the array_record files")
    return prepare(kaggle, folder).folder


def size_of(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


def ratios(rates: dict[str, list[float]]) -> list[dict]:
    """Medians of the ratios within a round."""
    found = []
    for name, base, goal in _RATIOS:
        if name in rates and base in rates:
            values = [a / b for a, b in zip(rates[name], rates[base], strict=True)]
            found.append({"name": name, "over": base, "goal": goal, "median": median(values), "all": values})
    return found


def markdown(report: dict) -> str:
    machine = report["context"]
    lines = [
        f"`{machine['command']}`, {machine['date']}, {machine['cpu']}, {machine['cores']} cores; "
        f"load before: {machine['load_before']}",
        "",
        "| loader | frames/s, median | lowest | highest |",
        "| --- | ---: | ---: | ---: |",
    ]
    for row in report["rows"]:
        series = row["all"]
        lines.append(f"| {row['name']} | {row['frames_per_second']:.0f} | {min(series):.0f} | {max(series):.0f} |")
    lines += ["", "| ratio | median | wanted |", "| --- | ---: | ---: |"]
    for row in report["ratios"]:
        lines.append(f"| {row['name']} / {row['over']} | {row['median']:.2f} | ≥ {row['goal']:g} |")
    for name, found in report["memory"].items():
        medians = found["resident_mib"]
        later = medians[len(medians) // 5 :]
        lines += [
            "",
            f"{name}: {min(later):.0f} to {max(later):.0f} MiB resident (medians of 500 frames, after the first fifth "
            f"of {found['frames'][-1]}), {found['mib_per_1000_frames']:+.2f} MiB per 1000 frames; "
            f"peak {found['peak_mib']:.0f} MiB",
        ]
    return "\n".join(lines)


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
