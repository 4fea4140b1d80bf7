"""Fetching and verifying checkpoints, against a real HTTP server on this machine that has faults on demand."""

import contextlib
import hashlib
import logging
import multiprocessing
import os
import re
import shutil
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sam2_cog.engine import checkpoints
from sam2_cog.engine.checkpoints import (
    CHECKPOINTS,
    Checkpoint,
    Published,
    checkpoint_path,
    chosen_model,
    fetch_checkpoint,
    find_checkpoint,
    verify_checkpoint,
)
from sam2_cog.errors import CheckpointError

CONTENT = bytes(range(256)) * 4000  # 1 MB: several blocks
NAME = "test"


@dataclass
class Site:
    """What the server does; `requests` are the Range headers it has seen ("" for none)."""

    content: bytes = CONTENT
    status: int = 0  # answer with this error
    ranges: bool = True
    range_shift: int = 0  # answer a Range request with another part
    announce: bool = True  # send Content-Length
    cuts: list[int] = field(default_factory=list)  # end the next responses after so many bytes
    delay: float = 0.0  # before the body
    address: str = ""
    requests: list[str] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site, asked = self.site, self.headers.get("Range", "")
        site.requests.append(asked)
        if site.status:
            return self.send_error(site.status)
        start = int(re.findall(r"\d+", asked)[0]) + site.range_shift if asked and site.ranges else 0
        if start >= len(site.content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        body = site.content[start:]
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
        if site.announce:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        time.sleep(site.delay)
        with contextlib.suppress(ConnectionError):  # the client may have enough
            self.wfile.write(body[: site.cuts.pop(0)] if site.cuts else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server, a model `test` whose checkpoint is there, and retries that do not wait."""
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("SiteHandler", (Handler,), {"site": site}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.address = f"http://127.0.0.1:{server.server_address[1]}/test.pt"
    register(monkeypatch, site.address)
    monkeypatch.setattr(checkpoints, "RETRY_PAUSES", (0.0, 0.0))
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


def register(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    published = Published(address, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(CHECKPOINTS, NAME, Checkpoint(NAME, "none/none.yaml", "test.pt", published))


def part_in(folder: Path) -> Path:
    return folder / "test.pt.part"


def assert_only(folder: Path, *names: str) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_the_table_names_the_published_files() -> None:
    assert list(CHECKPOINTS) == ["large", "base_plus", "small", "tiny", "demo"]
    for name in ("large", "base_plus", "small", "tiny"):
        published = CHECKPOINTS[name].published
        assert published is not None
        assert (
            published.address
            == f"https://dl.fbaipublicfiles.com/segment_anything_2/092824/sam2.1_hiera_{name}.pt"
            == checkpoints.BASE_ADDRESS + CHECKPOINTS[name].file
        )
        assert re.fullmatch("[0-9a-f]{64}", published.sha256)
        assert published.size > 150_000_000


def test_the_environment_chooses_model_and_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SAM2_MODEL", raising=False)
    monkeypatch.delenv("SAM2_WEIGHTS_DIR", raising=False)
    tiny = find_checkpoint("tiny")
    assert chosen_model() == "large"
    assert checkpoint_path(tiny) == checkpoints.PROJECT / "weights" / "sam2.1_hiera_tiny.pt"
    monkeypatch.setenv("SAM2_MODEL", "small")
    monkeypatch.setenv("SAM2_WEIGHTS_DIR", str(tmp_path))
    assert chosen_model() == "small"
    assert checkpoint_path(tiny) == tmp_path / "sam2.1_hiera_tiny.pt"
    assert checkpoint_path(tiny, tmp_path / "other") == tmp_path / "other" / "sam2.1_hiera_tiny.pt"


def test_without_the_source_tree_checkpoints_are_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As pip installs the package: nothing is ever written beside it, in `site-packages`."""
    package = tmp_path / "site-packages" / "sam2_cog"
    monkeypatch.setattr(checkpoints, "PACKAGE", package)
    monkeypatch.setattr(checkpoints, "PROJECT", package.parent)
    monkeypatch.delenv("SAM2_WEIGHTS_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    tiny, demo = find_checkpoint("tiny"), find_checkpoint("demo")
    assert checkpoint_path(tiny) == tmp_path / ".cache" / "sam2-cog" / "sam2.1_hiera_tiny.pt"
    assert checkpoint_path(demo) == package / "weights" / "demo.pt"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")  # to be ignored, says the specification
    assert checkpoint_path(tiny).parent == tmp_path / ".cache" / "sam2-cog"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert checkpoint_path(tiny).parent == tmp_path / "cache" / "sam2-cog"
    monkeypatch.setenv("SAM2_WEIGHTS_DIR", "~/mine")
    assert checkpoint_path(tiny).parent == tmp_path / "mine"


def test_without_a_home_folder_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(checkpoints, "PROJECT", tmp_path)
    monkeypatch.delenv("SAM2_WEIGHTS_DIR", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(CheckpointError, match=r"no home folder.*SAM2_WEIGHTS_DIR"):
        verify_checkpoint("tiny")


def test_the_demo_checkpoint_is_found_whatever_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SAM2_WEIGHTS_DIR", str(tmp_path))
    expected = Path(__file__).resolve().parents[2] / "weights" / "demo.pt"
    assert verify_checkpoint("demo") == fetch_checkpoint("demo", tmp_path) == expected


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"^model: 'huge' is not known, it must be one of large, .*, demo$"):
        fetch_checkpoint("huge")


def test_fetches_once_and_then_uses_the_file(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    told: list[tuple[str, int, int]] = []
    path = fetch_checkpoint(NAME, folder, lambda *progress: told.append(progress))
    assert path == folder / "test.pt"
    assert path.read_bytes() == CONTENT
    assert_only(folder, "test.pt")
    assert told == [(NAME, len(CONTENT), len(CONTENT))]
    assert fetch_checkpoint(NAME, folder) == verify_checkpoint(NAME, folder) == path
    assert site.requests == [""]


@pytest.mark.usefixtures("without_locks")
def test_a_folder_without_file_locks_is_fetched_to(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert fetch_checkpoint(NAME, tmp_path).read_bytes() == CONTENT
    assert_only(tmp_path, "test.pt")
    assert f"{part_in(tmp_path)}: there are no file locks on this volume" in caplog.text


def test_progress_counts_up_to_the_size(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "PROGRESS_SECONDS", 0.0)
    site.cuts = [300_000]
    told: list[int] = []
    fetch_checkpoint(NAME, tmp_path, lambda _name, received, _size: told.append(received))
    assert len(told) > 4
    assert told == sorted(told)
    assert 300_000 in told
    assert told[-1] == len(CONTENT)


def test_progress_is_a_log_line(site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fetch_checkpoint(NAME, tmp_path)
    assert caplog.messages == ["test: fetched 1.0 of 1.0 MB (100 %)"]


def test_a_preset_file_needs_no_server_and_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register(monkeypatch, "http://127.0.0.1:9/nobody")
    (tmp_path / "test.pt").write_bytes(CONTENT)
    before = (tmp_path / "test.pt").stat()
    assert fetch_checkpoint(NAME, tmp_path) == tmp_path / "test.pt"
    assert (tmp_path / "test.pt").stat().st_mtime_ns == before.st_mtime_ns
    assert_only(tmp_path, "test.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT[:-1], "has 1023999 bytes, but the published checkpoint has 1024000 bytes"),
        (CONTENT + b"x", "has 1024001 bytes, but the published checkpoint has 1024000 bytes"),
        (b"x" + CONTENT[1:], "has SHA-256 [0-9a-f]{64}, but the published checkpoint has [0-9a-f]{64}"),
        (b"", "has 0 bytes"),
    ],
)
def test_a_preset_file_that_differs_is_refused_and_kept(
    site: Site, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "test.pt"
    path.write_bytes(content)
    for get in (fetch_checkpoint, verify_checkpoint):
        with pytest.raises(CheckpointError, match=f"^test: the checkpoint {path} {message}"):
            get(NAME, tmp_path)
    assert path.read_bytes() == content
    assert site.requests == []


def test_verify_refuses_a_missing_file(site: Site, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"test.pt does not exist; fetch it with .*weights fetch test'$"):
        verify_checkpoint(NAME, tmp_path)
    assert site.requests == []


def test_verify_refuses_a_folder_in_place_of_the_file(site: Site, tmp_path: Path) -> None:
    (tmp_path / "test.pt").mkdir()
    with pytest.raises(CheckpointError, match=r"test\.pt (cannot be read|has \d+ bytes)"):
        verify_checkpoint(NAME, tmp_path)


def test_a_cut_connection_is_continued(site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    site.cuts = [300_000, 400_000]
    assert fetch_checkpoint(NAME, tmp_path).read_bytes() == CONTENT
    assert site.requests == ["", "bytes=300000-", "bytes=700000-"]
    assert "test: the connection ended after 300000 of 1024000 bytes; trying again in 0 s" in caplog.messages


def test_a_cut_without_announced_length_is_noticed(site: Site, tmp_path: Path) -> None:
    site.cuts, site.announce = [300_000], False
    assert fetch_checkpoint(NAME, tmp_path).read_bytes() == CONTENT
    assert site.requests == ["", "bytes=300000-"]


def test_what_arrived_is_kept_for_the_next_call(site: Site, tmp_path: Path) -> None:
    site.cuts = [100_000, 100_000, 100_000]
    with pytest.raises(CheckpointError, match="connection ended after 300000 of 1024000 bytes"):
        fetch_checkpoint(NAME, tmp_path)
    assert_only(tmp_path, "test.pt.part")
    assert fetch_checkpoint(NAME, tmp_path).read_bytes() == CONTENT
    assert site.requests[-1] == "bytes=300000-"
    assert_only(tmp_path, "test.pt")


def test_a_server_that_ignores_range_starts_over(site: Site, tmp_path: Path) -> None:
    part_in(tmp_path).write_bytes(b"stale" * 1000)
    site.ranges = False
    assert fetch_checkpoint(NAME, tmp_path).read_bytes() == CONTENT
    assert site.requests == ["bytes=5000-"]


def test_a_server_that_sends_another_part_starts_over(site: Site, tmp_path: Path) -> None:
    part_in(tmp_path).write_bytes(CONTENT[:5000])
    site.range_shift = 7
    assert fetch_checkpoint(NAME, tmp_path).read_bytes() == CONTENT
    assert site.requests == ["bytes=5000-", ""]


def test_a_part_of_a_longer_file_than_the_servers_starts_over(site: Site, tmp_path: Path) -> None:
    part_in(tmp_path).write_bytes(CONTENT[:900_000])
    site.content = CONTENT[:800_000]
    with pytest.raises(CheckpointError, match="800000 bytes, but the published checkpoint has 1024000 bytes"):
        fetch_checkpoint(NAME, tmp_path)
    assert site.requests == ["bytes=900000-", ""]
    assert_only(tmp_path)


def test_a_part_that_is_too_long_starts_over(site: Site, tmp_path: Path) -> None:
    part_in(tmp_path).write_bytes(CONTENT + b"x")
    assert fetch_checkpoint(NAME, tmp_path).read_bytes() == CONTENT
    assert site.requests == [""]


def test_a_complete_part_is_only_checked(site: Site, tmp_path: Path) -> None:
    part_in(tmp_path).write_bytes(CONTENT)
    assert fetch_checkpoint(NAME, tmp_path).read_bytes() == CONTENT
    assert site.requests == []


def test_a_part_of_another_file_is_refused_and_removed(site: Site, tmp_path: Path) -> None:
    part_in(tmp_path).write_bytes(b"stale")
    with pytest.raises(CheckpointError, match=rf"the file at {site.address} has SHA-256 .*; it was not kept"):
        fetch_checkpoint(NAME, tmp_path)
    assert_only(tmp_path)
    assert fetch_checkpoint(NAME, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("announce", [True, False])
@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT + b"more", b"<html>log in</html>"])
def test_another_file_at_the_address_is_refused(site: Site, tmp_path: Path, content: bytes, announce: bool) -> None:
    site.content, site.announce = content, announce
    with pytest.raises(CheckpointError, match=rf"^test: .*{site.address}.*(1024000 bytes|SHA-256)"):
        fetch_checkpoint(NAME, tmp_path)
    assert not (tmp_path / "test.pt").exists()
    if announce or len(content) >= len(CONTENT):
        assert_only(tmp_path)


def test_an_endless_answer_is_cut_short(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "PROGRESS_SECONDS", 0.0)
    site.content, site.announce = CONTENT * 50, False
    told: list[int] = []
    with pytest.raises(CheckpointError, match="but the published checkpoint has 1024000 bytes; it was not kept"):
        fetch_checkpoint(NAME, tmp_path, lambda _name, received, _size: told.append(received))
    assert max(told) <= len(CONTENT)
    assert_only(tmp_path)


def test_not_found_is_refused_at_once(site: Site, tmp_path: Path) -> None:
    site.status = 404
    with pytest.raises(CheckpointError, match=rf"cannot be fetched from {site.address}: the server answered 404"):
        fetch_checkpoint(NAME, tmp_path)
    assert site.requests == [""]
    assert_only(tmp_path)


def test_a_busy_server_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.status = 503
    with pytest.raises(CheckpointError, match=r"does not exist and cannot be fetched from .*: the server answered 503"):
        fetch_checkpoint(NAME, tmp_path)
    assert site.requests == ["", "", ""]
    assert_only(tmp_path)


def test_a_silent_server_is_given_up(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(checkpoints, "RETRY_PAUSES", ())
    site.delay = 0.5
    with pytest.raises(CheckpointError, match="timed out"):
        fetch_checkpoint(NAME, tmp_path)


def test_no_connection_and_no_such_host_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checkpoints, "RETRY_PAUSES", ())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        addresses = [f"http://127.0.0.1:{free.getsockname()[1]}/a.pt", "http://no-such-host.invalid/a.pt"]
        for address in addresses:
            register(monkeypatch, address)
            with pytest.raises(CheckpointError) as refusal:
                fetch_checkpoint(NAME, tmp_path)
            assert str(refusal.value).startswith(
                f"test: the checkpoint {tmp_path / 'test.pt'} does not exist and cannot be fetched from {address}: "
            )
            assert "\n" not in str(refusal.value)
            assert_only(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_refused(site: Site, tmp_path: Path) -> None:
    part_in(tmp_path).symlink_to("/dev/full")
    with pytest.raises(
        CheckpointError, match=r"^test: cannot write the checkpoint .*test\.pt: No space left on device"
    ):
        fetch_checkpoint(NAME, tmp_path)
    assert_only(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CheckpointError, match="cannot write the checkpoint"):
        fetch_checkpoint(NAME, tmp_path / "file" / "weights")


def fetch_in_process(folder: str) -> bytes:
    return fetch_checkpoint(NAME, folder).read_bytes()


def test_processes_at_once_fetch_once(site: Site, tmp_path: Path) -> None:
    site.delay = 0.3
    with multiprocessing.get_context("fork").Pool(3) as pool:
        results = pool.map(fetch_in_process, [str(tmp_path)] * 3, chunksize=1)
    assert results == [CONTENT] * 3
    assert site.requests == [""]
    assert_only(tmp_path, "test.pt")


def test_the_next_one_takes_over_when_the_first_gives_up(site: Site, tmp_path: Path) -> None:
    """The waiting one finds that its partial file was removed, and begins with a new one."""
    part = part_in(tmp_path)
    with checkpoints._only_writer(part, NAME) as file:
        thread = threading.Thread(target=fetch_checkpoint, args=(NAME, tmp_path))
        thread.start()
        time.sleep(0.2)
        assert site.requests == []
        file.write(b"refused")
        part.unlink()
    thread.join()
    assert (tmp_path / "test.pt").read_bytes() == CONTENT
    assert_only(tmp_path, "test.pt")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=2), ranges=st.booleans(), here=st.integers(0, 1_100_000))
def test_any_cuts_end_in_the_exact_file(site: Site, tmp_path: Path, cuts: list[int], ranges: bool, here: int) -> None:
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    part_in(tmp_path).write_bytes((CONTENT + CONTENT)[:here])
    site.cuts, site.ranges = cuts.copy(), ranges
    assert fetch_checkpoint(NAME, tmp_path).read_bytes() == CONTENT
    assert_only(tmp_path, "test.pt")


def damaged_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> Path:
    content = bytearray((checkpoints.PROJECT / "weights" / "demo.pt").read_bytes())
    if change == "truncated":
        content = content[: len(content) // 2]
    elif change == "altered":
        with zipfile.ZipFile(checkpoints.PROJECT / "weights" / "demo.pt") as archive:
            largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        content[largest.header_offset + largest.file_size // 2] ^= 1
    monkeypatch.setattr(checkpoints, "PROJECT", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    path = tmp_path / "weights" / "demo.pt"
    path.parent.mkdir()
    if change != "missing":
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("truncated", "is not a checkpoint .*restore it from this project"),
        ("altered", "is damaged .*does not match its check sum.*restore it from this project"),
        ("missing", "does not exist; it is part of this project, so restore it from there"),
    ],
)
def test_a_damaged_demo_checkpoint_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, message: str
) -> None:
    path = damaged_demo(tmp_path, monkeypatch, change)
    with pytest.raises(CheckpointError, match=f"^demo: the checkpoint {path} {message}"):
        fetch_checkpoint("demo")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file_is_refused(site: Site, tmp_path: Path) -> None:
    (tmp_path / "test.pt").write_bytes(CONTENT)
    (tmp_path / "test.pt").chmod(0)
    with pytest.raises(CheckpointError, match="cannot be read"):
        verify_checkpoint(NAME, tmp_path)
