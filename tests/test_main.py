"""The command line: what it writes, and one sentence and an exit code for what it refuses."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import fields
from pathlib import Path
from urllib.parse import quote

import pytest

from sam2_cog import __main__, __version__, pipeline
from sam2_cog.engine import model
from sam2_cog.engine.checkpoints import CHECKPOINTS
from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import CheckpointError
from sam2_cog.media.video import probe
from sam2_cog.request import Request, option
from tests.clips import frame_zip, numbered_frames, write_clip
from tests.program import program

CLICK = ("--click-coordinates", "[30,40]")


@pytest.fixture(autouse=True)
def loaded_once(at_64_pixels: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The names of the models that were asked for; all get the demo model, at 64 pixels."""
    asked: list[str | None] = []

    def load(name: str | None) -> LoadedModel:
        asked.append(name)
        return at_64_pixels

    monkeypatch.setattr(model, "load_model", load)
    return asked


def main(*arguments: object) -> int:
    """The exit code, also where the parser itself ends the program."""
    try:
        return __main__.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        assert isinstance(stop.code, int)
        return stop.code


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence on standard error, without the program's name."""
    assert main(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("sam2-cog: ")
    return line.removeprefix("sam2-cog: ")


def test_it_writes_a_video_and_says_so(
    small_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], loaded_once: list[str | None]
) -> None:
    output = tmp_path / "out.mp4"
    assert main("segment", small_clip, *CLICK, "--output", output, "--model", "demo") == 0
    assert loaded_once == ["demo"]
    assert probe(output).frame_count == 6
    assert capsys.readouterr().out.startswith(f"{output}: 6 frames, 1 objects, ")
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_a_report_lies_beside_the_result_and_the_frames_to_look_at_are_named(
    small_clip: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output, report = tmp_path / "out.mp4", tmp_path / f"report{suffix}"
    assert main("segment", small_clip, *CLICK, "--output", output, "--report", report, "--model", "demo") == 0
    assert sorted(tmp_path.iterdir()) == [output, report]
    if suffix == ".json":
        told = json.loads(report.read_text())
        assert told["model"] == "demo" and [frame["frame"] for frame in told["frames"]] == list(range(6))
        assert told["request"]["click_coordinates"] == CLICK[1] and told["objects"][0]["prompts"][0]["frame"] == 0
    else:
        assert len(report.read_text().splitlines()) == 1 + 6


def test_a_report_that_cannot_be_is_refused(
    small_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, words in (
        ("report.txt", "'report.txt' does not end in .json or .csv"),
        ("no/report.csv", "the folder"),
        ("out.csv", "'out.csv' is the output itself"),
    ):
        given = ("--output-format", "csv", "--output", tmp_path / "out.csv", "--report", tmp_path / name)
        assert main("segment", small_clip, *CLICK, *given, "--model", "demo") == 2
        assert f"report: {words}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_several_paths_are_shots(small_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, given = tmp_path / "out.zip", (*CLICK, "--click-frames", "1:2")
    address = f"file://{quote(str(small_clip))}"
    assert main("segment", small_clip, address, *given, "--output", output, "--model", "demo") == 0
    assert capsys.readouterr().out.startswith(f"{output}: 12 frames, 1 objects, ")
    with zipfile.ZipFile(output) as result:
        assert result.namelist() == [f"{small_clip.stem}.mp4", f"{small_clip.stem}_2.mp4"]
    for path, words in (("", "video: '' is not a file's path"), ("http://a/b.mp4", "video: 'http://a/b.mp4' is an ad")):
        assert refusal(capsys, "segment", small_clip, path, *given, "--output", output).startswith(words)
    found = refusal(capsys, "segment", small_clip, small_clip, *CLICK, "--output", tmp_path / "out.mp4")
    assert found == "output: 'out.mp4' does not end in .zip, which several shots need"


def test_every_input_has_a_flag_that_reaches_the_request(
    small_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "click_coordinates": "[1,2],[3,4]",
        "click_labels": "1,0",
        "click_frames": "2",
        "click_object_ids": "a",
        "click_corrections": "0,1",
        "click_candidates": "2,0",
        "masks": Path("masks.zip"),
        "mask_frames": "0,30",
        "boxes": Path("boxes.csv"),
        "mask_type": "binary",
        "annotation_type": "both",
        "background_color": "#0000ff",
        "output_format": "webp",
        "output_quality": 90,
        "frame_images": "none",
        "start_frame": 2,
        "end_frame": 20,
        "frame_stride": 2,
        "output_frame_interval": 3,
        "video_fps": 29.97,
        "smallest_part": 2.5,
        "propagation": "forward",
    }
    seen: list[Request] = []

    def segment(request: Request, *_: object, **__: object) -> None:
        seen.append(request)
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "segment_video", segment)
    flags = [word for name, value in given.items() for word in ("--" + name.replace("_", "-"), value)]
    assert main("segment", small_clip, *flags, "--separate-objects", "--output", tmp_path / "out.zip") == 130
    assert seen == [Request(small_clip, **given, separate_objects=True)]  # type: ignore[arg-type]
    assert {item.name for item in fields(Request)} == {"video", "separate_objects", *given}


def test_without_flags_the_inputs_have_their_defaults(
    small_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def segment(request: Request, *_: object, **__: object) -> None:
        assert request == Request(small_clip, CLICK[1])
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "segment_video", segment)
    assert main("segment", small_clip, *CLICK, "--output", tmp_path / "out.mp4") == 130


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--click-frames", "6"], "click_frames: point 1 is on frame 6, but the video has frames 0 to 5"),
        (["--click-labels", "0"], "click_labels: "),
        (["--output-quality", "0"], "output_quality: 0 is not allowed, it must be a whole number from 1 to 100"),
        (["--output-quality", "good"], "argument --output-quality: invalid int value: 'good'"),
        (["--video-fps", "nan"], "video_fps: nan is not allowed, it must be a number from 0 to 240"),
        (["--mask-type", "pink"], "argument --mask-type: invalid choice: 'pink'"),
        (
            ["--output-format", "png"],
            "output: 'out.mp4' does not end in .zip, which png needs, or of one image in .png",
        ),
        (["--colour", "pink"], "unrecognized arguments: --colour"),  # from Python 3.12 on pink is a second VIDEO
        (["--model", "huge"], "argument --model: invalid choice: 'huge'"),
    ],
)
def test_a_refused_flag(
    small_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
) -> None:
    output = tmp_path / "out.mp4"
    assert refusal(capsys, "segment", small_clip, *CLICK, "--output", output, *flags).startswith(sentence)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_video_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refusal(capsys, "segment", tmp_path / "none.mp4", *CLICK, "--output", tmp_path / "out.mp4")
    assert "none.mp4" in message and "does not exist" in message


