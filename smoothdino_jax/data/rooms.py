"""Furnished rooms drawn at random: what stands where, how walls and floor look, and the lights."""

from typing import NamedTuple

import numpy as np

from smoothdino_jax.data.furniture import PIECES, PLAIN, WHITE, Room, look
from smoothdino_jax.data.raycast import MAX_LIGHTS, MAX_ROUNDS, Materials, Scene

_PAINTS = np.array(
    [
        (0.74, 0.71, 0.64),
        (0.68, 0.62, 0.48),
        (0.52, 0.62, 0.66),
        (0.55, 0.62, 0.48),
        (0.72, 0.56, 0.46),
        (0.76, 0.75, 0.73),
        (0.44, 0.48, 0.56),
        (0.70, 0.62, 0.62),
    ]
)
_DOOR = (0.95, 2.05)  # metres


class Wall(NamedTuple):
    """A wall as one who faces it from inside sees it: where it starts, which way it runs, how far."""

    start: np.ndarray
    yaw: float
    length: float


def _walls(size: np.ndarray) -> list[Wall]:
    """The four walls, ordered so that `Room.place(…, yaw)` puts a piece's back against the wall."""
    width, depth, _ = size
    return [
        Wall(np.array([0.0, 0.0]), 0.0, width),
        Wall(np.array([width, 0.0]), 0.5 * np.pi, depth),
        Wall(np.array([width, depth]), np.pi, width),
        Wall(np.array([0.0, depth]), 1.5 * np.pi, depth),
    ]


def _at_wall(wall: Wall, along: float, off: float = 0.0) -> np.ndarray:
    cos, sin = np.cos(wall.yaw), np.sin(wall.yaw)
    return wall.start + along * np.array([cos, sin]) + off * np.array([-sin, cos])


def _try_piece(room: Room, piece, blocked: list, margin: float) -> None:
    """Puts a piece somewhere free, or gives up."""
    rng = room.rng
    build, widths, depths, against_wall = piece
    width, depth = rng.uniform(*widths), rng.uniform(*depths)
    for _ in range(12):
        if against_wall:
            number = rng.integers(4)
            wall = _walls(room.size)[number]
            if wall.length < width + 0.1:
                continue
            along = rng.uniform(0.5 * width + 0.03, wall.length - 0.5 * width - 0.03)
            spot, yaw = _at_wall(wall, along, rng.uniform(0.01, 0.05)), wall.yaw
            if any(n == number and a < along + 0.5 * width and along - 0.5 * width < b for n, a, b in blocked):
                continue
        else:
            yaw = rng.uniform(0, 2 * np.pi) if rng.random() < 0.4 else rng.integers(4) * 0.5 * np.pi
            reach = 0.5 * np.hypot(width, depth)
            if (room.size[:2] < 2 * reach).any():
                continue
            middle = rng.uniform(reach, room.size[:2] - reach)
            spot = middle - 0.5 * depth * np.array([-np.sin(yaw), np.cos(yaw)])
        out = np.array([-np.sin(yaw), np.cos(yaw)])
        side = np.abs(np.array([np.cos(yaw), np.sin(yaw)])) * 0.5 * width
        half = side + np.abs(out) * 0.5 * depth
        middle = spot + 0.5 * depth * out
        low, high = middle - half - margin, middle + half + margin
        if any((low < b).all() and (a < high).all() for a, b in room.taken):
            continue
        room.taken.append((middle - half, middle + half))
        if against_wall:
            blocked.append((number, along - 0.5 * width, along + 0.5 * width))
        room.place(*spot, yaw)
        build(room, width, depth)
        return


def _hang(room: Room, number: int, width: float, blocked: list, tries: int = 8) -> float | None:
    """A free stretch of the wall for a thing `width` wide: goes there and returns where it is."""
    wall = _walls(room.size)[number]
    for _ in range(tries):
        along = room.rng.uniform(0.5 * width + 0.1, max(wall.length - 0.5 * width - 0.1, 0.0) + 0.11)
        low, high = along - 0.5 * width, along + 0.5 * width
        if high < wall.length and not any(n == number and a < high and low < b for n, a, b in blocked):
            blocked.append((number, low, high))
            room.place(*_at_wall(wall, along), wall.yaw)
            return along
    return None


def _door(room: Room, number: int, blocked: list) -> None:
    width, height = _DOOR
    if _hang(room, number, width + 0.2, blocked) is None:
        return
    # The frame stands out from the wall, the leaf a little less, with panels as cells.
    for side in (-1, 1):
        room.box(side * 0.5 * width, 0.02, 0.0, (0.08, 0.04, height), look(WHITE))
    room.box(0, 0.02, height, (width + 0.08, 0.04, 0.08), look(WHITE))
    leaf = room.wood() if room.rng.random() < 0.6 else look(WHITE)
    leaf = leaf._replace(cell=(0.5 * width, height / 3), gap=(0.03, 0.7))
    room.box(0, 0.01, 0.0, (width - 0.08, 0.03, height), leaf)


