"""Picture and sound of a result beside those of its source, over the whole table of clips."""

import json
import subprocess
from pathlib import Path

import pytest

from sam2_cog.media.video import probe
from tests.clip_table import CASES, Case
from tests.clips import probe_times
from tests.outputs.written import copy_clip

FRAME = 1 / 24  # seconds


def spans(path: Path) -> dict[str, tuple[float, float]]:
    """Seconds from which to which picture and sound of a file are, by kind, as ffprobe says."""
    entries = "stream=codec_type,start_time,duration"
    command = ["ffprobe", "-v", "error", "-show_entries", entries, "-of", "json", str(path)]
    streams = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"]
    found = {}
    for stream in streams:
        start = float(stream["start_time"])
        found[stream["codec_type"]] = (start, start + float(stream["duration"]))
    return found


@pytest.mark.parametrize("name", CASES)
def test_picture_and_sound_begin_and_end_where_those_of_the_source_do(name: str, tmp_path: Path) -> None:
    case: Case = CASES[name]
    source = case.make(tmp_path / case.file)
    result = copy_clip(source, tmp_path / "out.mp4")
    expected = [time / 1000 for time in case.times_ms]
    assert probe_times(result) == pytest.approx(expected, abs=0.001)
    found = spans(result)
    average = (expected[-1] - expected[0]) / max(1, len(expected) - 1) or FRAME
    assert found["video"] == pytest.approx((expected[0], expected[-1] + average), abs=FRAME)
    assert found.get("audio") == (None if case.sound is None else pytest.approx(case.sound, abs=FRAME))
    assert probe(result).has_audio == probe(source).has_audio
