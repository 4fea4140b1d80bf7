"""Requests that nobody should send, with the schema and without it: one sentence each, and the next one succeeds."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.cog_server import CLICK, ROOT, Server, refusal

CLOSED = (
    "InvalidRequest: video: it must be an address (https://...) or a data URL, because this server shares no such file"
)

TEXTS: list[tuple[dict[str, Any], str]] = [
    ({"click_frames": "6"}, "click_frames: point 1 is on frame 6, but the video has frames 0 to 5"),
    ({"click_labels": "0"}, "click_labels: "),
    ({"click_coordinates": "[96,0]"}, "click_coordinates: "),
    ({"click_coordinates": ""}, "click_coordinates: "),
    ({"click_coordinates": "[1e3,nan]"}, "click_coordinates: "),
    ({"click_coordinates": "[" * 100_000}, "click_coordinates: "),
    ({"click_coordinates": ",".join(["[1,2]"] * 1_000_000)}, "click_coordinates: there are 1000000 clicks"),
    ({"output_frame_interval": 10**30}, "output_frame_interval: "),
    ({"click_coordinates": ",".join(["[1,2]"] * 501)}, "click_object_ids: there are 501 objects, but at most 500"),
    ({"click_object_ids": "n" * 65}, "click_object_ids: "),
    ({"click_object_ids": "a\u0000b"}, "click_object_ids: "),
    ({"video_fps": 0.001}, "video_fps: 0.001 is not allowed, it must be 0 or at least 0.01"),
]
"""Well-formed for Cog: refused by the predictor in both servers."""

VALUES: list[tuple[dict[str, Any], str]] = [
    ({"click_coordinates": 5}, "click_coordinates"),
    ({"click_coordinates": None}, "click_coordinates"),
    ({"click_labels": [1, 0]}, "click_labels"),
    ({"mask_type": "pink"}, "mask_type"),
    ({"output_format": "../../x"}, "output_format"),
    ({"output_quality": 101}, "output_quality"),
    ({"output_quality": True}, "output_quality"),
    ({"output_frame_interval": None}, "output_frame_interval"),
    ({"output_frame_interval": -(10**30)}, "output_frame_interval"),
    ({"video_fps": "fast"}, "video_fps"),
    ({"propagation": {}}, "propagation"),
]
"""Of a wrong type or out of bounds: Cog refuses them by the schema, the predictor without it."""


@pytest.mark.parametrize("with_schema", [True, False])
@pytest.mark.parametrize(("inputs", "sentence"), TEXTS, ids=[str(row[0])[:40] for row in TEXTS])
def test_what_does_not_fit_is_one_sentence(
    server: Server, bare_server: Server, small_clip: Path, inputs: dict[str, Any], sentence: str, with_schema: bool
) -> None:
    chosen = server if with_schema else bare_server
    assert chosen.refuses(small_clip, **inputs).startswith(f"InvalidRequest: {sentence}")


@pytest.mark.parametrize(("inputs", "name"), VALUES, ids=[str(row[0])[:40] for row in VALUES])
def test_what_has_no_sense_is_named(
    server: Server, bare_server: Server, small_clip: Path, inputs: dict[str, Any], name: str
) -> None:
    status, body = server.predict(small_clip, **inputs)
    assert status == 422
    assert {entry["loc"][-1] for entry in body["detail"]} == {name}
    server.works()
    assert bare_server.refuses(small_clip, **inputs).startswith(f"InvalidRequest: {name}: ")


def test_a_missing_input_is_named(server: Server, bare_server: Server, small_clip: Path) -> None:
    status, body = server.send({"click_coordinates": CLICK})
    assert (status, body["detail"][0]["loc"][-1]) == (422, "video")
    assert refusal(bare_server.send({"click_coordinates": CLICK})) == CLOSED
    assert refusal(bare_server.send({"video": str(small_clip)})).startswith("InvalidRequest: click_coordinates: ")


def test_an_unknown_input_is_passed_over(server: Server) -> None:
    assert server.predict(server.tiny, click_coordinates="[8,8]", colour="pink")[1]["status"] == "succeeded"


BODIES = [b"", b"{", b"[]", b"null", b'"text"', b'{"input": []}', b"\xff\xfe", b"[" * 100_000]
NUMBERS = ['{"input": {"output_quality": 1e400}}', '{"input": {"click_object_ids": "\\ud800"}}']
"""A number beyond all bounds, and half of a pair of surrogates."""


@pytest.mark.parametrize("body", [*BODIES, *(text.encode() for text in NUMBERS)])
def test_a_body_that_is_no_request_is_refused_by_cog(server: Server, body: bytes) -> None:
    assert 400 <= server.patiently(lambda: server.call("/predictions", body)[0], lambda status: status != 409) < 500
    server.works()


@pytest.mark.parametrize("path", ["/predictions/x/../../y", "/nowhere", "/predictions/none/cancel", "/openapi.json"])
def test_other_addresses_do_no_harm(server: Server, path: str) -> None:
    assert server.call(path, {})[0] in (200, 400, 404, 405, 409, 422)
    server.works()


@pytest.mark.parametrize(
    "video",
    [
        "/etc/passwd",
        str(ROOT / "samples" / "two_birds.mp4"),
        str(ROOT / "samples" / ".." / "predict.py"),
        "/nowhere/clip.mp4",
        "clip.mp4",
        "",
        "file:///etc/passwd",
        "concat:/etc/passwd|/etc/hosts",
        "ftp://example.org/a.mp4",
        "A" * 100_000,
        "/proc/self/environ",
        "a\u0000b",
    ],
    ids=lambda video: video[:30].replace("\0", "0"),
)
def test_files_of_the_server_are_closed_whether_they_exist_or_not(
    server: Server, bare_server: Server, video: str
) -> None:
    assert refusal(server.predict(video)) == CLOSED
    assert refusal(bare_server.predict(video)) == CLOSED


@pytest.mark.parametrize("video", [5, None, [], {"a": 1}, True])
def test_a_video_that_is_no_text_is_refused(server: Server, bare_server: Server, video: object) -> None:
    inputs = {"video": video, "click_coordinates": CLICK}
    assert server.send(inputs)[0] == 422
    assert refusal(bare_server.send(inputs)) == CLOSED


def test_a_link_leads_nowhere_else(server: Server, tmp_path: Path) -> None:
    (tmp_path / "link.mp4").symlink_to(ROOT / "samples" / "two_birds.mp4")
    (tmp_path / "folder").symlink_to(ROOT / "samples")
    for name in ("link.mp4", "folder/two_birds.mp4", "folder", "../../../../../etc/passwd"):
        assert refusal(server.predict(tmp_path / name)) == CLOSED
    server.works()


@pytest.mark.parametrize("url", ["data:,", "data:video/mp4;base64,AAAA", "data:;base64,====", "data:text/html,<b>"])
def test_a_data_url_without_a_video_is_one_sentence(server: Server, url: str) -> None:
    status, body = server.predict(url)
    assert (status, body["status"]) == (200, "failed") and "\n" not in body["error"]
    assert "/tmp" not in json.dumps(body)
    server.works()