def _window(room: Room, number: int, blocked: list, daylight: float) -> np.ndarray | None:
    """A window with panes, sometimes curtains. Returns a point just inside it."""
    rng = room.rng
    width, height, sill = rng.uniform(1.0, 1.7), rng.uniform(1.0, 1.3), rng.uniform(0.8, 0.95)
    if _hang(room, number, width + 0.5, blocked) is None:
        return None
    sky = np.array([0.75, 0.85, 1.0]) * rng.uniform(0.8, 1.0)
    pane = look(
        sky,
        (0.35, 0.5, 0.35),
        cell=(width / rng.integers(2, 4), height / rng.integers(1, 3)),
        gap=(0.05, 0.55),
        noise=(1.5, 2.0, 0.1, 0.4),
        light=(0.0, 0.1 + 0.75 * daylight),
    )
    room.box(0, 0.015, sill, (width, 0.03, height), pane)
    for z in (sill - 0.06, sill + height):
        room.box(0, 0.04, z, (width + 0.16, 0.08 if z < sill else 0.04, 0.06), look(WHITE))
    for side in (-1, 1):
        room.box(side * (0.5 * width + 0.04), 0.02, sill, (0.08, 0.04, height), look(WHITE))
    if rng.random() < 0.6:
        cloth = room.fabric()
        cloth = cloth._replace(cell=(0.06, 1e3), gap=(0.02, 0.6), variation=(0.12, 0, 0))
        for side in (-1, 1):
            at = side * (0.5 * width + 0.1)
            room.box(at, 0.09, 0.1, (0.3, 0.06, sill + height + 0.05), cloth)
    return np.array([*room.world(0, 0.4), sill + 0.6 * height])


def _picture(room: Room, number: int, low: float) -> None:
    rng = room.rng
    width, height = rng.uniform(0.35, 1.0), rng.uniform(0.3, 0.75)
    frame = room.wood() if rng.random() < 0.5 else look((0.05, 0.05, 0.05))
    art = look(
        rng.uniform(0.05, 0.8, 3),
        rng.uniform(0.05, 0.8, 3),
        cell=(width / rng.integers(1, 4), height / rng.integers(1, 4)),
        variation=(0.3, 0.6, 0.3),
        noise=(rng.uniform(3, 9), rng.uniform(0.5, 2.0), 0.4, 0.9),
    )
    z = max(low, rng.uniform(1.25, 1.6) - 0.5 * height)
    if z + height < room.size[2] - 0.15:
        room.box(0, 0.015, z - 0.03, (width + 0.06, 0.03, height + 0.06), frame)
        room.box(0, 0.02, z, (width, 0.03, height), art)


def _floor(room: Room) -> Materials:
    rng = room.rng
    style = rng.choice(["planks", "tiles", "checker", "carpet"], p=[0.45, 0.2, 0.1, 0.25])
    if style == "planks":
        return room.wood(
            cell=(rng.uniform(0.7, 1.6), rng.uniform(0.08, 0.18)),
            shift=0.38,
            gap=(0.006, 0.35),
            variation=(0.22, 0.04, 0.0),
            light=(0.25, 0.0),
        )
    if style == "carpet":
        return room.fabric()._replace(cell=PLAIN, noise=(25.0, 1.0, 0.3, 0.05))
    side = rng.uniform(0.25, 0.5)
    colour = rng.uniform(0.25, 0.7) * rng.uniform(0.8, 1.0, 3)
    checker = 0.9 if style == "checker" else 0.0
    return look(
        colour,
        0.3 * colour,
        cell=(side, side),
        gap=(0.01, 0.55),
        variation=(0.1, 0.04, checker),
        noise=(4.0, 1.0, 0.12, 0.05),
        light=(0.4, 0.0),
    )


def _wall_looks(room: Room) -> list[Materials]:
    """Four walls: one paint, with now and then one wall of brick, panels, stripes or another paint."""
    rng = room.rng
    paint = _PAINTS[rng.integers(len(_PAINTS))] * rng.uniform(0.85, 1.1)
    plain = look(paint, 0.8 * paint, noise=(1.2, 1.0, 0.07, 0.12), light=(0.0, 0.0))
    looks = [plain] * 4
    other = _PAINTS[rng.integers(len(_PAINTS))] * rng.uniform(0.5, 1.0)
    style = rng.integers(6)
    if style == 0:
        accent = look(
            (0.45, 0.2, 0.13),
            cell=(0.23, 0.075),
            shift=0.5,
            gap=(0.012, 1.5),
            variation=(0.3, 0.1, 0.0),
            noise=(20.0, 1.0, 0.2, 0.0),
            light=(0.0, 0.0),
        )
    elif style == 1:
        accent = room.wood(cell=(0.15, 1e3), gap=(0.01, 0.4), variation=(0.15, 0.0, 0.0))
    elif style == 2:  # striped wallpaper, all round
        accent = plain._replace(second=other, cell=(rng.uniform(0.1, 0.3), 1e3), variation=(0.0, 0.0, 0.6))
        looks = [accent] * 4
    elif style == 3:  # patterned wallpaper
        accent = plain._replace(second=0.6 * other, noise=(rng.uniform(4, 8), 1.0, 0.1, 0.7))
    elif style == 4:
        accent = look(0.5 * other)
    else:
        accent = plain
    looks[rng.integers(4)] = accent
    return looks


