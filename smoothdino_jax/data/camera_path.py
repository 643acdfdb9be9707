"""Where the camera is in a made-up room: a path with a view and clear of everything."""

import math

import numpy as np

from smoothdino_jax.data.raycast import Scene

_CLEARANCE = 0.45  # metres that the camera keeps from everything


class CameraPath:
    """A hand-held camera that looks around from a slowly moving standpoint.

    Sums of sines, so the pose at any frame is known without walking there.
    """

    def __init__(self, rng: np.random.Generator, scene: Scene):
        self.reach, self.stand, self.yaw0 = self._standpoint(rng, scene)
        self.pitch0 = rng.uniform(-0.3, -0.02)
        self.roll0 = rng.normal(0, 0.02)
        # Rows: sway x, y, z (relative to `reach`), yaw, pitch, roll (radians); columns: slow to fast.
        amplitude = np.array(
            [
                [0.7, 0.25, 0.02],
                [0.7, 0.25, 0.02],
                [0.25, 0.1, 0.03],
                [0.7, 0.07, 0.004],
                [0.10, 0.02, 0.004],
                [0.03, 0.012, 0.003],
            ]
        )
        self.amplitude = amplitude * rng.uniform(0.7, 1.0, amplitude.shape)
        self.amplitude[:3] *= self.reach / 1.45
        low, high = np.array([[140, 45, 9], [290, 80, 17]])
        self.period = rng.uniform(low, high, amplitude.shape)
        self.phase = rng.uniform(0, 2 * np.pi, amplitude.shape)

    @staticmethod
    def _standpoint(rng: np.random.Generator, scene: Scene) -> tuple[float, np.ndarray, float]:
        """A place with a view and room around it: how far the camera may sway, where, facing where."""
        high = np.append(scene.room[:2] - 0.5, 1.7)
        places = rng.uniform([0.5, 0.5, 1.25], high, (256, 3))
        yaws = rng.uniform(-np.pi, np.pi, len(places))
        free = distance_to_things(scene, places) - _CLEARANCE
        ahead = np.stack([np.cos(yaws), np.sin(yaws)], -1)
        to_things = scene.boxes[: scene.count, :2] - places[:, None, :2]
        distance = np.linalg.norm(to_things, axis=-1)
        along = (to_things * ahead[:, None]).sum(-1)
        seen = ((along > 0.88 * distance) & (distance > 1.2)).sum(1)
        score = np.where(free > 0.2, seen, -1) + rng.uniform(0, 8, len(places))
        chosen = np.argmax(score) if free.max() > 0.2 else np.argmax(free)
        return float(np.clip(free[chosen], 0.0, 0.45)), places[chosen], float(yaws[chosen])

    def angles(self, t: float) -> np.ndarray:
        """Sway (3), yaw, pitch, roll at frame `t`."""
        return (self.amplitude * np.sin(2 * np.pi * t / self.period + self.phase)).sum(1)

    def pose(self, t: float) -> np.ndarray:
        """`(4, 4)` camera-to-world, OpenCV axes."""
        *sway, yaw, pitch, roll = self.angles(t)
        yaw, pitch, roll = yaw + self.yaw0, pitch + self.pitch0, roll + self.roll0
        cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
        forward = np.array([cy * cp, sy * cp, sp])
        right = np.array([sy, -cy, 0.0])
        down = np.cross(forward, right)
        cr, sr = math.cos(roll), math.sin(roll)
        pose = np.eye(4)
        pose[:3, 0] = cr * right + sr * down
        pose[:3, 1] = cr * down - sr * right
        pose[:3, 2] = forward
        pose[:3, 3] = self.stand + sway
        return pose


def distance_to_things(scene: Scene, points: np.ndarray) -> np.ndarray:
    """Metres from each point to the nearest wall or piece of furniture; negative outside the room.

    Args:
        scene: the room, as numpy arrays.
        points: `(N, 3)` metres.

    Returns:
        `(N,)` metres. Ellipsoids and cylinders count as the boxes around them.
    """
    wall = np.minimum(points, scene.room - points).min(-1)
    upright = np.broadcast_to([1.0, 0.0], (len(scene.rounds), 2))
    rounds = np.concatenate([scene.rounds[:, :3], upright, scene.rounds[:, 3:]], 1)
    things = np.concatenate([scene.boxes, rounds]).astype(np.float64)
    offset = points[:, None] - things[:, :3]
    cos, sin = things[:, 3], things[:, 4]
    x = cos * offset[..., 0] + sin * offset[..., 1]
    y = cos * offset[..., 1] - sin * offset[..., 0]
    outside = np.abs(np.stack([x, y, offset[..., 2]], -1)) - things[:, 5:]
    distance = np.linalg.norm(np.maximum(outside, 0.0), axis=-1)
    return np.minimum(wall, distance.min(1))
