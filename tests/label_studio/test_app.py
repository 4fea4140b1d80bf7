"""The backend over a real socket, with a real clip and the demo network: what Label Studio gets back."""

import base64
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sam2_cog.engine.model import LoadedModel
from sam2_cog.http_base import server
from sam2_cog.label_studio.app import Backend
from sam2_cog.label_studio.regions import STAMP, VOICE
from sam2_cog.label_studio.videos import LabelStudio
from tests.clips import numbered_frames, write_clip
from tests.http_server import Address, Answer, running
from tests.label_studio.editor import CONFIG, Json, key, predict_body, region
from tests.label_studio.file_server import FileServer, file_server

FRAMES = 5
CLIP = "/data/upload/1/clip.mp4"
BOX = (10.0, 10.0, 50.0, 60.0)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    path = write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", numbered_frames(FRAMES, 64, 48))
    with file_server() as server:
        server.allowed = "Token key"
        server.files = {CLIP: path.read_bytes(), "/data/broken.mp4": b"no video"}
        yield server


@pytest.fixture(scope="module")
def backend(demo_model: LoadedModel, studio: FileServer) -> Backend:
    return Backend(demo_model, LabelStudio(studio.url, "key"), 10**8)


@pytest.fixture(scope="module")
def address(backend: Backend) -> Iterator[Address]:
    with running(backend.application()) as made:
        yield made


def drawn(name: str = "r1", box: tuple[float, ...] = BOX, label: str | None = "Player") -> Json:
    return region(key(2, box), name=name, frames=FRAMES, label=label)


def asked(address: Address, *regions: Json, video: str = CLIP, rate: float = 24) -> list[Json]:
    answer = address.post("/predict", predict_body(video, list(regions), rate=rate))
    assert answer.status == 200
    (entry,) = answer.json["results"]
    found: list[Json] = entry["result"]
    return found


def said(answer: Json) -> str:
    (text,) = answer["meta"]["text"]
    assert text.startswith(VOICE)
    return str(text.removeprefix(VOICE))


def test_the_small_routes(address: Address, backend: Backend) -> None:
    for path in ("/", "/health"):
        assert address.ask("GET", path).json == {"status": "UP", "model_class": "sam2-cog"}
    assert address.ask("GET", "/versions").json == {"versions": [backend.version]}
    assert address.post("/webhook", {"action": "ANNOTATION_CREATED"}).status == 201
    setup = {"project": "1.1795640603", "schema": CONFIG.format(rate=24), "hostname": "http://localhost:8080"}
    assert address.post("/setup", setup).json == {"model_version": backend.version}
    assert "demo" in backend.version


def test_a_config_that_cannot_be_served_is_refused_on_setup(address: Address) -> None:
    refusal = address.post("/setup", {"project": "1.1", "schema": "<View/>"})
    assert refusal.status == 422 and refusal.reason.startswith("the labeling config has no VideoRectangle tag")


def test_the_password_is_the_token(demo_model: LoadedModel) -> None:
    basic = "Basic " + base64.b64encode(b"anyone:secret").decode()
    with running(Backend(demo_model, LabelStudio("http://localhost"), 1).application("secret")) as shared:
        assert shared.ask("GET", "/health").status == 401
        assert shared.ask("GET", "/health", Authorization=basic).status == 200
        assert shared.post("/webhook", {}).status == 401


def test_all_regions_come_back_with_their_labels_and_nothing_else_does(address: Address) -> None:
    other = {"id": "t1", "type": "timelinelabels", "from_name": "times", "value": {}}
    answers = asked(address, drawn(), drawn("r2", (40, 10, 50, 60), "Ball"), drawn("r3", label=None), other)
    assert [(one["id"], one["value"].get("labels")) for one in answers] == [
        ("r1", ["Player"]),
        ("r2", ["Ball"]),
        ("r3", None),
    ]
    for one in answers:
        frames = [item["frame"] for item in one["value"]["sequence"]]
        assert 2 in frames and set(frames) <= set(range(1, FRAMES + 1))
        assert 0 <= one["score"] <= 1


def test_a_second_click_is_answered_from_memory_and_a_correction_is_kept(address: Address, studio: FileServer) -> None:
    first = asked(address, drawn())
    count = len(studio.asked)
    assert asked(address, drawn()) == first
    corrected = first[0]
    corrected["value"]["sequence"].append(key(FRAMES, (20, 20, 50, 60)))
    (again,) = asked(address, corrected)
    own = {item["frame"]: item for item in again["value"]["sequence"] if item[STAMP]["box"] is None}
    assert {frame: (item["x"], item["height"]) for frame, item in own.items()} == {2: (10, 60), FRAMES: (20, 60)}
    assert len(studio.asked) == count, "the video is fetched once"


def test_a_submission_is_answered_with_nothing_at_once(address: Address) -> None:
    begin = time.monotonic()
    assert address.post("/predict", predict_body(CLIP, [])).json["results"][0]["result"] == []
    assert time.monotonic() - begin < 1