def _lights(room: Room, window: np.ndarray | None, daylight: float):
    rng = room.rng
    width, depth, height = room.size
    lights = np.zeros((MAX_LIGHTS, 6))
    at = np.array([rng.uniform(0.35, 0.65) * width, rng.uniform(0.35, 0.65) * depth])
    warm = np.array([1.0, rng.uniform(0.82, 0.95), rng.uniform(0.6, 0.88)])
    drop = rng.uniform(0.12, 0.35)
    power = rng.uniform(0.7, 1.9)
    lights[0] = [*at, height - drop - 0.05, *(power * warm)]
    shade = look((0.9, 0.85, 0.75), light=(0.0, 0.9))
    room.place(*at, 0.0)
    room.round("ball", 0, 0, height - drop, (0.36, 0.36, 0.2), shade)
    room.round("tube", 0, 0, height - drop + 0.15, (0.03, 0.03, drop), look(WHITE))
    if window is not None:
        lights[1] = [*window, *(daylight * rng.uniform(0.8, 1.8) * np.array([0.85, 0.93, 1.0]))]
    corner = rng.uniform(0.15, 0.85, 2) * room.size[:2]
    lights[2] = [*corner, rng.uniform(1.2, 1.8), *(rng.uniform(0.0, 0.35) * warm)]
    ambient = rng.uniform(0.06, 0.24) * (0.5 * warm + 0.5)
    return lights, ambient


def furnish(rng: np.random.Generator) -> Scene:
    """Draws one room.

    Args:
        rng: where all the choices come from; the same generator state gives the same room.

    Returns:
        The room, as float32 numpy arrays.
    """
    room = Room(rng)
    blocked: list[tuple[int, float, float]] = []
    openings = rng.permutation(4)
    daylight = rng.uniform(0.0, 1.0)
    _door(room, openings[0], blocked)
    door = blocked[-1] if blocked else None
    window = _window(room, openings[1], blocked, daylight)
    if door is not None:  # nobody puts a wardrobe in front of a door
        wall = _walls(room.size)[door[0]]
        corners = [_at_wall(wall, a, off) for a in door[1:] for off in (0.0, 0.8)]
        room.taken.append((np.min(corners, 0), np.max(corners, 0)))
    pieces = rng.permutation(len(PIECES))
    for number in pieces[: rng.integers(5, 8)]:
        if room.left() >= 22:
            _try_piece(room, PIECES[number], blocked, 0.08 if PIECES[number][3] else 0.25)
    high = [n for n in range(4) if n != openings[1]]
    for number in high:
        for _ in range(rng.integers(1, 3)):
            if room.left() >= 2 and _hang(room, number, 1.1, blocked) is not None:
                _picture(room, number, 1.0)
    lights, ambient = _lights(room, window, daylight)
    return _pack(room, lights, ambient)


def _pack(room: Room, lights: np.ndarray, ambient: np.ndarray) -> Scene:
    """Pads everything to the renderer's fixed sizes."""
    nowhere = [0.0, 0.0, -100.0]
    unused = look(WHITE)
    boxes = np.array(room.boxes + [np.array([*nowhere, 1, 0, 1, 1, 1])] * room.left())
    rounds, materials = [], list(room.materials) + [unused] * room.left()
    for kind in ("ball", "tube"):
        used = room.rounds[kind]
        spare = MAX_ROUNDS - len(used)
        rounds += [row for row, _ in used] + [np.array([*nowhere, 0.1, 0.1, 0.1])] * spare
        materials += [m for _, m in used] + [unused] * spare
    # The renderer numbers the room's faces x low, x high, y low, y high, floor, ceiling.
    ceiling = look((0.8, 0.79, 0.77), noise=(2.0, 1.0, 0.03, 0.0), light=(0.0, 0.0))
    materials += [*_wall_looks(room), _floor(room), ceiling]
    table = Materials(*(np.array(field, np.float32) for field in zip(*materials, strict=True)))
    return Scene(
        np.asarray(room.size, np.float32),
        boxes.astype(np.float32),
        np.int32(len(room.boxes)),
        np.array(rounds, np.float32),
        table,
        lights.astype(np.float32),
        ambient.astype(np.float32),
    )
