"""Error of bfloat16 against float32, relative: features, depth frame by frame, depth along a stream.

    python benchmarks/precision.py --model tiny-synthetic
    python benchmarks/precision.py --model random-small --size 480 640

`random-small` is ViT-S/14 with random weights; anything else is a model folder. Frames are synthetic rooms.
"""

import argparse
import dataclasses

import jax
import numpy as np
from flax import nnx

from smoothdino_jax import AdapterConfig, DecoderConfig, EncoderConfig, SmoothDINO, SmoothDINOConfig, load
from smoothdino_jax.data.synthetic import SyntheticRooms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="tiny-synthetic")
    parser.add_argument("--size", type=int, nargs=2, default=(112, 154), metavar=("H", "W"))
    parser.add_argument("--frames", type=int, default=8)
    args = parser.parse_args()
    single = random_small() if args.model == "random-small" else load(args.model)
    half = in_bfloat16(single)
    source = SyntheticRooms(1, args.frames, tuple(args.size), first_scene=30_000)
    frames = np.stack([source[k].image for k in range(args.frames)])

    pairs = {"features": [], "depth, frame by frame": [], "depth, stream": []}
    states = [model.init_state(frames[:1]) if model.adapter else None for model in (single, half)]
    for frame in frames[:, None]:
        encoded = [model.encode(frame) for model in (single, half)]
        pairs["features"].append([np.concatenate([np.ravel(x) for x in jax.tree.leaves(e)]) for e in encoded])
        pairs["depth, frame by frame"].append([model(frame) for model in (single, half)])
        if single.adapter:
            depths = []
            for k, model in enumerate((single, half)):
                depth, states[k] = model.step(frame, states[k])
                depths.append(depth)
            pairs["depth, stream"].append(depths)
    print(f"{args.model} at {args.size[0]}×{args.size[1]}, {args.frames} frames, {jax.devices()[0].device_kind}")
    for name, values in pairs.items():
        if values:
            reference, other = (np.stack([np.asarray(pair[k], np.float32) for pair in values]) for k in (0, 1))
            error = np.linalg.norm(other - reference) / np.linalg.norm(reference)
            worst = np.abs(other - reference).max()
            print(f"{name}: relative error {error:.2e}, largest difference {worst:.3g}")


def random_small() -> SmoothDINO:
    """ViT-S/14 with random weights, an adapter that does something, and depth around two metres."""
    config = SmoothDINOConfig(EncoderConfig.small(), DecoderConfig.nyu(384), AdapterConfig(384))
    model = jax.jit(lambda: SmoothDINO(config, nnx.Rngs(0)))()
    rng = np.random.default_rng(0)
    for level in model.adapter.levels:
        level.conv_out.kernel[...] = rng.normal(0, 0.01, level.conv_out.kernel.shape).astype(np.float32)
    return model


def in_bfloat16(model: SmoothDINO) -> SmoothDINO:
    """The same weights, computed in bfloat16."""
    parts = {
        part: dataclasses.replace(getattr(model.config, part), dtype="bfloat16")
        for part in ("encoder", "decoder", "adapter")
        if getattr(model.config, part) is not None
    }
    config = dataclasses.replace(model.config, **parts)
    graph = nnx.graphdef(nnx.eval_shape(lambda: SmoothDINO(config, nnx.Rngs(0))))
    return nnx.merge(graph, nnx.state(model))


if __name__ == "__main__":
    main()
