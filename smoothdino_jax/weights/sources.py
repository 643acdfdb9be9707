"""Reading what others wrote: PyTorch's `.pth`, and Hugging Face's folders and repositories.

PyTorch is needed for the former only, and never to run a model. Nothing is unpickled but tensors.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from smoothdino_jax.weights.errors import WeightsError

_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def read_torch(file: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads a state dict, bare or wrapped in `{"state_dict": ...}` as mmsegmentation does.

    Args:
        file: a `.pth` of tensors.

    Returns:
        Key -> float32 array.

    Raises:
        WeightsError: no file, no PyTorch, or not a file of tensors.
    """
    file = Path(file)
    if not file.is_file():
        raise WeightsError(f"no file {file}")
    try:
        import torch
    except ImportError:
        raise WeightsError(
            f"reading {file.name} needs PyTorch (the CPU build will do): pip install 'smoothdino-jax[torch]'"
        ) from None
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # Of a damaged file: anything from EOFError to UnpicklingError.
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise WeightsError(f"{file} can't be read as a PyTorch file of tensors alone: {reason}") from None
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not state:
        raise WeightsError(f"{file} holds no state dict but {type(state).__name__}")
    others = sorted(str(key) for key, value in state.items() if not isinstance(value, torch.Tensor))
    if others:
        raise WeightsError(f"{file} holds more than tensors: {', '.join(others)}")
    return {str(key): value.detach().float().numpy() for key, value in state.items()}


def read_huggingface(source: str | os.PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray], Path]:
    """Reads a model in Hugging Face's layout.

    Args:
        source: a folder with `config.json` and safetensors, or a repository of the hub such as
            "facebook/dpt-dinov2-small-nyu", which is downloaded into the hub's cache.

    Returns:
        The parsed `config.json`, key -> array, and the local folder.

    Raises:
        WeightsError: no such folder or repository, no network, no safetensors, or a damaged file.
    """
    folder = Path(source) if Path(source).is_dir() else _download(str(source))
    config = folder / "config.json"
    if not config.is_file():
        raise WeightsError(f"{source} holds no config.json: it is not a model in Hugging Face's layout")
    fields = _read_json(config)
    if fields.get("format") == "smoothdino":
        raise WeightsError(f"{source} is a model folder already: load it as it is")
    tensors: dict[str, np.ndarray] = {}
    for file in _shards(folder, str(source)):
        tensors |= _read_safetensors(file)
    return fields, tensors, folder


def _shards(folder: Path, source: str) -> list[Path]:
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    if not (folder / _INDEX).is_file():
        raise WeightsError(
            f"{source} holds no safetensors ({_SINGLE}), and its pickled pytorch_model.bin, if it has one, "
            f'is not read: where transformers is installed, DPTForDepthEstimation.from_pretrained("{source}")'
            '.save_pretrained("FOLDER") writes safetensors; then convert FOLDER'
        )
    names = _read_json(folder / _INDEX).get("weight_map")
    if not isinstance(names, Mapping):
        raise WeightsError(f"{folder / _INDEX} has no weight_map: download it anew")
    files = [folder / name for name in sorted(set(names.values()))]
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise WeightsError(f"{folder} lacks {', '.join(absent)}, which {_INDEX} names: download it anew")
    return files


def _download(name: str) -> Path:
    if not _REPOSITORY.fullmatch(name) or name.endswith((".pth", ".pt", ".bin", ".safetensors")):
        raise WeightsError(f"no file or folder {name}, and it isn't a hub id like facebook/dpt-dinov2-small-nyu either")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["config.json", "*.safetensors", _INDEX]))
    except RepositoryNotFoundError:
        raise WeightsError(f"no local folder {name}, and no public repository of this name on huggingface.co") from None
    except LocalEntryNotFoundError:
        raise WeightsError(
            f"no local folder {name}, and huggingface.co can't be reached: download config.json and "
            f"{_SINGLE} of https://huggingface.co/{name} on a machine that can, and convert their folder"
        ) from None
    except Exception as error:  # Those of its HTTP library, which changed between versions.
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise WeightsError(f"{name} could not be downloaded from huggingface.co: {reason}") from None


def _read_json(file: Path) -> dict[str, Any]:
    try:
        fields = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise WeightsError(f"{file} can't be read as JSON: {error}") from None
    if not isinstance(fields, dict):
        raise WeightsError(f"{file} is not a JSON object")
    return fields


def _read_safetensors(file: Path) -> dict[str, np.ndarray]:
    try:
        with safe_open(file, framework="numpy") as opened:
            return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise WeightsError(f"{file} can't be read ({error}): download it anew") from None
