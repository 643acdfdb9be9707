"""A server of one file, in a thread, that does wrong what it is told to."""

import contextlib
import hashlib
import http.server
import re
import threading

import numpy as np

BODY = np.random.default_rng(0).bytes(3_000_000)
SIZE = len(BODY)
SHA = hashlib.sha256(BODY).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """One file at every address. What it does wrong is set by its attributes."""

    daemon_threads = True
    body = BODY
    ranges = True  # understands Range
    length = True  # tells Content-Length
    chunked = False
    kind = "application/octet-stream"
    status = None  # answer this instead
    modified = "Fri, 30 Sep 2011 15:16:58 GMT"
    cuts = ()  # bytes after which each of the first connections breaks

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.starts = []  # first byte asked for, by request

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/frames.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match and server.ranges else 0
        server.starts.append(int(match[1]) if match else 0)
        self.close_connection = True
        if server.status is not None:
            self.send_error(server.status)
            return
        if start >= len(server.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", server.kind)
        self.send_header("Last-Modified", server.modified)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        body = server.body[start:]
        if server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif server.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut, *server.cuts = server.cuts or (None,)
        if server.chunked:
            self.wfile.write(b"%x\r\n" % len(body) + body[:cut])
            if cut is None:
                self.wfile.write(b"\r\n0\r\n\r\n")
            return
        self.wfile.write(body[:cut])

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def running():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
