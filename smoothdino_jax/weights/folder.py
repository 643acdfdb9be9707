"""The model folder: `config.json` and `model.safetensors`, all that `load` needs.

`config.json` holds the format's version, the architecture (`SmoothDINOConfig`) and where the weights come
from; `model.safetensors` the weights under their dotted paths in the model
(`encoder.blocks.0.attn.qkv.kernel`). It is read without PyTorch and without a network, and written beside its
place first, so that a folder with this name is whole.
"""

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from smoothdino_jax.models.smoothdino import SmoothDINO, SmoothDINOConfig
from smoothdino_jax.weights.disagreements import disagreements
from smoothdino_jax.weights.errors import WeightsError
from smoothdino_jax.weights.rules import NAMED, flat_params, mismatch

FORMAT = "smoothdino"
VERSION = 1
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_EMBEDDED = "tiny-synthetic"


def save(
    model: SmoothDINO,
    path: str | os.PathLike,
    *,
    provenance: Mapping[str, Any] | None = None,
    dtype: Literal["float32", "float16"] = "float32",
    overwrite: bool = False,
) -> Path:
    """Writes a model folder.

    Args:
        model: what to write.
        path: the folder; its parent is made if need be.
        provenance: where the weights come from, for `config.json`; anything that JSON can hold.
        dtype: "float16" halves the file and keeps three digits.
        overwrite: replace a model folder that is there already.

    Returns:
        The folder.

    Raises:
        WeightsError: the path exists, or a weight does not fit into float16. Nothing is written then.
    """
    weights = {path: np.asarray(leaf) for path, leaf in flat_params(model).items()}
    return write(path, model.config, weights, provenance=provenance, dtype=dtype, overwrite=overwrite)


def write(
    path: str | os.PathLike,
    config: SmoothDINOConfig,
    weights: Mapping[str, np.ndarray],
    *,
    provenance: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    overwrite: bool = False,
) -> Path:
    """As `save`, from a config and its weights by dotted path."""
    path = Path(path)
    check_free(path, overwrite)
    fields = {
        "format": FORMAT,
        "version": VERSION,
        "model": dataclasses.asdict(config),
        "provenance": dict(provenance or {}),
    }
    weights = {key: _as_dtype(key, array, dtype) for key, array in weights.items()}
    with _whole_or_nothing(path) as folder:
        (folder / _CONFIG).write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", "utf-8")
        save_file(weights, folder / _WEIGHTS, metadata={"format": FORMAT})
        # safetensors makes files that only their owner can read.
        shutil.copymode(folder / _CONFIG, folder / _WEIGHTS)
    return path


def check_free(path: str | os.PathLike, overwrite: bool) -> None:
    """Raises `WeightsError` if a model folder can't be written here: for callers with long work before it."""
    path = Path(path)
    if not path.exists() and not path.is_symlink():
        return
    if not overwrite:
        raise WeightsError(f"{path} exists already: choose another name, or overwrite it (--overwrite)")
    names = {child.name for child in path.iterdir()} if path.is_dir() else {"it"}
    if path.is_symlink() or not path.is_dir() or not names <= {_CONFIG, _WEIGHTS}:
        raise WeightsError(
            f"{path} is not just a model folder ({_CONFIG}, {_WEIGHTS}), so it is not overwritten: "
            "move it away yourself"
        )


def embedded(name: str = _EMBEDDED) -> Path:
    """The folder of a model that comes with the package.

    Args:
        name: "tiny-synthetic", a small model trained on rendered rooms: for trying things out, not for
            real pictures.

    Raises:
        WeightsError: no such model.
    """
    if name != _EMBEDDED:
        raise WeightsError(f"no model {name!r} comes with the package, only {_EMBEDDED!r}")
    return Path(__file__).parent / "tiny"


def load(path: str | os.PathLike, dtype: Literal["float32", "bfloat16"] | None = None) -> SmoothDINO:
    """Reads a model folder, written by `smoothdino convert`, `save` or training.

    Args:
        path: the folder; or "tiny-synthetic" for the model that comes with the package.
        dtype: compute dtype of encoder, decoder and adapter; None for what the folder says. Weights
            stay float32.

    Returns:
        The model.

    Raises:
        WeightsError: no such folder, not a model folder, a newer format, or tensors that don't fit (the first are
            named, and the fields of `config.json` that they contradict).
    """
    if str(path) == _EMBEDDED and not Path(path).exists():
        path = embedded()
    path = Path(path)
    config, _ = read_config(path)
    if dtype is not None:
        config = _computing_in(config, dtype)
    abstract = nnx.eval_shape(lambda: SmoothDINO(config, nnx.Rngs(0)))
    expected = {key: leaf.shape for key, leaf in flat_params(abstract).items()}
    weights = _read_weights(path / _WEIGHTS, expected)
    graph, state = nnx.split(abstract)
    filled = [
        (keys, leaf.replace(jnp.asarray(weights.pop(".".join(map(str, keys))), leaf.dtype)))
        for keys, leaf in nnx.to_flat_state(state)
    ]
    return nnx.merge(graph, nnx.from_flat_state(filled))


