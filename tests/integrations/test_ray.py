"""Many clips on the workers of a real Ray: whatever dies, each clip is done once or has its sentence."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sam2_cog.engine.model import load_model
from sam2_cog.fleet.batch import DIED
from sam2_cog.pipeline import segment_video
from sam2_cog.request import Request
from tests.clips import numbered_frames, write_clip
from tests.integrations.processes import peer, wait_for
from tests.integrations.ray_runs import BROKEN, RayRun, alive, descendants, environment, workers_of

Rows = list[dict[str, Any]]
Start = Callable[..., RayRun]
CLIPS = 6
CLICK: dict[str, Any] = {"click_coordinates": "[30,20]", "output_format": "png", "mask_type": "binary"}


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder with a short path, because Ray puts sockets there."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def start(tmp_path: Path, temporary: Path) -> Start:
    def prepared(rows: Rows, *arguments: str, **options: Any) -> RayRun:
        (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return RayRun(tmp_path, temporary, *arguments, **options)

    return prepared


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """Clips of some seconds' work each."""
    for number in range(CLIPS):
        write_clip(tmp_path / f"clip_{number}.mp4", numbered_frames(40 + number, 64, 48))
    return [{"video": f"clip_{number}.mp4", **CLICK} for number in range(CLIPS)]


def test_two_workers_a_killed_one_and_a_killed_driver(
    start: Start, rows: Rows, tmp_path: Path, temporary: Path
) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    outside = {"id": "outside", "video": "clip_0.mp4", **CLICK, "click_coordinates": "[300,20]"}
    run = start([{"video": "broken.mp4", **CLICK}, outside, *rows], "--workers", "2")
    with run.running() as driver:
        run.wait_for("done")
        wait_for(lambda: bool(workers_of(driver)), 60, run.log)
        os.kill(workers_of(driver)[0], signal.SIGKILL)
        run.wait_for("done", 3)
        left = workers_of(driver)
        driver.kill()
        driver.wait()
        done_before = set(run.count("done"))
        wait_for(lambda: not any(map(alive, left)), 60)
    assert "its worker died" in run.log.read_text() and len(list(temporary.iterdir())) == 1, "what was Ray's"

    assert run.finish() == 1
    said = run.log.read_text()
    assert "failed: broken: video: broken.mp4 cannot be read" in said
    assert "failed: outside: click_coordinates: point 1 is at [300, 20]" in said
    assert f"done {CLIPS - len(done_before)}, failed 2, done before {len(done_before)}" in said
    assert not list(temporary.iterdir())
    names = [f"clip_{number}" for number in range(CLIPS)]
    assert run.count("done") == dict.fromkeys(names, 1)
    assert sum(run.count("started")[name] for name in names) <= CLIPS + 3, "one died, and two lost their driver"
    model = load_model("demo", device="cpu")
    for name in names:
        alone = tmp_path / f"alone_{name}.zip"
        segment_video(Request(tmp_path / f"{name}.mp4", **CLICK), model, alone)
        assert (tmp_path / f"out/{name}.zip").read_bytes() == alone.read_bytes()


def test_a_clip_that_kills_its_worker_is_tried_once_more_and_a_stop_leaves_nothing(
    start: Start, rows: Rows, tmp_path: Path, temporary: Path
) -> None:
    """Without --workers there is one worker; where it dies another is started."""
    write_clip(tmp_path / "long.mp4", numbered_frames(400, 64, 48))
    run = start([{"video": "long.mp4", **CLICK}, {"id": "other", "video": "long.mp4", **CLICK}])
    with run.running() as driver:
        for number, name in enumerate(("long", "long", "other"), 1):
            run.wait_for("started", number)
            assert (run.events()[-1]["id"], run.events()[-1]["status"]) == (name, "started")
            wait_for(lambda: bool(workers_of(driver)), 60, run.log)
            if name == "long":
                os.kill(workers_of(driver)[0], signal.SIGKILL)
        processes = descendants(driver.pid)
        driver.send_signal(signal.SIGTERM)
        assert driver.wait(60) == 130
    assert [(event["id"], event["status"], event["attempt"], event["error"]) for event in run.events()] == [
        ("long", "started", 1, ""),
        ("long", "died", 1, ""),
        ("long", "started", 2, ""),
        ("long", "died", 2, ""),
        ("long", "failed", 2, DIED),
        ("other", "started", 1, ""),
        ("other", "stopped", 1, ""),
    ]
    assert run.log.read_text().splitlines() == [
        "long: its worker died",
        "long: its worker died",
        f"long: failed: {DIED}",
        "sam2-cog: interrupted, what is done stays, and the same command goes on from there",
    ]
    wait_for(lambda: not any(map(alive, processes)), 20)
    assert not list(temporary.iterdir()), "Ray's own files are gone"


