"""Temporally smoothed metric depth from video, in JAX.

import smoothdino_jax as sd

model = sd.load("checkpoints/dinov2-small-nyu")
depth = model(images)                     # frame by frame
stream = sd.Stream(model)                 # along a video
depth = stream(frame)
"""

import lazy_loader

# What is public stands in __init__.pyi, and is imported when first used: JAX takes seconds.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
