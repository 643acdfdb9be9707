from .models.adapters import Adapter, AdapterConfig
from .models.dpt import DecoderConfig
from .models.phase_correlation import Shift, grey, phase_correlation
from .models.scene_cuts import SceneCuts
from .models.smoothdino import SmoothDINO, SmoothDINOConfig
from .models.state import State
from .models.vit import EncoderConfig, Features
from .stream import Stream
from .weights import WeightsError, convert, load, save

__version__: str

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
