"""The predictor behind the real Cog server, over real HTTP, one server for all tests; and what Cog reads of it."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from sam2_cog.media.video import probe
from sam2_cog.request import Request, option
from tests.clips import numbered_frames, write_clip
from tools.cog_schema import schema_of

ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 120.0  # the machine may be busy with other things
SAID = {"description", "default", "minimum", "maximum", "choices"}
CLICK = "[30,40]"


@dataclass(frozen=True)
class Server:
    """A running server; all that it and its worker write to disk goes to `scratch`."""

    address: str
    scratch: Path

    def call(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> tuple[int, Any]:
        """The status and the JSON of an answer; a POST if there is a body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"} | headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
                return response.status, json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"{}")

    def predict(self, video: object, **inputs: Any) -> tuple[int, Any]:
        """One prediction with a click; the slot is busy for a moment after the one before."""
        body = {"input": {"video": str(video), "click_coordinates": CLICK} | inputs}
        return self.patiently(lambda: self.call("/predictions", body), lambda answer: answer[0] != 409)

    def patiently(self, ask: Any, done: Any) -> Any:
        """Ask until the answer is what is waited for."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not done(answer := ask()):
            assert time.monotonic() < end, f"waited {PATIENCE_SECONDS:.0f} s, the last answer was {answer}"
            time.sleep(0.1)
        return answer

    def left_behind(self) -> list[str]:
        """Every file there is of results, or of anything else."""
        return sorted(str(path.relative_to(self.scratch)) for path in self.scratch.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Cog's server as `make serve` starts it, in a folder of its own for the schema."""
    home, scratch = tmp_path_factory.mktemp("server"), tmp_path_factory.mktemp("scratch")
    shutil.copy(ROOT / "predict.py", home)
    (home / ".cog").mkdir()
    (home / ".cog" / "openapi_schema.json").write_text(json.dumps(schema()))
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        port = probe_socket.getsockname()[1]
    environment = os.environ | {
        "COG_PREDICT_TYPE_STUB": "predict.py:Predictor",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # the server starts its worker as `python`
        "PORT": str(port),
        "PYTHONPATH": str(ROOT),
        "SAM2_MODEL": "demo",
        "TMPDIR": str(scratch),
    }
    command = [sys.executable, "-m", "cog.server.http", "--host", "127.0.0.1"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        running = Server(f"http://127.0.0.1:{port}", scratch)
        running.patiently(lambda: _health(running, process, home / "log"), lambda status: status == "READY")
        yield running
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _health(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> str:
    try:
        status = str(server.call("/health-check")[1]["status"])
    except urllib.error.URLError:
        status = "not listening"
    assert process.poll() is None and status != "SETUP_FAILED", log.read_text()
    return status


def schema() -> dict[str, Any]:
    return schema_of((ROOT / "predict.py").read_text())


def content(answer: tuple[int, Any], media_type: str) -> bytes:
    """The file in a successful answer."""
    status, body = answer
    assert (status, body["status"], body.get("error")) == (200, "succeeded", None)
    head, _, data = body["output"].partition(",")
    assert head == f"data:{media_type};base64"
    return base64.b64decode(data)


def refusal(answer: tuple[int, Any]) -> str:
    """The sentence in an answer that refuses, without the server's own words before it."""
    status, body = answer
    assert (status, body["status"]) == (200, "failed")
    assert body.get("output") is None
    message: str = body["error"]
    assert "\n" not in message and "Traceback" not in message
    return message.removeprefix("Prediction failed: Prediction failed: ")


def test_the_signature_says_what_the_request_says() -> None:
    """Every description, default, choice and bound of the schema, and nothing besides."""
    schemas = schema()["components"]["schemas"]
    said = {}
    for name, properties in schemas["Input"]["properties"].items():
        said[name] = {key: value for key, value in properties.items() if key in SAID}
        if "allOf" in properties:
            said[name]["choices"] = schemas[name]["enum"]
    expected = {}
    for item in fields(Request):
        limits = option(item.name)
        given = (limits.description, item.default, limits.low, limits.high, list(limits.choices))
        keys = ("description", "default", "minimum", "maximum", "choices")
        expected[item.name] = {
            key: value for key, value in zip(keys, given, strict=True) if value not in (MISSING, None, [])
        }
    assert said == expected
    assert list(said) == [item.name for item in fields(Request)]
    assert schemas["Input"]["required"] == ["video"]
    assert schemas["Input"]["properties"]["video"]["format"] == "uri"
    assert schemas["Output"]["format"] == "uri"


@pytest.mark.parametrize(
    "said", ["description='a' 'b'", "description=f'a'", "default=A", "choices=('a', 'b')", "ge=1 + 1", "default=-X"]
)
def test_what_cog_would_lose_is_an_error(said: str) -> None:
    source = f"class Predictor:\n    def predict(self, a: str = Input({said})) -> Path: ..."
    with pytest.raises(ValueError, match=f"a: {said.partition('=')[0]} is not a plain literal"):
        schema_of(source)


def test_the_container_is_built_from_what_is_here() -> None:
    config = OmegaConf.load(ROOT / "cog.yaml")
    requirements = (ROOT / "requirements.txt").read_text().split()
    assert config.predict == "predict.py:Predictor"
    assert config.build.gpu is True
    assert (ROOT / config.build.python_requirements).is_file()
    assert f"cog=={config.build.sdk_version}" in requirements
    assert "ffmpeg" in config.build.system_packages


def test_an_answer_is_an_mp4(server: Server, small_clip: Path, tmp_path: Path) -> None:
    answer = server.predict(small_clip)
    path = tmp_path / "answer.mp4"
    path.write_bytes(content(answer, "video/mp4"))
    info = probe(path)
    assert (info.frame_count, info.width, info.height, info.has_audio) == (6, 96, 64, True)


def test_the_logs_hold_progress_and_the_metrics_times(server: Server, small_clip: Path) -> None:
    _, body = server.predict(small_clip, click_coordinates="[30,40],[60,50]")
    assert body["logs"].splitlines()[0] == "small.mp4: 6 frames, 96x64, 2 objects"
    assert "of 7 (100 %)" in body["logs"].splitlines()[-1]  # the prompt frame is read once more
    metrics = body["metrics"]
    assert (metrics["frames"], metrics["objects"]) == (6, 2)
    seconds = [metrics[f"{part}_seconds"] for part in ("decode", "network", "paint", "encode")]
    assert all(value > 0 for value in seconds)
    assert sum(seconds) <= metrics["predict_time"]


def test_an_answer_is_a_zip(server: Server, small_clip: Path) -> None:
    given = {"mask_type": "binary", "output_format": "png", "output_frame_interval": 2}
    data = content(server.predict(small_clip, click_object_ids="dog", **given), "application/zip")
    with zipfile.ZipFile(BytesIO(data)) as archive:
        masks = [f"masks/dog/{frame:05d}.png" for frame in (0, 1, 2)]
        assert sorted(archive.namelist()) == ["manifest.json", *masks]
        assert json.loads(archive.read("manifest.json"))["model"] == "demo"


def test_masks_are_an_optional_file(server: Server, small_clip: Path, tmp_path: Path) -> None:
    given = {"mask_type": "binary", "output_format": "png", "click_object_ids": "card"}
    masks = tmp_path / "masks.zip"
    masks.write_bytes(content(server.predict(small_clip, **given), "application/zip"))
    data = f"data:application/zip;base64,{base64.b64encode(masks.read_bytes()).decode()}"
    again = given | {"click_coordinates": "", "click_object_ids": "", "masks": data, "mask_frames": "0"}
    with zipfile.ZipFile(BytesIO(content(server.predict(small_clip, **again), "application/zip"))) as archive:
        assert [one["name"] for one in json.loads(archive.read("manifest.json"))["objects"]] == ["card"]
    message = refusal(server.predict(small_clip, **again | {"mask_frames": "6"}))
    assert message == "InvalidRequest: mask_frames: it has frame 6, but the video has frames 0 to 5"


def test_a_video_may_come_in_the_request(server: Server, small_clip: Path) -> None:
    data = base64.b64encode(small_clip.read_bytes()).decode()
    assert content(server.predict(f"data:video/mp4;base64,{data}"), "video/mp4")


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"click_frames": "6"}, "InvalidRequest: click_frames: point 1 is on frame 6, but the video has frames 0 to 5"),
        ({"click_labels": "0"}, "InvalidRequest: click_labels: "),
        ({"click_coordinates": "[96,0]"}, "InvalidRequest: click_coordinates: "),
        ({"video": "/nowhere/clip.mp4"}, "UnreadableVideo: "),
        ({"video": str(ROOT / "cog.yaml")}, "UnreadableVideo: "),
        ({"video": "A" * 10_000}, "InvalidRequest: video: "),
        ({"video_fps": 0.001}, "InvalidRequest: video_fps: 0.001 is not allowed, it must be 0 or at least 0.01"),
    ],
)
def test_a_refusal_is_one_sentence_and_the_next_request_works(
    server: Server, small_clip: Path, inputs: dict[str, Any], sentence: str
) -> None:
    assert refusal(server.predict(**{"video": small_clip} | inputs)).startswith(sentence)
    assert server.left_behind() == []
    assert content(server.predict(small_clip), "video/mp4")