def test_a_missing_flag_is_named(small_clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--output" in refusal(capsys, "segment", small_clip)


def test_without_clicks_and_masks_there_is_nothing_to_follow(
    small_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refusal(capsys, "segment", small_clip, "--output", tmp_path / "out.mp4")
    assert message.startswith("click_coordinates: there is no point, but at least one is needed")


def test_an_output_without_a_folder_is_refused(
    small_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], loaded_once: list[str | None]
) -> None:
    output = tmp_path / "nowhere" / "out.mp4"
    message = refusal(capsys, "segment", small_clip, *CLICK, "--output", output)
    assert message == f"output: the folder '{tmp_path / 'nowhere'}' does not exist"
    assert loaded_once == []  # known before a checkpoint is fetched


def test_the_video_itself_is_never_overwritten(small_clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = small_clip.read_bytes()
    message = refusal(capsys, "segment", small_clip, *CLICK, "--output", small_clip)
    assert message == "output: 'small.mp4' is the video itself, it must be another file"
    assert small_clip.read_bytes() == before


def test_a_checkpoint_that_cannot_be_had_is_a_failure(
    small_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str | None) -> LoadedModel:
        raise CheckpointError("large: no network")

    monkeypatch.setattr(model, "load_model", load)
    assert main("segment", small_clip, *CLICK, "--output", tmp_path / "out.mp4") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "sam2-cog: large: no network"


def test_a_refused_request_loads_no_model(small_clip: Path, tmp_path: Path, loaded_once: list[str | None]) -> None:
    outside = ("--click-coordinates", "[300,400]")
    assert main("segment", small_clip, *outside, "--output", tmp_path / "out.mp4") == 2
    assert loaded_once == []


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(28, "No space left on device", "/tmp/where/scratch"), "scratch: No space left on device"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("out.mp4 cannot be written: it hurts"), "out.mp4 cannot be written: it hurts"),
    ],
)
def test_what_the_system_refuses_is_said_without_its_number(
    small_clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    sentence: str,
) -> None:
    def segment(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(pipeline, "segment_video", segment)
    assert main("segment", small_clip, *CLICK, "--output", tmp_path / "out.mp4") == 1
    assert capsys.readouterr().err == f"sam2-cog: {sentence}\n"


@pytest.mark.parametrize("typed", ["~/small.mp4", "file://{}", "FILE://localhost{}", "file://{}?"])
def test_a_home_folder_and_a_file_address_are_paths(
    small_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    name = tmp_path / ("small é.mp4?" if typed.endswith("?") else "small.mp4")
    name.symlink_to(small_clip)
    typed = typed.format(quote(str(name).rstrip("?")))
    assert main("segment", typed, *CLICK, "--output", "~/out.mp4") == 0
    assert probe(tmp_path / "out.mp4").frame_count == 6


def test_what_is_missing_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "segment").startswith("the following arguments are required: VIDEO, --output;")


@pytest.mark.parametrize(
    "address", ["https://example.org/clip.mp4", "s3://bucket/clip.mp4", "data:video/mp4;base64,AAAA"]
)
def test_an_address_is_refused_with_the_way_out(
    small_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    shown = f"{address!r} is an address, but the command line takes files; "
    rest = f"{shown}fetch it first, for example with 'curl -LO ADDRESS'"
    assert refusal(capsys, "segment", address, *CLICK, "--output", tmp_path / "out.mp4") == f"video: {rest}"
    there = f"output: {shown}copy the result there"
    assert refusal(capsys, "segment", small_clip, *CLICK, "--output", address) == there
    given = ("--masks", address, "--output", tmp_path / "out.mp4")
    assert refusal(capsys, "segment", small_clip, *given) == f"masks: {rest}"


def test_what_a_user_should_know_follows_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = frame_zip(tmp_path / "frames.zip", numbered_frames(3, 96, 64))
    with zipfile.ZipFile(frames, "a") as archive:
        archive.writestr("notes.txt", "x")
    assert main("segment", frames, *CLICK, "--output", tmp_path / "out.mp4") == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{tmp_path / 'out.mp4'}: 3 frames, 1 objects, ")
    assert "video: frames.zip holds 1 other file, which was ignored (notes.txt)" in others


# Signals, to a process of its own


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighty frames: seconds of work."""
    return write_clip(tmp_path_factory.mktemp("long") / "long.mp4", numbered_frames(80, 96, 64))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_leaves_nothing_behind(long_clip: Path, tmp_path: Path, number: signal.Signals) -> None:
    command = ("segment", long_clip, *CLICK, "--model", "demo", "--output", "out.mp4")
    with program(*command, folder=tmp_path, TMPDIR=str(tmp_path)) as it:
        it.until(lambda: any(tmp_path.iterdir()))  # the unfinished result is there: the work has begun
        it.send_signal(number)
        assert (it.wait(), it.output) == (130, "")
        assert it.errors.splitlines()[-1] == "sam2-cog: interrupted, no result was written"
        assert "Traceback" not in it.errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "flags"),
    [
        ("out.mp4", ("--click-frames", "0")),
        ("out.zip", ("--click-frames", "50", "--mask-type", "cutout", "--output-format", "webp")),
    ],
)
def test_killed_at_any_moment_the_same_command_goes_on_to_the_same_bytes(
    long_clip: Path, tmp_path: Path, demo_model: LoadedModel, output: str, flags: tuple[str, ...]
) -> None:
    """SIGKILL, then SIGTERM, then the end; in the backward pass and in the forward one."""
    inputs = {flags[place].removeprefix("--").replace("-", "_"): flags[place + 1] for place in range(0, len(flags), 2)}
    pipeline.segment_video(Request(long_clip, CLICK[1], **inputs), demo_model, tmp_path / f"whole_{output}")  # type: ignore[arg-type]
    folder = tmp_path / "results"
    folder.mkdir()
    state = folder / f".{output}.checkpoint" / "state"
    command = ("segment", long_clip, *CLICK, *flags, "--model", "demo", "--checkpoint", "0.1", "--output", output)
    before, errors = b"", ""
    for number in (signal.SIGKILL, signal.SIGTERM):
        with program(*command, folder=folder, TMPDIR=str(tmp_path)) as it:
            it.until(lambda before=before: state.exists() and state.read_bytes() != before)  # type: ignore[misc]
            time.sleep(random.uniform(0, 0.2))  # it has come a little further
            it.send_signal(number)
            assert it.wait() == (130 if number == signal.SIGTERM else -number), "it was still at work"
            errors = it.errors
        before = state.read_bytes()
    assert re.search(r"the same command goes on after \d+ tracked frames\nsam2-cog: interrupted", errors)
    for part in folder.glob("*.part"):
        os.utime(part, (0, 0))
    with program(*command, folder=folder, TMPDIR=str(tmp_path)) as it:
        assert it.wait() == 0 and "goes on from its checkpoint, with " in it.errors
    assert (folder / output).read_bytes() == (tmp_path / f"whole_{output}").read_bytes()
    assert list(folder.iterdir()) == [folder / output]


@pytest.mark.parametrize(
    ("seconds", "sentence"),
    [
        ("0", "checkpoint: 0 is not allowed, it must be a number of seconds from 0.1 to 86400"),
        ("nan", "checkpoint: nan is not allowed, it must be a number of seconds from 0.1 to 86400"),
        ("often", "argument --checkpoint: invalid float value: 'often'"),
    ],
)
def test_seconds_of_a_checkpoint_that_cannot_be(
    small_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds: str, sentence: str
) -> None:
    output = tmp_path / "out.mp4"
    said = refusal(capsys, "segment", small_clip, *CLICK, "--output", output, "--checkpoint", seconds)
    assert said.startswith(sentence)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("library", ["numpy", "libtorch_cpu"])
def test_an_interrupt_while_the_program_starts_is_one_sentence(tmp_path: Path, small_clip: Path, library: str) -> None:
    command = [sys.executable, "-m", "sam2_cog", "segment", str(small_clip), *CLICK, "--model", "demo"]
    command += ["--output", str(tmp_path / "out.mp4")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while library not in Path(f"/proc/{process.pid}/maps").read_text():  # it is being imported
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert errors.splitlines()[-1] == "sam2-cog: interrupted, no result was written"
    assert "Traceback" not in errors


def test_the_help_explains_every_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("segment", "--help") == 0
    words = " ".join(capsys.readouterr().out.split())
    for item in fields(Request):
        assert " ".join(option(item.name).description.split()) in words
        assert item.name == "video" or f"--{item.name.replace('_', '-')} " in words
    assert "example: " in words


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_help_of_weights_names_every_model(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("weights", "fetch", "--help") == 0
    assert name in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("--version") == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_the_demo_checkpoint_is_verified(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("weights", "verify", "demo") == 0
    assert capsys.readouterr().out.endswith("demo.pt: as published\n")


def test_a_missing_checkpoint_is_not_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM2_WEIGHTS_DIR", str(tmp_path))
    assert main("weights", "verify", "tiny") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "does not exist" in line


def test_the_module_runs_as_a_program(small_clip: Path, tmp_path: Path) -> None:
    """A real process: the log and the refusal go to standard error, and no traceback."""
    command = [sys.executable, "-m", "sam2_cog", "segment", str(small_clip), *CLICK, "--model", "demo"]
    done = subprocess.run([*command, "--output", str(tmp_path / "out.mp4")], capture_output=True, text=True)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert "small.mp4: 6 frames, 96x64, 1 objects" in done.stderr
    refused = subprocess.run([*command, "--output", str(tmp_path / "out.txt")], capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "sam2-cog: output: 'out.txt' does not end in .mp4, which mp4 needs\n"
