"""`convert`: published PyTorch weights to a model folder.

Strict both ways: every tensor of the model is filled from the source, and every tensor of the source is used
or ignored by name; what doesn't fit is told in one error, and nothing is written.
"""

import importlib.metadata
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from smoothdino_jax.models.smoothdino import SmoothDINOConfig
from smoothdino_jax.weights import huggingface, meta, released
from smoothdino_jax.weights.architecture import parse_range
from smoothdino_jax.weights.errors import WeightsError
from smoothdino_jax.weights.folder import check_free, write
from smoothdino_jax.weights.rules import Rule, apply, target_shapes
from smoothdino_jax.weights.sources import read_huggingface, read_torch

_LICENCE = (
    "The weights keep the licence of their source, see its model card; Meta's DINOv2 backbones and depth "
    "heads are Apache-2.0."
)


def convert(
    src: str | os.PathLike,
    dst: str | os.PathLike,
    *,
    head: str | os.PathLike | None = None,
    adapter: str | os.PathLike | None = None,
    depth_range: str | tuple[float, float] | None = None,
    heads: int | None = None,
    overwrite: bool = False,
    dtype: Literal["float32", "float16"] = "float32",
) -> Path:
    """Converts published weights to a model folder for `load`.

    Args:
        src: a Hugging Face id ("facebook/dpt-dinov2-small-nyu"), a local folder with `config.json` and
            `model.safetensors`, or Meta's backbone `.pth` (with `head`).
        dst: the model folder to write.
        head: Meta's depth head `.pth`, with a backbone `.pth`.
        adapter: an adapter `.pth` that the paper's authors released.
        depth_range: "nyu", "kitti", "MIN,MAX" or `(min, max)` in metres, the range of the clamp; None to
            guess from the files' names.
        heads: attention heads, for a backbone that is none of the published ones.
        overwrite: replace a model folder that is there already.
        dtype: "float16" halves the file and keeps three digits.

    Returns:
        `dst`.

    Raises:
        WeightsError: anything missing, extra or misshapen, an architecture that isn't this one, a path that
            exists, no PyTorch for a `.pth`, no network for an id. Nothing is written then.
    """
    check_free(dst, overwrite)
    names = [str(src), *(str(file) for file in (head,) if file is not None)]
    clamp, range_note = parse_range(depth_range, *(name.rstrip("/").split("/")[-1] for name in names))
    provenance: dict[str, Any] = {"source": _short(src)}
    if Path(src).is_file():
        config, table, tensors, ignored = _read_meta(Path(src), head, clamp, heads)
        provenance |= {"layout": "Meta", "head": _short(head)}
    else:
        if head is not None:
            raise WeightsError(f"--head goes with Meta's backbone .pth; {src} is to hold its head itself")
        config, table, tensors, ignored, revision = _read_huggingface(src, clamp, heads)
        provenance |= {"layout": "Hugging Face"} | ({"revision": revision} if revision else {})
    provenance["depth_range"] = range_note
    if adapter is not None:
        weights, name = read_torch(adapter), Path(adapter).name
        width = config.encoder.width
        config = SmoothDINOConfig(config.encoder, config.decoder, released.adapter_config(weights, width, name))
        table, tensors = [*table, *released.rules(weights)], tensors | weights
        provenance |= {"adapter": name, "notes": released.notes(weights)}
    where = " + ".join(_short(file) for file in (src, head, adapter) if file is not None)
    filled = apply(table, tensors, target_shapes(config), ignored=ignored, where=where)
    provenance |= {
        "converter": f"smoothdino-jax {importlib.metadata.version('smoothdino-jax')}",
        "licence": _LICENCE,
    }
    return write(dst, config, filled, provenance=provenance, dtype=dtype, overwrite=overwrite)


_Source = tuple[SmoothDINOConfig, list[Rule], dict[str, np.ndarray], list[str]]


def _read_meta(
    backbone: Path, head: str | os.PathLike | None, clamp: tuple[float, float], heads: int | None
) -> _Source:
    if backbone.suffix not in (".pth", ".pt"):
        raise WeightsError(
            f"{backbone}: give Meta's backbone .pth with --head, or the folder that holds config.json and "
            "model.safetensors"
        )
    if head is None:
        raise WeightsError(
            f"{backbone.name} is a backbone without a depth head: add one, as in --head dinov2_vits14_nyu_dpt_head.pth"
        )
    if not Path(head).is_file():
        raise WeightsError(f"no file {head}")
    tensors, head_tensors = read_torch(backbone), read_torch(head)
    encoder, decoder = meta.configs(
        tensors, head_tensors, heads=heads, depth_range=clamp, names=(backbone.name, Path(head).name)
    )
    table = meta.encoder_rules(encoder) + meta.decoder_rules()
    return SmoothDINOConfig(encoder, decoder), table, tensors | head_tensors, meta.ignored(encoder)


def _read_huggingface(
    src: str | os.PathLike, clamp: tuple[float, float], heads: int | None
) -> tuple[*_Source, str | None]:
    fields, tensors, folder = read_huggingface(src)
    huggingface.check(fields, f"{_short(src)}/config.json")
    encoder, decoder = huggingface.configs(fields, tensors, depth_range=clamp, heads=heads, name=_short(src))
    table = huggingface.encoder_rules(encoder, tensors) + huggingface.decoder_rules()
    # The hub's cache names a snapshot's folder after its commit.
    revision = None if Path(src).is_dir() else folder.name
    return SmoothDINOConfig(encoder, decoder), table, tensors, huggingface.ignored(encoder), revision


def _short(source: str | os.PathLike | None) -> str:
    """A name for `config.json` and messages that doesn't tell of anyone's disk; a hub id stays whole."""
    return Path(str(source)).name if Path(str(source)).exists() else str(source)
