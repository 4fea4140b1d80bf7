"""deploy/nginx.conf before the real server: what must not pass does not, what is asked for rightly does."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.server.cog_server import CLICK, ROOT, Answer, Server, content, data_url

MODULE = Path("/usr/lib/nginx/modules/ngx_http_js_module.so")


@pytest.fixture(scope="module")
def proxy(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server as it is seen through nginx; rates are of another test."""
    if not (shutil.which("nginx") and MODULE.exists()):
        pytest.skip("nginx and libnginx-mod-http-js are not installed")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    folder = tmp_path_factory.mktemp("nginx")
    text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    for old, new in (
        ("listen 8080", f"listen 127.0.0.1:{port}"),
        ("127.0.0.1:5000", server.address.removeprefix("http://")),
        ("/tmp/sam2-cog-nginx.pid", str(folder / "pid")),
        ("rate=5r/s", "rate=1000r/s"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "deploy" / "gate.js", folder)
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", "nginx.conf"], stderr=subprocess.DEVNULL)
    door = replace(server, address=f"http://127.0.0.1:{port}")
    try:
        door.patiently(lambda: status_of(door, "/"), lambda status: status == 404)
        yield door
    finally:
        process.terminate()
        process.wait()


def status_of(server: Server, path: str) -> int:
    try:
        return server.call(path)[0]
    except OSError:
        return 0


def ask(proxy: Server, body: object) -> Answer:
    return proxy.patiently(lambda: proxy.call("/predictions", body), lambda answer: answer[0] != 409)


def test_a_video_in_the_request_passes(proxy: Server, small_clip: Path) -> None:
    answer = ask(proxy, {"input": {"video": data_url(small_clip), "click_coordinates": CLICK}})
    assert content(answer, "video/mp4")


def test_a_large_video_in_the_request_reaches_the_predictor(proxy: Server) -> None:
    video = "data:video/mp4;base64," + "A" * 8_000_000
    status, body = ask(proxy, {"input": {"video": video, "click_coordinates": CLICK}})
    assert (status, body["status"]) == (200, "failed") and "UnreadableVideo" in body["error"]


@pytest.mark.parametrize(
    "path", ["/shutdown", "/health-check", "/openapi.json", "/", "/predictions/x", "/predictions/x/cancel"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_nothing_else_is_served(proxy: Server, server: Server, path: str, method: str) -> None:
    assert proxy.call(path, None if method == "GET" else {}, method)[0] == 404
    server.wait_until_ready()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_predictions_are_posted_only(proxy: Server, method: str) -> None:
    assert proxy.call("/predictions", None if method == "GET" else {}, method)[0] == 403


@pytest.mark.parametrize(
    "video",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:5000/shutdown",
        "https://example.org/a.mp4",
        "HTTP://localhost/",
        " data:video/mp4;base64,AAAA",
        "file:///etc/passwd",
        "/etc/passwd",
        None,
        ["data:,"],
    ],
)
def test_no_address_passes(proxy: Server, video: object) -> None:
    answer = ask(proxy, {"input": {"video": video, "click_coordinates": CLICK}})
    assert answer == (400, {"error": "video: only a data URL is taken here, no address"})


def test_neither_escapes_nor_a_second_value_hide_an_address(proxy: Server) -> None:
    hidden = rb'{"input": {"video": "data:,", "vid\u0065o": "\u0068ttp://127.0.0.1/", "click_coordinates": "[1,1]"}}'
    assert proxy.call("/predictions", hidden)[0] == 400


@pytest.mark.parametrize(
    "extra", [{"webhook": "http://127.0.0.1/"}, {"id": "../../x"}, {"output_file_prefix": "http://a/"}]
)
def test_no_webhook_and_no_name_pass(proxy: Server, small_clip: Path, extra: dict[str, str]) -> None:
    status, body = ask(proxy, {"input": {"video": data_url(small_clip), "click_coordinates": CLICK}} | extra)
    assert (status, body) == (400, {"error": 'only "input" is taken: no id, no webhook'})


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b'{"input": 5}', b'{"input": []}'])
def test_what_is_no_request_stays_outside(proxy: Server, body: bytes) -> None:
    assert proxy.call("/predictions", body)[0] == 400


def test_a_body_that_is_too_large_is_refused_by_its_length(proxy: Server) -> None:
    host, port = proxy.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 60) as connection:
        head = f"POST /predictions HTTP/1.1\r\nHost: a\r\nContent-Length: {101 << 20}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_the_wish_for_an_answer_later_is_not_passed_on(proxy: Server, small_clip: Path) -> None:
    body = {"input": {"video": data_url(small_clip), "click_coordinates": CLICK}}
    once = lambda: proxy.call("/predictions", json.dumps(body).encode(), Prefer="respond-async")  # noqa: E731
    assert content(proxy.patiently(once, lambda answer: answer[0] != 409), "video/mp4")
