"""JSON in and out, over a real socket: what a body may be, how a refusal reads, how a stream ends."""

import socket
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.http_base import server
from sam2_cog.http_base.answers import json_route, stream
from sam2_cog.http_base.application import application
from tests.http_server import Address, running


def answer(body: dict[str, Any]) -> Any:
    errors = {
        "refused": InvalidRequest("click_frames: 9 is too high"),
        "unreadable": UnreadableVideo("video: a.mp4 is empty"),
        "odd": UnreadableVideo("video: two\nlines \x00 and € is no name of Zoë's"),
        "disk": OSError(28, "No space left on device"),
        "fault": ZeroDivisionError("secret"),
        "gone": HTTPException(409, "busy"),
    }
    if body.get("do") in errors:
        raise errors[body["do"]]
    return {"got": body}


ROUTES = [json_route("/echo", answer, max_bytes=100), Route("/", lambda request: PlainTextResponse("hello"))]


@pytest.fixture(scope="module")
def local() -> Iterator[Address]:
    with running(application(ROUTES)) as address:
        yield address


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 90, "application/json", 400),
        (b"[]", "application/json", 400),
        (b" " * 200, "application/json", 413),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(local: Address, body: bytes, kind: str, status: int) -> None:
    refusal = local.ask("POST", "/echo", body, Content_Type=kind)
    assert (refusal.status, list(refusal.json)) == (status, ["error"])


@pytest.mark.parametrize(
    ("do", "status", "sentence"),
    [
        ("refused", 422, "click_frames: 9 is too high"),
        ("unreadable", 422, "video: a.mp4 is empty"),
        ("disk", 500, "No space left on device"),
        ("gone", 409, "busy"),
        ("fault", 500, "the server made a mistake, which its log describes"),
    ],
)
def test_an_error_is_one_sentence(local: Address, do: str, status: int, sentence: str) -> None:
    refusal = local.post("/echo", {"do": do})
    assert (refusal.status, sentence in refusal.json["error"]) == (status, True)
    assert refusal.reason == refusal.json["error"] and "x-reason" not in refusal.headers


def test_the_status_line_holds_any_sentence(local: Address) -> None:
    refusal = local.post("/echo", {"do": "odd"})
    assert refusal.json == {"error": "video: two\nlines \x00 and € is no name of Zoë's"}
    assert refusal.reason == "video: two lines   and ? is no name of Zoë's"
    assert local.ask("GET", "/").reason == "OK"


def test_what_is_not_there_is_one_sentence_too(local: Address) -> None:
    assert (local.ask("GET", "/no").status, local.ask("GET", "/no").json) == (404, {"error": "Not Found"})
    assert local.ask("GET", "/echo").status == 405


class Count:
    """A stream of numbers, one each 10 ms, which knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def numbers(self) -> Generator[str, None, None]:
        try:
            for number in range(10_000):
                yield f"{number}\n"
                time.sleep(0.01)
        finally:
            self.closed.set()

    async def endpoint(self, request: Request) -> Response:
        return await stream(self.numbers(), "text/plain")


def test_a_stream_ends_when_nobody_listens_any_more() -> None:
    count = Count()
    with running(application([Route("/count", count.endpoint)])) as address:
        with socket.create_connection(("127.0.0.1", address.port)) as client:
            client.sendall(b"GET /count HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while b"3" not in client.recv(1000):
                pass
            assert not count.closed.is_set()
        assert count.closed.wait(20)


def test_a_server_that_stops_breaks_a_stream_off_without_a_trace(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SECONDS_TO_FINISH", 0.1)
    count = Count()
    with running(application([Route("/count", count.endpoint)])) as address:
        client = socket.create_connection(("127.0.0.1", address.port))
        client.sendall(b"GET /count HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(1000)
    client.close()
    assert count.closed.wait(20)
    assert "/count was not finished, because the server was stopped" in caplog.text and "Traceback" not in caplog.text


def test_what_a_stream_refuses_at_once_is_an_answer_of_its_own() -> None:
    def refuse() -> Generator[str, None, None]:
        raise InvalidRequest("frame: there is none")
        yield ""

    async def endpoint(request: Request) -> Response:
        return await stream(refuse(), "text/plain")

    with running(application([Route("/refuse", endpoint)])) as address:
        assert address.ask("GET", "/refuse").json == {"error": "frame: there is none"}
