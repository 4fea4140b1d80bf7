"""Faults of the machine and of the worker: a sentence or an end, and then the service works again."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.clips import numbered_frames, write_clip
from tests.server.cog_server import Answer, Server, cog_command, data_url, processes, refusal, serving


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("long") / "long.mp4", numbered_frames(3000, 32, 32))


@contextmanager
def begun(server: Server, video: Path) -> Iterator[list[Answer]]:
    """A prediction that has begun to write its result; its answer is in the list afterwards."""
    answers: list[Answer] = []

    def ask() -> None:
        try:
            answers.append(server.predict(video, click_coordinates="[10,20]"))
        except OSError:  # the service ended under it
            answers.append((0, None))

    thread = threading.Thread(target=ask)
    thread.start()
    server.patiently(server.left_behind, lambda files: any(file.endswith(".part") for file in files))
    yield answers
    thread.join(120)


def worker_of(server: Server) -> int:
    """The worker's process, of the service that is up now."""
    (number,) = (pid for pid, words in processes(server.process.pid) if b"_run_worker" in words)
    return number


def test_without_its_worker_the_service_ends_with_an_error(tmp_path: Path, long_clip: Path) -> None:
    """As in the container, where nothing of this project starts it again."""
    with serving(tmp_path / "home", cog_command(), SAM2_LOCAL_FILES=str(long_clip.parent)) as server:
        with begun(server, long_clip) as answers:
            os.kill(worker_of(server), signal.SIGKILL)
        assert answers[0][0] in (0, 200)
        if answers[0][0]:
            assert answers[0][1]["error"] == "Worker crashed"
        assert server.process.wait(30) == -signal.SIGKILL
        assert "sam2-cog: the worker has died, so the service ends" in server.log.read_text()
        server.patiently(lambda: processes(server.process.pid), lambda left: not left)


def test_served_by_make_it_comes_back_after_a_kill_and_after_a_hang(tmp_path: Path, long_clip: Path) -> None:
    command = [sys.executable, "-m", "tools.serve"]
    with serving(tmp_path / "home", command, SAM2_LOCAL_FILES=str(tmp_path.parent), SAM2_MAX_SECONDS="7") as server:
        dead = set(server.scratch.iterdir())
        begin = time.monotonic()
        os.kill(worker_of(server), signal.SIGKILL)
        returns(server)
        assert time.monotonic() - begin < 30
        time.sleep(5.1)  # folders so young are left alone
        server.works()
        assert not dead & set(server.scratch.iterdir())
        with begun(server, long_clip):
            os.kill(worker_of(server), signal.SIGSTOP)  # what a call that never returns looks like from outside
        returns(server)
        assert "sam2-cog: the worker hangs, so the service ends" in server.log.read_text()


def returns(server: Server) -> None:
    """The service succeeds again, sooner or later."""

    def ask() -> bool:
        try:
            status, body = server.call(
                "/predictions", {"input": {"video": str(server.tiny), "click_coordinates": "[8,8]"}}
            )
        except OSError:
            return False
        return status == 200 and body["status"] == "succeeded"

    server.patiently(ask, bool)


def test_work_that_takes_too_long_is_a_sentence(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "long.mp4", numbered_frames(3000, 32, 32))
    with serving(tmp_path / "home", cog_command(), SAM2_MAX_SECONDS="3") as server:
        message = refusal(server.predict(clip, click_coordinates="[10,20]"))
        assert "took more than 3 seconds, the most that is allowed (SAM2_MAX_SECONDS), and was stopped" in message
        assert server.left_behind() == []
        server.works()


def test_a_folder_that_a_cleaner_took_is_made_anew(server: Server, small_clip: Path) -> None:
    shutil.rmtree(server.scratch)
    server.works()
    for folder in server.scratch.iterdir():
        shutil.rmtree(folder)
    server.wait_until_ready()
    assert server.predict(data_url(small_clip))[1]["status"] == "succeeded"


def test_a_missing_folder_for_temporary_files_is_said(server: Server) -> None:
    shutil.rmtree(server.scratch)
    server.scratch.write_text("a file in its place")
    server.patiently(server.health, lambda status: status == "UNHEALTHY")
    message = refusal(server.predict(server.tiny, click_coordinates="[8,8]"))
    assert message == "ServiceError: the service failed: its folder for temporary files is missing"
    server.scratch.unlink()
    server.scratch.mkdir()
    server.works()


def test_a_full_disk_is_said(tmp_path: Path, small_clip: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)]).returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        with serving(tmp_path / "home", cog_command(), TMPDIR=str(disk), SAM2_LOCAL_FILES="/") as server:
            filler = disk / "filler"
            for given in ({}, {"output_format": "png"}):
                with suppress(OSError):
                    filler.write_bytes(bytes(300 * 1024))
                message = refusal(server.predict(small_clip, **given))
                assert "No space left on device" in message or "its disk is full" in message
                filler.unlink()
                server.works()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("spare", [0, 1, 2, 3, 5])
def test_without_file_handles_it_says_so(server: Server, small_clip: Path, spare: int) -> None:
    worker = worker_of(server)
    before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    used = len(list(Path(f"/proc/{worker}/fd").iterdir()))
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (used + spare, before[1]))
    try:
        status, body = server.predict(small_clip)
    finally:
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
    if body["status"] == "failed":
        assert "open" in refusal((status, body)) or "Too many open files" in refusal((status, body))
    server.works()
