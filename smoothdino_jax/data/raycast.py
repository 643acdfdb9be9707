"""A small ray caster for furnished rooms, in JAX: what each pixel of `shading.py` sees.

One pixel, one ray, and no meshes: the room is a box seen from inside, furniture is boxes turned
about the vertical, ellipsoids and upright cylinders. All arrays have a fixed size, so one
compilation serves every scene of one picture size.

World axes: x and y along the walls, z up, the origin on the floor in a corner, metres. Rays are
scaled so that their parameter is the depth along the optical axis.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

MAX_BOXES = 64  # a multiple of `_UNROLL`
MAX_ROUNDS = 4  # ellipsoids, and as many cylinders
MAX_LIGHTS = 3
_UNROLL = 4
_TILES = 4  # per side of the picture; each tile looks only at the boxes that may matter to it
FACES = 6  # of the room: x low, x high, y low, y high, floor, ceiling


class Materials(NamedTuple):
    """One row per surface: the boxes, the ellipsoids, the cylinders, then the room's six faces.

    Attributes:
        colour: `(N, 3)` linear RGB in 0..1.
        second: `(N, 3)` linear RGB that checkers and noise mix in.
        cell: `(N, 2)` width and height of a cell (plank, tile, brick, book, pane), metres.
        shift: `(N,)` how far each row of cells is moved along, in cells.
        gap: `(N, 2)` the gap's width in metres and its brightness relative to `colour`.
        variation: `(N, 3)` random brightness per cell, random hue per cell, checker weight.
        noise: `(N, 4)` frequency (1/metre), stretch along v, weight on brightness, weight of `second`.
        light: `(N, 2)` gloss and emission.
    """

    colour: Array
    second: Array
    cell: Array
    shift: Array
    gap: Array
    variation: Array
    noise: Array
    light: Array


class Scene(NamedTuple):
    """A room's geometry and looks, float32 unless said otherwise; metres.

    Attributes:
        room: `(3,)` the room's size.
        boxes: `(MAX_BOXES, 8)` centre (3), cosine and sine of the yaw, half sizes (3).
        count: `()` int32, how many rows of `boxes` are in use.
        rounds: `(2 * MAX_ROUNDS, 6)` centre and half sizes; first ellipsoids, then cylinders.
        materials: the surfaces' looks.
        lights: `(MAX_LIGHTS, 6)` position and linear RGB intensity. Only the first casts shadows.
        ambient: `(3,)` linear RGB.
    """

    room: Array
    boxes: Array
    count: Array
    rounds: Array
    materials: Materials
    lights: Array
    ambient: Array


def _to_local(boxes: Array, vectors: Array) -> Array:
    """World vectors `(N, 3)` or `(3,)` -> each box's axes in units of its half sizes, `(N, 3)`."""
    cos, sin, half = boxes[:, 3], boxes[:, 4], boxes[:, 5:8]
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    turned = jnp.stack([cos * x + sin * y, cos * y - sin * x, z + 0 * cos], -1)
    return turned / half


def _slabs(origin, direction):
    """Unit cube: depths at which rays enter and leave it."""
    near, far = [], []
    for o, d in zip(origin, direction, strict=True):
        inverse = 1.0 / (d + 1e-9)  # a ray along a face would give inf - inf
        middle, reach = -o * inverse, jnp.abs(inverse)
        near.append(middle - reach)
        far.append(middle + reach)
    return (
        jnp.maximum(jnp.maximum(near[0], near[1]), near[2]),
        jnp.minimum(jnp.minimum(far[0], far[1]), far[2]),
    )


def to_world(rotation: Array, x: Array, y: Array) -> list[Array]:
    """The camera's rays `(x, y, 1)` in world axes."""
    return [rotation[i, 0] * x + rotation[i, 1] * y + rotation[i, 2] for i in range(3)]


def _listed(wanted: Array) -> tuple[Array, Array]:
    """Which boxes to look at: their numbers, wanted ones first, and in how many steps."""
    order = jnp.argsort(~wanted, stable=True)
    return order, (wanted.sum() + _UNROLL - 1) // _UNROLL


