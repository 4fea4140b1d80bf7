"""JSON lines: a file, and a stream that another program reads while the clip is tracked."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import IO, Any

import pytest
from pycocotools import mask as coco_mask

from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import InvalidRequest, ReaderGone
from sam2_cog.media.video import VideoInfo, read_frames
from sam2_cog.outputs import STANDARD_OUTPUT, OutputSpec, jsonl, output_for
from sam2_cog.pipeline import segment_video
from sam2_cog.request import Request
from tests.clips import numbered_frames, write_clip
from tests.outputs.written import NAMES, shapes_of, spec_for, write
from tests.program import program

CLICK = ("--click-coordinates", "[30,40]", "--model", "demo", "--output-format", "jsonl", "--output", "-")


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[IO[str]]:
    """The other end of what stands in for the standard output."""
    there, here = os.pipe()
    monkeypatch.setattr(jsonl, "_FILE_NUMBER", here)
    with os.fdopen(there) as lines:
        yield lines
        os.close(here)


def stream_spec(clip: VideoInfo) -> OutputSpec:
    return replace(spec_for(clip, STANDARD_OUTPUT), model="demo")


def check(entry: dict[str, Any], clip: VideoInfo) -> None:
    """The line of a frame says all of it."""
    found = shapes_of(clip, entry["frame"])
    assert entry["time_seconds"] == pytest.approx(clip.frame_times[entry["frame"]], abs=1e-5)
    assert [one["name"] for one in entry["objects"]] == list(NAMES)
    for one, mask, score in zip(entry["objects"], found.objects, found.scores, strict=True):
        assert (coco_mask.decode(one["segmentation"]) == mask.full()).all()
        assert one["area"] == mask.area and one["box"] == (list(mask.box) if mask.box else None)
        assert one["visible"] == bool(mask.area) and one["score"] == pytest.approx(float(score), abs=1e-4)


def test_a_file_has_a_header_and_a_line_per_written_frame(dataset_clip: VideoInfo, tmp_path: Path) -> None:
    spec = replace(spec_for(dataset_clip, tmp_path / "out.jsonl"), model="demo", frame_interval=2)
    run, *frames = map(json.loads, write(spec, "jsonl", shapes_of).read_text(encoding="utf-8").splitlines())
    assert run["model"] == "demo" and [one["name"] for one in run["objects"]] == list(NAMES)
    assert run["video"]["name"] == dataset_clip.path.name and "frames" not in run
    assert [entry["frame"] for entry in frames] == [0, 2, 4]
    for entry in frames:
        check(entry, dataset_clip)


def test_a_line_can_be_read_as_soon_as_it_is_written(dataset_clip: VideoInfo, reader: IO[str]) -> None:
    with output_for("jsonl", stream_spec(dataset_clip)) as output:
        assert json.loads(reader.readline())["model"] == "demo"
        for frame in read_frames(dataset_clip):
            output.write(frame, shapes_of(dataset_clip, frame.index))
            check(json.loads(reader.readline()), dataset_clip)


def test_a_reader_that_goes_ends_it(dataset_clip: VideoInfo, reader: IO[str]) -> None:
    with pytest.raises(ReaderGone), output_for("jsonl", stream_spec(dataset_clip)) as output:
        reader.close()
        for frame in read_frames(dataset_clip):
            output.write(frame, shapes_of(dataset_clip, frame.index))


def test_the_first_frame_is_read_before_the_last_is_tracked(
    tmp_path: Path, demo_model: LoadedModel, reader: IO[str]
) -> None:
    done, at_first_frame, lines = [0], [], []

    def read() -> None:
        for line in reader:
            lines.append(line)
            if len(lines) == 2:
                at_first_frame.append(done[0])
            if len(lines) == 41:
                return

    def progress(frames: int, total: int) -> None:
        done[0] = frames

    clip = write_clip(tmp_path / "clip.mp4", numbered_frames(40, 96, 64))
    thread = Thread(target=read)
    thread.start()
    segment_video(Request(clip, "[30,40]", output_format="jsonl"), demo_model, "-", progress)
    thread.join(30)
    print(f"the first line of a frame came after {at_first_frame[0]} of {done[0]} frames")
    assert at_first_frame[0] < done[0] and [json.loads(line)["frame"] for line in lines[1:]] == list(range(40))
    assert list(tmp_path.iterdir()) == [clip]


def test_only_lines_go_to_the_standard_output(small_clip: Path, demo_model: LoadedModel) -> None:
    with pytest.raises(InvalidRequest, match=r"^output: '-' is the standard output, .* jsonl .*, not png$"):
        segment_video(Request(small_clip, "[30,40]", output_format="png"), demo_model, "-")


def test_the_program_writes_nothing_else_there(small_clip: Path, tmp_path: Path) -> None:
    with program("segment", small_clip, *CLICK, "--report", "r.csv", folder=tmp_path) as it:
        assert it.wait() == 0, it.errors
        assert [json.loads(line).get("frame") for line in it.output.splitlines()] == [None, *range(6)]
        assert "-: 6 frames, 1 objects, " in it.errors and (tmp_path / "r.csv").exists()


def test_a_pipe_that_is_closed_ends_the_program_quietly(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "long.mp4", numbered_frames(100, 96, 64))
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "sam2_cog", "segment", str(clip), *CLICK, "--report", str(report)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        assert "objects" in json.loads(process.stdout.readline())
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1
    assert "Traceback" not in said and "sam2-cog:" not in said and "100 of 100" not in said
    assert list(tmp_path.iterdir()) == [clip]
