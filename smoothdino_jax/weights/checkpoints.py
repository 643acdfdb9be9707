"""Training checkpoints with Orbax: the trained weights, the optimiser, the step and the data iterator's state.

Frozen weights are not here: they stay in the model folder that training started from.
"""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from smoothdino_jax.data.frames import DataError
from smoothdino_jax.weights.disagreements import disagreements
from smoothdino_jax.weights.rules import first_few


class CheckpointError(DataError):
    """A checkpoint that does not fit or can't be read; the message is for the person who started the run."""


class Checkpoints:
    """The checkpoints of one run, in `WORKDIR/checkpoints`.

    Writing is atomic (Orbax renames a finished folder into place): a killed run leaves whole checkpoints only.

    Args:
        folder: made if it does not exist.
        keep: how many of the latest to keep.
    """

    def __init__(self, folder: Path, keep: int = 2):
        self.folder = Path(folder).absolute()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, enable_async_checkpointing=False, cleanup_tmp_directories=True
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options, item_names=("state", "extra"))

    @property
    def latest(self) -> int | None:
        """Step of the latest checkpoint; None where there is none."""
        return self._manager.latest_step()

    def path(self, step: int) -> Path:
        """The folder of the checkpoint at `step`."""
        return self.folder / str(step)

    def save(self, step: int, state: Any, extra: dict) -> None:
        """Saves a pytree of arrays and a JSON-able dict, and returns when they are on disk."""
        named = _named(state)
        record = extra | {_SHAPES: {name: list(leaf.shape) for name, leaf in named.items()}}
        args = ocp.args.Composite(state=ocp.args.StandardSave(named), extra=ocp.args.JsonSave(record))
        self._manager.save(step, args=args, force=True)
        self._manager.wait_until_finished()

    def restore(self, step: int, like: Any) -> tuple[Any, dict]:
        """Restores the checkpoint at `step`.

        Args:
            step: one that exists, such as `latest`.
            like: a pytree of the structure, shapes and dtypes to expect.

        Returns:
            The pytree and the dict.

        Raises:
            CheckpointError: the checkpoint holds other arrays, the first named with both shapes, or is damaged.
        """
        named = _named(like)
        try:
            extra = self._manager.restore(step, args=ocp.args.Composite(extra=ocp.args.JsonRestore()))["extra"]
            self._check(step, {name: tuple(shape) for name, shape in extra.pop(_SHAPES).items()}, named)
            abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, named)
            args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
            restored = self._manager.restore(step, args=args)["state"]
        except (ValueError, OSError, KeyError) as error:
            raise CheckpointError(
                f"{self.path(step)}: the checkpoint can't be read ({str(error).splitlines()[0]}). Delete that "
                "folder to go on from the one before, or the whole folder to start anew."
            ) from error
        return jax.tree.unflatten(jax.tree.structure(like), [restored[name] for name in named]), extra

    def check_batches(self, found: dict, expected: dict) -> None:
        """Raises CheckpointError if a checkpoint's place in the data is one in other batches than those here.

        Args:
            found: `pipeline.describe_batches` when the checkpoint was written.
            expected: the same now.
        """
        differing = [
            f"  {name}: {found.get(name)} then, {value} now"
            for name, value in expected.items()
            if found.get(name) != value
        ]
        if differing:
            raise CheckpointError(
                f"{self.folder}: the place in the data where it stopped means nothing in other batches. Resume with "
                "the data, batch size, seed and workers that the run was started with, or use a new --workdir. What "
                "differs:\n" + "\n".join(differing)
            )

    def _check(self, step: int, found: dict[str, tuple], named: dict[str, Any]) -> None:
        """Compares shapes before arrays are read, so that one error tells of them all."""
        expected = {name: tuple(leaf.shape) for name, leaf in named.items()}
        problems = [
            f"{name}: {found.get(name, 'absent')} in the checkpoint, {expected.get(name, 'absent')} expected"
            for name in sorted(found.keys() | expected.keys())
            if found.get(name) != expected.get(name)
        ]
        if problems:
            ours, theirs = _of_model(expected), _of_model(found)
            parts = [", ".join(sorted({name.partition(".")[0] for name in shapes})) for shapes in (ours, theirs)]
            if parts[0] != parts[1]:
                fields = [f"train.trainable ({parts[0]}, by the checkpoint {parts[1]})"]
            else:
                fields = [f"the model's {told}" for told in disagreements(ours, theirs)]
            differs = f" It differs in {' and '.join(fields)}." if fields else ""
            raise CheckpointError(
                f"{self.path(step)} was written with another configuration; use a new --workdir, or the "
                f"configuration it was started with.{differs}\n  " + "\n  ".join(first_few(problems))
            )


_SHAPES = "shapes"


def _named(tree: Any) -> dict[str, Any]:
    """The leaves by name, in their order: what Orbax stores, whatever containers they came in."""
    leaves = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _of_model(shapes: dict[str, tuple]) -> dict[str, tuple]:
    """The model's weights under their dotted paths in it."""
    prefix = "weights/"
    return {
        name.removeprefix(prefix).removesuffix("/value").replace("/", "."): shape
        for name, shape in shapes.items()
        if name.startswith(prefix)
    }
