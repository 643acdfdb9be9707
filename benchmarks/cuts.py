"""Scene cuts found and missed in footage that is spliced at random, and false ones in footage without any.

    python benchmarks/cuts.py VIDEO.mp4 'FOLDER/*.jpg' ... [--model tiny-synthetic] [--size 112 154]

Every video, and every folder of a pattern's pictures (in the order of their numbers), is taken for one continuous
shot; at least two are needed. What runs is the model's own encoder and phase correlation and `SceneCuts` with its
defaults, frame by frame as in a stream; only what comes after, which a cut can't depend on, is left out.
"""

import argparse
import functools
import glob
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from machine import context
from precision import random_small

from smoothdino_jax import SceneCuts, load

_FAR = 80  # frames between the two sides of a splice within one shot
_GAIN, _NOISE = 1.5, 20.0


class Sequence(NamedTuple):
    """Frames `(N, H, W, 3)`, and which of them begin a new scene `(N,)`."""

    images: np.ndarray
    cuts: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("footage", nargs="+", help="a video, or a pattern of pictures; each without cuts inside")
    parser.add_argument("--model", nargs="+", default=["tiny-synthetic", "random-small"], help="(%(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=(112, 154), metavar=("H", "W"))
    parser.add_argument("--splices", type=int, default=200, help="of each kind (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the report here as well")
    args = parser.parse_args()
    shots = {name: images for place in args.footage for name, images in read(place, tuple(args.size))}
    if len(shots) < 2:
        sys.exit("splices need two shots at least")
    for name, images in shots.items():
        print(f"{name}: {len(images)} frames", file=sys.stderr)
    rows = []
    for name in args.model:
        detect = detector(random_small() if name == "random-small" else load(name))
        for case, sequences in cases(list(shots.values()), args.splices).items():
            rows.append({"model": name, "case": case, **count(detect, sequences)})
            print(rows[-1], file=sys.stderr, flush=True)
    report = {"context": context(), "size": args.size, "rows": rows}
    print(markdown(report))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


def read(place: str, size: tuple[int, int]) -> Iterator[tuple[str, np.ndarray]]:
    """The shots of a video or a pattern, resized."""

    def small(image):
        return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)

    if Path(place).is_file():
        with av.open(place) as video:
            yield place, np.stack([small(frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)])
        return
    folders: dict[Path, list[Path]] = {}
    for file in map(Path, glob.glob(place)):
        folders.setdefault(file.parent, []).append(file)
    for folder, files in sorted(folders.items()):
        files.sort(key=lambda file: [int(number) for number in re.findall(r"\d+", file.name)])
        yield str(folder), np.stack([small(cv2.imread(str(file))[..., ::-1]) for file in files])


def cases(shots: list[np.ndarray], splices: int) -> dict[str, Iterator[Sequence]]:
    """Case -> its sequences."""
    whole = {f"no cuts, every {n}. frame" if n > 1 else "no cuts": every(shots, n) for n in (1, 2, 4, 8)}
    return whole | {
        f"no cuts, exposure ×{_GAIN:g} and back every 10 frames": changed(shots, exposed),
        f"no cuts, noise of σ {_NOISE:g}": changed(shots, noisy),
        "splices between shots": spliced(shots, splices),
        "splices between shots, every 4. frame": spliced(shots, splices, every=4),
        f"splices within a shot, {_FAR} frames and more apart": spliced(shots, splices, far=True),
        "a black frame every 20, which counts as two cuts": changed(shots, blackened, cuts=True),
    }


def every(shots: list[np.ndarray], step: int) -> Iterator[Sequence]:
    for shot in shots:
        images = shot[::step]
        yield Sequence(images, np.zeros(len(images), bool))


def changed(shots: list[np.ndarray], change: Callable, cuts: bool = False) -> Iterator[Sequence]:
    rng = np.random.default_rng(0)
    for shot in shots:
        images, marked = change(shot.copy(), rng)
        yield Sequence(images, marked if cuts else np.zeros(len(shot), bool))


