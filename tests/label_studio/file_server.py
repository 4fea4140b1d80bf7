"""A real HTTP server in the place of Label Studio's, or of another host that keeps videos."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ACCESS = "header.payload.signature"


class FileServer:
    """Serves `files` by path; writes down who asked for what with which Authorization."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.redirects: dict[str, str] = {}
        self.allowed: str | None = None
        """The Authorization that files need, if any."""
        self.refresh: str | None = None
        """The personal access token that may be turned into `ACCESS`."""
        self.breaks_off = False


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            authorization = self.headers.get("Authorization")
            server.asked.append((self.path, authorization))
            if self.path in server.redirects:
                self.answer(302, b"", Location=server.redirects[self.path])
            elif server.allowed and authorization != server.allowed:
                self.answer(401, b"no")
            elif self.path not in server.files:
                self.answer(404, b"no")
            else:
                self.answer(200, server.files[self.path])

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append((self.path, self.headers.get("Authorization")))
            good = self.path == "/api/token/refresh" and body == {"refresh": server.refresh}
            self.answer(200 if good else 401, json.dumps({"access": ACCESS}).encode())

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if server.breaks_off else body)

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler


@contextmanager
def file_server() -> Iterator[FileServer]:
    """A server on a free port, stopped on the way out."""
    described = FileServer(0)
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(described)) as http:
        described.url = f"http://127.0.0.1:{http.server_address[1]}"
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield described
        http.shutdown()
