"""The same work in PyTorch, eager: transformers' DPT-DINOv2, and the released training's work per pair.

Random weights, DINOv2's and DPT's published architecture, input normalised and padded beforehand. Nothing
here is the authors' code: it does the work that theirs does, in its cheapest reasonable reading; `_train`
says what is counted.
"""

import cv2
import numpy as np
import torch
from transformers import Dinov2Config, DPTConfig, DPTForDepthEstimation
from variants import ENCODERS, Contestant

PATCH = 14
REGULARISER = 0.1  # the paper's weight


def device() -> str:
    """The device that everything here runs on."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def describe() -> dict:
    """Threads, device and attention, for the report."""
    attention = build_model("tiny", "float32").backbone.config._attn_implementation
    return {"threads": torch.get_num_threads(), "device": device(), "attention": attention}


def build_model(variant: str, dtype: str) -> DPTForDepthEstimation:
    """transformers' depther, random weights."""
    encoder = ENCODERS[variant]
    width = encoder["width"]
    backbone = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=encoder["depth"],
        num_attention_heads=encoder["heads"],
        image_size=518,
        patch_size=PATCH,
        out_indices=[block + 1 for block in encoder["blocks"]],
        apply_layernorm=False,
        reshape_hidden_states=False,
    )
    config = DPTConfig(
        backbone_config=backbone,
        hidden_size=width,
        neck_hidden_sizes=[width // 8, width // 4, width // 2, width],
        use_bias_in_fusion_residual=False,
        add_projection=True,
    )
    torch.manual_seed(0)
    return DPTForDepthEstimation(config).eval().to(device(), getattr(torch, dtype))


def build(names: tuple[str, ...], *, variant: str, dtype: str, size: tuple[int, int], batch: int):
    """The contestants of these `names`, sharing one model: a dict of `Contestant`, in their order."""
    model = build_model(variant, dtype)
    height, width = (-(-n // PATCH) * PATCH for n in size)
    images = torch.randn(2, batch, 3, height, width, device=device(), dtype=model.dtype)

    def make(name):
        work = {"transformers": _infer, "released-train": _train}[name](model, images, size)

        def run():
            work()
            if device() == "cuda":
                torch.cuda.synchronize()

        return Contestant(run)

    return {name: make(name) for name in names}


def _infer(model, images, size):
    """Forward pass alone: neither normalisation nor padding, nor the resize to the frame's size."""

    def work():
        with torch.inference_mode():
            model(images[1])

    return work


class ReleasedAdapter(torch.nn.Module):
    """The released code's form at one level: previous features and shift in, a change to the current out."""

    def __init__(self, width: int):
        super().__init__()
        self.conv_hidden = torch.nn.Conv2d(width + 2, width + 2, 3, padding=1)
        self.conv_out = torch.nn.Conv2d(width + 2, width, 3, padding=1)
        self.fc_hidden = torch.nn.Linear(width + 2, width + 2)
        self.fc_out = torch.nn.Linear(width + 2, width)

    def forward(self, current, previous, shift, grid):
        batch, _, width = current.shape
        patches = previous[:, 1:].transpose(1, 2).reshape(batch, width, *grid)
        maps = shift[:, :, None, None].expand(-1, -1, *grid)
        change = self.conv_out(torch.relu(self.conv_hidden(torch.cat([patches, maps], 1))))
        cls = self.fc_out(torch.relu(self.fc_hidden(torch.cat([previous[:, 0], shift], 1))))
        return current + torch.cat([cls[:, None], change.flatten(2).transpose(1, 2)], 1)


def _train(model, images, size):
    """One pair's share of the released training, in its cheapest reasonable reading.

    Counted: three encodings (previous, current, and the current again for the old depth) without gradient;
    `cv2.phaseCorrelate` of the grey frames; four levels of `ReleasedAdapter`; the decoder twice, once without
    gradient for the old depth, once with gradients for the adapter and for the decoder's own weights, which
    the released code does not freeze; loss MSE + 0.1 MSE(old depth, new depth); Adam on the adapter's output
    layers, the only ones that the released optimiser sees. Not counted: loading, resizing, logging.
    """
    batch, _, height, width = images.shape[1:]
    grid = (height // PATCH, width // PATCH)
    channels = model.config.backbone_config.hidden_size
    adapters = torch.nn.ModuleList([ReleasedAdapter(channels) for _ in range(4)]).to(images)
    outputs = [layer for adapter in adapters for layer in (adapter.conv_out, adapter.fc_out)]
    optimizer = torch.optim.Adam([p for layer in outputs for p in layer.parameters()], lr=1e-5)
    truth = torch.rand(batch, *size, device=device()) * 9 + 0.5
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (2, batch, *size)).astype(np.float32)

    def encode(images):
        with torch.no_grad():
            return model.backbone(images).feature_maps

    def decode(features):
        depth = model.head(model.neck(list(features), *grid)).clamp(0.001, 10.0)
        resized = torch.nn.functional.interpolate(depth[:, None], size, mode="bilinear")
        return resized[:, 0].float()

    def work():
        previous, current, again = encode(images[0]), encode(images[1]), encode(images[1])
        shift = np.stack([cv2.phaseCorrelate(*pair)[0] for pair in zip(*grey, strict=True)]) / PATCH
        shift = torch.from_numpy(shift).to(images)
        levels = zip(adapters, current, previous, strict=True)
        new = decode([adapter(now, then, shift, grid) for adapter, now, then in levels])
        with torch.no_grad():
            old = decode(again)
        mse = torch.nn.functional.mse_loss
        loss = mse(new, truth) + REGULARISER * mse(new, old)
        model.zero_grad(set_to_none=True)
        adapters.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return work
