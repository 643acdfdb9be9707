"""What both sides of the benchmark agree on. Imports neither JAX nor torch, so that memory is told apart."""

from collections.abc import Callable
from typing import NamedTuple

_BLOCKS_OF_12 = (2, 5, 8, 11)
# Fields of `EncoderConfig`. "tiny" is ViT-Ti, which DINOv2 was not published in. The head has 256 channels in
# all of them: transformers has that number fixed in its last layers.
ENCODERS = {
    "tiny": {"width": 192, "depth": 12, "heads": 3, "blocks": _BLOCKS_OF_12},
    "small": {"width": 384, "depth": 12, "heads": 6, "blocks": _BLOCKS_OF_12},
    "base": {"width": 768, "depth": 12, "heads": 12, "blocks": _BLOCKS_OF_12},
    "large": {"width": 1024, "depth": 24, "heads": 16, "blocks": (4, 11, 17, 23)},
}

JAX_SIDE = (
    "vanilla",
    "smoothed",
    "encoder",
    "decoder",
    "adapter",
    "correlation",
    "correlation-paper",
    "train",
    "train-cached",
)
TORCH_SIDE = ("transformers", "released-train")


class Contestant(NamedTuple):
    """One thing to time.

    Attributes:
        run: does it once and returns when the result is there.
        flops: floating-point operations of one run by XLA's count; None for torch.
        xla_bytes: arguments + results + temporaries by XLA's plan, less what is donated; None for torch.
    """

    run: Callable[[], object]
    flops: float | None = None
    xla_bytes: int | None = None
