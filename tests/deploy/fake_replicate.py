"""A stand-in for Replicate's HTTP API: it knows the calls that deploy/replicate/send.py makes, and runs no model."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "r8_secret"
VERSION = "v" * 64


@dataclass
class FakeReplicate:
    """What was asked of it, and how it answers."""

    address: str = ""
    looks_until_done: int = 1
    suffix: str = ""
    """How the addresses of results end."""
    throttled: int = 0
    """So many predictions are refused with 429 first."""
    predictions: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    tokens_at_results: list[str | None] = field(default_factory=list)

    def create(self, body: dict[str, Any]) -> tuple[int, Any]:
        if self.throttled:
            self.throttled -= 1
            return 429, {"detail": "Request was throttled. Your rate limit resets in ~0s."}
        if body["version"] != VERSION:
            return 422, {"detail": "Invalid version or not permitted"}
        name = f"prediction{len(self.predictions)}"
        self.predictions[name] = body["input"]
        return 201, {"id": name, "status": "starting"}

    def look(self, name: str) -> tuple[int, Any]:
        self.looks[name] = self.looks.get(name, 0) + 1
        if self.looks[name] <= self.looks_until_done:
            return 200, {"id": name, "status": "processing", "output": None}
        if self.predictions[name]["click_coordinates"] == "[300,20]":
            return 200, {"id": name, "status": "failed", "error": "click_coordinates: point 1 is\nat [300, 20]"}
        elsewhere = self.address.replace("127.0.0.1", "localhost")  # another host, as it is there
        output = f"{elsewhere}/results/{name}{self.suffix}"
        return 200, {"id": name, "status": "succeeded", "output": output, "metrics": {"predict_time": 1.5}}

    def upload(self, content: bytes) -> tuple[int, Any]:
        name = f"file{len(self.files)}"
        self.files[name] = content
        return 201, {"id": name, "urls": {"get": f"{self.address}/v1/files/{name}"}}


@contextmanager
def fake_replicate() -> Iterator[FakeReplicate]:
    """Running in this process, on a port of its own."""
    fake = FakeReplicate()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not self._may():
                return
            self._answer(*(fake.upload(body) if self.path == "/v1/files" else fake.create(json.loads(body))))

        def do_GET(self) -> None:
            if self.path.startswith("/results/"):
                fake.tokens_at_results.append(self.headers["Authorization"])
                self._send(200, f"result of {self.path}".encode())
            elif self._may():
                if self.path == "/v1/models/me/sam2":
                    self._answer(200, {"latest_version": {"id": VERSION}})
                elif self.path.rpartition("/")[2] in fake.predictions:
                    self._answer(*fake.look(self.path.rpartition("/")[2]))
                else:
                    self._answer(404, {"detail": "Not found."})

        def _may(self) -> bool:
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                self._answer(401, {"detail": "Unauthenticated"})
                return False
            return True

        def _answer(self, status: int, body: Any) -> None:
            self._send(status, json.dumps(body).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
