"""Frames with poses: a wall seen by a camera that turns and moves, and how well depth and poses agree."""

import cv2
import numpy as np

NORMAL, OFFSET = np.array([0.36, -0.48, 0.8]), 2.0  # a wall: NORMAL · x = OFFSET in the world


def tilted_poses(count: int) -> list[np.ndarray]:
    """Camera-to-world transforms that turn and move by so much that no other convention passes for them."""
    poses = []
    for k in range(count):
        pose = np.eye(4)
        pose[:3, :3] = cv2.Rodrigues(np.array([0.1, -0.2, 0.15]) * (k + 1))[0]
        pose[:3, 3] = [0.3 * k, -0.2, 0.1 * k + 0.1]
        poses.append(pose)
    return poses


def camera_points(depth, intrinsics):
    """Points `(N, 3)` of the pixels with a reading, in the camera's frame, metres."""
    v, u = np.nonzero(depth)
    return (np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(intrinsics).T) * depth[v, u, None]


def wall_depth(pose, intrinsics, size):
    """Depth of the wall, metres, by intersecting every pixel's ray with it."""
    rays = camera_points(np.ones(size), intrinsics) @ pose[:3, :3].T
    return ((OFFSET - NORMAL @ pose[:3, 3]) / (rays @ NORMAL)).reshape(size)


def distance_to_wall(frame):
    """How far, in metres, a frame's points lie from the wall, by its own depth, pose and intrinsics."""
    points = camera_points(frame.depth, frame.intrinsics) @ frame.pose[:3, :3].T + frame.pose[:3, 3]
    return np.abs(points @ NORMAL - OFFSET)


def disagreement(a, b):
    """How far the depth of `a`'s points, carried into `b`, is off the depth that `b` has there: median, relative."""
    points = camera_points(a.depth, a.intrinsics) @ a.pose[:3, :3].T + a.pose[:3, 3]
    points = (points - b.pose[:3, 3]) @ b.pose[:3, :3]
    points = points[points[:, 2] > 0] @ b.intrinsics.T
    u, v = np.rint(points[:, :2] / points[:, 2:]).astype(int).T
    inside = (u >= 0) & (u < b.depth.shape[1]) & (v >= 0) & (v < b.depth.shape[0])
    expected, found = points[inside, 2], b.depth[v[inside], u[inside]]
    seen = found > 0
    assert seen.mean() > 0.3  # else there is nothing to compare
    return np.median(np.abs(expected - found)[seen] / found[seen])


def inverted(frame):
    return frame._replace(pose=np.linalg.inv(frame.pose))
