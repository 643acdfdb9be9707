"""Times the evaluator against the bare jitted step over the same frames.

    python benchmarks/eval.py --nyu PATH_TO_NYU --json benchmarks/results/eval_cpu.json
    python benchmarks/eval.py --model tiny-synthetic --size 112 154 --frames 200

The bare step predicts with the frozen model and the adapter on frames that lie in memory, one compiled program per
frame, its state donated: what a stream of both costs at the least. The evaluator reads and decodes the same frames from
their files, measures every prediction and keeps a record of it. PATH_TO_NYU holds `data/nyu2_train/` of the Kaggle
archive; without it, rendered rooms are written in that layout. Rounds take turns; ratios are medians within rounds.
"""

import argparse
import functools
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import jax
import numpy as np
from contestants import build_model
from data import made_up
from flax import nnx
from machine import context
from variants import ENCODERS

from smoothdino_jax import load
from smoothdino_jax.data import ClipSource, make_clips
from smoothdino_jax.data.nyu import NYUKaggle
from smoothdino_jax.evaluation import Lanes, measure, streams
from smoothdino_jax.evaluation.evaluator import GROUPS
from smoothdino_jax.evaluation.predictors import Frames, Smoothed, Vanilla
from smoothdino_jax.models.adapters import AdapterConfig

GOAL = 0.9  # of the bare step's frames per second


def main() -> None:
    args = parse()
    model = load(args.model) if args.model else build_model(args.variant, "float32")
    if model.adapter is None:
        model = model.with_adapter(AdapterConfig(model.config.encoder.width), nnx.Rngs(0))
    models = {"vanilla": model.vanilla(), "adapter": model}
    with tempfile.TemporaryDirectory() as scratch:
        source = NYUKaggle(args.nyu or made_up(Path(scratch), args.frames))
        clips = make_clips(source, 2)
        # Nothing is kept in memory: every frame is read and decoded in every round.
        lanes = Lanes(
            ClipSource(source, clips, tuple(args.size), cache_bytes=0), streams(source, clips), limit=args.frames
        )
        contestants = {"bare step": functools.partial(bare, models, list(map(lanes.__getitem__, range(len(lanes)))))}
        for name, groups in (("evaluator, per-frame metrics", ("frame",)), ("evaluator, all metrics", GROUPS)):
            contestants[name] = functools.partial(evaluate, models, lanes, groups)
        rates = {name: [] for name in contestants}
        for number in range(-1, args.rounds):
            for name in list(contestants)[:: -1 if number % 2 else 1]:
                start = time.perf_counter()
                contestants[name]()
                if number >= 0:  # the first round compiles
                    rates[name].append(len(lanes) / (time.perf_counter() - start))
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr, flush=True)
    rows = [{"name": name, "frames_per_second": median(series), "all": series} for name, series in rates.items()]
    ratios = {
        name: median(a / b for a, b in zip(series, rates["bare step"], strict=True)) for name, series in rates.items()
    }
    report = {"context": context(), "frames": len(lanes), "rows": rows, "over_bare_step": ratios, "goal": GOAL}
    print(markdown(report))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nyu", metavar="PATH", help="Kaggle layout; rendered rooms if not given")
    parser.add_argument("--model", help="a model folder; random weights of --variant if not given")
    parser.add_argument("--variant", choices=tuple(ENCODERS), default="small")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("H", "W"))
    parser.add_argument("--frames", type=int, default=12, help="in each round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the report here as well")
    return parser.parse_args()


@functools.cache
def _bare_step(graph):
    def step(weights, images, fresh, states):
        frames = Frames(nnx.merge(graph, weights), images, fresh)
        vanilla, _ = Vanilla("vanilla")(frames, ())
        adapted, state = Smoothed("adapter")(frames, states)
        return (vanilla, adapted), state

    return jax.jit(step, donate_argnums=3)


def bare(models: dict, batches: list[dict[str, np.ndarray]]) -> None:
    """Both predictions of every frame, and nothing else."""
    graph, weights = nnx.split(models)
    step, state = _bare_step(graph), models["adapter"].init_state(batches[0]["image"])
    weights, state = jax.device_put((weights, state))
    made = []
    for batch in batches:
        depths, state = step(weights, batch["image"], batch["fresh"], state)
        made.append(depths)
        jax.block_until_ready(made[max(0, len(made) - 3)])
        made[max(0, len(made) - 3)] = None
    jax.block_until_ready(made)


def evaluate(models: dict, lanes: Lanes, groups: tuple[str, ...]) -> None:
    """The same predictions read, measured and recorded."""
    records = measure(models, {"vanilla": Vanilla("vanilla"), "adapter": Smoothed("adapter")}, lanes, groups=groups)
    assert len(records.frames) == len(lanes)


def markdown(report: dict) -> str:
    machine = report["context"]
    lines = [
        f"`{machine['command']}`, {machine['date']}, {machine['device']}, {machine['cores']} cores; "
        f"load before: {machine['load_before']}; {report['frames']} frames a round",
        "",
        f"| | frames/s, median | of the bare step (wanted: ≥ {report['goal']:g}) |",
        "| --- | ---: | ---: |",
    ]
    for row in report["rows"]:
        share = report["over_bare_step"][row["name"]]
        lines.append(f"| {row['name']} | {row['frames_per_second']:.2f} | {share:.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
