"""A source of which a split needs only the scenes."""

import numpy as np


class Scenes:
    """A source of which a split needs only the scenes; frames are numbered from `first`."""

    def __init__(self, first=1, **lengths):
        starts = np.cumsum([0, *lengths.values()])
        self.scenes = {
            name: range(int(start), int(start) + n)
            for (name, n), start in zip(lengths.items(), starts[:-1], strict=True)
        }
        self.first = first

    @property
    def segments(self):
        return list(self.scenes.values())

    def indices(self, scene):
        return self.first + np.arange(len(self.scenes[scene]))

    def origin(self, position):
        return f"frame {position}"

    def __len__(self):
        return sum(map(len, self.scenes.values()))

    def __getitem__(self, position):
        raise AssertionError("a split reads no frame")
