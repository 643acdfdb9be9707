"""Pieces of furniture, made of boxes, ellipsoids and cylinders, and what they look like.

Sizes are those of real furniture, because metric depth can be learnt from one picture only through
the size of familiar things. `rooms.py` decides what stands where.
"""

import numpy as np

from smoothdino_jax.data.raycast import MAX_BOXES, MAX_ROUNDS, Materials

PLAIN = (1e3, 1e3)
WHITE = (0.78, 0.77, 0.74)
METAL = (0.32, 0.33, 0.35)
_FABRICS = np.array(
    [
        (0.42, 0.08, 0.07),
        (0.07, 0.16, 0.34),
        (0.30, 0.29, 0.27),
        (0.10, 0.25, 0.16),
        (0.55, 0.45, 0.30),
        (0.62, 0.33, 0.09),
        (0.13, 0.13, 0.15),
        (0.30, 0.14, 0.26),
        (0.10, 0.32, 0.36),
        (0.66, 0.62, 0.55),
    ]
)
_WOODS = np.array(
    [
        (0.42, 0.24, 0.11),
        (0.24, 0.12, 0.06),
        (0.56, 0.38, 0.20),
        (0.12, 0.07, 0.04),
        (0.66, 0.52, 0.34),
        (0.70, 0.68, 0.64),
    ]
)


def look(
    colour,
    second=None,
    cell=PLAIN,
    shift=0.0,
    gap=(0.0, 0.5),
    variation=(0.0, 0.0, 0.0),
    noise=(3.0, 1.0, 0.06, 0.0),
    light=(0.02, 0.0),
) -> Materials:
    """One surface's material: `Materials` with one row's values in every field."""
    second = colour if second is None else second
    return Materials(colour, second, cell, shift, gap, variation, noise, light)


class Room:
    """Collects surfaces while a room is furnished."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.size = np.array([rng.uniform(3.2, 6.2), rng.uniform(3.4, 7.0), rng.uniform(2.35, 3.0)])
        self.boxes: list[np.ndarray] = []
        self.materials: list[Materials] = []
        self.rounds: dict[str, list] = {"ball": [], "tube": []}
        self.taken: list[tuple[np.ndarray, np.ndarray]] = []  # low and high corners on the floor
        self.place(0.0, 0.0, 0.0)

    def place(self, x: float, y: float, yaw: float) -> None:
        """Where `box`, `ball` and `tube` count from: x along the piece, y from its back to its front."""
        self.at, self.yaw = np.array([x, y]), yaw

    def left(self) -> int:
        """How many more boxes fit."""
        return MAX_BOXES - len(self.boxes)

    def world(self, x, y) -> tuple[float, float]:
        """From the place's axes to the room's."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return self.at[0] + cos * x - sin * y, self.at[1] + sin * x + cos * y

    def box(self, x, y, z, size, material, turn: float = 0.0) -> None:
        """A box with its centre over `(x, y)`, its bottom at `z`."""
        if self.left() > 0:
            yaw = self.yaw + turn
            centre = (*self.world(x, y), z + 0.5 * size[2])
            self.boxes.append(np.array([*centre, np.cos(yaw), np.sin(yaw), *np.multiply(0.5, size)]))
            self.materials.append(material)

    def round(self, kind: str, x, y, z, size, material) -> None:
        """A `ball` (ellipsoid) or `tube` (upright cylinder) standing at `z`."""
        if len(self.rounds[kind]) < MAX_ROUNDS:
            half = np.multiply(0.5, size)
            row = np.array([*self.world(x, y), z + half[2], *half])
            self.rounds[kind].append((row, material))

    def wood(self, **more) -> Materials:
        """Some wood with its grain; `more` as in `look`."""
        colour = _WOODS[self.rng.integers(len(_WOODS))] * self.rng.uniform(0.8, 1.15)
        grain = (self.rng.uniform(3, 6), self.rng.choice([6.0, 9.0]), 0.16, 0.35)
        return look(colour, 0.65 * colour, **{"noise": grain, "light": (0.12, 0.0), **more})

    def fabric(self, **more) -> Materials:
        """Some cloth: plain, striped, chequered or patterned; `more` as in `look`."""
        colour = _FABRICS[self.rng.integers(len(_FABRICS))] * self.rng.uniform(0.8, 1.2)
        other = _FABRICS[self.rng.integers(len(_FABRICS))]
        style = self.rng.integers(4)
        if style == 0:  # stripes
            cell = (self.rng.uniform(0.05, 0.15), 1e3)
            more = {"cell": cell, "variation": (0.05, 0.0, 0.8), **more}
        elif style == 1:  # checks
            side = self.rng.uniform(0.06, 0.15)
            more = {"cell": (side, side), "variation": (0.1, 0.0, 0.6), **more}
        elif style == 2:
            more = {"noise": (self.rng.uniform(5, 12), 1.0, 0.1, 0.6), **more}
        return look(colour, other, **{"noise": (14.0, 1.0, 0.15, 0.0), "light": (0.0, 0.0), **more})

    def vivid(self) -> Materials:
        """Any plain colour."""
        return look(self.rng.uniform(0.05, 0.75, 3), light=(self.rng.uniform(0, 0.3), 0.0))


