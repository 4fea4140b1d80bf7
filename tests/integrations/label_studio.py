"""A real Label Studio, headless, and what these tests ask of its API."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import requests

from tests.integrations.processes import CLIP, answers, end, peer, spawn, wait_for
from tests.test_doors import free_port

Json = dict[str, Any]

EMAIL, PASSWORD = "me@example.com", "pass-12345"
LEGACY = "0123456789abcdef0123456789abcdef01234567"
CONFIG = """
<View>
  <Labels name="birds" toName="clip" allowEmpty="true">
    <Label value="Red" background="#d62728"/><Label value="Blue" background="#1f77b4"/>
  </Labels>
  <Video name="clip" value="$video" framerate="{rate}" height="500"/>
  <VideoRectangle name="boxes" toName="clip" smart="true"/>
</View>
"""
WIDTH, HEIGHT, FRAMES, RATE = 640, 360, 120, 24
RED, BLUE = (13, 186, 146, 256), (502, 63, 624, 131)
"""Boxes around the two birds on the first frame."""


@dataclass
class Studio:
    """A running Label Studio."""

    url: str
    folder: Path

    @property
    def media(self) -> Path:
        """The folder of which it serves local files."""
        return self.folder / "media"

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """One call of the API, which must work."""
        answer = requests.request(
            method, self.url + path, headers={"Authorization": f"Token {LEGACY}"}, timeout=180, **options
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    @cached_property
    def personal_token(self) -> str:
        return str(self.ask("POST", "/api/token/")["token"])

    def project(self, rate: float = RATE, clip: Path = CLIP) -> "Project":
        """A project with two labels and one uploaded clip."""
        body = {"title": f"Birds at {rate}", "label_config": CONFIG.format(rate=rate)}
        number = self.ask("POST", "/api/projects", json=body)["id"]
        project = Project(self, number, rate)
        project.upload(clip)
        return project


@dataclass
class Project:
    """One project; its first task is the uploaded clip."""

    studio: Studio
    number: int
    rate: float
    backend: int = 0

    @property
    def frames(self) -> int:
        """How many frames of the birds the editor counts."""
        return round(FRAMES / RATE * self.rate)

    def upload(self, clip: Path) -> None:
        with clip.open("rb") as file:
            path = f"/api/projects/{self.number}/import?commit_to_project=true"
            self.studio.ask("POST", path, files={"video": (clip.name, file)})

    def add(self, address: str) -> None:
        """A task with the address of a video."""
        self.studio.ask("POST", f"/api/projects/{self.number}/import", json=[{"video": address}])

    @property
    def tasks(self) -> list[int]:
        found = self.studio.ask("GET", f"/api/tasks?project={self.number}&page_size=100")["tasks"]
        return sorted(int(task["id"]) for task in found)

    def connect(self, url: str, password: str = "") -> Json:
        """Add an ML backend; what Label Studio says of it."""
        body = {"url": url, "project": self.number, "title": "sam2-cog", "is_interactive": True}
        if password:
            body |= {"auth_method": "BASIC_AUTH", "basic_auth_user": "anyone", "basic_auth_pass": password}
        answer: Json = self.studio.ask("POST", "/api/ml", json=body)
        self.backend = answer["id"]
        return answer

    def interactive(self, *regions: Json, task: int | None = None) -> list[Json]:
        """What the editor gets for these regions."""
        answer = self.asked(*regions, task=task)
        assert "errors" not in answer, answer
        found: list[Json] = answer["data"]["result"]
        return found

    def asked(self, *regions: Json, task: int | None = None) -> Json:
        body = {"task": task or self.tasks[0], "context": {"result": list(regions)}}
        answer: Json = self.studio.ask("POST", f"/api/ml/{self.backend}/interactive-annotating", json=body)
        return answer

    def submit(self, *regions: Json, task: int | None = None) -> list[Json]:
        """Save an annotation; its regions as the API tells them."""
        number = task or self.tasks[0]
        self.studio.ask("POST", f"/api/tasks/{number}/annotations/", json={"result": list(regions)})
        saved: list[Json] = self.studio.ask("GET", f"/api/tasks/{number}")["annotations"][-1]["result"]
        return saved

    def retrieve(self) -> list[Json]:
        """Retrieve predictions for all tasks, as the Data Manager does; the predictions of the project."""
        body = {"selectedItems": {"all": True, "excluded": []}, "project": str(self.number)}
        path = f"/api/dm/actions?id=retrieve_tasks_predictions&project={self.number}"
        self.studio.ask("POST", path, json=body)
        found: list[Json] = self.studio.ask("GET", f"/api/predictions?project={self.number}")
        return found

    def region(self, box: tuple[int, int, int, int], label: str = "Red", frame: int = 1, name: str = "r1") -> Json:
        """A box drawn on a frame of the editor, in pixels."""
        x0, y0, x1, y1 = box
        item = {"frame": frame, "enabled": True, "rotation": 0, "time": frame / self.rate} | {
            "x": x0 / WIDTH * 100,
            "y": y0 / HEIGHT * 100,
            "width": (x1 - x0) / WIDTH * 100,
            "height": (y1 - y0) / HEIGHT * 100,
        }
        value = {"framesCount": self.frames, "duration": FRAMES / RATE, "sequence": [item], "labels": [label]}
        names = {"from_name": "boxes", "to_name": "clip", "type": "videorectangle", "origin": "manual"}
        return {"id": name, **names, "value": value}


@contextmanager
def label_studio(folder: Path) -> Iterator[Studio]:
    """Start one with an empty database: about two minutes for its migrations."""
    port, log = free_port(), folder / "label-studio.log"
    (folder / "media").mkdir()
    environment = {
        "HOME": str(folder),
        "USE_DEFAULT_BANNED_SUBNETS": "false",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(folder / "media"),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
    }
    command = [str(peer("label-studio", "label-studio")), "start", "--no-browser", "--internal-host", "127.0.0.1"]
    command += ["-p", str(port), "--data-dir", str(folder / "data"), "--username", EMAIL, "--password", PASSWORD]
    command += ["--user-token", LEGACY, "--enable-legacy-api-token"]
    process = spawn(command, log, environment)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(url + "/health"), 600, log)
        yield Studio(url, folder)
    finally:
        end(process)
