"""Unfinished files: those of the living stay, those of the dead go."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sam2_cog.media.video import probe, read_frames
from sam2_cog.outputs import output_for
from sam2_cog.outputs.part_file import folder_of, hold, remove_dead_parts
from tests.clips import numbered_frames, write_clip
from tests.outputs.written import masks_of, spec_for


def test_only_a_file_that_nobody_holds_goes(tmp_path: Path) -> None:
    held, dead = (tmp_path / f".sam2-cog-{name}.part" for name in ("held", "dead"))
    others = [tmp_path / ".sam2-cog-own.txt", tmp_path / "video.part"]
    for path in (dead, *others):
        path.touch()
    folder_of(dead).mkdir()
    (folder_of(dead) / "red.mp4").touch()
    lock = hold(held)
    remove_dead_parts(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([held, *others])
    os.close(lock)
    remove_dead_parts(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    part = tmp_path / ".sam2-cog-0.part"
    code = "import os, sys; from pathlib import Path; from sam2_cog.outputs.part_file import hold; "
    code += "file = hold(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(part)], check=False)
    assert part.exists()
    remove_dead_parts(tmp_path)
    assert not part.exists()


@pytest.mark.parametrize("separate", [False, True])
def test_an_output_at_work_is_not_disturbed(tmp_path: Path, separate: bool) -> None:
    info = probe(write_clip(tmp_path / "clip.mp4", numbered_frames(2)))
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / ("out.zip" if separate else "out.mp4")
    with output_for("mp4", spec_for(info, path, separate_objects=separate)) as output:
        before = set(folder.iterdir())
        assert len(before) == 1 + separate
        remove_dead_parts(folder)
        assert set(folder.iterdir()) == before
        for frame in read_frames(info):
            output.write(frame, masks_of(info, frame.index))
    assert list(folder.iterdir()) == [path]


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    remove_dead_parts(tmp_path / "gone")
