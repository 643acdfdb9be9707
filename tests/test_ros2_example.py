"""The ROS 2 node of examples/, run against stand-ins for rclpy and sensor_msgs."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import smoothdino_jax as sd

NODE = Path(__file__).parents[1] / "examples" / "ros2_depth_node.py"
SIZE = (6, 8)


class Message:
    """A message that takes the fields of its kind and no others."""

    def __init__(self, **fields):
        for name, value in fields.items():
            setattr(self, name, value)

    def __setattr__(self, name, value):
        assert name in self.fields, f"{type(self).__name__} has no {name}"
        super().__setattr__(name, value)


class Image(Message):
    fields = ("header", "height", "width", "encoding", "is_bigendian", "step", "data")


class CameraInfo(Message):
    fields = ("header", "height", "width", "k")


class Node:
    def __init__(self, name):
        self.callbacks, self.published, self.errors, self.qos = {}, {}, [], []

    def declare_parameter(self, name, default):
        return SimpleNamespace(value=default)

    def create_publisher(self, kind, topic, qos):
        self.qos.append(qos)
        return SimpleNamespace(publish=self.published.setdefault(topic, []).append)

    def create_subscription(self, kind, topic, callback, qos):
        self.qos.append(qos)
        self.callbacks[topic] = callback

    def get_logger(self):
        return SimpleNamespace(error=lambda text, throttle_duration_sec: self.errors.append(text))


class Stream:
    """Depth that tells red from blue, and a log of what was asked."""

    def __init__(self, model, size):
        self.resets, self.size = 0, size

    def reset(self):
        self.resets += 1

    def __call__(self, frame):
        assert frame.dtype == np.uint8
        assert frame.shape[2] == 3
        if min(frame.shape[:2]) < 2:
            raise ValueError("a frame is of at least 2×2 pixels")  # as the real one
        return (frame[..., 0] + frame[..., 2] / 1000).astype(np.float32)


@pytest.fixture
def example(monkeypatch):
    qos = ModuleType("rclpy.qos")
    qos.HistoryPolicy = SimpleNamespace(KEEP_LAST="keep last")
    qos.ReliabilityPolicy = SimpleNamespace(BEST_EFFORT="best effort")
    qos.QoSProfile = lambda **fields: fields
    node, messages = ModuleType("rclpy.node"), ModuleType("sensor_msgs.msg")
    node.Node = Node
    messages.Image, messages.CameraInfo = Image, CameraInfo
    stubs = {"rclpy": ModuleType("rclpy"), "rclpy.node": node, "rclpy.qos": qos}
    for name, module in (stubs | {"sensor_msgs": ModuleType("sensor_msgs"), "sensor_msgs.msg": messages}).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(sd, "load", lambda name: name)
    monkeypatch.setattr(sd, "Stream", Stream)
    spec = importlib.util.spec_from_file_location("ros2_depth_node", NODE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def image(encoding="rgb8", seconds=1.5, padding=0, size=SIZE):
    channels = 1 if encoding == "mono8" else 3
    pixels = np.random.default_rng(0).integers(0, 256, (*size, channels), np.uint8)
    rows = np.pad(pixels.reshape(size[0], -1), ((0, 0), (0, padding)))
    stamp = SimpleNamespace(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))
    header = SimpleNamespace(stamp=stamp, frame_id="camera_optical")
    step = rows.shape[1]
    fields = {"height": size[0], "width": size[1], "encoding": encoding, "is_bigendian": 0}
    return pixels, Image(header=header, step=step, data=rows.tobytes(), **fields)


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(("encoding", "red", "blue"), [("rgb8", 0, 2), ("bgr8", 2, 0), ("mono8", 0, 0)])
def test_depth_goes_out_as_32fc1_with_the_images_header(example, encoding, red, blue, padding):
    node = example.DepthNode()
    pixels, message = image(encoding, padding=padding)
    node.callbacks["image"](message)
    [depth] = node.published["depth"]
    assert depth.encoding == "32FC1"
    assert (depth.height, depth.width, depth.step, depth.is_bigendian) == (6, 8, 32, 0)
    assert depth.header is message.header
    stored = np.frombuffer(depth.data, "<f4").reshape(SIZE)
    np.testing.assert_array_equal(stored, (pixels[..., red] + pixels[..., blue] / 1000).astype(np.float32))


def test_camera_info_goes_with_its_depth(example):
    node = example.DepthNode()
    _, message = image()
    node.callbacks["image"](message)
    assert node.published["depth/camera_info"] == []
    for size in ((12, 16), SIZE):
        node.callbacks["camera_info"](CameraInfo(height=size[0], width=size[1], k=[1.0] * 9, header=None))
        node.callbacks["image"](message)
    [info] = node.published["depth/camera_info"]
    assert (info.height, info.width, info.k) == (*SIZE, [1.0] * 9)
    assert info.header is message.header
    assert len(node.published["depth"]) == 3


def test_where_time_jumps_the_stream_starts_anew(example):
    node = example.DepthNode()
    for seconds, resets in ((5.0, 0), (5.9, 0), (5.9, 0), (7.0, 1), (6.5, 2), (6.6, 2), (7.7, 3)):
        node.callbacks["image"](image(seconds=seconds)[1])
        assert node._stream.resets == resets, seconds


def test_other_encodings_are_named_and_left_out(example):
    node = example.DepthNode()
    _, message = image()
    message.encoding = "bayer_rggb8"
    node.callbacks["image"](message)
    assert node.published["depth"] == []
    assert "bayer_rggb8" in node.errors[0]


def test_an_image_without_use_does_not_end_the_node(example):
    node = example.DepthNode()
    node.callbacks["image"](image(size=(1, 8))[1])
    assert node.published["depth"] == []
    assert "2×2" in node.errors[0]
    node.callbacks["image"](image()[1])
    assert len(node.published["depth"]) == 1


def test_slow_nodes_drop_images_and_parameters_reach_the_stream(example):
    node = example.DepthNode()
    assert node._stream.size == (112, 154)
    assert set(node.callbacks) == {"image", "camera_info"}
    for qos in node.qos:
        assert (qos["depth"], qos["history"], qos["reliability"]) == (1, "keep last", "best effort")
