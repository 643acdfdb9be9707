"""What a batch of streams remembers: the state that `SmoothDINO.step` takes and gives."""

from typing import NamedTuple

from jaxtyping import Array, Bool, Complex

from smoothdino_jax.models.adapters import AdapterState
from smoothdino_jax.models.phase_correlation import Shift
from smoothdino_jax.models.scene_cuts import Scene


class State(NamedTuple):
    """What a batch of streams remembers from frame to frame.

    Attributes:
        adapter: the adapter's own state.
        spectrum: `(B, H', W'/2+1)` complex64, of the previous frame, for the phase correlation.
        fresh: `(B,)` bool, True where the stream has no past (set an element to start that stream anew).
        shift: `Shift` found at the last step, pixels; zero for a stream's first frame.
        cut: `(B,)` bool, True where the last step found a scene cut, and so started the stream anew.
        scene: what cuts are found by.
    """

    adapter: AdapterState
    spectrum: Complex[Array, "b f g"]
    fresh: Bool[Array, "b"]
    shift: Shift
    cut: Bool[Array, "b"]
    scene: Scene
