"""Names of scenes as lists and people write them."""

from collections.abc import Sequence

from smoothdino_jax.data.frames import DataError, FrameSource


class SceneNames:
    """Finds a scene by its name, or by the last component of a path, with or without `_out`.

    Args:
        source: where the scenes are.
    """

    def __init__(self, source: FrameSource):
        self._exact = dict.fromkeys(source.scenes)
        self._loose: dict[str, list[str]] = {}
        for scene in source.scenes:
            self._loose.setdefault(self._key(scene), []).append(scene)

    @staticmethod
    def _key(name: str) -> str:
        return name.replace("\\", "/").rstrip("/").rpartition("/")[2].removesuffix("_out")

    def find(self, name: str) -> str | None:
        """The scene of that name, None for an unknown one; DataError if it may be several."""
        if name in self._exact:
            return name
        found = self._loose.get(self._key(name), [])
        if len(found) > 1:
            raise DataError(f"scene {name!r} may be any of {some(found)}: give the exact name.")
        return found[0] if found else None

    def find_all(self, name: str) -> list[str]:
        """The scene of that name, or else all scenes whose names begin with it and a slash: the takes of a room."""
        found = self.find(name)
        if found is not None:
            return [found]
        return [scene for scene in self._exact if scene.startswith(name.rstrip("/") + "/")]


def some(items: Sequence[str], most: int = 5) -> str:
    """The first few items in a sentence, and how many there are."""
    return ", ".join(items[:most]) + (f", ... ({len(items)} in all)" if len(items) > most else "")
