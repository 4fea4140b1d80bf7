"""`sam2-cog batch` and `estimate` as they are called."""

import json
import sys
from pathlib import Path

import pytest

from sam2_cog.__main__ import main
from sam2_cog.fleet.manifest import read_manifest
from tests.clips import numbered_frames, set_rotation, write_clip


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    write_clip(tmp_path / "clip.mp4", numbered_frames(3, 64, 48))
    path = tmp_path / "jobs.csv"
    path.write_text('id,video,click_coordinates\none,clip.mp4,"[30,20]"\ntwo,clip.mp4,"[300,20]"\n')
    return path


def test_exit_codes_say_whether_all_is_done(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["batch", str(manifest), "--output", str(tmp_path / "out"), "--model", "demo"]
    assert main(arguments) == 1
    said = capsys.readouterr().out
    assert "one: 3 frames, 1 objects" in said and "done 1, failed 1, done before 0; 3 frames" in said
    assert "  failed: two: click_coordinates: point 1 is at [300, 20]" in said
    manifest.write_text(manifest.read_text().replace("[300,20]", "[31,20]"))
    assert main(arguments) == 0
    assert main(arguments) == 0
    assert "done 0, failed 0, done before 2" in capsys.readouterr().out


@pytest.mark.usefixtures("without_locks")
def test_a_folder_without_file_locks_is_worked_in_and_that_is_said(
    manifest: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Some network file systems have none; checkpoints of runs are locked, too."""
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:2]))
    command = ["batch", str(manifest), "--output", str(tmp_path / "out"), "--model", "demo", "--checkpoint", "1"]
    assert main(command) == 0
    (said,) = [text for text in caplog.messages if "locks" in text]
    assert said.startswith(f"{tmp_path}/out/status.jsonl: there are no file locks on this volume (No locks available)")


@pytest.mark.parametrize(("place", "reason"), [("file/out", "Not a directory"), ("/proc/out", "No such file")])
def test_a_folder_that_cannot_be_is_said_in_a_sentence(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    assert main(["batch", str(manifest), "--output", str(tmp_path / place), "--model", "demo"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"sam2-cog: output: nothing can be written to the folder '{tmp_path / place}': {reason}")


def test_another_model_gives_other_results(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was tried with `demo` is not taken for done when a real model is asked for."""
    out = tmp_path / "out"
    main(["batch", str(manifest), "--output", str(out), "--model", "demo"])
    text = (out / "status.jsonl").read_text()
    (old,) = {json.loads(line)["digest"] for line in text.splitlines() if json.loads(line)["status"] == "done"}
    assert old in {job.digest for job in read_manifest(manifest, "demo")}
    assert old not in {job.digest for job in read_manifest(manifest, "tiny")}


def test_a_manifest_that_is_refused_starts_nothing(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write_text("video,clicks\nclip.mp4,1\n")
    assert main(["batch", str(manifest), "--output", str(tmp_path / "out")]) == 2
    assert "a column 'clicks'" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_results_go_to_no_file(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(tmp_path / "clip.mp4")
    assert main(["batch", str(manifest), "--output", place, "--model", "demo"]) == 2
    sentence = f"output: {place!r} is a file, but batch writes its results to a folder"
    assert capsys.readouterr().err == f"sam2-cog: {sentence}\n"


@pytest.mark.parametrize("shard", ["2/2", "1", "-1/3", "a/b", "0/0"])
def test_a_shard_that_is_none_is_refused(manifest: Path, shard: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["batch", str(manifest), "--output", "out", f"--shard={shard}"])
    assert ended.value.code == 2 and "is not I/N" in capsys.readouterr().err


def test_shards_write_files_of_their_own(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    codes = {
        main(["batch", str(manifest), "--output", str(out), "--model", "demo", "--shard", f"{i}/2"]) for i in (0, 1)
    }
    assert codes <= {0, 1} and 1 in codes
    assert {path.name for path in out.iterdir()} == {"one.mp4", "status-0-of-2.jsonl", "status-1-of-2.jsonl"}


def test_a_cost_is_read_off_the_headers(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = manifest.read_text().replace('"[300,20]"', '"[30,20],[1,2]"') + 'gone,gone.mp4,"[1,1]"\n'
    manifest.write_text(text)
    assert main(["estimate", str(manifest), "--price-per-hour", "3600", "--fps", "10"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["clips", "2"] and lines[1] == ["frames", "6"] and lines[2] == ["object", "frames", "9"]
    assert lines[4] == ["price", f"{3 / 10 + 3 / 10 * 1.25:.2f}"]
    assert "gone.mp4 does not exist" in " ".join(lines[5])


def test_objects_in_files_cost_too_and_a_turned_clip_is_as_high_as_it_is_shown(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_rotation(write_clip(tmp_path / "turned.mp4", numbered_frames(3, 64, 48)), 90)
    (tmp_path / "boxes.csv").write_text("frame,name,x0,y0,x1,y1\n0,dog,5,5,40,60\n2,cat,5,5,40,60\n")
    manifest.write_text("video,boxes\nturned.mp4,boxes.csv\n")
    assert main(["estimate", str(manifest), "--price-per-hour", "1", "--fps", "10"]) == 0
    assert "object frames 6" in capsys.readouterr().out


def test_workers_are_those_of_ray(
    manifest: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["batch", str(manifest), "--output", "out", "--workers", "2"]
    assert main(arguments) == 2
    assert "--workers needs --ray" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    assert main([*arguments, "--ray"]) == 2
    assert "pip install 'sam2-cog[ray]'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments[:-1], "0"])
    assert "is not a whole number from 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "seconds", "sentence"),
    [
        ("out", "0", "checkpoint: 0 is not allowed, it must be a number of seconds from 0.1 to 86400"),
        ("memory://bucket/out", "60", "checkpoint: it is kept beside the results, which must be in a folder, but "),
    ],
)
def test_a_checkpoint_that_cannot_be_is_refused(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str, seconds: str, sentence: str
) -> None:
    place = output if "://" in output else str(tmp_path / output)
    assert main(["batch", str(manifest), "--output", place, "--checkpoint", seconds]) == 2
    assert capsys.readouterr().err.startswith(f"sam2-cog: {sentence}")
    assert not (tmp_path / "out").exists()