def test_a_machine_that_goes_is_no_failure_of_its_clip(start: Start, rows: Rows, temporary: Path) -> None:
    command = [str(peer("ray", "python")), str(Path(__file__).with_name("ray_machines.py"))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=os.environ | environment(temporary), **pipes) as cluster:  # type: ignore[call-overload]
        address = cluster.stdout.readline().strip()
        run = start(rows[:2], address)
        with run.running() as driver:
            run.wait_for("started")
            cluster.stdin.write("go\n")
            cluster.stdin.flush()
            assert driver.wait(240) == 0, run.log.read_text()
        cluster.communicate("end\n", timeout=60)
    assert [(event["id"], event["status"], event["attempt"]) for event in run.events()] == [
        ("clip_0", "started", 1),
        ("clip_0", "stopped", 1),
        ("clip_0", "started", 1),
        ("clip_0", "done", 1),
        ("clip_1", "started", 1),
        ("clip_1", "done", 1),
    ]
    assert "its worker went with its machine" in run.log.read_text()


@pytest.mark.parametrize("call", ["load", "run"])
def test_a_worker_that_cannot_be_reached_for_a_while_is_replaced(start: Start, rows: Rows, call: str) -> None:
    """What it was told may be lost, or still be done: so its process ends, and its clip begins anew elsewhere."""
    run = start(rows[:2], program=("tests.integrations.ray_broken_line", call))
    assert run.finish() == 0, run.log.read_text()
    assert BROKEN in run.log.read_text()
    events = [(event["id"], event["status"], event["attempt"]) for event in run.events()]
    lost = [("clip_0", "started", 1), ("clip_0", "stopped", 1)] if call == "run" else []
    done = [(name, what, 1) for name in ("clip_0", "clip_1") for what in ("started", "done")]
    assert events == lost + done
    assert ("clip_0: its worker could not be reached for a while" in run.log.read_text()) == (call == "run")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "auto"])
def test_a_cluster_that_is_not_there_is_said_in_a_sentence(start: Start, rows: Rows, address: str) -> None:
    run = start(rows[:1], address)
    assert run.finish() == 2
    assert f"sam2-cog: ray: there is no cluster at {address!r}: " in run.log.read_text()
    assert "Traceback" not in run.log.read_text()


def test_a_worker_that_cannot_load_its_model_says_why(
    start: Start, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sam2.1_hiera_tiny.pt").write_text("no checkpoint")
    monkeypatch.setenv("SAM2_WEIGHTS_DIR", str(tmp_path))
    run = start(rows[:1], "--model", "tiny")
    assert run.finish() == 1
    (said,) = run.log.read_text().splitlines()
    assert said.startswith("sam2-cog: tiny: the checkpoint") and "delete it to have it fetched again" in said
    assert run.events() == []


def test_a_machine_without_memory_is_said(start: Start, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")  # of all: more than that is in use anywhere
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    run = start(rows[:1])
    assert run.finish() == 1
    assert "3 workers could not start, the last one was ended: its machine has no memory left" in run.log.read_text()
    assert "Traceback" not in run.log.read_text()
