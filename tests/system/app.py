"""An application as people write it against ``http.server``; it knows nothing of forkhttp.

The tests serve it as it stands ("classic"), and once more with its import changed
to ``forkhttp`` ("native").
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

BIG = 20_000_000
PIECE = b"0123456789abcdef" * 4096


class Handler(BaseHTTPRequestHandler):
    """One path for each thing that handlers do."""

    def do_GET(self) -> None:
        """Find the method that is named like the path."""
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        answer = getattr(self, "get_" + parts.path.strip("/"), None)
        if answer is None:
            self.send_error(404)
        else:
            answer(**query)

    def get_hello(self, **_query: str) -> None:
        """Give no length, as the shortest examples do."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"hello\n")

    def get_who(self) -> None:
        """Say which process answers, and which port its peer has."""
        self.answer(f"{os.getpid()} {self.client_address[1]}\n".encode())

    def get_token(self, value: str) -> None:
        """Give the value back, and say which process answers."""
        self.answer(f"{value} {os.getpid()}".encode())

    def get_version(self) -> None:
        """Say what the configuration calls this version, and which process answers."""
        self.answer(f"{os.environ.get('VERSION')} {os.getpid()}".encode())

    def get_fields(self) -> None:
        """Give the fields of the request back."""
        self.answer("".join(f"{name}: {value}\n" for name, value in self.headers.items()).encode())

    def get_big(self, length: str = "") -> None:
        """Give 20 MB, with or without saying so before."""
        self.send_response(200)
        if length:
            self.send_header("Content-Length", str(BIG))
        self.end_headers()
        left = BIG
        while left:
            left -= self.wfile.write(PIECE[:left])

    def get_block(self, octets: str) -> None:
        """Give so many octets in one write, to a socket that holds few of them."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        self.answer(bytes(int(octets)))

    def get_raise(self) -> None:
        """Fail before anything was said."""
        raise ValueError("a fault of the application")

    def get_late(self) -> None:
        """Fail in the middle of a body with an announced length."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"the beginning")
        self.wfile.flush()
        raise ValueError("a late fault of the application")

    def get_lines(self, gate: str) -> None:
        """Write a line for each file that appears, and never flush."""
        self.send_response(200)
        self.send_header("X-Accel-Buffering", "no")
        self.end_headers()
        for number in range(3):
            self.wfile.write(b"line %d\n" % number)
            deadline = time.monotonic() + 10
            while not Path(f"{gate}.{number}").exists() and time.monotonic() < deadline:
                time.sleep(0.01)

    def get_slow(self, seconds: str = "1") -> None:
        """Take a while."""
        time.sleep(float(seconds))
        self.answer(b"at last\n")

    def get_spin(self) -> None:
        """Never come back, and take all the time there is."""
        while True:
            pass

    def get_fail(self, how: str, when: str = "before") -> None:
        """End in a way in which no handler should, before or after the head has left."""
        if when == "after":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"the beginning")
            self.wfile.flush()
        if how == "exit":
            sys.exit(5)
        kinds = {"interrupt": KeyboardInterrupt, "stop": StopIteration}
        raise kinds.get(how, RuntimeError)(f"on purpose: {how}")

    def get_thread(self) -> None:
        """Leave a thread of one's own by SystemExit."""
        thread = threading.Thread(target=sys.exit, args=(5,))
        thread.start()
        thread.join()
        self.answer(b"joined\n")

    def get_child(self, seconds: str = "30") -> None:
        """Start a program that outlives the request; give its pid, and the status of another one."""
        status = subprocess.run(["false"], check=False).returncode
        child = subprocess.Popen(["sleep", seconds], close_fds=False)
        self.answer(f"{child.pid} {status}".encode())

    def get_fork(self, seconds: str = "30") -> None:
        """Fork a child that outlives the request; give its pid."""
        pid = os.fork()
        if not pid:
            time.sleep(float(seconds))
            os._exit(0)
        self.answer(str(pid).encode())

    def get_orphan(self) -> None:
        """Leave a process behind that nobody waits for; give its pid."""
        command = "sleep 0.3 >/dev/null 2>&1 & echo $!"
        self.answer(subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout)

    def do_HEAD(self) -> None:
        """Announce a body that GET would give."""
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()

    def do_POST(self) -> None:
        """Give the body back."""
        length = self.headers["Content-Length"]
        self.answer(self.rfile.read(int(length)) if length else self.rfile.read())

    def do_PUT(self) -> None:
        """Give the body's length and digest."""
        digest = hashlib.sha256()
        size = 0
        left = int(self.headers["Content-Length"])
        while left and (octets := self.rfile.read(min(left, 1 << 16))):
            digest.update(octets)
            size += len(octets)
            left -= len(octets)
        self.answer(f"{size} {digest.hexdigest()}\n".encode())

    def do_REFUSE(self) -> None:
        """Answer without a look at the body."""
        self.send_response(401)
        self.send_header("Content-Length", "8")
        self.end_headers()
        self.wfile.write(b"refused\n")

    def do_SPAM(self) -> None:
        """Any name is a method."""
        self.answer(b"spam\n")

    def answer(self, body: bytes) -> None:
        """Send a whole answer."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
