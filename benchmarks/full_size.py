"""The whole path at full size without a download: make random weights, convert, train, evaluate; peak memory of each.

    python benchmarks/full_size.py --nyu PATH_TO_NYU --workdir runs/full_size

The weights are those of a randomly initialised transformers DPT-DINOv2-small (extra `parity`), so the metrics mean
nothing; what counts is that 480×640 runs, and in how much memory.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nyu", required=True, help="folder that holds data/nyu2_train/")
    parser.add_argument("--workdir", type=Path, default=Path("runs/full_size"))
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--frames", type=int, default=8, help="to evaluate")
    args = parser.parse_args()

    source, model = args.workdir / "huggingface", args.workdir / "dinov2-small-random"
    if not source.exists():
        import torch
        from torch_reference import build_model

        depther = build_model("small", "float32")
        with torch.no_grad():  # depth around two metres instead of around nothing
            depther.head.head[4].bias.fill_(2.0)
        depther.save_pretrained(source)
    experiment = [
        "--config=configs/paper.py",
        f"--workdir={args.workdir / 'run'}",
        f"--config.model.checkpoint={model}",
        f"--config.data.source.path={args.nyu}",
        "--config.train.batch_size=1",
        f"--config.train.steps={args.steps}",
        f"--config.train.validation_frames={args.frames}",
        f"--config.eval.frames={args.frames}",
        "--config.eval.timing_frames=5",
        "--config.eval.pictures=False",
    ]
    run("convert", [Path(sys.executable).with_name("smoothdino"), "convert", source, model, "--overwrite"])
    run(f"train, {args.steps} steps of one pair", [sys.executable, "train.py", *experiment])
    run(f"evaluate, {args.frames} frames", [sys.executable, "eval.py", *experiment])


def run(what: str, command: list) -> None:
    """Runs a command to its end and says what it took."""
    print(f"== {what}: {' '.join(map(str, command[1:]))}", flush=True)
    start = time.perf_counter()
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True)
    # The largest of the children so far: they are run in the order of their appetite.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"== {what}: {time.perf_counter() - start:.0f} s, peak memory so far {peak:.2f} GiB", flush=True)


if __name__ == "__main__":
    main()
