"""Times the model's parts, its streaming step and its training step, against PyTorch where there is one.

    python benchmarks/step.py --rounds 15 --json benchmarks/results/step_cpu.json
    python benchmarks/step.py --memory-only --json benchmarks/results/memory_cpu.json

All contestants live in one process and are timed in turn, round after round, so that a machine that slows
down does so for all of them; ratios are medians over rounds. Memory is measured before that, each
contestant in a process of its own. README.md beside this file says what each contestant does.
"""

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path
from statistics import median, quantiles

from machine import context, limit_threads, measure_memory, memory_apart
from variants import ENCODERS, JAX_SIDE, TORCH_SIDE

# A contestant, what it is divided by, and the ratio that the project wants to stay below.
RATIOS = (
    ("smoothed", "vanilla", 1.25),
    ("vanilla", "transformers", 1.2),
    ("train", "released-train", 0.5),
    ("train-cached", "train", 1.0),
)


def main() -> None:
    args = parse()
    limit_threads(args.threads)
    names = chosen(args.only)
    if args.memory_of:
        print(json.dumps(measure_memory(lambda: build(args, (args.memory_of,)), args.memory_of)))
        return
    if args.memory_only:
        report = {"context": context(), "rows": [{"name": name, **measured_apart(name)} for name in names]}
        print("\n".join(str(entry) for entry in report["rows"]))
        write(args.json, report)
        return
    memory = {}
    if not args.no_memory:
        memory = {name: measured_apart(name) for name in names}
    contestants = build(args, names)
    times = time_rounds(contestants, args.rounds)
    rows = [row(name, contestants[name], times[name], args.batch, memory.get(name, {})) for name in names]
    report = {"context": context(), "rows": rows, "ratios": compare(times), "milliseconds": times}
    print(markdown(report))
    write(args.json, report)


def measured_apart(name: str) -> dict:
    """Memory of a contestant, in a process of its own."""
    say(f"memory of {name}")
    return memory_apart(name)


def write(path: Path | None, report: dict) -> None:
    """Writes a report where a path was given."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=1) + "\n")
        say(f"wrote {path}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--variant", choices=tuple(ENCODERS), default="small")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, help="cores to use; all by default")
    parser.add_argument("--only", metavar="NAME,...", help=", ".join(JAX_SIDE + TORCH_SIDE))
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--no-memory", action="store_true", help="skip the processes that measure memory")
    which.add_argument("--memory-only", action="store_true", help="measure memory alone, and time nothing")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the report here as well")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)  # what this script asks of its own children
    args = parser.parse_args()
    if min(*args.size, args.batch, args.rounds) < 1:
        parser.error("--size, --batch and --rounds must be positive")
    return args


def chosen(only: str | None) -> tuple[str, ...]:
    """Names to time: all, or those of `--only`, less what needs a package that is not there."""
    names = tuple(only.split(",")) if only else JAX_SIDE + TORCH_SIDE
    if unknown := [name for name in names if name not in JAX_SIDE + TORCH_SIDE]:
        sys.exit(f"--only: no contestant {', '.join(unknown)}; there are {', '.join(JAX_SIDE + TORCH_SIDE)}")
    missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    skipped = [name for name in names if missing and name in TORCH_SIDE]
    if skipped:
        say(f"SKIPPED {', '.join(skipped)}: needs {' and '.join(missing)} (pip install -e '.[parity]')")
    names = tuple(name for name in names if name not in skipped)
    return names or sys.exit("nothing left to time")


def build(args, names: tuple[str, ...]) -> dict:
    """`Contestant`s by name, compiled and warm."""
    setting = {"variant": args.variant, "dtype": args.dtype, "size": tuple(args.size), "batch": args.batch}
    contestants = {}
    if ours := tuple(name for name in names if name in JAX_SIDE):
        import contestants as jax_reference

        say(f"compiling {', '.join(ours)}")
        contestants |= jax_reference.build(ours, **setting)
    if theirs := tuple(name for name in names if name in TORCH_SIDE):
        import torch_reference

        contestants |= torch_reference.build(theirs, **setting)
    for name, contestant in contestants.items():
        say(f"warming up {name}")
        for _ in range(2):
            contestant.run()
    return contestants


def time_rounds(contestants: dict, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every contestant in every round; every other round goes backwards."""
    times = {name: [] for name in contestants}
    for number in range(rounds):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            # The threads of the one before may still be spinning in wait of more work.
            time.sleep(0.05)
            start = time.perf_counter()
            contestants[name].run()
            times[name].append(1e3 * (time.perf_counter() - start))
        say(f"round {number + 1} of {rounds}")
    return times


def row(name, contestant, times: list[float], batch: int, memory: dict) -> dict:
    typical = median(times)
    flops = contestant.flops
    xla = None if contestant.xla_bytes is None else contestant.xla_bytes / 2**20
    return {
        "name": name,
        "ms": spread(times),
        "ms_per_frame": typical / batch,
        "gflop": None if flops is None else flops / 1e9,
        "gflop_per_s": None if flops is None else flops / typical / 1e6,
        "xla_mib": xla,
        **memory,
    }


def spread(values: list[float]) -> dict[str, float]:
    low, high = (quantiles(values, n=4, method="inclusive")[::2]) if len(values) > 1 else values * 2
    return {"median": median(values), "quartiles": [low, high], "min": min(values), "max": max(values)}


def compare(times: dict[str, list[float]]) -> list[dict]:
    """Ratios of contestants in the same round, and the medians of these."""
    ratios = []
    for name, base, goal in RATIOS:
        if name in times and base in times:
            values = [mine / other for mine, other in zip(times[name], times[base], strict=True)]
            ratios.append({"name": name, "over": base, "goal": goal, **spread(values)})
    return ratios


def markdown(report: dict) -> str:
    machine = report["context"]
    lines = [
        f"`{machine['command']}`, {machine['date']}, {machine['device']}, {machine['cores']} cores, "
        f"{machine['ram_gib']:.0f} GiB; load before: {machine['load_before']}",
        "",
        "| contestant | median ms | quartiles | min | GFLOP | GFLOP/s "
        "| XLA MiB | imports MiB | peak MiB | running MiB |",
        "| --- " + "| ---: " * 9 + "|",
    ]
    for entry in report["rows"]:
        ms = entry["ms"]
        cells = [
            entry["name"],
            f"{ms['median']:.1f}",
            "{:.1f}–{:.1f}".format(*ms["quartiles"]),
            f"{ms['min']:.1f}",
            *(
                "–" if entry.get(key) is None else f"{entry[key]:.{digits}f}"
                for key, digits in (
                    ("gflop", 1), ("gflop_per_s", 0), ("xla_mib", 0),
                    ("imports_mib", 0), ("peak_mib", 0), ("running_mib", 0),
                )
            ),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    if report["ratios"]:
        lines += ["", "| ratio | median | quartiles | goal |", "| --- | ---: | ---: | ---: |"]
    for entry in report["ratios"]:
        low, high = entry["quartiles"]
        lines.append(
            f"| {entry['name']} / {entry['over']} | {entry['median']:.2f} | {low:.2f}–{high:.2f} | ≤ {entry['goal']} |"
        )
    return "\n".join(lines)


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
