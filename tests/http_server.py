"""A real server of this process, for the tests of the HTTP doors."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette

from sam2_cog.http_base.server import beside, listen


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Address:
    """Where the server listens."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str) -> Answer:
        """One request; underscores in the names of headers are dashes, and `Host` may be any."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return Answer(response.status, response.reason, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def post(self, path: str, value: Any, **headers: str) -> Answer:
        """One JSON request."""
        return self.ask("POST", path, json.dumps(value).encode(), Content_Type="application/json", **headers)


@contextmanager
def running(app: Starlette) -> Iterator[Address]:
    """The app on a free port of this machine, in a thread; stopped in good order on the way out."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with beside(app, listener):
        yield Address(port)