def _legs(room: Room, x, y, size, material, thick=0.05) -> None:
    for sx in (-1, 1):
        for sy in (-1, 1):
            at = (x + sx * 0.5 * (size[0] - thick), y + sy * 0.5 * (size[1] - thick))
            room.box(*at, 0.0, (thick, thick, size[2]), material)


def _chair(room: Room, x, y, turn, material) -> None:
    at, yaw = room.at, room.yaw
    room.place(*room.world(x, y), yaw + turn)
    room.box(0, 0, 0.42, (0.43, 0.43, 0.05), material)
    room.box(0, -0.2, 0.47, (0.43, 0.03, 0.45), material)
    _legs(room, 0, 0, (0.42, 0.42, 0.42), material, 0.04)
    room.at, room.yaw = at, yaw


def _on_top(room: Room, width, depth, z, many=2) -> None:
    """Small things on a surface."""
    rng = room.rng
    spots = np.linspace(-0.5, 0.5, 2 * many + 1)[1::2] * width
    for spot in spots[: rng.integers(0, many + 1)]:
        x, y = spot + rng.uniform(-0.05, 0.05), 0.5 * depth + rng.uniform(-0.06, 0.06)
        kind = rng.integers(5)
        if kind == 0:
            side = rng.uniform(0.08, 0.16)
            room.round("ball", x, y, z, (side, side, side * rng.uniform(0.8, 1.2)), room.vivid())
        elif kind == 1:
            room.round("tube", x, y, z, (0.1, 0.1, rng.uniform(0.12, 0.3)), room.vivid())
        elif kind == 2:  # a table lamp
            room.round("tube", x, y, z, (0.05, 0.05, 0.25), look(METAL, light=(0.3, 0.0)))
            shade = look((0.85, 0.72, 0.5), light=(0.0, 0.55))
            room.round("ball", x, y, z + 0.22, (0.26, 0.26, 0.2), shade)
        elif kind == 3:
            size = (rng.uniform(0.15, 0.3), rng.uniform(0.12, 0.22), rng.uniform(0.03, 0.25))
            room.box(x, y, z, size, room.vivid(), rng.uniform(-0.5, 0.5))
        else:  # a pile of books
            for level in range(2):
                size = (rng.uniform(0.16, 0.22), rng.uniform(0.2, 0.28), 0.035)
                room.box(x, y, z + 0.035 * level, size, room.vivid(), rng.uniform(-0.4, 0.4))


# Every piece of furniture below stands with its back at y = 0, centred at x = 0. The number returned
# by `PIECES` for it is the footprint `(width, depth)`, drawn before the place is chosen.


def _bed(room: Room, width, depth) -> None:
    wood, sheet = room.wood(), room.fabric()
    room.box(0, 0.5 * depth, 0.12, (width, depth, 0.2), wood)
    room.box(0, 0.03, 0.0, (width + 0.06, 0.06, room.rng.uniform(0.8, 1.15)), wood)
    room.box(0, 0.5 * depth + 0.02, 0.32, (width - 0.04, depth - 0.08, 0.2), look(WHITE))
    room.box(0, 0.64 * depth, 0.35, (width + 0.03, 0.68 * depth, 0.2), sheet)
    for side in (-1, 1):
        room.box(side * 0.25 * width, 0.3, 0.5, (0.38 * width, 0.36, 0.12), look(WHITE))


