"""What a living process holds stays, what a dead one has left goes: with processes that are really killed."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sam2_cog.held import PREFIX, HeldFolder, hold, left_behind, lock_alone, remove_dead_folders

ROOT = Path(__file__).parent.parent
MAKE = "folder = HeldFolder(Path(sys.argv[1])).path; (folder / 'file').touch(); print(folder, flush=True)"
HOLD = "hold(Path(sys.argv[1])); print('held', flush=True)"


@contextmanager
def process(what: str, path: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Another process that does it, and what it says; killed on the way out."""
    code = f"import sys; from pathlib import Path; from sam2_cog.held import HeldFolder, hold; {what}; sys.stdin.read()"
    command = [sys.executable, "-c", code, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen(command, **pipes) as running:  # type: ignore[call-overload]
        try:
            yield running, running.stdout.readline().strip()
        finally:
            running.kill()


def test_a_folder_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    with HeldFolder(tmp_path) as folder:
        (folder / "deep").mkdir()
        assert folder.parent == tmp_path and folder.stat().st_mode & 0o077 == 0
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_has_left_goes_with_the_next_folder(tmp_path: Path) -> None:
    with process(MAKE, tmp_path) as (running, said):
        remove_dead_folders(tmp_path)
        assert (Path(said) / "file").exists(), "its process lives"
        running.kill()
        running.wait()
        assert (Path(said) / "file").exists()
    with HeldFolder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_stays_as_long_as_any_of_several_processes_holds_it(tmp_path: Path) -> None:
    with process(MAKE, tmp_path) as (maker, said), process(HOLD, Path(said)) as (other, _):
        maker.kill()
        maker.wait()
        remove_dead_folders(tmp_path)
        assert (Path(said) / "file").exists()
        other.kill()
        other.wait()
        remove_dead_folders(tmp_path)
        assert not Path(said).exists()


def test_nothing_of_another_name_is_touched(tmp_path: Path) -> None:
    names = ["sam2-cog-results", f"{PREFIX}of-mine", f"{PREFIX}ABCDEFGH", "sam2-cog-ui-abcd1234", "other"]
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / f"{PREFIX}linked12").symlink_to(tmp_path / "other")
    remove_dead_folders(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*names, f"{PREFIX}linked12"}


def test_nothing_of_another_user_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / f"{PREFIX}abcd1234"
    folder.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    remove_dead_folders(tmp_path)
    assert folder.exists()
    monkeypatch.undo()
    remove_dead_folders(tmp_path)
    assert not folder.exists()


def test_a_folder_that_is_swept_before_it_is_locked_is_made_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may come between the two; what is handed out is there, and locked."""
    made: list[Path] = []

    def swept_at_first(**options: object) -> str:
        made.append(Path(make(**options)))  # type: ignore[call-overload]
        if len(made) == 1:
            remove_dead_folders(tmp_path)
            assert not made[0].exists()
        return str(made[-1])

    make = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", swept_at_first)
    with HeldFolder(tmp_path) as folder:
        assert made[1:] == [folder] and folder.is_dir()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_while_somebody_removes_it_nobody_can_hold_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    path.touch() if kind == "file" else path.mkdir()
    with left_behind(path) as dead:
        assert dead
        with pytest.raises(FileNotFoundError):
            hold(path)
    os.close(hold(path))


@pytest.mark.usefixtures("without_locks")
def test_where_there_are_no_locks_nothing_is_taken_for_dead(tmp_path: Path) -> None:
    folder = HeldFolder(tmp_path)
    remove_dead_folders(tmp_path)
    assert folder.path.is_dir()
    folder.close()


@pytest.mark.usefixtures("without_locks")
def test_where_there_are_no_locks_work_goes_on_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("one", "two"):
        with (tmp_path / name).open("wb") as file:
            lock_alone(file, tmp_path / name)
            lock_alone(file, tmp_path / name, wait=True)
    assert caplog.messages == [
        f"{tmp_path}/one: there are no file locks on this volume (No locks available), so see to it that no second run "
        "works in this folder at the same time"
    ]


def test_what_is_locked_alone_is_refused_to_others_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as one, path.open("wb") as other:
        lock_alone(one, path)
        with pytest.raises(BlockingIOError):
            lock_alone(other, path)
        one.close()
        lock_alone(other, path)
