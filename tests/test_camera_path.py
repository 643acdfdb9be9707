"""The camera in a made-up room: clear of walls and furniture."""

import numpy as np

from smoothdino_jax.data.camera_path import distance_to_things
from smoothdino_jax.data.synthetic import SyntheticRooms


def test_the_camera_keeps_clear_of_walls_and_furniture():
    source = SyntheticRooms(12, 400)
    for number in range(12):
        room, path = source._room(number)
        places = np.stack([path.pose(t)[:3, 3] for t in range(0, 400, 7)])
        assert distance_to_things(room, places).min() > 0.4
        assert (places > 0).all()
        assert (places < room.room).all()


def test_distance_to_things_knows_a_turned_box():
    room = SyntheticRooms(1)._room(0)[0]
    boxes = room.boxes[:1].copy()
    boxes[0] = [2.0, 1.5, 1.0, np.sqrt(0.5), np.sqrt(0.5), 0.5, 0.1, 1.0]
    alone = room._replace(room=np.array([4.0, 3.0, 3.0]), boxes=boxes, rounds=room.rounds[:1] * 0 + 99)
    alone.rounds[:, 3:] = 0.1
    along = np.array([2.0, 1.5, 1.0]) + 0.8 * np.sqrt(0.5) * np.array([1, 1, 0])
    across = np.array([2.0, 1.5, 1.0]) + 0.8 * np.sqrt(0.5) * np.array([1, -1, 0])
    points = np.array([along, across, [0.2, 0.2, 1.0], [-0.3, 1.0, 1.0]])
    np.testing.assert_allclose(distance_to_things(alone, points), [0.3, 0.7, 0.2, -0.3], atol=1e-6)