def _sofa(room: Room, width, depth) -> None:
    cloth, cushion = room.fabric(), room.fabric()
    room.box(0, 0.5 * depth, 0.08, (width, depth, 0.32), cloth)
    room.box(0, 0.12, 0.4, (width, 0.24, room.rng.uniform(0.38, 0.5)), cloth)
    for side in (-1, 1):
        room.box(side * (0.5 * width - 0.1), 0.5 * depth, 0.4, (0.2, depth, 0.2), cloth)
        seat = (0.5 * width - 0.22, depth - 0.26, 0.12)
        room.box(side * (0.25 * width - 0.105), 0.5 * depth + 0.13, 0.4, seat, cloth)
    turn = room.rng.uniform(-0.4, 0.4)
    room.box(room.rng.uniform(-0.3, 0.3) * width, 0.32, 0.52, (0.42, 0.14, 0.4), cushion, turn)


def _wardrobe(room: Room, width, depth) -> None:
    height, wood = room.rng.uniform(1.85, 2.2), room.wood()
    room.box(0, 0.5 * depth - 0.01, 0.0, (width, depth - 0.02, height), wood)
    doors = max(2, round(width / 0.5))
    front = wood._replace(cell=((width - 0.04) / doors, 1e3), gap=(0.012, 0.25), variation=(0.1, 0, 0))
    room.box(0, depth - 0.01, 0.08, (width - 0.04, 0.02, height - 0.12), front)
    if room.rng.random() < 0.5:
        room.box(0, 0.5 * depth, height, (0.5, 0.35, room.rng.uniform(0.12, 0.25)), room.vivid())


def _bookshelf(room: Room, width, depth) -> None:
    rows = room.rng.integers(4, 7)
    height, wood = 0.05 + 0.34 * rows, room.wood()
    for side in (-1, 1):
        room.box(side * 0.5 * (width - 0.03), 0.5 * depth, 0.0, (0.03, depth, height), wood)
    for k in range(rows + 1):
        room.box(0, 0.5 * depth, 0.34 * k, (width - 0.06, depth, 0.03), wood)
    cell = (room.rng.uniform(0.03, 0.055), 0.34)
    books = look(room.rng.uniform(0.2, 0.38, 3), cell=cell, shift=0.37, gap=(0.006, 0.2), variation=(0.5, 0.75, 0.0))
    room.box(0, 0.4 * depth, 0.0, (width - 0.06, 0.7 * depth, 0.34 * rows - 0.05), books)


def _cabinet(room: Room, width, depth) -> None:
    height, wood = room.rng.uniform(0.5, 0.95), room.wood()
    room.box(0, 0.5 * depth - 0.01, 0.0, (width, depth - 0.02, height), wood)
    columns, rows = max(1, round(width / 0.5)), room.rng.integers(1, 4)
    cell = ((width - 0.04) / columns, (height - 0.1) / rows)
    front = wood._replace(cell=cell, gap=(0.014, 0.25), variation=(0.12, 0, 0))
    room.box(0, depth - 0.01, 0.06, (width - 0.04, 0.02, height - 0.1), front)
    if room.rng.random() < 0.45:  # a television
        wide = min(width, room.rng.uniform(0.8, 1.3))
        black = look((0.02, 0.02, 0.025), light=(0.5, 0.0), noise=(1.0, 1.0, 0.2, 0.0))
        room.box(0, 0.2, height + 0.06, (wide, 0.05, 0.56 * wide), black)
        room.box(0, 0.2, height, (0.3, 0.18, 0.06), black)
    else:
        _on_top(room, width, depth, height, 3)