def _tiles(plane: Array) -> Array:
    """`(H, W)` -> `(tiles, h, w)`, edges repeated where the size does not divide."""
    height, width = plane.shape
    h, w = -(-height // _TILES), -(-width // _TILES)
    plane = jnp.pad(plane, ((0, h * _TILES - height), (0, w * _TILES - width)), mode="edge")
    plane = plane.reshape(_TILES, h, _TILES, w).transpose(0, 2, 1, 3)
    return plane.reshape(_TILES * _TILES, h, w)


def _untiled(tiles: Array, size: tuple[int, int]) -> Array:
    _, h, w = tiles.shape
    plane = tiles.reshape(_TILES, _TILES, h, w).transpose(0, 2, 1, 3)
    return plane.reshape(_TILES * h, _TILES * w)[: size[0], : size[1]]


@jax.jit
def nearest(scene: Scene, pose: Array, x: Array, y: Array):
    """Depth and surface number of the first hit along each ray `(x, y, 1)` of the camera.

    Args:
        scene: what is in the room.
        pose: `(3, 4)` camera-to-world.
        x: `(1, W)` ascending.
        y: `(H, 1)` ascending.

    Returns:
        `(H, W)` float32 and `(H, W)` int32.
    """
    eye, rotation = pose[:, 3], pose[:, :3]
    boxes = scene.boxes
    used = jnp.arange(MAX_BOXES) < scene.count
    to_box = boxes[:, :3] - eye
    origins = _to_local(boxes, -to_box)
    columns = jnp.stack([_to_local(boxes, rotation[:, i]) for i in range(3)], 1)
    table = jnp.concatenate([origins, columns.reshape(MAX_BOXES, 9)], 1)

    def one_tile(rays):
        x, y = rays
        # A tile's pyramid has four sides; a box wholly outside of one of them is not seen.
        left, right, top, bottom = x[0, 0], x[0, -1], y[0, 0], y[-1, 0]
        sides = ((1, 0, -left), (-1, 0, right), (0, 1, -top), (0, -1, bottom), (0, 0, 1))
        seen = used
        for side in sides:
            normal = rotation @ jnp.array(side, jnp.float32)
            reach = jnp.abs(_to_local(boxes, normal) * boxes[:, 5:8] ** 2).sum(-1)
            seen &= to_box @ normal + reach > -1e-3
        order, steps = _listed(seen)

        def some_boxes(step, best):
            depth, surface = best
            for k in range(_UNROLL):
                number = order[step * _UNROLL + k]
                row = table[number]
                rays = [row[3 + i] * x + row[6 + i] * y + row[9 + i] for i in range(3)]
                near, far = _slabs(row[:3], rays)
                hit = (near < far) & (near > 0.05) & (near < depth)
                depth = jnp.where(hit, near, depth)
                surface = jnp.where(hit, number, surface)
            return depth, surface

        return jax.lax.fori_loop(0, steps, some_boxes, _room_and_rounds(scene, eye, rotation, x, y))

    size = (y.shape[0], x.shape[1])
    x, y = (_tiles(jnp.broadcast_to(plane, size)) for plane in (x, y))
    depth, surface = jax.lax.map(one_tile, (x, y))
    return _untiled(depth, size), _untiled(surface, size)


def _room_and_rounds(scene: Scene, eye: Array, rotation: Array, x: Array, y: Array):
    """As `nearest`, for everything but the boxes."""
    direction = to_world(rotation, x, y)
    depth = jnp.full(x.shape, jnp.inf)
    surface = jnp.zeros(x.shape, jnp.int32)
    first_face = MAX_BOXES + 2 * MAX_ROUNDS
    for axis in range(3):
        d = direction[axis]
        t = (jnp.where(d > 0, scene.room[axis], 0.0) - eye[axis]) / d
        closer = (t < depth) & (d != 0)  # along the wall to the last bit, t would be minus infinity
        depth = jnp.where(closer, t, depth)
        surface = jnp.where(closer, first_face + 2 * axis + (d > 0), surface)
    for k in range(2 * MAX_ROUNDS):
        centre, half = scene.rounds[k, :3], scene.rounds[k, 3:]
        o = (eye - centre) / half
        d = [direction[i] / half[i] for i in range(3)]
        axes = 3 if k < MAX_ROUNDS else 2
        a = sum(d[i] * d[i] for i in range(axes))
        b = sum(d[i] * o[i] for i in range(axes))
        c = sum(o[i] * o[i] for i in range(axes)) - 1.0
        root = b * b - a * c
        reach = jnp.sqrt(jnp.maximum(root, 0.0))
        near, far = (-b - reach) / a, (-b + reach) / a
        if axes == 2:
            middle, half_way = -o[2] / d[2], jnp.abs(1.0 / d[2])
            near = jnp.maximum(near, middle - half_way)
            far = jnp.minimum(far, middle + half_way)
        hit = (root > 0) & (near < far) & (near > 0.05) & (near < depth)
        depth = jnp.where(hit, near, depth)
        surface = jnp.where(hit, MAX_BOXES + k, surface)
    return depth, surface


@jax.jit
def shadow(scene: Scene, point: list[Array], normal: list[Array]) -> Array:
    """How much of the first light reaches each point past the boxes, 0..1, slightly soft.

    Args:
        scene: what is in the room.
        point: three of `(H, W)`, metres.
        normal: three of `(H, W)`.
    """
    light, boxes = scene.lights[0, :3], scene.boxes
    used = jnp.arange(MAX_BOXES) < scene.count
    lamps = _to_local(boxes, light - boxes[:, :3])
    table = jnp.concatenate([boxes, lamps], 1)
    cos, sin, half = jnp.abs(boxes[:, 3]), jnp.abs(boxes[:, 4]), boxes[:, 5:8]
    around = (cos * half[:, 0] + sin * half[:, 1], cos * half[:, 1] + sin * half[:, 0], half[:, 2])

    def one_tile(point):
        # Only boxes that overlap the box around the tile's points and the light.
        wanted = used
        for i in range(3):
            low = jnp.minimum(point[i].min(), light[i])
            high = jnp.maximum(point[i].max(), light[i])
            wanted &= (boxes[:, i] - around[i] < high) & (boxes[:, i] + around[i] > low)
        order, steps = _listed(wanted)
        way = sum((light[i] - point[i]) ** 2 for i in range(3)) ** 0.5

        def some_boxes(step, lit):
            for k in range(_UNROLL):
                row = table[order[step * _UNROLL + k]]
                x, y, z = (point[i] - row[i] for i in range(3))
                cos, sin = row[3], row[4]
                local = ((cos * x + sin * y) / row[5], (cos * y - sin * x) / row[6], z / row[7])
                near, far = _slabs(local, [row[8 + i] - local[i] for i in range(3)])
                inside = jnp.minimum(far, 1.0) - jnp.maximum(near, 0.0)
                lit = jnp.minimum(lit, 1.0 - jnp.clip(inside * way / 0.025, 0.0, 1.0))
            return lit

        return jax.lax.fori_loop(0, steps, some_boxes, jnp.ones_like(way))

    lifted = [_tiles(point[i] + 2e-3 * normal[i]) for i in range(3)]
    return _untiled(jax.lax.map(one_tile, lifted), point[0].shape)
