"""Splits of clips into training and validation.

Neighbouring frames of a video are nearly the same picture. A split by frame, as the paper's, puts
nearly every validation frame beside a training frame, and the validation error then measures
memory. `by_scene` keeps whole scenes apart and `by_blocks` stretches of frames; every split says
how much of its validation side leaks (`Split.leaking`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smoothdino_jax.data.clips import scene_numbers
from smoothdino_jax.data.frames import DataError, FrameSource
from smoothdino_jax.data.scene_names import SceneNames, some


class Split(NamedTuple):
    """Clips to train on and clips to validate on.

    Attributes:
        train: `(N1, T)` positions.
        validation: `(N2, T)` positions.
        leaking: the share, 0..1, of validation frames that are training frames or have a neighbour in training,
            in their scene.
    """

    train: np.ndarray
    validation: np.ndarray
    leaking: float


class NoTrainingClips(DataError):
    """A split that leaves nothing to train on, which does for evaluation.

    Attributes:
        split: with an empty `train`.
    """

    def __init__(self, message: str, split: Split):
        super().__init__(message)
        self.split = split


def by_scene(source: FrameSource, clips: np.ndarray, validation_scenes: Sequence[str]) -> Split:
    """Whole scenes for validation. No frame leaks; see that no room does.

    Several scenes may be of one room: NYU's basement_0001a and basement_0001b, the sequences of a 7-Scenes room,
    TUM's fr1_desk and fr1_desk2. Hold out all of them, or the validation rooms are not unseen.

    Args:
        source: frames.
        clips: `(N, T)` positions.
        validation_scenes: scene names, exact or as `SceneNames` matches them; "chess" also stands for
            chess/seq-01, chess/seq-02, ...

    Returns:
        The split.

    Raises:
        DataError: an unknown scene, or a side without clips.
    """
    if isinstance(validation_scenes, str):
        validation_scenes = (validation_scenes,)
    names = SceneNames(source)
    found = {given: names.find_all(given) for given in validation_scenes}
    unknown = [given for given, scenes in found.items() if not scenes]
    if unknown:
        raise DataError(f"no such scene: {some(unknown)}. The data has {some(list(source.scenes))}.")
    chosen = {scene for scenes in found.values() for scene in scenes}
    numbers = [k for k, scene in enumerate(source.scenes) if scene in chosen]
    held_out = np.isin(scene_numbers(source)[clips[:, 0]], numbers)
    hint = "validation_scenes must name some of the scenes, not all"
    return make_sides(source, clips[~held_out], clips[held_out], hint)


def by_blocks(
    source: FrameSource,
    clips: np.ndarray,
    block: int = 50,
    fraction: float = 0.2,
    gap: int = 1,
    seed: int = 0,
) -> Split:
    """Blocks of consecutive frames for validation, drawn at random over all scenes.

    Each scene is cut into equal blocks of at least `block` frames (a shorter scene is one block). A
    clip belongs to a side if all its frames do; clips that straddle two sides are dropped.

    Args:
        source: frames.
        clips: `(N, T)` positions.
        block: frames per block; several times the length of a clip, or most clips straddle.
        fraction: the share of blocks to validate on, 0..1.
        gap: frames on either side of a validation block to leave out of training. From 1 on nothing
            leaks; with 0 a block's outermost clips touch training frames.
        seed: of the draw.

    Returns:
        The split.

    Raises:
        ValueError: `block` under 1, `gap` under 0 or `fraction` not between 0 and 1.
        DataError: a side without clips.
    """
    if block < 1 or gap < 0:
        raise ValueError(f"block={block} must be at least 1, gap={gap} at least 0")
    _check_fraction(fraction)
    blocks = _blocks(source, block)
    count = min(max(1, round(fraction * len(blocks))), len(blocks))
    drawn = np.random.default_rng(seed).permutation(len(blocks))[:count]
    held_out = np.zeros(len(source), bool)
    for k in drawn:
        held_out[blocks[k]] = True
    training = ~_dilate(source, held_out, gap)
    hint = f"{_other_blocks(source, clips, block)} or another fraction (--config.data.split.fraction is {fraction})"
    train, validation = clips[training[clips].all(axis=1)], clips[held_out[clips].all(axis=1)]
    return make_sides(source, train, validation, hint)


def by_parts(
    source: FrameSource,
    clips: np.ndarray,
    train: int,
    validation: int,
    shares: Sequence[float] = (0.5, 0.3, 0.2),
    block: int = 20,
    gap: int = 1,
    seed: int = 0,
) -> Split:
    """Blocks of consecutive frames dealt to several parts, of which one trains and another validates.

    For what is trained in stages: the depther on part 0, the adapter on part 1 (frames that the
    depther has not seen, or it would learn to mend the errors of memory), and both judged on part 2.
    The parts are the same for the same seed, block and shares.

    Args:
        source: frames.
        clips: `(N, T)` positions.
        train: the part to train on.
        validation: the part to validate on.
        shares: of the blocks that each part gets; they add up to 1.
        block: frames per block.
        gap: frames on either side of the validation part's blocks to leave out of training.
        seed: of the deal.

    Returns:
        The split.

    Raises:
        ValueError: no such part, the two are one, or shares that do not add up to 1.
        DataError: a side without clips.
    """
    shares = tuple(shares)
    if not {train, validation} <= set(range(len(shares))) or train == validation:
        raise ValueError(f"train={train} and validation={validation} must be two of {len(shares)} parts")
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"shares={shares} must be positive and add up to 1")
    if block < 1 or gap < 0:
        raise ValueError(f"block={block} must be at least 1, gap={gap} at least 0")
    blocks = _blocks(source, block)
    order = np.random.default_rng(seed).permutation(len(blocks))
    ends = np.rint(np.cumsum(shares) * len(blocks)).astype(int)
    starts = [0, *ends[:-1]]
    sides = []
    for part in (train, validation):
        side = np.zeros(len(source), bool)
        for k in order[starts[part] : ends[part]]:
            side[blocks[k]] = True
        sides.append(side)
    training, held_out = sides
    training &= ~_dilate(source, held_out, gap)
    hint = f"{_other_blocks(source, clips, block)} or other shares (--config.data.split.shares)"
    return make_sides(source, clips[training[clips].all(axis=1)], clips[held_out[clips].all(axis=1)], hint)


def everything(source: FrameSource, clips: np.ndarray) -> Split:
    """All clips on both sides, to evaluate on data that nothing was trained on. Leaks by definition."""
    return make_sides(source, clips, clips, "the source has none")


def at_random(source: FrameSource, clips: np.ndarray, fraction: float = 0.2, seed: int = 0) -> Split:
    """Clips drawn at random for validation, the paper's split (80/20 by pair of frames).

    This leaks: nearly every validation clip shares a frame with training or adjoins one. It is here
    to reproduce the paper's numbers; measure anything else with `by_blocks` or `by_scene`.

    Args:
        source: frames.
        clips: `(N, T)` positions.
        fraction: the share of clips to validate on, 0..1.
        seed: of the draw.

    Returns:
        The split; each side keeps the order of `clips`.

    Raises:
        ValueError: `fraction` not between 0 and 1.
        DataError: a side without clips.
    """
    _check_fraction(fraction)
    held_out = np.zeros(len(clips), bool)
    drawn = np.random.default_rng(seed).permutation(len(clips))[: round(fraction * len(clips))]
    held_out[drawn] = True
    return make_sides(source, clips[~held_out], clips[held_out], "use more clips or another fraction")


def make_sides(source: FrameSource, train: np.ndarray, validation: np.ndarray, hint: str) -> Split:
    """A split of these clips, with its share of leaking frames.

    Raises:
        NoTrainingClips: nothing to train on; the message ends in `hint`.
        DataError: nothing to validate on; likewise.
    """
    if not len(validation):
        raise DataError(f"the split leaves no validation clips: {hint}.")
    if not len(train):
        message = f"the split leaves no training clips: {hint}. To evaluate alone, as eval.py does, it needs none."
        raise NoTrainingClips(message, Split(train, validation, 0.0))
    used = np.zeros(len(source), bool)
    used[train] = True
    leaking = _dilate(source, used, 1)[np.unique(validation)].mean()
    return Split(train, validation, float(leaking))


def _other_blocks(source: FrameSource, clips: np.ndarray, block: int) -> str:
    """What to do about an empty side, to be continued."""
    length = clips.shape[1]
    longest = min(block, max(map(len, source.scenes.values())))  # of the blocks that there were
    if longest > 3 * length:
        blocks = f"smaller blocks, such as --config.data.split.block={max(2 * length, longest // 3)}"
    else:
        blocks = f"blocks of several times a clip's {length} frame(s) (--config.data.split.block)"
    return (
        f"there are {len(source)} frames in {len(source.scenes)} scene(s), cut into blocks of {block}. Take {blocks}, "
        "shorter clips (--config.data.clip_length), more frames"
    )


def _blocks(source: FrameSource, block: int) -> list[np.ndarray]:
    """The positions of each scene, cut into equal stretches of at least `block` frames."""
    blocks = []
    for positions in source.scenes.values():
        blocks += np.array_split(np.asarray(positions), max(1, len(positions) // block))
    return blocks


def _dilate(source: FrameSource, marked: np.ndarray, by: int) -> np.ndarray:
    """Marks the `by` neighbours on each side too, within the scene."""
    marked = marked.copy()
    for positions in source.scenes.values():
        scene = marked[positions.start : positions.stop]
        grown = scene.copy()
        for k in range(1, min(by, len(scene) - 1) + 1):
            grown[k:] |= scene[:-k]
            grown[:-k] |= scene[k:]
        scene[:] = grown
    return marked


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise ValueError(f"fraction={fraction} must be between 0 and 1")
