"""Temporary files: in one folder, made anew when taken away, and cleared of what the dead have left."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from sam2_cog.held import PREFIX
from sam2_cog.service import scratch
from sam2_cog.service.scratch import Scratch

HOLD = "import sys, tempfile, time; tempfile.tempdir = sys.argv[1]; from sam2_cog.service.scratch import Scratch; " + (
    "s = Scratch(); open(str(s.folder()) + '/file', 'w'); print(str(s.folder()), flush=True); time.sleep(60)"
)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "COG_FOLDERS", tmp_path / "coglet")


def test_all_temporary_files_lie_in_it(tmp_path: Path) -> None:
    folder = Scratch().folder()
    assert folder.parent == tmp_path and folder.name.startswith(PREFIX)
    with tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == folder
    assert Path(tempfile.mkdtemp()).parent == folder


def test_taken_away_it_is_made_anew_and_locked_again(tmp_path: Path) -> None:
    own = Scratch()
    own.folder().rmdir()
    assert own.folder().is_dir()
    with tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == own.folder()
    own.clear()
    assert own.folder().is_dir()
    tempfile.tempdir = str(tmp_path)
    Scratch().clear()
    assert own.folder().is_dir()


def test_clear_keeps_one_file_of_its_own(tmp_path: Path) -> None:
    own = Scratch()
    (own.folder() / "folder").mkdir()
    for name in ("video.mp4", "tmpabcvideo.mp4", "folder/a"):
        (own.folder() / name).write_text(name)
    (own.folder() / "link").symlink_to(tmp_path)
    own.clear(keep=[own.folder() / "video.mp4"])
    assert [path.name for path in own.folder().iterdir()] == ["video.mp4"] and tmp_path.is_dir()


def test_what_the_dead_have_left_goes_and_what_the_living_hold_stays(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with other:
        assert other.stdout is not None
        folder = Path(other.stdout.readline().strip())
        own = Scratch()
        own.clear()
        assert (folder / "file").exists()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        own.clear()
        assert not folder.exists()
        assert list(tmp_path.iterdir()) == [own.folder()]


def test_the_folders_of_cog_go_when_they_are_empty_or_as_old_as_a_prediction_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM2_MAX_SECONDS", "1000")
    for name, content, age in (("a", 0, 90), ("b", 1, 90), ("c", 1, 1090), ("d", 0, 10)):
        folder = tmp_path / "coglet" / name
        (folder / "inputs").mkdir(parents=True)
        (folder / "outputs").mkdir()
        if content:
            (folder / "inputs" / "spill.json").write_text("{}")
        os.utime(folder, (time.time() - age,) * 2)
    Scratch().clear()
    assert sorted(path.name for path in (tmp_path / "coglet").iterdir()) == ["b", "d"]
