"""`smoothdino convert`: published PyTorch weights to a model folder."""

import argparse
import math

from smoothdino_jax.weights import convert, read_config
from smoothdino_jax.weights.rules import target_shapes

_DESCRIPTION = """\
Converts published DINOv2 depth weights to a model folder (config.json, model.safetensors), which
smoothdino_jax.load reads without PyTorch. Strict: if a tensor is missing, extra or misshapen, all such
are named and nothing is written.
"""
_EXAMPLES = """\
examples:
  From Hugging Face (no PyTorch needed):
    smoothdino convert facebook/dpt-dinov2-small-nyu checkpoints/dinov2-small-nyu

  From a folder that holds config.json and model.safetensors:
    smoothdino convert downloads/dpt-dinov2-base-kitti checkpoints/base-kitti

  From Meta's files (needs pip install 'smoothdino-jax[torch]'):
    smoothdino convert dinov2_vits14_pretrain.pth checkpoints/vits14-nyu --head dinov2_vits14_nyu_dpt_head.pth

  With an adapter that the paper's authors released:
    smoothdino convert dinov2_vits14_pretrain.pth checkpoints/vits14-released \\
        --head dinov2_vits14_nyu_dpt_head.pth --adapter transformer_adapter_epoch_9.pth

The two sources of the same weights differ a little: Meta's code resizes the position embedding with
an offset of 0.1 patches and adds 0.001 m to the depth, Hugging Face's does neither. Each is reproduced
as it is.
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand to the command's parser."""
    parser = commands.add_parser(
        "convert",
        help="convert published PyTorch weights to a model folder",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "src",
        metavar="SRC",
        help="Hugging Face id, folder of config.json and safetensors, or backbone .pth",
    )
    parser.add_argument("dst", metavar="DST", help="model folder to write")
    parser.add_argument("--head", metavar="HEAD.pth", help="Meta's depth head, with a backbone .pth")
    parser.add_argument("--adapter", metavar="ADAPTER.pth", help="released adapter to put between the two")
    parser.add_argument(
        "--range",
        metavar="RANGE",
        help="range of depth that the head was trained for: nyu (0.001 to 10 m), kitti (0.001 to 80 m) or "
        "MIN,MAX in metres; by default kitti if SRC or HEAD is named so, else nyu",
    )
    parser.add_argument("--heads", type=int, metavar="N", help="attention heads; only for a backbone of your own")
    parser.add_argument("--float16", action="store_true", help="store half precision: half the size, three digits")
    parser.add_argument("--overwrite", action="store_true", help="replace DST if it is a model folder")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    path = convert(
        args.src,
        args.dst,
        head=args.head,
        adapter=args.adapter,
        depth_range=args.range,
        heads=args.heads,
        overwrite=args.overwrite,
        dtype="float16" if args.float16 else "float32",
    )
    config, provenance = read_config(path)
    sizes = {}
    for name, shape in target_shapes(config).items():
        part = name.split(".")[0]
        sizes[part] = sizes.get(part, 0) + math.prod(shape)
    encoder, decoder = config.encoder, config.decoder
    megabytes = sum(file.stat().st_size for file in path.iterdir()) / 1e6
    print(f"{path}: from {provenance['source']}, {sum(sizes.values()):,} parameters, {megabytes:.1f} MB")
    print(
        f"  encoder  {sizes['encoder']:,} parameters: {encoder.width} channels, {encoder.heads} heads, "
        f"outputs of blocks {', '.join(map(str, encoder.blocks))} of {encoder.depth}"
    )
    print(
        f"  decoder  {sizes['decoder']:,} parameters: {decoder.features} channels, depth "
        f"{decoder.min_depth:g} to {decoder.max_depth:g} m ({provenance['depth_range']})"
    )
    if config.adapter is not None:
        print(f"  adapter  {sizes['adapter']:,} parameters: from {provenance['adapter']}")
    for note in provenance.get("notes", ()):
        print(f"  note     {note}")
    print(f'load it: smoothdino_jax.load("{path}")')
