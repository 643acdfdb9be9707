"""The adapter checkpoints that the paper's authors released.

Their first layers sit in a plain Python list, so they are in no checkpoint; they start at zero and stay
there. What is left is the output layers, of which only the biases ever trained. The files hold those of the
class token (`fc_out`), of the patch tokens (`conv_out`), or of both.
"""

from collections.abc import Mapping

import numpy as np

from smoothdino_jax.models.adapters import AdapterConfig
from smoothdino_jax.weights.errors import WeightsError
from smoothdino_jax.weights.rules import CONV, LINEAR, Rule, rule, with_bias

_LAYERS = {"conv_out": "patch tokens", "fc_out": "class token"}


def adapter_config(tensors: Mapping[str, np.ndarray], width: int, name: str) -> AdapterConfig:
    """The released adapter for an encoder of this width.

    Args:
        tensors: source key -> array.
        width: channels of the encoder's tokens.
        name: of the file, for messages.

    Raises:
        WeightsError: not such a file, or one for another backbone.
    """
    if not any(_holds(tensors, layer) for layer in _LAYERS):
        raise WeightsError(f"{name}: not a released adapter, it has neither conv_out.* nor fc_out.*")
    for layer in _LAYERS:
        bias = tensors.get(f"{layer}.0.bias")
        if bias is not None and bias.shape != (width,):
            raise WeightsError(
                f"{name}: the adapter is for a backbone of {bias.shape[0]} channels, and this one has {width}"
            )
    return AdapterConfig.released(width)


def rules(tensors: Mapping[str, np.ndarray]) -> list[Rule]:
    """The adapter's table; layers that the file doesn't hold are zero."""
    table = []
    for level in range(4):
        ours = f"adapter.levels.{level}"
        for hidden in ("conv_hidden", "fc_hidden"):
            table += [*rule(f"{ours}.{hidden}.kernel"), *rule(f"{ours}.{hidden}.bias")]
        for layer, layout in (("conv_out", CONV), ("fc_out", LINEAR)):
            if _holds(tensors, layer):
                table += with_bias(f"{ours}.{layer}", f"{layer}.{level}", layout=layout)
            else:
                table += [*rule(f"{ours}.{layer}.kernel"), *rule(f"{ours}.{layer}.bias")]
    return table


def notes(tensors: Mapping[str, np.ndarray]) -> list[str]:
    """What a person should know about the file: layers that aren't there, weights that never trained."""
    told = ["adapter: the first layers are in no released file; they are zero"]
    for layer, tokens in _LAYERS.items():
        if not _holds(tensors, layer):
            told.append(f"adapter: the file holds no {layer}.*; the {tokens} pass through unchanged")
        elif not any(np.any(tensors.get(f"{layer}.{level}.weight", 0)) for level in range(4)):
            told.append(f"adapter: every weight of {layer} is 0, so it adds a constant to the {tokens}")
    return told


def _holds(tensors: Mapping[str, np.ndarray], layer: str) -> bool:
    return any(key.startswith(f"{layer}.") for key in tensors)