def test_a_batch_takes_the_newest_annotation_and_leaves_bare_tasks_alone(address: Address, backend: Backend) -> None:
    body = predict_body(CLIP, annotations=[[drawn("old")], [drawn("new")]])
    skipped = {"id": 9, "result": [drawn("skipped")], "was_cancelled": True, "updated_at": "2026-02-01T00:00:00Z"}
    body["tasks"][0]["annotations"].append(skipped)
    body["tasks"] += [{"id": 5, "data": {"video": CLIP}}, {"id": 6, "data": {"video": CLIP}, "annotations": []}]
    first, *bare = address.post("/predict", body).json["results"]
    assert [one["id"] for one in first["result"]] == ["new"] and bare == [[], []]
    assert first["model_version"] == backend.version and isinstance(first["score"], float)


@pytest.mark.parametrize(
    ("video", "sentence"),
    [
        ("/data/broken.mp4", "video: broken.mp4 cannot be read as a video"),
        ("/data/none.mp4", "video: none.mp4 cannot be fetched, 127.0.0.1:"),
        ("s3://bucket/clip.mp4", "video: 's3://bucket/clip.mp4' cannot be fetched, it must be an upload"),
        ("", "the task has no text under 'video'"),
    ],
)
def test_what_is_wrong_is_the_regions_text(address: Address, backend: Backend, video: str, sentence: str) -> None:
    (answer,) = asked(address, drawn(), video=video)
    assert said(answer).startswith(sentence)
    assert answer["value"] == drawn()["value"]
    (entry,) = address.post("/predict", predict_body(video, annotations=[[drawn()]])).json["results"]
    assert said(entry["result"][0]).startswith(sentence) and entry["model_version"] == backend.version + "-failed"


def test_a_rate_that_is_not_the_clips_is_told(address: Address) -> None:
    (answer,) = asked(address, drawn(), rate=30)
    assert said(answer).startswith("the labeling config plays 30 frames a second, but the video has 24")


def test_bodies_that_are_none_are_refused_in_a_sentence(address: Address) -> None:
    bodies: list[Json] = [{}, {"label_config": "<View/>"}, {"tasks": []}]
    for body in bodies:
        refusal = address.post("/predict", body)
        assert (refusal.status, refusal.json["error"][:19]) == (422, "the labeling config")
    for name, value in (("tasks", "all"), ("tasks", [1]), ("params", [1]), ("params", {"context": {"result": 1}})):
        refusal = address.post("/predict", predict_body(CLIP) | {name: value})
        assert (refusal.status, refusal.json["error"].split(":")[0]) == (422, name)
    odd = predict_body(CLIP, [region()])
    odd["params"]["context"]["result"] = [{"type": "videorectangle", "from_name": "boxes"}, 5, None]
    (answer,) = address.post("/predict", odd).json["results"][0]["result"]
    assert "key frames" in said(answer)


def test_health_answers_while_a_video_is_tracked_and_long_work_says_so(
    demo_model: LoadedModel, studio: FileServer, tmp_path: Path
) -> None:
    long = write_clip(tmp_path / "long.mp4", numbered_frames(24, 64, 48))
    studio.files["/data/long.mp4"] = long.read_bytes()
    impatient = Backend(demo_model, LabelStudio(studio.url, "key"), 10**8, wait=0.2)
    with running(impatient.application()) as address:
        told = []
        thread = threading.Thread(target=lambda: told.extend(asked(address, drawn(), video="/data/long.mp4")))
        thread.start()
        begin = time.monotonic()
        assert address.ask("GET", "/health").status == 200
        assert time.monotonic() - begin < 1
        thread.join()
        assert "ask again in a while to get the boxes" in said(told[0])
        batch = predict_body("/data/long.mp4", annotations=[[drawn()]])
        assert address.post("/predict", batch).json["results"] == [[]], "nothing is stored that is not done"
        deadline = time.monotonic() + 60
        while "meta" in (answer := asked(address, drawn(), video="/data/long.mp4")[0]):
            assert time.monotonic() < deadline
        assert len(answer["value"]["sequence"]) >= 1 and "score" in answer


def test_a_backend_that_is_stopped_says_so_to_who_waits(
    demo_model: LoadedModel, studio: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SECONDS_TO_FINISH", 0.1)
    long = write_clip(tmp_path / "stopped.mp4", numbered_frames(60, 64, 48))
    studio.files["/data/stopped.mp4"] = long.read_bytes()
    answers: list[Answer] = []
    with running(Backend(demo_model, LabelStudio(studio.url, "key"), 10**8).application()) as address:
        body = predict_body("/data/stopped.mp4", [drawn()])
        asking = threading.Thread(target=lambda: answers.append(address.post("/predict", body)))
        asking.start()
        while ("/data/stopped.mp4", "Token key") not in studio.asked:
            time.sleep(0.01)
    asking.join()
    assert (answers[0].status, answers[0].reason) == (503, "the backend was stopped: ask again when it runs")