def exposed(images: np.ndarray, _) -> tuple[np.ndarray, np.ndarray]:
    marked = np.arange(len(images)) // 10 % 2 == 1
    images[marked] = np.clip(images[marked] * _GAIN, 0, 255)
    return images, marked


def noisy(images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    noise = rng.normal(0, _NOISE, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8), np.ones(len(images), bool)


def blackened(images: np.ndarray, _) -> tuple[np.ndarray, np.ndarray]:
    black = np.arange(len(images)) % 20 == 10
    images[black] = 0
    return images, black | np.concatenate([[False], black[:-1]])


def spliced(shots: list[np.ndarray], splices: int, every: int = 1, far: bool = False) -> Iterator[Sequence]:
    """Ten splices a sequence, of scenes of 4 to 12 frames, drawn with a fixed seed."""
    rng = np.random.default_rng(7)
    long = [k for k, shot in enumerate(shots) if len(shot) > 2 * _FAR]
    for _ in range(max(1, splices // 10)):
        images, cuts = [], []
        shot = end = None
        for _ in range(11):
            length = int(rng.integers(4, 13))
            if far:
                shot = int(rng.choice(long)) if shot is None else shot
            else:
                shot = int(rng.choice([k for k in range(len(shots)) if k != shot]))
            starts = np.arange(max(1, len(shots[shot]) - every * length))
            if far and end is not None:
                starts = starts[np.abs(starts - end) >= _FAR]
            start = int(rng.choice(starts))
            scene = shots[shot][start : start + every * length : every]
            end = start + every * (len(scene) - 1)
            images.append(scene)
            cuts += [len(images) > 1] + [False] * (len(scene) - 1)
        yield Sequence(np.concatenate(images), np.array(cuts))


def detector(model) -> Callable[[np.ndarray], np.ndarray]:
    """Where `SceneCuts()` sees cuts in frames `(N, H, W, 3)`: `(N,)`."""
    cuts = SceneCuts()

    @functools.partial(jax.jit, static_argnums=0)
    def step(graph, weights, images, state):
        model = nnx.merge(graph, weights)
        features = model.encode(images)
        shift, spectrum = model.track(images, state.spectrum)
        cut, scene = cuts.find(state.scene, features, shift.response, state.fresh)
        return state._replace(spectrum=spectrum, scene=scene, fresh=jnp.zeros_like(cut)), cut[0]

    graph, weights = nnx.split(model.vanilla())

    def detect(images):
        state, found = nnx.merge(graph, weights).init_state(images[:1]), []
        for image in images:
            state, cut = step(graph, weights, image[None], state)
            found.append(cut)
        return np.array(jax.device_get(found))

    return detect


def count(detect: Callable, sequences: Iterator[Sequence]) -> dict:
    """Frames, true cuts, those found, and false ones; recall and precision where there are any."""
    frames = true = found = false = 0
    for images, cuts in sequences:
        seen = detect(images)
        frames, true = frames + len(cuts), true + int(cuts.sum())
        found, false = found + int((seen & cuts).sum()), false + int((seen & ~cuts).sum())
    recall = found / true if true else None
    precision = found / (found + false) if true and found + false else None
    return {"frames": frames, "cuts": true, "found": found, "false": false, "recall": recall, "precision": precision}


def markdown(report: dict) -> str:
    machine = report["context"]
    lines = [
        f"`{machine['command']}`, {machine['date']}, frames of {report['size'][0]}×{report['size'][1]}",
        "",
        "| model | case | frames | cuts | found | false | recall | precision |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in report["rows"]:
        shares = ["–" if row[key] is None else f"{row[key]:.3f}" for key in ("recall", "precision")]
        numbers = [str(row[key]) for key in ("frames", "cuts", "found", "false")]
        lines.append(f"| {' | '.join([row['model'], row['case'], *numbers, *shares])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
