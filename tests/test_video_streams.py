"""Video that comes as a stream: raw frames on stdin, files behind addresses, broadcasts."""

import contextlib
import functools
import http.server
import io
import math
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time

import av
import cv2
import numpy as np
import pytest
from video_files import SIZE, clip, write_video

from smoothdino_jax.apps import video_decoding
from smoothdino_jax.apps.video_sources import open_video
from smoothdino_jax.data.frames import DataError

# Raw frames on stdin.


def piped(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_raw_frames_come_through_a_pipe():
    program = (
        "from smoothdino_jax.apps.video_sources import open_video\n"
        f"video = open_video('-', raw_size={SIZE}, raw_fps=25)\n"
        "print(video.name, video.size, video.fps, video.length, video.live)\n"
        "print([(int(image.sum()), round(time, 6)) for image, time in video.frames])"
    )
    # More than a pipe holds, so that reads come back with a part.
    frames = clip(30)
    data = b"".join(frame.tobytes() for frame in frames)
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, timeout=60, check=True)
    described, sums = done.stdout.decode().splitlines()
    assert described == f"stdin {SIZE} 25 None False"
    assert eval(sums) == [(int(frame.sum()), round(t / 25, 6)) for t, frame in enumerate(frames)]


def test_half_a_frame_on_stdin_is_told_after_the_whole_ones(monkeypatch):
    piped(monkeypatch, b"".join(frame.tobytes() for frame in clip(3)) + bytes(100))
    got = []
    with (
        pytest.raises(DataError, match=r"stdin ended within frame 3: 100 of its 7056 bytes.*the 3 frames before"),
        open_video("-", raw_size=SIZE) as video,
    ):
        got.extend(video.frames)
    assert all((frame.image == pixels).all() for frame, pixels in zip(got, clip(3), strict=True))


def test_stdin_without_frames_or_without_their_size_is_refused(monkeypatch):
    piped(monkeypatch, b"")
    with pytest.raises(DataError, match="height and width have to be given"):
        open_video("-")
    for size in ((1, 4), (1_000_000, 1_000_000)):
        with pytest.raises(DataError, match=f"{size[0]}×{size[1]}: they need 2 pixels on each side, and 16384 at most"):
            open_video("-", raw_size=size)
    with pytest.raises(DataError, match="stdin holds no frames that can be decoded: nothing came through the pipe"):
        open_video("-", raw_size=SIZE)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError, match="no frames on stdin"):
        open_video("-", raw_size=SIZE)


@pytest.mark.parametrize("wrong", [{"start": -1}, *({"raw_fps": fps} for fps in (0, 1e-5, 1e300, math.inf, math.nan))])
def test_numbers_that_make_no_video_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"raw_fps has to be 0\.01 to 10000 and start not below 0"):
        open_video(tmp_path, **wrong)


