"""Who is answered, over a real socket."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from sam2_cog.http_base.answers import json_route
from sam2_cog.http_base.application import application
from sam2_cog.http_base.guard import TOKEN_COOKIE, is_loopback
from tests.http_server import Address, running

TOKEN = "a-token"


def answer(body: dict[str, Any]) -> Any:
    return {"got": body}


ROUTES = [json_route("/echo", answer), Route("/", lambda request: PlainTextResponse("hello"))]


@pytest.fixture(scope="module")
def local() -> Iterator[Address]:
    with running(application(ROUTES)) as address:
        yield address


@pytest.fixture(scope="module")
def shared() -> Iterator[Address]:
    with running(application(ROUTES, TOKEN)) as address:
        yield address


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST.:1"])
def test_this_machine_is_answered(local: Address, host: str) -> None:
    assert local.ask("GET", "/", Host=host).body == b"hello"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "10.0.0.1", "", "[", "a:b"]
)
def test_a_request_under_another_name_is_refused(local: Address, host: str) -> None:
    refusal = local.ask("GET", "/", Host=host)
    assert refusal.status in (400, 403)
    assert b"hello" not in refusal.body


def test_a_page_of_another_origin_is_refused_and_of_the_own_one_not(local: Address) -> None:
    own = f"http://127.0.0.1:{local.port}"
    assert local.post("/echo", {}, Origin=own).json == {"got": {}}
    for origin in ("https://evil.example", "http://localhost:1", "null"):
        refusal = local.post("/echo", {}, Origin=origin)
        assert (refusal.status, "another origin" in refusal.json["error"]) == (403, True)


def test_a_shared_server_wants_its_token_in_any_of_its_forms(shared: Address) -> None:
    basic = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
    forms: list[dict[str, str]] = [
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"Token {TOKEN}"},
        {"Authorization": f"Basic {basic}"},
        {"Token": TOKEN},
        {"Cookie": f"other=1; {TOKEN_COOKIE}={TOKEN}"},
    ]
    for form in forms:
        assert shared.ask("GET", "/", None, Host="any.example", **form).status == 200
    assert shared.ask("GET", f"/?token={TOKEN}", Host="any.example").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Token": "other"},
        {"Token": "\xff"},
        {"Authorization": "Basic !"},
        {"Authorization": "Bearer"},
        {"Cookie": "=;;"},
    ],
)
def test_without_the_token_nothing_is_answered(shared: Address, headers: dict[str, str]) -> None:
    refusal = shared.ask("GET", "/", None, **headers)
    assert (refusal.status, "token" in refusal.json["error"]) == (401, True)


def test_loopback_names() -> None:
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.2", "example.org", ""))
