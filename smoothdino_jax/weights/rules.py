"""Conversion as a table: which source tensors make which of ours, and how they lie in memory.

A table of rules covers every tensor of our model exactly once, and every source tensor is either used by a
rule or ignored by name. Whatever doesn't fit is gathered first and told in one error.
"""

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from flax import nnx

from smoothdino_jax.models.smoothdino import SmoothDINO, SmoothDINOConfig
from smoothdino_jax.weights.errors import WeightsError

Shape = tuple[int, ...]
NAMED = 3  # tensors in a message about a folder of ours, where a wrong field makes dozens that don't fit


class Layout(NamedTuple):
    """How a source tensor becomes ours.

    Attributes:
        convert: source array to our array.
        source_shape: our shape to the shape that the source must have.
    """

    convert: Callable[[np.ndarray], np.ndarray]
    source_shape: Callable[[Shape], Shape]


def _permuted(*axes: int) -> Layout:
    back = np.argsort(axes)
    return Layout(lambda x: x.transpose(axes), lambda shape: tuple(shape[axis] for axis in back))


SAME = Layout(lambda x: x, lambda shape: shape)
LINEAR = _permuted(1, 0)
CONV = _permuted(2, 3, 1, 0)
# A transposed convolution (in, out, kh, kw) as the matrix of `PatchUpsample` (in, kh, kw, out).
TILES = _permuted(0, 2, 3, 1)
TOKEN = Layout(lambda x: x[0, 0], lambda shape: (1, 1, *shape))


def position_cls(grid: int) -> Layout:
    """The class token's part of a position embedding `(1, 1 + grid², C)`."""
    return Layout(lambda x: x[0, 0], lambda shape: (1, 1 + grid**2, *shape))


# The patches' part of the same, as a map.
POSITION_GRID = Layout(
    lambda x: x[0, 1:].reshape(2 * [round((x.shape[1] - 1) ** 0.5)] + [-1]),
    lambda shape: (1, 1 + shape[0] * shape[1], shape[2]),
)


class Rule(NamedTuple):
    """One of our tensors and where it comes from.

    Attributes:
        target: dotted path in our model.
        sources: keys in the source, stacked along their first axis; none for zeros.
        layout: how the (stacked) source becomes ours.
    """

    target: str
    sources: tuple[str, ...]
    layout: Layout = SAME


def rule(target: str, *sources: str, layout: Layout = SAME) -> list[Rule]:
    """A single rule, as a list to add to a table."""
    return [Rule(target, sources, layout)]


def with_bias(target: str, *sources: str, layout: Layout = SAME) -> list[Rule]:
    """The rules of a layer with `weight` and `bias` in the source, `kernel` and `bias` here."""
    return [
        Rule(f"{target}.kernel", tuple(f"{source}.weight" for source in sources), layout),
        Rule(f"{target}.bias", tuple(f"{source}.bias" for source in sources)),
    ]


def norm(target: str, source: str) -> list[Rule]:
    """The rules of a LayerNorm."""
    return [Rule(f"{target}.scale", (f"{source}.weight",)), Rule(f"{target}.bias", (f"{source}.bias",))]


def target_shapes(config: SmoothDINOConfig) -> dict[str, Shape]:
    """Dotted path -> shape of every tensor of the model; nothing is computed."""
    model = nnx.eval_shape(lambda: SmoothDINO(config, nnx.Rngs(0)))
    return {path: leaf.shape for path, leaf in flat_params(model).items()}


def flat_params(model: nnx.Module) -> dict:
    """Dotted path -> array (or its shape and dtype) of every weight of a model, sorted."""
    pairs = nnx.to_flat_state(nnx.state(model, nnx.Param))
    return dict(sorted((".".join(map(str, path)), leaf.get_value()) for path, leaf in pairs))


def apply(
    rules: Sequence[Rule],
    tensors: Mapping[str, np.ndarray],
    shapes: Mapping[str, Shape],
    *,
    ignored: Iterable[str] = (),
    where: str,
) -> dict[str, np.ndarray]:
    """Converts, strictly both ways.

    Args:
        rules: the table; every target exactly once.
        tensors: source key -> array.
        shapes: our path -> shape, from `target_shapes`.
        ignored: patterns (`fnmatch`) of source keys that are left out on purpose.
        where: the source, for the message.

    Returns:
        Our path -> float32 array, C-contiguous.

    Raises:
        WeightsError: naming every missing, extra and misshapen source tensor.
    """
    expected: dict[str, Shape] = {}
    for entry in rules:
        for source in entry.sources:
            rows, *rest = entry.layout.source_shape(shapes[entry.target])
            expected[source] = (rows // len(entry.sources), *rest)
    if sorted(entry.target for entry in rules) != sorted(shapes):
        unfilled = sorted(shapes.keys() ^ {entry.target for entry in rules})
        raise AssertionError(f"the table and the model differ: {unfilled}")
    patterns = tuple(ignored)
    present = {key for key in tensors if not any(fnmatch.fnmatchcase(key, name) for name in patterns)}
    mismatch(expected, {key: tensors[key].shape for key in present | (expected.keys() & tensors)}, where)
    return {entry.target: _fill(entry, tensors, shapes[entry.target]) for entry in rules}


def mismatch(
    expected: Mapping[str, Shape], found: Mapping[str, Shape], where: str, hint: str = "", named: int | None = None
) -> None:
    """Raises one `WeightsError` for all missing, extra and misshapen tensors; returns if all fits.

    Args:
        expected: name -> shape.
        found: the same of the source.
        where: the source, for the message.
        hint: what the message ends in.
        named: how many of a kind are named; None for all.
    """
    problems = {
        "missing": sorted(expected.keys() - found.keys()),
        "extra": sorted(found.keys() - expected.keys()),
        "misshapen": [
            f"{key} is {found[key]}, expected {expected[key]}"
            for key in sorted(expected.keys() & found.keys())
            if tuple(found[key]) != tuple(expected[key])
        ],
    }
    told = [f"{len(names)} {kind}: {', '.join(first_few(names, named))}" for kind, names in problems.items() if names]
    if told:
        raise WeightsError(f"{where}: the tensors don't fit. {'; '.join(told)}{f'. {hint}' if hint else ''}")


def first_few(names: Sequence[str], count: int | None = NAMED) -> list[str]:
    """The first of them, and how many more there are; all for None."""
    few = names[:count]
    return [*few, *([f"and {len(names) - len(few)} more"] if len(names) > len(few) else [])]


def _fill(entry: Rule, tensors: Mapping[str, np.ndarray], shape: Shape) -> np.ndarray:
    if not entry.sources:
        return np.zeros(shape, np.float32)
    parts = [np.asarray(tensors[source], np.float32) for source in entry.sources]
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return np.ascontiguousarray(entry.layout.convert(whole))


def numbered(prefix: str, keys: Iterable[str]) -> int:
    """How many numbers 0..n-1 follow a prefix, as in `blocks.11.norm1.weight` for `blocks.`."""
    found = {key.removeprefix(prefix).split(".")[0] for key in keys if key.startswith(prefix)}
    return 1 + max((int(number) for number in found if number.isdigit()), default=-1)
