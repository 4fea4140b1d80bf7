"""Picture and sound of a result beside those of its source, over the whole table of clips."""

import json
import subprocess
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from sam2_cog.media.video import part_of, probe
from tests.clip_table import CASES
from tests.clips import numbered_frames, probe_times, write_clip
from tests.outputs.written import copy_clip, spec_for, write

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
def test_picture_and_sound_begin_and_end_where_those_of_the_source_do(
    name: str, tmp_path: Path, table_clip: Callable[[str, Path], Path]
) -> None:
    case, source = CASES[name], table_clip(name, tmp_path)
    result = copy_clip(source, tmp_path / "out.mp4")
    expected = [time / 1000 for time in case.times_ms]
    assert probe_times(result) == pytest.approx(expected, abs=0.001)
    found = spans(result)
    average = (expected[-1] - expected[0]) / max(1, len(expected) - 1) or FRAME
    assert found["video"] == pytest.approx((expected[0], expected[-1] + average), abs=FRAME)
    assert found.get("audio") == (None if case.sound is None else pytest.approx(case.sound, abs=FRAME))
    assert probe(result).has_audio == probe(source).has_audio


RATE, SECONDS = 48_000, 2
SOUNDS = {
    "aac.mp4": ("libx264", "aac"),
    "pcm.mov": ("libx264", "pcm_s16le"),
    "opus.mkv": ("libx264", "libopus"),
    "opus.webm": ("libvpx-vp9", "libopus"),
    "vorbis.webm": ("libvpx", "libvorbis"),
}
STEP = 1024 / RATE
"""Seconds of a frame of AAC. ffmpeg 7 keeps to 1 ms, 5 and 6 to the 7 ms of Opus' lead-in, 4.3 to 18 ms."""


def noisy_clip(path: Path, codec: str, sound_codec: str) -> Path:
    """A clip whose sound is noise, which is nowhere like itself at another time."""
    rng = np.random.default_rng(1)
    spectrum = np.fft.rfft(rng.standard_normal(SECONDS * RATE))
    spectrum[SECONDS * 4000 :] = 0  # above 4 kHz, which codecs keep badly
    noise = np.fft.irfft(spectrum)
    samples = (noise * 0.8 / np.abs(noise).max()).astype(np.float32)
    samples.tofile(path.with_suffix(".f32"))
    sound = ["-f", "f32le", "-ar", str(RATE), "-ac", "1", "-i", str(path.with_suffix(".f32"))]
    silent = write_clip(path.with_suffix(".silent.mkv"), numbered_frames(24 * SECONDS, 64, 48))
    command = ["ffmpeg", "-v", "error", "-i", str(silent), *sound, "-c:v", codec, "-g", "12", "-c:a", sound_codec]
    subprocess.run([*command, "-deadline", "realtime", "-strict", "experimental", str(path)], check=True)
    return path


def heard(path: Path) -> np.ndarray:
    """The first sound of a file from its time 0 on: (samples,) float32."""
    decode = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(path),
        "-map",
        "0:a:0",
        "-ac",
        "1",
        "-ar",
        str(RATE),
        "-f",
        "f32le",
        "-",
    ]
    samples = np.frombuffer(subprocess.run(decode, capture_output=True, check=True).stdout, np.float32)
    entries = ["-show_entries", "frame=best_effort_timestamp_time", "-of", "csv=p=0", "-read_intervals", "%+#4"]
    command = ["ffprobe", "-v", "error", "-select_streams", "a:0", *entries, str(path)]
    first = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()[0].strip(",")
    begins = round(float(first) * RATE)
    return np.concatenate([np.zeros(max(0, begins), np.float32), samples[max(0, -begins) :]])


def lateness(found: np.ndarray, expected: np.ndarray, at: float) -> tuple[float, float]:
    """Seconds by which one sound is later at a time than the other, and how alike the two then are, up to 1."""
    begin, length, reach = round(at * RATE), RATE // 5, RATE // 20
    piece, around = found[begin : begin + length], expected[begin - reach : begin + length + reach]
    likeness = np.correlate(around, piece, "valid")
    best = int(likeness.argmax())
    energy = np.linalg.norm(piece) * np.linalg.norm(around[best : best + length])
    return (reach - best) / RATE, float(likeness[best] / energy)


@pytest.mark.parametrize("name", SOUNDS)
def test_sound_is_in_step_with_the_picture(name: str, tmp_path: Path) -> None:
    """Of the whole clip and of parts of it, in every video: the same sound beside the same frame as in the source."""
    source = noisy_clip(tmp_path / name, *SOUNDS[name])
    whole, sound = probe(source), heard(source)
    for output_format, (start, stop) in product(("mp4", "mov", "webm"), ((0, 48), (21, 48))):
        part = part_of(whole, range(start, stop))
        path = write(spec_for(part, tmp_path / f"{start}.{output_format}"), output_format)
        result, (first, *_) = heard(path), probe_times(path)
        shift = round((probe_times(source)[start] - first) * RATE)
        for at in (0.1, (stop - start) / 24 - 0.3):
            late, likeness = lateness(result, sound[shift:] if shift >= 0 else np.pad(sound, (-shift, 0)), at)
            assert likeness > 0.9 and abs(late) < STEP, (output_format, start, at, late, likeness)
