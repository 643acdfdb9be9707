"""What all tests share: shapes in signatures are checked, everything runs on the CPU."""

import os
import signal

# What runs in the background of a script has Ctrl-C ignored, and hands that on to the programs that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before anything imports jax.
os.environ["JAX_PLATFORMS"] = "cpu"

# ruff: noqa: E402
from jaxtyping import install_import_hook

# The packages that compute; data and apps check their input themselves.
_CHECKED = ("models", "weights", "losses", "metrics", "training", "evaluation", "stream")
install_import_hook([f"smoothdino_jax.{part}" for part in _CHECKED], "beartype.beartype")

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from experiments import randomise
from flax import nnx
from safetensors.numpy import load_file, save_file

from smoothdino_jax.models.adapters import AdapterConfig
from smoothdino_jax.models.dpt import DecoderConfig
from smoothdino_jax.models.smoothdino import SmoothDINO, SmoothDINOConfig
from smoothdino_jax.models.vit import EncoderConfig
from smoothdino_jax.weights import huggingface
from smoothdino_jax.weights.rules import target_shapes

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def tiny_config():
    """A whole model, small enough to compile in seconds, with an adapter."""
    width = 16
    return SmoothDINOConfig(
        encoder=EncoderConfig(width=width, depth=5, heads=2, blocks=(0, 1, 2, 3), native_grid=3),
        decoder=DecoderConfig.nyu(width, features=8, last=8),
        adapter=AdapterConfig(width),
    )


@pytest.fixture(scope="session")
def _tiny_parts(tiny_config):
    # Compiled as a whole and with the cheap generator: three times faster than the default.
    return nnx.split(nnx.jit(lambda: SmoothDINO(tiny_config, nnx.Rngs(jax.random.key(0, impl="unsafe_rbg"))))())


@pytest.fixture
def tiny_model(_tiny_parts):
    """The model of `tiny_config`, randomly initialised, anew for every test."""
    graph, weights = _tiny_parts
    # A merged model shares its variables with the state; a mapped state has its own.
    return nnx.merge(graph, jax.tree.map(lambda leaf: leaf, weights))


@pytest.fixture
def trained(tiny_model):
    """`tiny_model` with an adapter that does something: a new one changes nothing."""
    randomise(tiny_model.adapter, scale=0.1)
    return tiny_model


@pytest.fixture
def vanilla(tiny_model):
    return tiny_model.vanilla()


@pytest.fixture(scope="session")
def golden_tensors():
    """A tiny depther in Meta's layout with random weights: backbone and head."""
    return tuple(load_file(DATA / f"tiny_{part}.safetensors") for part in ("backbone", "dpt_head"))


@pytest.fixture(scope="session")
def goldens():
    """Inputs of that depther (normalised images), and what Meta's own code computes from them."""
    with np.load(DATA / "tiny_depther.npz") as file:
        return dict(file)


@pytest.fixture
def huggingface_folder(tmp_path, tiny_config):
    """Makes a folder in Hugging Face's layout with random weights.

    `change` edits the dict of tensors before it is written; `fields` and `backbone` replace fields of
    `config.json` and of its `backbone_config`.
    """

    def make(name="dpt-dinov2-tiny", change=None, fields=None, backbone=None):
        encoder = tiny_config.encoder
        shapes = target_shapes(SmoothDINOConfig(encoder, tiny_config.decoder))
        rng = np.random.default_rng(0)
        tensors = {}
        for rule in huggingface.encoder_rules(encoder, {}) + huggingface.decoder_rules():
            rows, *rest = rule.layout.source_shape(shapes[rule.target])
            for source in rule.sources:
                shape = (rows // len(rule.sources), *rest)
                tensors[source] = rng.normal(0, 0.1, shape).astype(np.float32)
        # What every file has and depth has no use for; block 4 is past the last one read.
        unused = ("backbone.embeddings.mask_token", "backbone.layernorm.weight", "backbone.layernorm.bias")
        tensors |= {key: np.zeros((1, 1), np.float32) for key in unused}
        tensors["neck.fusion_stage.layers.0.residual_layer1.convolution1.weight"] = np.zeros(1, np.float32)
        tensors["backbone.encoder.layer.4.norm1.weight"] = np.zeros(1, np.float32)
        if change is not None:
            change(tensors)
        described = {
            "model_type": "dinov2",
            "num_attention_heads": encoder.heads,
            "apply_layernorm": False,
            "reshape_hidden_states": False,
            "out_features": ["stage1", "stage2", "stage3", "stage4"],
        }
        config = {
            "model_type": "dpt",
            "add_projection": True,
            "backbone_config": described | (backbone or {}),
        }
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config | (fields or {})))
        save_file(tensors, folder / "model.safetensors")
        return folder

    return make
