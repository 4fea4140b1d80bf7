"""One loaded model that is handed clips from another process; here from this one."""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sam2_cog.fleet.manifest import Job, read_manifest
from sam2_cog.fleet.worker import Worker
from tests.clips import numbered_frames, write_clip

CLICK = {"click_coordinates": "[30,20]", "output_format": "png"}


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)  # a worker sets it for its whole process
    folder = tmp_path / "scratch"
    folder.mkdir()
    yield folder


def jobs(folder: Path, **frames: int) -> tuple[Job, ...]:
    """A job for each name, with so many frames."""
    for name, count in frames.items():
        write_clip(folder / f"{name}.mp4", numbered_frames(count, 64, 48))
    rows = [{"video": f"{name}.mp4", **CLICK} for name in frames]
    (folder / "jobs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_manifest(folder / "jobs.jsonl")


def test_the_next_clip_is_made_ready_meanwhile(tmp_path: Path, scratch: Path) -> None:
    first, second = jobs(tmp_path, one=3, two=4)
    worker = Worker("demo", str(tmp_path / "out"), str(scratch))
    worker.load()
    done = worker.run(first, 1, second)
    assert (done.status, done.frames, done.output) == ("done", 3, "one.zip")
    assert len(list(scratch.iterdir())) == 1, "what was made ready for the second"
    assert worker.run(second, 2, None).attempt == 2
    assert not list(scratch.iterdir())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one.zip", "two.zip"]


def test_stop_breaks_the_clip_off_and_leaves_nothing(tmp_path: Path, scratch: Path) -> None:
    first, second = jobs(tmp_path, long=400, two=4)
    worker = Worker("demo", str(tmp_path / "out"), str(scratch))
    worker.load()
    events = []
    runner = threading.Thread(target=lambda: events.append(worker.run(first, 1, second)))
    runner.start()
    while not list((tmp_path / "out").glob(".*.part")):
        time.sleep(0.01)
    worker.stop()
    runner.join(30)
    assert [(event.id, event.status) for event in events] == [("long", "stopped")]
    assert not list(scratch.iterdir()) and not list((tmp_path / "out").iterdir())
