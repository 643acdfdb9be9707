"""Temporally smoothed metric depth from video, in JAX.

import smoothdino_jax as sd

model = sd.load("checkpoints/dinov2-small-nyu")
depth = model(images)                     # frame by frame
stream = sd.Stream(model)                 # along a video
depth = stream(frame)
"""

from smoothdino_jax.models.adapters import Adapter, AdapterConfig
from smoothdino_jax.models.dpt import DecoderConfig
from smoothdino_jax.models.phase_correlation import Shift, grey, phase_correlation
from smoothdino_jax.models.scene_cuts import SceneCuts
from smoothdino_jax.models.smoothdino import SmoothDINO, SmoothDINOConfig
from smoothdino_jax.models.state import State
from smoothdino_jax.models.vit import EncoderConfig, Features
from smoothdino_jax.stream import Stream
from smoothdino_jax.weights import WeightsError, convert, load, save

__version__ = "0.1.0"

__all__ = [
    "Adapter",
    "AdapterConfig",
    "DecoderConfig",
    "EncoderConfig",
    "Features",
    "SceneCuts",
    "Shift",
    "SmoothDINO",
    "SmoothDINOConfig",
    "State",
    "Stream",
    "WeightsError",
    "convert",
    "grey",
    "load",
    "phase_correlation",
    "save",
]
