"""deploy/replicate/: what sends a manifest, against a stand-in for Replicate, and the workflow that pushes."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from sam2_cog.request import Request
from tests.deploy.fake_replicate import TOKEN, VERSION, FakeReplicate, fake_replicate

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "deploy/replicate"
CLICK = {"click_coordinates": "[30,20]"}
ROWS: list[dict[str, Any]] = [
    {"id": "here", "video": "clip.mp4", **CLICK, "output_format": "png", "output_quality": 80},
    {"id": "there", "video": "https://host/clip.mp4", **CLICK},
    {"id": "outside", "video": "clip.mp4", "click_coordinates": "[300,20]"},
    {"id": "gone", "video": "gone.mp4", **CLICK},
]


@pytest.fixture
def fake() -> Iterator[FakeReplicate]:
    with fake_replicate() as running:
        yield running


def command(folder: Path, model: str = "me/sam2") -> list[str]:
    arguments = [str(folder / "jobs.jsonl"), "--output", str(folder / "out"), "--model", model]
    return [str(FOLDER / "send.py"), *arguments]


def environment(fake: FakeReplicate, token: str = TOKEN) -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "REPLICATE_BASE_URL": fake.address, "REPLICATE_API_TOKEN": token}


@contextmanager
def started(fake: FakeReplicate, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The program itself, which is killed at the end."""
    with subprocess.Popen([sys.executable, *command(folder)], env=os.environ | environment(fake)) as process:
        yield process
        process.kill()


