"""Several doors of one process: started as a user does, answered on each port, stopped by one signal."""

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from sam2_cog.doors import run
from sam2_cog.errors import InvalidRequest
from sam2_cog.http_base.server import listen


def free_port() -> int:
    with listen("127.0.0.1", 0) as listener:
        port: int = listener.getsockname()[1]
        return port


def ask(port: int, path: str, **headers: str) -> dict[str, object]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, object] = json.load(answer)
        return found


def test_one_process_opens_several_doors_and_leaves_nothing_behind(tmp_path: Path) -> None:
    first, second, third = free_port(), free_port(), free_port()
    command = [sys.executable, "-m", "sam2_cog", "label-studio", "--model", "demo", "--host", "0.0.0.0"]
    command += ["--port", str(first), "--with", f"x-anylabeling:{second}", f"ui:{third}"]
    environment = {"SAM2_TOKEN": "secret", "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(4)]
        try:
            assert lines[0].startswith(
                "label-studio: videos come from http://localhost:8080 (LABEL_STUDIO_URL) without a"
            )
            assert lines[1:] == [
                f"label-studio: http://0.0.0.0:{first}, token secret\n",
                f"x-anylabeling: http://0.0.0.0:{second}, token secret\n",
                f"ui: http://0.0.0.0:{third}, token secret\n",
            ]
            assert ask(first, "/health", Token="secret")["status"] == "UP"
            assert ask(second, "/health", Token="secret")["status"] == "healthy"
            assert ask(third, "/api/facts", Token="secret")["model"] == "demo"
            with pytest.raises(urllib.error.HTTPError, match="401"):
                ask(second, "/health")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
        assert "Traceback" not in process.stderr.read()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("sam2-cog")]


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        (["kitchen"], "with: 'kitchen' is not a door, it must be one of ui, label-studio, x-anylabeling"),
        (["label-studio"], "with: the door label-studio is asked for twice"),
        (["x-anylabeling:a"], "with: 'x-anylabeling:a' must name its port as a whole number"),
        (["x-anylabeling:99999"], "port: 99999 is not allowed"),
    ],
)
def test_doors_that_cannot_be_opened_are_refused_before_the_model_is_loaded(others: list[str], sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{sentence}"):
        run("label-studio", "127.0.0.1", 0, others, "no such model")