# Addresses.


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class _Camera(_Quiet):
    """A network camera: JPEGs without end, as fast as they are read."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=frame")
        self.end_headers()
        image = cv2.imencode(".jpg", clip(1)[0][..., ::-1])[1].tobytes()
        head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(image)
        try:
            while True:
                self.wfile.write(head + image + b"\r\n")
                time.sleep(0.005)
        except OSError:
            pass


class _RTSPCamera(socketserver.StreamRequestHandler):
    """As much of RTSP as a player needs: MPEG-TS in RTP packets through the same connection."""

    video = b""
    transport = None

    def handle(self):
        asked = ""
        while asked != "PLAY":
            asked = self.rfile.readline().decode().partition(" ")[0]
            if not asked:
                return
            lines = iter(lambda: self.rfile.readline().decode().strip(), "")
            headers = dict(line.split(": ", 1) for line in lines)
            answer, body = [f"CSeq: {headers['CSeq']}"], ""
            if asked == "DESCRIBE":
                body = "v=0\r\ns=camera\r\nm=video 0 RTP/AVP 33\r\na=control:track\r\n"
                answer += ["Content-Type: application/sdp"]
            elif asked == "SETUP":
                type(self).transport = headers["Transport"]
                answer += [f"Transport: {headers['Transport']}", "Session: 1"]
            head = "\r\n".join(["RTSP/1.0 200 OK", *answer, f"Content-Length: {len(body)}"])
            self.wfile.write(f"{head}\r\n\r\n{body}".encode())
        size = 7 * 188
        for number, start in enumerate(range(0, len(self.video), size)):
            packet = struct.pack(">BBHII", 0x80, 33, number, number * 3000, 1) + self.video[start : start + size]
            self.wfile.write(b"$\0" + struct.pack(">H", len(packet)) + packet)


@pytest.fixture
def serve():
    """Starts a server; gives its address."""
    servers = []

    def start(handler):
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_file_behind_an_address_is_read_to_its_end(tmp_path, serve):
    write_video(tmp_path / "a.mp4", clip(), container={"movflags": "faststart"})
    address = serve(functools.partial(_Quiet, directory=tmp_path))
    with open_video(f"http://me:secret@{address}/a.mp4?key=secret") as video:
        assert (video.size, video.length, video.live) == (SIZE, 5, False)
        assert video.name == f"http://{address}/a.mp4"
        assert len(list(video.frames)) == 5
    with pytest.raises(DataError, match=r"http://127.*/b\.mp4 can't be read.*404"):
        open_video(f"http://{address}/b.mp4")


def test_a_network_camera_is_live(serve):
    with open_video(f"http://{serve(_Camera)}/") as video:
        assert (video.size, video.length, video.live) == (SIZE, None, True)
        times = [next(video.frames).time for _ in range(3)]
    assert times[0] == 0
    assert times == sorted(set(times))


def test_an_rtsp_camera_is_live_and_asked_for_tcp(tmp_path, serve, monkeypatch):
    video = write_video(tmp_path / "a.ts", clip(30), options={"tune": "zerolatency"})
    monkeypatch.setattr(_RTSPCamera, "video", video.read_bytes())
    address = serve(_RTSPCamera)
    with open_video(f"rtsp://me:secret@{address}/front") as video:
        assert (video.size, video.live, video.name) == (SIZE, True, f"rtsp://{address}/front")
        frames = list(video.frames)
    assert "TCP" in _RTSPCamera.transport
    assert 1 <= len(frames) <= 30
    assert np.abs(frames[-1].image.astype(int) - clip(30)[-1]).mean() < 6


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_an_address_that_refuses_is_named_without_its_credentials(scheme):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        with pytest.raises(DataError, match="refused") as error:
            open_video(f"{scheme}://me:secret@127.0.0.1:{port}/stream?key=secret")
    assert f"{scheme}://127.0.0.1:{port}/stream" in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("scheme", ["http", "rtsp", "udp"])
def test_an_address_that_stays_silent_is_given_up(monkeypatch, scheme):
    monkeypatch.setattr(video_decoding, "PATIENCE", 0.3)
    kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        if scheme == "udp":
            silent.close()  # FFmpeg is to receive there itself
        else:
            silent.listen()
        with pytest.raises(DataError, match=rf"{scheme}://127.*no data for 0\.3 s"):
            open_video(f"{scheme}://127.0.0.1:{port}/")


def test_a_broadcast_is_joined_midway():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = f"udp://127.0.0.1:{free.getsockname()[1]}"
    done = threading.Event()

    def send():
        with av.open(f"{address}?pkt_size=1316", "w", format="mpegts") as file:
            stream = file.add_stream("libx264", 25, options={"tune": "zerolatency", "g": "10"})
            stream.height, stream.width = SIZE
            stream.pix_fmt = "yuv420p"
            for number in range(1500):
                if done.wait(0.01):
                    return
                frame = av.VideoFrame.from_ndarray(clip(1)[0], "rgb24")
                frame.pts = number
                file.mux(stream.encode(frame))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with open_video(address) as video:
            assert (video.size, video.live) == (SIZE, True)
            assert np.abs(next(video.frames).image.astype(int) - clip(1)[0]).mean() < 8
    finally:
        done.set()
        sender.join()


# Closing while a thread reads.


def test_a_reader_that_waits_for_stdin_does_not_disturb_closing_and_the_exit():
    program = (
        "import threading, time\n"
        "from smoothdino_jax.apps.video_sources import open_video\n"
        f"video = open_video('-', raw_size={SIZE})\n"
        "taken = []\n"
        "threading.Thread(target=lambda: taken.extend(video.frames), daemon=True).start()\n"
        "while not taken: time.sleep(0.01)\n"
        "time.sleep(0.1)\n"  # by now it waits for the second frame
        "video.close()\n"
        "print(len(taken))"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], **pipes) as running:
        running.stdin.write(clip(1)[0].tobytes() + bytes(100))
        running.stdin.flush()
        assert running.wait(60) == 0  # with the pipe still open
        assert running.stdout.read().split() == [b"1"]
        assert running.stderr.read() == b""


def test_closing_lets_go_of_an_address_once_the_read_in_another_thread_returns(tmp_path, serve, monkeypatch):
    monkeypatch.setattr(video_decoding, "PATIENCE", 2.0)
    options = {"options": {"crf": "1"}, "container": {"movflags": "faststart"}}
    data = write_video(tmp_path / "a.mp4", clip(120, (120, 160)), **options).read_bytes()
    hung_up = threading.Event()

    class Stalled(_Quiet):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.rfile.read(1)  # nothing, until the other side hangs up
            hung_up.set()

    taken, ended = [], threading.Event()

    def read():
        with contextlib.suppress(DataError):  # that no data came
            taken.extend(frame.time for frame in video.frames)
        ended.set()

    video = open_video(f"http://{serve(Stalled)}/a.mp4")
    assert not video.live
    reader = threading.Thread(target=read)
    reader.start()
    count = -1
    while count != len(taken):
        count = len(taken)
        time.sleep(0.1)
    assert not ended.is_set()
    video.close()
    reader.join(20)
    assert ended.is_set()
    assert hung_up.wait(20)
    assert list(video.frames) == []