@pytest.mark.parametrize(
    ("inputs", "name"),
    [
        ({"click_coordinates": 5}, "click_coordinates"),
        ({"mask_type": "pink"}, "mask_type"),
        ({"output_quality": 101}, "output_quality"),
        ({"output_frame_interval": None}, "output_frame_interval"),
        ({"video_fps": "fast"}, "video_fps"),
    ],
)
def test_the_server_itself_refuses_what_the_schema_forbids(
    server: Server, small_clip: Path, inputs: dict[str, Any], name: str
) -> None:
    status, body = server.predict(small_clip, **inputs)
    assert status == 422
    assert [entry["loc"][-1] for entry in body["detail"]] == [name]


def test_a_missing_input_is_named(server: Server) -> None:
    status, body = server.call("/predictions", {"input": {"click_coordinates": CLICK}})
    assert status == 422
    assert body["detail"][0]["loc"][-1] == "video"


def test_an_unknown_input_is_passed_over(server: Server, small_clip: Path) -> None:
    assert content(server.predict(small_clip, colour="pink"), "video/mp4")


def test_only_the_last_result_is_kept(server: Server, small_clip: Path) -> None:
    for _ in range(2):
        content(server.predict(small_clip), "video/mp4")
        (left,) = server.left_behind()
        assert left.endswith("/output.mp4")


def test_a_cancel_frees_the_slot_and_leaves_nothing(server: Server, small_clip: Path, tmp_path: Path) -> None:
    """The video is so long that the next request is answered in time only if the first was really stopped."""
    long_clip = write_clip(tmp_path / "long.mp4", numbered_frames(3000, 32, 32))
    body = {"id": "long", "input": {"video": str(long_clip), "click_coordinates": "[10,20]"}}
    start = lambda: server.call("/predictions", body, Prefer="respond-async")  # noqa: E731
    assert server.patiently(start, lambda answer: answer[0] != 409)[0] == 202
    server.patiently(server.left_behind, lambda files: any(name.endswith(".part") for name in files))
    assert server.call("/predictions/long/cancel", {})[0] == 200
    begin = time.monotonic()
    server.patiently(server.left_behind, lambda files: files == [])
    assert content(server.predict(small_clip), "video/mp4")
    assert time.monotonic() - begin < 30
