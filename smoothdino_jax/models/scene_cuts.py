"""Scene cuts: where a stream's past has nothing to do with the frame at hand, so that it must start anew.

A frame is a cut where two things agree. The phase correlation finds no shift of the picture (a low response), and
the deepest features changed: much, and much more than they usually do in this scene. Either alone is not enough:
fast motion has a low response, and a hand before the camera changes the features.

The change is counted in a unit that every encoder shares. Patch tokens are pooled to a small grid, which forgives
small motions; the mean of all cells of both frames is taken off; then each cell is compared with the same cell
before by the cosine. That is 0 for the same frame and about 1 for an unrelated one, whether the encoder is trained
or not.

The thresholds were chosen on six hand-held shots of 1148 frames in all (a street, an office, a desk, three rooms of
NYU), at 112×154, with the embedded model and with a ViT-S of random weights; none of a trained DINOv2, and no shots
were held back. `benchmarks/cuts.py` on the same shots, with other splices than they were chosen by (embedded / ViT-S):

* false cuts in shots without any: 0 / 0 of 1148 frames, nor of every 2nd frame, nor with the exposure jumping by 1.5
  or noise of σ 20; of every 4th frame 0 / 5 of 290, of every 8th 5 / 8 of 147: motion so fast looks like a cut;
* splices between shots: 200 / 198 of 200 found, none false; in every 4th frame 175 / 191 of 200, and 6 / 23 false;
* splices between distant frames of one shot, which often show the same things: 172 / 189 of 200, none false.

At 252×336 (four of the shots, embedded model) 0 of 869 frames are falsely cut, 3 of 436 where every 2nd frame is left,
and 200 of 200 splices are found.

A black frame is a cut, and so is the picture's return after it.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from smoothdino_jax.models.vit import Features

_GRID = 5  # cells of the pooled grid along a side, at most
_MEMORY = 8  # frames that the running mean of the change looks back


class Scene(NamedTuple):
    """What a stream keeps to find cuts; constant in size.

    Attributes:
        cells: `(B, N, C)` float32, the deepest level's patch tokens of the last frame, pooled.
        usual: `(B,)`, running mean of the change from frame to frame in this scene.
        changes: `(B,)` how many changes it has seen; -1 where the last frame is not known.
    """

    cells: Float[Array, "b n c"]
    usual: Float[Array, "b"]
    changes: Int[Array, "b"]


@dataclasses.dataclass(frozen=True)
class SceneCuts:
    """Thresholds: a frame is a cut where the response is low and the change is high.

    Attributes:
        response: the phase correlation's response is at most this.
        change: the features changed by at least this; 0 is the same frame, about 1 an unrelated one.
        ratio: and by at least this many times the running mean of this scene's changes, which are large where the
            camera moves fast. At the second frame of a scene there is no mean yet, and the other two decide.
        unrelated: a change that is enough whatever the mean.
    """

    response: float = 0.3
    change: float = 0.35
    ratio: float = 2.5
    unrelated: float = 0.9

    def find(
        self,
        scene: Scene,
        features: tuple[Features, ...],
        response: Float[Array, "b"],
        fresh: Bool[Array, "b"],
    ) -> tuple[Bool[Array, "b"], Scene]:
        """Which streams begin a new scene with this frame.

        Args:
            scene: from `blank` or the last step.
            features: four levels of the current frames.
            response: of the phase correlation with the frames before.
            fresh: streams that have no past, and so no cut.

        Returns:
            `(B,)` bool, and what to keep for the next frame.
        """
        cells = pooled(features)
        change = changed(scene.cells, cells)
        known = ~fresh & (scene.changes >= 0)
        usual = jnp.where(scene.changes > 0, scene.usual, 0.0)
        least = jnp.clip(self.ratio * usual, self.change, max(self.change, self.unrelated))
        cut = known & (response <= self.response) & (change >= least)
        goes_on = known & ~cut
        changes = jnp.where(goes_on, jnp.minimum(scene.changes + 1, _MEMORY), 0)
        usual = jnp.where(goes_on, usual + (change - usual) / jnp.maximum(changes, 1), 0.0)
        return cut, Scene(cells, usual, changes)


def find(
    cuts: SceneCuts | None,
    scene: Scene,
    features: tuple[Features, ...],
    response: Float[Array, "b"],
    fresh: Bool[Array, "b"],
) -> tuple[Bool[Array, "b"], Scene]:
    """As `SceneCuts.find`; without any `cuts` nothing is found, and the last frame is no longer known."""
    if cuts is None:
        return jnp.zeros_like(fresh), scene._replace(changes=jnp.full_like(scene.changes, -1))
    return cuts.find(scene, features, response, fresh)


def blank(features: tuple[Features, ...]) -> Scene:
    """What is kept of streams whose last frame is not known."""
    cells = jnp.zeros_like(pooled(features))
    batch = cells.shape[0]
    return Scene(cells, jnp.zeros(batch), jnp.full(batch, -1, jnp.int32))


def pooled(features: tuple[Features, ...]) -> Float[Array, "b n c"]:
    """The deepest level's patch tokens in at most 5×5 cells, `(B, N, C)`."""
    patches = features[-1].patches.astype(jnp.float32)
    batch, height, width, channels = patches.shape
    # Antialiased, so that shrinking averages.
    cells = jax.image.resize(patches, (batch, min(height, _GRID), min(width, _GRID), channels), "linear")
    return cells.reshape(batch, -1, channels)


def changed(before: Float[Array, "b n c"], now: Float[Array, "b n c"]) -> Float[Array, "b"]:
    """Mean over the cells of 1 - cosine, without what all cells of both frames have in common: `(B,)` in 0..2."""
    both = jnp.stack([before, now])
    # Cells that differ by rounding alone have no direction: they count as the same.
    little = 1e-6 * jnp.square(both).sum(-1).mean((0, 2))[:, None]
    before, now = both - both.mean((0, 2), keepdims=True)
    norms = jnp.sqrt(jnp.square(before).sum(-1) * jnp.square(now).sum(-1))
    little = jnp.maximum(little, jnp.finfo(jnp.float32).tiny)
    return (1 - ((before * now).sum(-1) + little) / (norms + little)).mean(-1)
