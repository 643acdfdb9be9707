"""Which fields of a model folder's `config.json` its tensors contradict, as far as shapes tell."""

from collections.abc import Mapping

from smoothdino_jax.weights.rules import Shape, numbered

# Field -> the tensor whose shape shows it, and the axis.
_SHOWN = {
    "encoder.patch": ("encoder.patch_embed.kernel", 0),
    "encoder.native_grid": ("encoder.position_grid", 0),
    "decoder.features": ("decoder.head1.kernel", 2),
    "decoder.last": ("decoder.head2.kernel", 3),
    "adapter.hidden": ("adapter.levels.0.conv_hidden.kernel", 3),
}
_LEVELS = tuple(f"decoder.reassemble.{level}.project.kernel" for level in range(4))


def disagreements(expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> list[str]:
    """Compares the shapes that a config makes with those of a file.

    Args:
        expected: dotted path -> shape, by the config.
        found: the same of the file.

    Returns:
        Texts such as "adapter.hidden (16, by the tensors 24)"; empty where shapes don't tell.
    """
    width = _both(expected, found, "encoder.cls_token", 0)
    if width:  # all else follows from it, or can't be told apart from it
        return [_told("encoder.width and decoder.width", *width)]
    adapters = [any(path.startswith("adapter.") for path in shapes) for shapes in (expected, found)]
    if adapters[0] != adapters[1]:
        return [_told("adapter", *("given" if there else "null" for there in adapters))]
    told = []
    depths = [numbered("encoder.blocks.", shapes) for shapes in (expected, found)]
    if all(depths) and depths[0] != depths[1]:
        told.append(_told("encoder.blocks", *(f"the last {depth - 1}" for depth in depths)))
    if _both(expected, found, "encoder.blocks.0.mlp.fc1.kernel", 1):
        told.append("encoder.swiglu")
    levels = [tuple(shapes[path][-1:] for path in _LEVELS if path in shapes) for shapes in (expected, found)]
    if levels[0] != levels[1] and all(len(of_file) == len(_LEVELS) for of_file in levels):
        told.append(_told("decoder.levels", *([channels for (channels,) in of_file] for of_file in levels)))
    told += [_told(field, *pair) for field, shown in _SHOWN.items() if (pair := _both(expected, found, *shown))]
    if channels := _both(expected, found, "adapter.levels.0.conv_hidden.kernel", 2):
        told.append(_told("adapter.inputs", *(f"{count} channels" for count in channels)))
    token = "adapter.levels.0.fc_hidden.kernel"
    if (token in expected) != (token in found):
        told.append(_told("adapter.class_token", *('"adapt"' if token in s else '"pass"' for s in (expected, found))))
    return told


def _both(expected: Mapping[str, Shape], found: Mapping[str, Shape], path: str, axis: int) -> tuple[int, int] | None:
    """The two lengths of an axis, where both are known and differ."""
    shapes = [tuple(of_file.get(path, ())) for of_file in (expected, found)]
    if min(map(len, shapes)) <= axis or shapes[0][axis] == shapes[1][axis]:
        return None
    return shapes[0][axis], shapes[1][axis]


def _told(field: str, given: object, by_tensors: object) -> str:
    return f"{field} ({given}, by the tensors {by_tensors})"
