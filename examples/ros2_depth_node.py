"""A ROS 2 node: colour images in, metric depth out, along the video.

    ros2 run camera_driver ...                                  # whatever publishes image and camera info
    python ros2_depth_node.py --ros-args -r image:=/camera/image_raw -r camera_info:=/camera/camera_info \
        -p checkpoint:=checkpoints/dinov2-small-nyu -p height:=476 -p width:=630

Subscribes to `image` (sensor_msgs/Image: rgb8, bgr8, mono8) and `camera_info`; publishes `depth` (32FC1, metres) with
the header of the image, and the matching `depth/camera_info`. Depth has the image's size, so the intrinsics are the
same. An image that arrives while one is being worked on replaces the one that waits. The stream starts anew where
time jumps back or ahead by more than a second, as when a bag is played again.

Needs rclpy and sensor_msgs, which come with ROS 2, and smoothdino-jax in the same Python. cv_bridge is not needed.
"""

import array

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

import smoothdino_jax as sd

_GAP = 1.0  # seconds between images, from which on they are two videos


class DepthNode(Node):
    """Publishes the depth of each image it has time for."""

    def __init__(self):
        super().__init__("smoothdino_depth")
        checkpoint = self.declare_parameter("checkpoint", "tiny-synthetic").value
        size = self.declare_parameter("height", 112).value, self.declare_parameter("width", 154).value
        self._stream = sd.Stream(sd.load(checkpoint), size=size)
        self._info = self._seconds = None
        newest = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._depths = self.create_publisher(Image, "depth", newest)
        self._infos = self.create_publisher(CameraInfo, "depth/camera_info", newest)
        self.create_subscription(CameraInfo, "camera_info", self._keep_info, newest)
        self.create_subscription(Image, "image", self._publish_depth, newest)

    def _keep_info(self, info: CameraInfo) -> None:
        self._info = info

    def _publish_depth(self, message: Image) -> None:
        seconds = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        try:
            frame = rgb(message)
            if self._seconds is not None and not 0 <= seconds - self._seconds <= _GAP:
                self._stream.reset()
            depth = self._stream(frame)
        except ValueError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
            return
        self._seconds = seconds
        self._depths.publish(depth_message(depth, message.header))
        # Without calibration the depth is of use, too; with another size, the info is of another camera.
        if self._info is not None and (self._info.height, self._info.width) == frame.shape[:2]:
            self._info.header = message.header
            self._infos.publish(self._info)


def rgb(message: Image) -> np.ndarray:
    """`(H, W, 3)` uint8 RGB of a sensor_msgs/Image; rows may be padded. ValueError for other encodings than ours."""
    channels = {"rgb8": 3, "bgr8": 3, "mono8": 1}.get(message.encoding)
    if channels is None:
        raise ValueError(f"images in {message.encoding}: republish them as rgb8, bgr8 or mono8")
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    frame = rows[:, : message.width * channels].reshape(message.height, message.width, channels)
    frame = frame[..., ::-1] if message.encoding == "bgr8" else frame
    return np.ascontiguousarray(np.broadcast_to(frame, (*frame.shape[:2], 3)))


def depth_message(depth: np.ndarray, header) -> Image:
    """`(H, W)` float32 metres as 32FC1, little-endian, with the header of the image it belongs to."""
    message = Image()
    message.header = header
    message.height, message.width = depth.shape
    message.encoding, message.is_bigendian = "32FC1", 0
    message.step = 4 * depth.shape[1]
    # Of all that rclpy takes, it takes an array.array without checking byte by byte.
    message.data = array.array("B", np.ascontiguousarray(depth, "<f4").tobytes())
    return message


def main() -> None:
    rclpy.init()
    node = DepthNode()
    try:
        rclpy.spin(node)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
