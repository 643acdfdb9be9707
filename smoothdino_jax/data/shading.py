"""How the synthetic rooms look: procedural materials, lights, and the renderer that puts them together.

Every surface has the same parametric material, cells with gaps (planks, tiles, bricks, books, panes)
plus value noise, anchored to the surface and faded with distance so that it does not alias.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from smoothdino_jax.data.corruption import Corruption, corrupt
from smoothdino_jax.data.raycast import (
    FACES,
    MAX_BOXES,
    MAX_LIGHTS,
    MAX_ROUNDS,
    Materials,
    Scene,
    nearest,
    shadow,
    to_world,
)

_BASEBOARD = 0.09  # metres


def _hash(x: Array, y: Array, salt: Array) -> Array:
    """Integer lattice point -> uint32 bits."""
    h = x.astype(jnp.uint32) * jnp.uint32(0x9E3779B1) ^ y.astype(jnp.uint32) * jnp.uint32(0x85EBCA77)
    h = h + salt.astype(jnp.uint32) * jnp.uint32(0xC2B2AE3D)
    h = (h ^ (h >> 15)) * jnp.uint32(0x2C1B3C6D)
    h = (h ^ (h >> 12)) * jnp.uint32(0x297A2D39)
    return h ^ (h >> 15)


def _unit(bits: Array, shift: int = 0) -> Array:
    """Ten of the bits -> a number in 0..1."""
    return ((bits >> shift) & 1023).astype(jnp.int32).astype(jnp.float32) / 1023.0


def _value_noise(u: Array, v: Array, salt: Array) -> Array:
    """Smooth noise in -1..1 with a lattice of spacing 1."""
    i, j = jnp.floor(u), jnp.floor(v)
    fu, fv = u - i, v - j
    fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
    i, j = i.astype(jnp.int32), j.astype(jnp.int32)
    a, b = _unit(_hash(i, j, salt)), _unit(_hash(i + 1, j, salt))
    c, d = _unit(_hash(i, j + 1, salt)), _unit(_hash(i + 1, j + 1, salt))
    top = a + (b - a) * fu
    return 2 * (top + (c + (d - c) * fu - top) * fv) - 1


@jax.jit
def _albedo(materials: Materials, surface: Array, uv: list[Array], footprint: Array):
    """Material at `(u, v)` metres on the surface: three colour planes, gloss and emission."""
    u, v = uv

    def look(table, column=None):
        return (table if column is None else table[:, column])[surface]

    colour = [look(materials.colour, i) for i in range(3)]
    second = [look(materials.second, i) for i in range(3)]
    cell_u, cell_v = look(materials.cell, 0), look(materials.cell, 1)
    row = jnp.floor(v / cell_v)
    along = u / cell_u + look(materials.shift) * row
    column = jnp.floor(along)
    fu, fv = along - column, v / cell_v - row
    i, j = column.astype(jnp.int32), row.astype(jnp.int32)
    bits = _hash(i, j, surface + 77)
    resolved = jnp.clip(1.5 - footprint / jnp.minimum(cell_u, cell_v), 0.0, 1.0)

    gap = look(materials.gap, 0)
    edge = jnp.minimum(jnp.minimum(fu, 1 - fu) * cell_u, jnp.minimum(fv, 1 - fv) * cell_v)
    in_gap = jnp.clip((0.5 * (gap + footprint) - edge) / footprint, 0.0, 1.0)
    in_gap = in_gap * jnp.minimum(1.0, gap / footprint)
    brightness = 1 + resolved * look(materials.variation, 0) * (2 * _unit(bits) - 1)

    stretch = look(materials.noise, 1)
    salt = surface + 1000 + i * 31 + j * 57
    noise, weight, frequency = 0.0, 0.55, look(materials.noise, 0)
    for _ in range(3):
        seen = weight * jnp.clip(1.6 - 2.0 * footprint * frequency * jnp.maximum(stretch, 1), 0, 1)
        noise = noise + seen * _value_noise(u * frequency, v * frequency * stretch, salt)
        weight, frequency = 0.6 * weight, 2.7 * frequency
    brightness = brightness * (1 + look(materials.noise, 2) * noise)
    mixed = look(materials.noise, 3) * jnp.clip(0.5 + 1.6 * noise, 0.0, 1.0)
    mixed = jnp.maximum(mixed, resolved * look(materials.variation, 2) * ((i + j) & 1).astype(jnp.float32))

    hue = resolved * look(materials.variation, 1)
    gap_shade = look(materials.gap, 1)
    planes = []
    for k in range(3):
        tone = colour[k] * (1 + hue * (2 * _unit(bits, 6 + 9 * k) - 1))
        tone = (tone + (second[k] - tone) * mixed) * brightness
        planes.append(tone + (colour[k] * gap_shade - tone) * in_gap)
    return planes, look(materials.light, 0), look(materials.light, 1)


class _Hits(NamedTuple):
    """What the rays hit, `(H, W)` each or three of them."""

    point: list[Array]
    normal: list[Array]
    uv: list[Array]  # metres along the surface
    footprint: Array  # metres that a pixel covers
    own: list[Array]  # is it the room's own x, y or z face?


@jax.jit
def _hits(scene: Scene, pose: Array, x, y, focal, depth, surface) -> _Hits:
    """Where and how the rays hit, from what `nearest` returns."""
    eye, rotation = pose[:, 3], pose[:, :3]
    half_room = 0.5 * scene.room
    face = jnp.concatenate([half_room, jnp.array([1.0, 0.0]), half_room])
    upright = jnp.tile(jnp.array([1.0, 0.0]), (2 * MAX_ROUNDS, 1))
    rounds = jnp.concatenate([scene.rounds[:, :3], upright, scene.rounds[:, 3:]], 1)
    geometry = jnp.concatenate([scene.boxes, rounds, jnp.tile(face, (FACES, 1))])
    direction = to_world(rotation, x, y)
    point = [eye[i] + depth * direction[i] for i in range(3)]

    at = [geometry[:, i][surface] for i in range(8)]
    px, py, pz = (point[i] - at[i] for i in range(3))
    cos, sin, half = at[3], at[4], at[5:]
    local = (cos * px + sin * py, cos * py - sin * px, pz)
    unit = [local[i] / half[i] for i in range(3)]
    size = [jnp.abs(unit[i]) for i in range(3)]
    on_x = (size[0] >= size[1]) & (size[0] >= size[2])
    on_z = ~on_x & (size[2] >= size[1])
    on_y = ~on_x & ~on_z
    is_ball = (surface >= MAX_BOXES) & (surface < MAX_BOXES + MAX_ROUNDS)
    is_tube = (surface >= MAX_BOXES + MAX_ROUNDS) & (surface < MAX_BOXES + 2 * MAX_ROUNDS)
    is_room = surface >= MAX_BOXES + 2 * MAX_ROUNDS

    flat = [jnp.where(on, jnp.sign(unit[i]), 0.0) for i, on in enumerate((on_x, on_y, on_z))]
    is_round = is_ball | (is_tube & (size[2] < 0.999))
    bent = [unit[0] / half[0], unit[1] / half[1], jnp.where(is_ball, unit[2] / half[2], 0.0)]
    length = jnp.sqrt(sum(b * b for b in bent)) + 1e-9
    normal = [jnp.where(is_round, bent[i] / length, flat[i]) for i in range(3)]
    normal = [cos * normal[0] - sin * normal[1], sin * normal[0] + cos * normal[1], normal[2]]
    normal = [jnp.where(is_room, -n, n) for n in normal]

    facing = jnp.abs(sum(normal[i] * direction[i] for i in range(3)))
    facing = facing * jax.lax.rsqrt(x * x + y * y + 1.0)
    footprint = depth / focal / jnp.maximum(facing, 0.15)
    u = jnp.where(on_x, local[1] + half[1], local[0] + half[0])
    v = jnp.where(on_z, local[1] + half[1], local[2] + half[2])
    own = [is_room & on for on in (on_x, on_y, on_z)]
    return _Hits(point, normal, [u, v], footprint, own)


@jax.jit
def _light(scene: Scene, pose: Array, seen: _Hits, colour, gloss, emission, lamp_seen):
    """Linear RGB planes of the surfaces hit."""
    point, normal = seen.point, seen.normal
    board = (seen.own[0] | seen.own[1]) & (point[2] < _BASEBOARD)
    colour = [jnp.where(board, 0.55 + 0.2 * c, c) for c in colour]
    # Corners and edges of the room gather less light.
    corner = 1.0
    for i in range(3):
        wall = jnp.minimum(point[i], scene.room[i] - point[i])
        corner = corner * (1 - jnp.where(seen.own[i], 0.0, 0.28 * jnp.exp(-wall / 0.22)))
    lit = [scene.ambient[i] * (0.8 + 0.2 * normal[2]) * corner for i in range(3)]
    shine = 0.0
    for k in range(MAX_LIGHTS):
        lamp = scene.lights[k]
        way = [lamp[i] - point[i] for i in range(3)]
        squared = sum(w * w for w in way)
        inverse = jax.lax.rsqrt(squared + 1e-4)
        cosine = sum(way[i] * normal[i] for i in range(3)) * inverse
        power = jnp.maximum(0.12 + 0.88 * cosine, 0.0) / (1 + 0.22 * squared)
        if k == 0:
            power = power * (0.25 + 0.75 * lamp_seen)
            back = [pose[i, 3] - point[i] for i in range(3)]
            near = jax.lax.rsqrt(sum(b * b for b in back) + 1e-6)
            bisector = [way[i] * inverse + back[i] * near for i in range(3)]
            norm = jax.lax.rsqrt(sum(h * h for h in bisector) + 1e-6)
            shine = jnp.maximum(sum(bisector[i] * normal[i] for i in range(3)) * norm, 0.0) ** 32
            shine = shine * power
        lit = [lit[i] + lamp[3 + i] * power * corner for i in range(3)]
    emission = jnp.minimum(emission, 1.0)
    highlight = gloss * shine
    return [colour[i] * (lit[i] * (1 - emission) + emission) + highlight * scene.lights[0, 3 + i] for i in range(3)]


@jax.jit
def _softened(planes: list[Array], surface: Array) -> list[Array]:
    """Smooths the stairs along the outlines of things: one ray a pixel knows no half-covered ones."""

    def around(plane):
        return jnp.pad(plane, 1, mode="edge")

    def tent(plane):
        p = around(plane)
        p = 0.25 * p[:-2] + 0.5 * p[1:-1] + 0.25 * p[2:]
        return 0.25 * p[:, :-2] + 0.5 * p[:, 1:-1] + 0.25 * p[:, 2:]

    s = around(surface)
    outline = (s[1:-1, :-2] != surface) | (s[1:-1, 2:] != surface)
    outline |= (s[:-2, 1:-1] != surface) | (s[2:, 1:-1] != surface)
    # What lies in the light's full glare would spread far over a dark neighbour.
    return [jnp.where(outline, tent(jnp.minimum(p, 1.5)), p) for p in planes]


def render(
    scene: Scene, pose: Array, focal: float, corruption: Corruption, *, size: tuple[int, int]
) -> tuple[Array, Array]:
    """One frame, on JAX's default device.

    Args:
        scene: what is in the room.
        pose: `(3, 4)` float32 camera-to-world, OpenCV axes, metres.
        focal: focal length in pixels, the principal point being the middle of the picture.
        corruption: what goes wrong in this frame's picture (never in its depth).
        size: height and width in pixels.

    Returns:
        Image `(H, W, 3)` uint8 RGB and depth `(H, W)` float32, metres along the optical axis.
    """
    # Compiled in stages: as one program, XLA's CPU compiler fuses across the stages and computes
    # the same pixels again for each use, which is six times slower.
    height, width = size
    x = ((np.arange(width) - 0.5 * (width - 1)) / focal).astype(np.float32)[None, :]
    y = ((np.arange(height) - 0.5 * (height - 1)) / focal).astype(np.float32)[:, None]
    depth, surface = nearest(scene, pose, x, y)
    seen = _hits(scene, pose, x, y, np.float32(focal), depth, surface)
    colour, gloss, emission = _albedo(scene.materials, surface, seen.uv, seen.footprint)
    lamp = shadow(scene, seen.point, seen.normal)
    planes = _light(scene, pose, seen, colour, gloss, emission, lamp)
    return corrupt(_softened(planes, surface), corruption), depth
