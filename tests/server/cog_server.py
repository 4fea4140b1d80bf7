"""The real Cog server with this project's predictor, and a server of files, uploads and webhooks for it to talk to."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.clips import encode_image, numbered_frames
from tools.cog_schema import schema_of
from tools.serve import container_environment

ROOT = Path(__file__).parent.parent.parent
PATIENCE_SECONDS = 120.0  # the machine may be busy with other things
CLICK = "[30,40]"
Answer = tuple[int, Any]


@dataclass(frozen=True)
class Server:
    """A running server; all that it and its worker write goes to `scratch`, `tiny` is an image that is quickly done."""

    address: str
    scratch: Path
    log: Path
    process: "subprocess.Popen[bytes]"
    tiny: Path

    def call(self, path: str, body: object = None, method: str | None = None, **headers: str) -> Answer:
        """The status and the JSON of an answer; a POST if there is a body."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            self.address + path, data, {"Content-Type": "application/json"} | headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
                return response.status, json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                content = error.read()
            return error.code, json.loads(content) if content.startswith(b"{") else content

    def send(self, inputs: dict[str, Any], **more: Any) -> Answer:
        """One prediction with exactly these inputs; the slot is busy for a moment after the one before."""
        body = {"input": inputs} | more
        return self.patiently(lambda: self.call("/predictions", body), lambda answer: answer[0] != 409)

    def predict(self, video: object, **inputs: Any) -> Answer:
        """One prediction with a click."""
        return self.send({"video": str(video), "click_coordinates": CLICK} | inputs)

    def works(self) -> None:
        """The next request succeeds."""
        status, body = self.predict(self.tiny, click_coordinates="[8,8]", output_format="png")
        assert (status, body.get("status")) == (200, "succeeded"), str(body)[:500]

    def refuses(self, video: object, **inputs: Any) -> str:
        """The sentence of a refusal; nothing is left of it, and the next request succeeds."""
        message = refusal(self.predict(video, **inputs))
        assert self.left_behind() == []
        self.works()
        return message

    def patiently(self, ask: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
        """Ask until the answer is what is waited for."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not done(answer := ask()):
            assert time.monotonic() < end, f"waited {PATIENCE_SECONDS:.0f} s, the last answer was {answer}"
            time.sleep(0.05)
        return answer

    def wait_until_ready(self) -> None:
        """Until setup is complete."""
        self.patiently(self.health, lambda status: status == "READY")

    def health(self) -> str:
        """What the server says of itself."""
        try:
            status = str(self.call("/health-check")[1]["status"])
        except OSError:
            status = "not listening"
        assert self.process.poll() is None and status != "SETUP_FAILED", self.log.read_text()
        return status

    def worker(self) -> int:
        """The process that holds the network."""
        (number,) = (pid for pid, words in processes(self.process.pid) if b"_run_worker" in words)
        return number

    def left_behind(self) -> list[str]:
        """Every file there is of results, or of anything else."""
        return sorted(str(path.relative_to(self.scratch)) for path in self.scratch.rglob("*") if path.is_file())


@contextmanager
def serving(folder: Path, command: list[str], *, with_schema: bool = True, **environment: str) -> Iterator[Server]:
    """Cog's server in a folder of its own; files below the parent of `folder` may be named in requests."""
    scratch = folder / "scratch"
    (folder / ".cog").mkdir(parents=True)
    scratch.mkdir()
    shutil.copy(ROOT / "predict.py", folder)
    if with_schema:
        (folder / ".cog" / "openapi_schema.json").write_text(json.dumps(schema()))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    tiny = folder / "tiny.png"
    tiny.write_bytes(encode_image(numbered_frames(1, 16, 16)[0]))
    given = container_environment() | {
        "COG_PREDICT_TYPE_STUB": "predict.py:Predictor",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # the server starts its worker as `python`
        "PORT": str(port),
        "PYTHONPATH": str(ROOT),
        "SAM2_LOCAL_FILES": str(folder.parent),
        "SAM2_MODEL": "demo",
        "TMPDIR": str(scratch),
    }
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | given | environment, stdout=log, stderr=log, start_new_session=True
        )
    server = Server(f"http://127.0.0.1:{port}", scratch, folder / "log", process, tiny)
    try:
        server.wait_until_ready()
        yield server
    finally:
        for pid, _ in processes(process.pid):
            os.kill(pid, signal.SIGCONT)
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def cog_command(*options: str) -> list[str]:
    """Cog's server as the container starts it, but for strangers on this machine only."""
    return [sys.executable, "-m", "cog.server.http", "--host", "127.0.0.1", *options]


def processes(session: int) -> list[tuple[int, bytes]]:
    """The processes of a session, each with its command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "stat").read_text().rpartition(")")[2].split()
            if int(words[3]) == session and words[0] != "Z":
                found.append((int(path.name), (path / "cmdline").read_bytes()))
        except (OSError, IndexError):
            continue
    return found


def schema() -> dict[str, Any]:
    return schema_of((ROOT / "predict.py").read_text())


def content(answer: Answer, media_type: str) -> bytes:
    """The file in a successful answer."""
    status, body = answer
    assert (status, body["status"], body.get("error")) == (200, "succeeded", None)
    head, _, data = body["output"].partition(",")
    assert head == f"data:{media_type};base64"
    return base64.b64decode(data)


def data_url(path: Path) -> str:
    return f"data:application/octet-stream;base64,{base64.b64encode(path.read_bytes()).decode()}"


def refusal(answer: Answer) -> str:
    """The sentence in an answer that refuses, without the server's own words before it; it names no path."""
    status, body = answer
    assert (status, body["status"]) == (200, "failed"), str(body)[:500]
    assert body.get("output") is None
    message: str = body["error"].removeprefix("Prediction failed: Prediction failed: ")
    assert len(message) < 500
    for text in ("\n", "Traceback", " at 0x", "/tmp", str(ROOT), "/usr"):
        assert text not in message and text not in body["logs"], body
    return message


@dataclass
class Counterpart:
    """Serves files by name, and keeps the bodies of what is PUT or POSTed, by path."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    received: list[tuple[str, bytes]] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)
    """Of the files, those that break off before their end."""


@contextmanager
def counterpart() -> Iterator[Counterpart]:
    """What a client has on its side: see `Counterpart`."""
    running = Counterpart("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = running.files.get(self.path)
            self.send_response(200 if found is not None else 404)
            missing = 100 if self.path in running.cut else 0
            self.send_header("Content-Length", str(len(found or b"") + missing))
            self.end_headers()
            self.wfile.write(found or b"")

        def do_PUT(self) -> None:
            running.received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_PUT

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running.address = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield running
        server.shutdown()
