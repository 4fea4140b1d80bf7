"""The last frame's end in real MP4 files, as ffmpeg 4.3 leaves it and as it must be."""

import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from sam2_cog.outputs.mp4_ending import end_last_frame
from tests.clips import numbered_frames, probe_times, write_clip


def take_the_end(path: Path, ticks: int) -> None:
    """Take the duration of the last frame, so many ticks, out of all tables: what ffmpeg 4.3 writes."""
    data = bytearray(path.read_bytes())
    times = data.index(b"stts")  # the picture's, which is the first track
    runs = struct.unpack_from(">I", data, times + 8)[0]
    count, duration = struct.unpack_from(">II", data, times + 12 + 8 * (runs - 1))
    assert (count, duration) == (1, ticks), "the last frame must be a run of its own for this"
    struct.pack_into(">I", data, times + 16 + 8 * (runs - 1), 0)
    timescale = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    in_movie = round(ticks / timescale * 1000)
    places = (("mvhd", 20, in_movie), ("tkhd", 24, in_movie), ("elst", 12, in_movie), ("mdhd", 20, ticks))
    for name, place, less in places:
        at = data.index(name.encode()) + place
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] - less)
    path.write_bytes(data)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    options = ("-video_track_timescale", "1000")
    return write_clip(tmp_path / "a.mp4", numbered_frames(5), times_ms=(0, 40, 100, 250, 300), options=options)


def test_a_frame_without_an_end_gets_one(clip: Path) -> None:
    """All tables then say what they said before the end was taken out of them."""
    end_last_frame(clip, Fraction(75, 1000))  # in case that this ffmpeg is such a one
    whole = clip.read_bytes()
    ticks = struct.unpack(">I", whole[whole.index(b"stts") + 12 + 8 * 4 + 4 :][:4])[0]
    take_the_end(clip, ticks)
    assert len(probe_times(clip)) == 4, "the frame is not even shown"
    end_last_frame(clip, Fraction(ticks, 1000))
    assert clip.read_bytes() == whole
    assert probe_times(clip) == pytest.approx([0, 0.04, 0.1, 0.25, 0.3], abs=0.001)


def test_a_frame_that_ends_like_the_others_is_left_alone(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", numbered_frames(5), rate=25, options=("-bf", "0"))
    end_last_frame(path, Fraction(1, 25))  # in case that this ffmpeg is such a one
    before = path.read_bytes()
    end_last_frame(path, Fraction(1, 25))
    assert path.read_bytes() == before


def test_a_frame_that_ends_too_soon_lasts_longer(clip: Path) -> None:
    for milliseconds in (1, 75):
        end_last_frame(clip, Fraction(milliseconds, 1000))
        command = ["ffprobe", "-v", "error", "-show_entries", "stream=duration:format=duration", "-of", "csv=p=0"]
        lengths = subprocess.run([*command, str(clip)], capture_output=True, check=True, text=True).stdout.split()
        assert [float(length) for length in lengths] == pytest.approx([0.3 + milliseconds / 1000] * 2, abs=1e-6)


def test_sound_keeps_its_own_end(tmp_path: Path) -> None:
    options = ("-video_track_timescale", "1000")
    frames = numbered_frames(3)
    path = write_clip(tmp_path / "a.mp4", frames, times_ms=(0, 40, 100), options=options, audio_seconds=1)
    end_last_frame(path, Fraction(1, 20))
    command = [
        "ffprobe",
        "-v",
        "error",
        "-show_entries",
        "stream=duration:format=duration",
        "-of",
        "csv=p=0",
        str(path),
    ]
    lengths = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    assert [float(length) for length in lengths] == pytest.approx([0.15, 1, 1], abs=0.06)
