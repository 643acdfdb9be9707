"""Makers of tiny video files for tests: what cameras, editors and broken disks leave."""

import wave
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image

SIZE = (42, 56)


def clip(count=5, size=SIZE):
    """A blurred texture that moves two pixels to the left per frame: nothing that H.264 would spoil.

    Returns:
        A list of `(H, W, 3)` uint8 frames.
    """
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (size[0], size[1] + 2 * count, 3), np.uint8), (0, 0), 3)
    return [np.ascontiguousarray(texture[:, 2 * t : 2 * t + size[1]]) for t in range(count)]


def write_video(
    path, frames, fps=15, codec="libx264", pixels="yuv420p", *, times=None, rotation=0, options=None, container=None
):
    """Encodes `frames`; the format follows from the name's ending.

    Args:
        path: where.
        frames: `(H, W, 3)` uint8 RGB, or `(H, W, 4)` RGBA.
        fps: frames per second.
        codec: of FFmpeg.
        pixels: the pixel format that is stored.
        times: when each frame is shown, in seconds; None for one every `1 / fps`.
        rotation: counter-clockwise, in degrees, noted in the file for players to apply.
        options: of the encoder.
        container: options of the file format.

    Returns:
        `path`.
    """
    tick = Fraction(1, 1000) if times is not None else 1 / Fraction(fps).limit_denominator(10_000)
    with av.open(str(path), "w", container_options=container or {}) as file:
        stream = file.add_stream(codec, Fraction(fps).limit_denominator(10_000), options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.codec_context.time_base = pixels, tick
        if rotation:
            stream.set_display_rotation(rotation)
        for number, pixel in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixel), "rgba" if pixel.shape[2] == 4 else "rgb24")
            frame = frame.reformat(format=pixels)
            frame.pts = number if times is None else round(times[number] / tick)
            frame.time_base = tick
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return Path(path)


def rotated_video(path, frames, degrees=-90):
    """MP4 whose pixels are to be shown turned; degrees counter-clockwise, -90 as phones held upright note it."""
    return write_video(path, frames, rotation=degrees)


def variable_rate_video(path, frames, times):
    """Shows frame t from `times[t]` seconds on."""
    return write_video(path, frames, fps=30, times=times)


def grey_video(path, frames):
    """Lossless, one channel (.mkv)."""
    return write_video(path, frames, codec="ffv1", pixels="gray")


def alpha_video(path, frames, alpha=0):
    """Lossless, transparent all over (.mkv): 0 can't be seen at all, 255 covers."""
    rgba = [np.dstack([frame, np.full(frame.shape[:2], alpha, np.uint8)]) for frame in frames]
    return write_video(path, rgba, codec="ffv1", pixels="bgra")


def ten_bit_video(path, frames):
    """H.264 with ten bits per channel, as cameras record for grading."""
    return write_video(path, frames, pixels="yuv420p10le", options={"crf": "10"})


def audio_file(path, seconds=1.0):
    """A WAV file, silent."""
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(round(16000 * seconds)))
    return Path(path)


def truncated_video(path, frames, part=0.6, fps=15):
    """The first part of an MP4's bytes, its index at the front: a copy that broke off."""
    write_video(path, frames, fps, options={"g": "5", "crf": "10"}, container={"movflags": "faststart"})
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: round(part * len(data))])
    return Path(path)


def damaged_video(path, frames, part=0.6, fps=15):
    """An MP4 with some bytes in the midst overwritten: `part` of the way through."""
    write_video(path, frames, fps, options={"g": "5", "crf": "10"}, container={"movflags": "faststart"})
    data = bytearray(Path(path).read_bytes())
    middle = round(part * len(data))
    data[middle : middle + len(data) // 10] = b"\xff" * (len(data) // 10)
    Path(path).write_bytes(data)
    return Path(path)


def empty_video(path):
    """A file with a video stream and not one frame in it."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", 15)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        file.start_encoding()
    return Path(path)


def size_changing_video(path, first, second):
    """Frames of one size, then of another, joined as MPEG-TS (.ts) allows."""
    parts = [write_video(Path(path).with_suffix(f".{part}.ts"), clips) for part, clips in enumerate((first, second))]
    Path(path).write_bytes(b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()
    return Path(path)


def image_folder(path, frames, first=8):
    """PNG files `frame8.png`, `frame9.png`, `frame10.png`, …: exact, and out of order for a plain sort."""
    path = Path(path)
    path.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"frame{number + first}.png")
    return path