def read_config(path: str | os.PathLike) -> tuple[SmoothDINOConfig, dict[str, Any]]:
    """The architecture and the provenance in a model folder's `config.json`.

    Args:
        path: the folder.

    Raises:
        WeightsError: no such folder, not a model folder, a newer format, or a config that makes no model.
    """
    path = Path(path)
    if not path.is_dir():
        raise WeightsError(
            f"no model folder {path}: `smoothdino convert SRC {path}` writes one from the published DINOv2 "
            f'depth weights, and "{_EMBEDDED}" comes with the package'
        )
    file = path / _CONFIG
    missing = [name for name in (_CONFIG, _WEIGHTS) if not (path / name).is_file()]
    if missing:
        hint = f". {path / 'model'} is one" if (path / "model" / _WEIGHTS).is_file() else ""
        raise WeightsError(f"{path} is not a model folder: it holds no {' and no '.join(missing)}{hint}")
    try:
        fields = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise WeightsError(f"{file} can't be read as JSON: {error}") from None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise WeightsError(
            f"{file} is not a {FORMAT} config; a folder of Hugging Face's is converted with "
            f"`smoothdino convert {path} DST`"
        )
    version = fields.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise WeightsError(f"{file} has format version {version}, this smoothdino-jax reads up to {VERSION}: update it")
    try:
        return SmoothDINOConfig.from_dict(_with_tuples(fields["model"])), fields.get("provenance", {})
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        reason = f"missing {error}" if isinstance(error, KeyError) else error
        raise WeightsError(f"{file} describes no model that this version can build: {reason}") from None


def _with_tuples(value: Any) -> Any:
    """JSON has no tuples, and configs have no lists."""
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _computing_in(config: SmoothDINOConfig, dtype: str) -> SmoothDINOConfig:
    if dtype not in ("float32", "bfloat16"):
        raise WeightsError(f'the compute dtype is "float32" or "bfloat16", not {dtype!r}')
    parts = {"encoder": config.encoder, "decoder": config.decoder, "adapter": config.adapter}
    changed = {name: dataclasses.replace(part, dtype=dtype) for name, part in parts.items() if part is not None}
    return dataclasses.replace(config, **changed)


def _read_weights(file: Path, expected: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    try:
        with safe_open(file, framework="numpy") as opened:
            found = {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
            told = disagreements(expected, found)
            hint = f"{_CONFIG} says otherwise in {', '.join(told)}" if told else ""
            mismatch(expected, found, str(file), hint, NAMED)
            return {key: opened.get_tensor(key) for key in expected}
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{file} is damaged or incomplete ({error}): write or copy it anew") from None


def _as_dtype(key: str, array: np.ndarray, dtype: str) -> np.ndarray:
    if dtype not in ("float32", "float16"):
        raise WeightsError(f'weights are written as "float32" or "float16", not {dtype!r}')
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(array, dtype)
    if not np.isfinite(stored).all():
        reason = "is beyond the range of float16" if np.isfinite(array).all() else "holds NaN or infinite values"
        raise WeightsError(f"{key} {reason}: nothing was written")
    return stored


@contextlib.contextmanager
def _whole_or_nothing(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place once the block is through, or vanishes."""
    # Not `tempfile`'s, whose folders only their owner can enter.
    folder = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        folder.mkdir(parents=True)
        yield folder
        for name in (*folder.iterdir(), folder):
            _sync(name)
        _replace(folder, path)
        _sync(path.parent)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} can't be written: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace(folder: Path, path: Path) -> None:
    if not path.exists():
        folder.rename(path)
        return
    # A folder can't be replaced in one go: the old one steps aside first, and back if that fails.
    aside = folder.with_suffix(".old")
    path.rename(aside)
    try:
        folder.rename(path)
    except OSError:
        aside.rename(path)
        raise
    shutil.rmtree(aside)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