def _desk(room: Room, width, depth) -> None:
    wood, metal = room.wood(), look((0.05, 0.05, 0.06), light=(0.3, 0.0))
    room.box(0, 0.5 * depth, 0.71, (width, depth, 0.03), wood)
    room.box(0.5 * width - 0.22, 0.5 * depth, 0.0, (0.42, depth - 0.08, 0.71), wood)
    room.box(-0.5 * width + 0.02, 0.5 * depth, 0.0, (0.04, depth - 0.04, 0.71), wood)
    room.box(-0.1, 0.2, 0.84, (0.56, 0.04, 0.34), metal)
    room.box(-0.1, 0.2, 0.74, (0.08, 0.06, 0.12), metal)
    room.box(-0.1, 0.45, 0.74, (0.44, 0.14, 0.02), metal)
    _chair(room, -0.1, depth + 0.1, np.pi + room.rng.uniform(-0.6, 0.6), room.fabric())


def _counter(room: Room, width, depth) -> None:
    front, stone = room.wood(gap=(0.014, 0.3), cell=(width / round(width / 0.5), 0.83)), 0.35
    room.box(0, 0.5 * depth - 0.02, 0.0, (width, depth - 0.04, 0.87), front)
    top = look(np.full(3, stone), np.full(3, 0.1), noise=(9.0, 1.0, 0.2, 0.5), light=(0.35, 0.0))
    room.box(0, 0.5 * depth, 0.87, (width, depth, 0.04), top)
    side = room.rng.uniform(0.07, 0.15)
    tiles = look(
        room.rng.uniform(0.4, 0.8, 3),
        cell=(side, side),
        gap=(0.006, 1.3),
        variation=(0.12, 0.05, 0.0),
        light=(0.3, 0.0),
    )
    room.box(0, 0.01, 0.91, (width, 0.02, 0.5), tiles)
    room.box(0, 0.17, 1.41, (width, 0.34, 0.65), front)
    _on_top(room, width, depth, 0.91, 3)


def _table(room: Room, width, depth) -> None:
    wood, middle = room.wood(), 0.5 * depth
    long, short = width - 0.1, depth - 0.9
    room.box(0, middle, 0.71, (long, short, 0.04), wood)
    _legs(room, 0, middle, (long - 0.06, short - 0.06, 0.71), wood, 0.06)
    seat = room.wood() if room.rng.random() < 0.5 else room.fabric()
    places = [(0.25, 1), (-0.25, -1), (-0.25, 1), (0.25, -1)][: room.rng.integers(2, 4)]
    for x, side in places:
        turn = (np.pi if side > 0 else 0.0) + room.rng.uniform(-0.3, 0.3)
        _chair(room, x * long, middle + side * (0.5 * short + 0.12), turn, seat)
    room.at = np.array(room.world(0, middle - 0.2))
    _on_top(room, long, 0.4, 0.75, 2)


def _coffee_table(room: Room, width, depth) -> None:
    wood = room.wood()
    rug = room.fabric()
    rug = rug._replace(cell=np.multiply(2.0, rug.cell))
    room.box(0, 0.5 * depth, 0.0, (width, depth, 0.012), rug)
    size = (0.6 * width, 0.45 * depth, room.rng.uniform(0.36, 0.46))
    room.box(0, 0.5 * depth, size[2] - 0.04, (*size[:2], 0.04), wood)
    _legs(room, 0, 0.5 * depth, (size[0], size[1], size[2] - 0.04), wood)
    room.place(*room.world(0, 0.5 * depth - 0.15), room.yaw)
    _on_top(room, size[0], 0.3, size[2], 2)


PIECES = (  # what, widths, depths, against a wall?
    (_bed, (1.4, 1.8), (2.0, 2.1), True),
    (_sofa, (1.6, 2.3), (0.85, 0.95), True),
    (_wardrobe, (0.9, 1.8), (0.55, 0.65), True),
    (_bookshelf, (0.8, 1.3), (0.28, 0.36), True),
    (_cabinet, (0.7, 1.6), (0.4, 0.5), True),
    (_desk, (1.2, 1.6), (0.65, 0.8), True),
    (_counter, (1.5, 2.6), (0.6, 0.65), True),
    (_table, (1.3, 1.9), (1.6, 1.9), False),
    (_coffee_table, (1.5, 2.2), (1.1, 1.6), False),
)
