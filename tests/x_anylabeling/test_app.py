"""The server over a real socket, with the demo network: what X-AnyLabeling's client gets back."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

from sam2_cog.engine.model import LoadedModel
from sam2_cog.x_anylabeling.app import MODEL_ID, RemoteServer
from tests.clips import numbered_frames
from tests.http_server import Address, running
from tests.x_anylabeling.client import events, init_body, opened, prompt_body

COUNT = 6
FRAMES = numbered_frames(COUNT, 64, 48)
MIDDLE = [(0.5, 0.5)]


@pytest.fixture(scope="module")
def server(demo_model: LoadedModel) -> RemoteServer:
    return RemoteServer(demo_model, 10**6)


@pytest.fixture(scope="module")
def address(server: RemoteServer) -> Iterator[Address]:
    with running(server.application()) as made:
        yield made


@pytest.fixture
def session(address: Address) -> str:
    return opened(address, FRAMES)


def test_the_small_routes(address: Address) -> None:
    assert address.ask("GET", "/health").json["status"] == "healthy"
    models = address.ask("GET", "/v1/models").json
    model = models["data"][MODEL_ID]
    assert models["success"] and model["batch_processing_mode"] == "video"
    assert "button_add_rect" not in {widget["name"] for widget in model["widgets"]}
    body = {"model": MODEL_ID, "image": "data:image/jpeg;base64,", "params": {}}
    assert address.post("/v1/predict", body).json == {"success": True, "data": {"shapes": [], "description": ""}}


def test_the_key_is_the_header_token(demo_model: LoadedModel) -> None:
    with running(RemoteServer(demo_model, 1).application("key")) as shared:
        assert shared.ask("GET", "/v1/models", Token="key").status == 200
        refusal = shared.ask("GET", "/v1/models", Token="wrong")
        assert refusal.status == 401 and refusal.reason.startswith("this server asks for the token")


def test_a_click_shows_polygons_in_pixels(address: Address, session: str) -> None:
    answers = [address.post("/v1/video/prompt", prompt_body(session, 2, MIDDLE)).json for _ in range(2)]
    assert answers[0] == answers[1] and answers[0]["success"]
    data = answers[0]["data"]
    assert (data["frame_index"], data["num_objects"]) == (2, 1) and data["masks"]
    for shape in data["masks"]:
        assert shape["points"][0] == shape["points"][-1] and len(shape["points"]) > 3
        assert all(0 <= x < 64 and 0 <= y < 48 for x, y in shape["points"])


def test_tracking_tells_of_all_frames_before_the_click_too(address: Address, session: str) -> None:
    address.post("/v1/video/prompt", prompt_body(session, 3, MIDDLE))
    started, *progress, completed = events(address, session)
    assert (started["type"], started["total_frames"], completed["type"]) == ("started", COUNT, "completed")
    assert {event["current_frame"] for event in progress} == set(range(COUNT)) and progress[-1]["progress"] == 1
    assert list(completed["results"]) == [str(frame) for frame in range(COUNT)]
    assert completed["results"]["3"]["masks"] and completed["results"]["0"]["masks"]
    assert {shape["group_id"] for frame in completed["results"].values() for shape in frame["masks"]} == {1}
    again = events(address, session)[-1]
    assert again["results"] == completed["results"], "a second run of the same clicks"
    address.post("/v1/video/prompt", prompt_body(session, 0, [(0.25, 0.25)]))
    assert {shape["group_id"] for shape in events(address, session)[-1]["results"]["0"]["masks"]} == {2}


@pytest.mark.parametrize(
    ("span", "frames"),
    [
        ({"start_frame": 2}, [2, 3, 4, 5]),
        ({"start_frame": 3, "end_frame": 4}, [3, 4]),
        ({"start_frame": 0, "end_frame": 1}, [0, 1]),
        ({"end_frame": 2}, [0, 1, 2]),
    ],
)
def test_only_the_range_that_was_asked_for_is_told(
    address: Address, session: str, span: dict[str, int], frames: list[int]
) -> None:
    address.post("/v1/video/prompt", prompt_body(session, 2, MIDDLE))
    *progress, completed = events(address, session, **span)
    assert list(completed["results"]) == [str(frame) for frame in frames]
    assert sorted(event["current_frame"] for event in progress[1:]) == frames


def test_a_client_that_hangs_up_stops_the_work_and_can_go_on(address: Address, server: RemoteServer) -> None:
    session = opened(address, numbered_frames(40, 64, 48))
    address.post("/v1/video/prompt", prompt_body(session, 0, MIDDLE))
    body = json.dumps({"session_id": session, "model": MODEL_ID}).encode()
    with socket.create_connection(("127.0.0.1", address.port)) as client:
        head = f"POST /v1/video/propagate/stream HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        client.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        while b"progress" not in client.recv(1 << 16):
            pass
        busy = address.post("/v1/video/propagate/stream", json.loads(body))
        assert busy.status == 409 and "tracked already" in busy.reason
    clip = server._clips.get(session)
    deadline = time.monotonic() + 20
    while clip.busy.locked():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not clip.finished, "the work was broken off"
    assert len(events(address, session, end_frame=3)[-1]["results"]) == 4


def test_cleanup_closes_the_clip(address: Address, session: str) -> None:
    assert address.ask("POST", f"/v1/video/cleanup/{session}?model={MODEL_ID}").json["success"]
    assert address.ask("POST", f"/v1/video/cleanup/{session}?model={MODEL_ID}").json["success"]
    refusal = address.post("/v1/video/prompt", prompt_body(session, 0, MIDDLE))
    assert (refusal.status, "click again" in refusal.reason) == (404, True)


def test_what_is_wrong_is_said_on_the_status_line(address: Address, session: str) -> None:
    refusals = {
        "the body is longer than 1000000 bytes": ("/v1/video/init", {"frames": "x" * 10**6}),
        "frames: there are none": ("/v1/video/init", init_body(FRAMES[:0])),
        "model: 'sam3' is not allowed": ("/v1/video/init", init_body(FRAMES) | {"model": "sam3"}),
        "this video is no longer open": ("/v1/video/prompt", prompt_body(None, 0, MIDDLE)),
        "frame_index: 6 is not allowed": ("/v1/video/prompt", prompt_body(session, 6, MIDDLE)),
        "text_prompt: ": ("/v1/video/prompt", prompt_body(session, 0, MIDDLE) | {"text_prompt": "dog"}),
        "points: there are none yet": ("/v1/video/propagate/stream", {"model": MODEL_ID, "session_id": session}),
    }
    for sentence, (path, body) in refusals.items():
        refusal = address.post(path, body)
        assert refusal.status in (404, 413, 422) and refusal.reason.startswith(sentence)
    address.post("/v1/video/prompt", prompt_body(session, 0, MIDDLE))
    for span in ({"start_frame": 4, "end_frame": 2}, {"end_frame": COUNT}, {"start_frame": "a"}):
        refusal = address.post("/v1/video/propagate/stream", {"model": MODEL_ID, "session_id": session, **span})
        assert refusal.status == 422 and refusal.reason.startswith("start_frame: ")
