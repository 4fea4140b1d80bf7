"""ffmpeg and ffprobe within their limits: the real programs, and others in their place that do what a sick one does."""

import fcntl
import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sam2_cog.errors import UnreadableVideo
from sam2_cog.media import ffmpeg_run
from sam2_cog.media.ffmpeg_run import end, running, send, start
from sam2_cog.media.video import probe, read_frames
from tests.clips import LOSSLESS, children, numbered_frames, write_clip

FRAMES = numbered_frames(12)


def read_all(command: list[str], path: Path) -> bytes:
    with running(command, path) as (process, _):
        return bytes(process.stdout.read())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MAX_STALL_SECONDS", "1")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a.mp4").write_bytes(b"content")
    return tmp_path / "a.mp4"


@pytest.fixture
def sink() -> Iterator["subprocess.Popen[bytes]"]:
    """A program that takes nothing from its standard input."""
    process = start(["sleep", "60"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_a_stopped_decoder_is_ended_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.mkv", numbered_frames(40, 640, 480), **LOSSLESS)
    frames = read_frames(probe(path))
    next(frames)
    monkeypatch.setenv("SAM2_MAX_STALL_SECONDS", "1")
    for line in Path("/proc").glob("[0-9]*/stat"):
        name, _, rest = line.read_text().rpartition(")") if line.exists() else ("", "", "")
        if name.endswith("(ffmpeg") and rest.split()[1] == str(os.getpid()):
            os.kill(int(line.parent.name), signal.SIGSTOP)
    words = r"a.mkv could not be decoded further: ffmpeg stood still for 1 seconds \(SAM2_MAX_STALL_SECONDS\)"
    with pytest.raises(UnreadableVideo, match=words):
        list(frames)
    assert children() == []


def test_a_slow_program_is_not_a_stopped_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MAX_STALL_SECONDS", "2")
    assert read_all(["sh", "-c", "for i in 1 2 3 4 5; do sleep 0.5; echo $i; done"], file) == b"1\n2\n3\n4\n5\n"


def test_a_killed_decoder_is_not_the_end_of_the_clip(file: Path) -> None:
    with pytest.raises(UnreadableVideo, match="could not be decoded to its end: sh was ended by SIGKILL"):
        read_all(["sh", "-c", "echo 1; kill -9 $$"], file)


def test_processor_time_is_bounded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MAX_SECONDS", "1")
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with pytest.raises(UnreadableVideo, match=r"more processor time than is allowed \(SAM2_MAX_SECONDS\)"):
        read_all(["sh", "-c", "while :; do :; done"], file)


def test_address_space_and_open_files_are_bounded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MAX_FFMPEG_BYTES", str(1 << 31))
    process = start(["sleep", "60"])
    try:
        for name, most in ((resource.RLIMIT_AS, 1 << 31), (resource.RLIMIT_NOFILE, 64)):
            assert resource.prlimit(process.pid, name) == (most, most)
    finally:
        process.kill()
        process.wait()
    assert resource.getrlimit(resource.RLIMIT_AS)[1] != 1 << 31  # our own stays


def test_an_encoder_that_takes_nothing_more_is_said(sink: "subprocess.Popen[bytes]", impatient: None) -> None:
    with pytest.raises(OSError, match="sleep stood still for 1 seconds"):
        send(sink, bytes(1 << 22))


def test_an_encoder_that_never_ends_is_said(
    sink: "subprocess.Popen[bytes]", impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "wait", lambda timeout: subprocess.Popen.wait(sink, timeout / 20))
    with tempfile.TemporaryFile() as errors, pytest.raises(OSError, match="sleep stood still"):
        end(sink, errors)


def test_a_killed_encoder_is_named_with_the_signal(sink: "subprocess.Popen[bytes]") -> None:
    sink.kill()
    with tempfile.TemporaryFile() as errors, pytest.raises(OSError, match="sleep was ended by SIGKILL"):
        end(sink, errors)


def test_all_that_is_sent_arrives_whatever_the_pipe_takes_at_once(tmp_path: Path) -> None:
    content = np.random.default_rng(0).integers(0, 256, 9_000_001, np.uint8).tobytes()
    with (tmp_path / "out").open("wb") as out:
        process = start(["sh", "-c", "sleep 0.2; cat"], stdin=subprocess.PIPE, stdout=out)
    with tempfile.TemporaryFile() as errors:
        send(process, memoryview(content))
        end(process, errors)
    assert (tmp_path / "out").read_bytes() == content


def test_a_frame_that_grows_within_the_stream_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two transport streams of different sizes, one after the other in one file."""
    small = write_clip(tmp_path / "small.ts", FRAMES, options=("-qp", "0"))
    large = write_clip(tmp_path / "large.ts", numbered_frames(12, 256, 192), options=("-qp", "0"))
    small.write_bytes(small.read_bytes() + large.read_bytes())
    monkeypatch.setenv("SAM2_MAX_VIDEO_PIXELS", str(64 * 48))
    info = probe(small)
    assert info.frame_count <= 12
    assert "a picture of 256x192 has 49152 pixels a frame, but at most 3072 are allowed" in info.notes[0]


def test_every_start_is_within_the_limits() -> None:
    """Files that make video, or read it, start no process in another way."""
    package = Path(ffmpeg_run.__file__).parent.parent
    files = [*package.glob("media/*.py"), *package.glob("outputs/*.py")]
    ways = ("subprocess.Popen(", "subprocess.run(", "subprocess.check", "ffmpeg.probe(", ".run_async(")
    found = {path.name: [way for way in ways if way in path.read_text(encoding="utf-8")] for path in files}
    assert found.pop("ffmpeg_run.py") == ["subprocess.Popen("]
    assert not any(found.values()), found


def test_several_threads_may_start_at_once(file: Path) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(read_all(["cat"], file))) for _ in range(8)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [b"content"] * 8 and time.monotonic() - begin < 60


@pytest.mark.skipif(not hasattr(fcntl, "F_GETPIPE_SZ"), reason="pipes have one size here")
def test_pictures_have_wide_pipes(sink: "subprocess.Popen[bytes]") -> None:
    assert sink.stdin is not None
    assert fcntl.fcntl(sink.stdin, fcntl.F_GETPIPE_SZ) == 1 << 18