@dataclass
class Sending:
    """The program in this process: how it ended, what it said, and for how long it would have slept."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    fake: FakeReplicate
    program: ModuleType
    slept: list[float] = field(default_factory=list)

    def __call__(self, folder: Path, model: str = "me/sam2", token: str = TOKEN) -> tuple[int, str, str]:
        """The exit code, the output and the errors."""
        for name, value in environment(self.fake, token).items():
            self.monkeypatch.setenv(name, value)
        self.monkeypatch.setattr("sys.argv", command(folder, model))
        self.monkeypatch.setattr(self.program, "time", SimpleNamespace(monotonic=time.monotonic, sleep=self._sleep))
        return self.program.main(), *self.capsys.readouterr()

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        time.sleep(min(seconds, 0.01))


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("send", FOLDER / "send.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def send(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake: FakeReplicate, program: ModuleType
) -> Sending:
    return Sending(monkeypatch, capsys, fake, program)


def write(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "clip.mp4").write_bytes(b"a clip")
    (folder / "jobs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_rows_are_sent_and_results_fetched(fake: FakeReplicate, send: Sending, tmp_path: Path) -> None:
    fake.throttled = 7  # more often than an answer is asked for that does not come
    write(tmp_path, ROWS)
    code, output, errors = send(tmp_path)
    assert len([seconds for seconds in send.slept if seconds == 1]) == 7, "429 said it seven times"
    assert code == 1 and "done 2, failed 2, done before 0" in output, errors
    assert "outside: failed: click_coordinates: point 1 is at [300, 20]" in output
    assert "gone: failed: " in output and "gone.mp4" in output
    assert list(fake.predictions.values())[:2] == [
        {"video": f"{fake.address}/v1/files/file0", **CLICK, "output_format": "png"},
        {"video": "https://host/clip.mp4", **CLICK},
    ], "what is the default is not sent, and an address is passed on"
    assert b"a clip" in fake.files["file0"] and b'filename="clip.mp4"' in fake.files["file0"]
    assert (tmp_path / "out/here.zip").read_text() == "result of /results/prediction0"
    assert (tmp_path / "out/there.mp4").exists() and not list((tmp_path / "out").glob(".*"))
    assert set(fake.looks.values()) == {2}
    assert fake.tokens_at_results == [None, None], "results lie elsewhere, where nobody must see the token"

    write(tmp_path, ROWS[:2])
    code, output, errors = send(tmp_path)
    assert code == 0 and "done 0, failed 0, done before 2" in output, errors
    assert len(fake.predictions) == 3


def test_a_killed_one_asks_after_its_predictions_and_pays_for_none_twice(
    fake: FakeReplicate, send: Sending, tmp_path: Path
) -> None:
    fake.looks_until_done = 10**6
    write(tmp_path, ROWS[:2])
    with started(fake, tmp_path) as process:
        while len(fake.looks) < 2:
            assert process.poll() is None
            time.sleep(0.05)
    fake.looks_until_done = 0
    assert send(tmp_path)[0] == 0
    assert len(fake.predictions) == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"here.zip", "there.mp4", "status.jsonl"}


def test_a_prediction_that_was_deleted_has_failed_and_is_sent_anew(
    fake: FakeReplicate, send: Sending, tmp_path: Path
) -> None:
    fake.looks_until_done = 10**6
    write(tmp_path, ROWS[:1])
    with started(fake, tmp_path) as process:
        while not fake.looks:
            assert process.poll() is None
            time.sleep(0.05)
    fake.predictions, fake.looks_until_done = {}, 0
    code, output, _ = send(tmp_path)
    assert code == 1 and "was not fetched within the hour" in output
    assert send(tmp_path)[0] == 0


def test_a_result_is_called_as_the_file_that_it_is(fake: FakeReplicate, send: Sending, tmp_path: Path) -> None:
    """Of one image a picture comes where a clip gives a zip; what follows the name is a signature."""
    fake.suffix = ".jpg?expires=1"
    write(tmp_path, [ROWS[1] | {"output_format": "jpg"}])
    assert send(tmp_path)[0] == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"there.jpg", "status.jsonl"}
    assert "done before 1" in send(tmp_path)[1]


@pytest.mark.parametrize(
    ("model", "token", "said"),
    [
        ("me/sam2", "wrong", "Replicate answers 401: Unauthenticated"),
        ("me/sam2", "", "REPLICATE_API_TOKEN holds no token"),
        ("me/other", TOKEN, "Replicate answers 404: Not found."),
    ],
)
def test_what_is_wrong_with_all_of_it_is_said_once(
    fake: FakeReplicate, send: Sending, tmp_path: Path, model: str, token: str, said: str
) -> None:
    write(tmp_path, ROWS)
    code, _, errors = send(tmp_path, model, token)
    assert (code, errors.count("\n")) == (2, 1) and said in errors
    assert not fake.predictions


def test_a_version_that_is_named_is_the_one(send: Sending, tmp_path: Path) -> None:
    write(tmp_path, ROWS[1:2])
    for version, code in (("other", 1), (VERSION, 0)):
        assert send(tmp_path, f"me/sam2:{version}")[0] == code


def test_the_workflow_calls_what_there_is() -> None:
    """The inputs of replicate/setup-cog@v2 are those of its action.yml."""
    workflow = yaml.safe_load((FOLDER / "push.yml").read_text())
    assert set(workflow[True]) == {"push", "workflow_dispatch"}, "YAML reads `on` as true"
    steps = workflow["jobs"]["push"]["steps"]
    (cog,) = [step for step in steps if step.get("uses") == "replicate/setup-cog@v2"]
    assert set(cog["with"]) <= {"token", "cog-version", "install-cuda"} and "token" in cog["with"]
    assert f'sdk_version: "{cog["with"]["cog-version"].removeprefix("v")}"' in (ROOT / "cog.yaml").read_text()
    runs = "\n".join(step.get("run", "") for step in steps)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for called in re.findall(r"make ((?:[a-z]+ ?)+)", runs):
        assert set(called.split()) <= set(targets), called
    assert set(re.findall(r"-i '?(\w+)=", runs)) <= {item.name for item in fields(Request)}
    assert runs.index("make lint") < runs.index("test") < runs.index("cog predict") < runs.index("cog push")
