"""H.264 by a GPU, which no machine of these tests has: with a fake encoder, and without any."""

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_cog.errors import InvalidRequest
from sam2_cog.limits import NVENC
from sam2_cog.media.video import VideoInfo, probe
from sam2_cog.outputs import nvenc
from tests.clips import numbered_frames, probe_times, write_clip
from tests.outputs.written import decoded, packets, spec_for, stream, unpacked, write

FAKE = """#!{python}
# A fake of an ffmpeg with h264_nvenc: libx264 encodes, within the options that h264_nvenc has, and the call is noted.
import os, sys
words = sys.argv[1:]
if "h264_nvenc" in words:
    where = words.index("h264_nvenc")
    options = dict(zip(words, words[1:]))
    assert (options["-c:v"], options["-rc"], options["-bf"]) == ("h264_nvenc", "constqp", "0")
    assert 0 < int(options["-qp"]) <= 51 and "-crf" not in words and "-preset" not in words
    open({notes!r}, "a").write(words[-1] + "\\n")
    words[where] = "libx264"
    del words[words.index("-rc") : words.index("-rc") + 2]
os.execv({ffmpeg!r}, ["ffmpeg", *words])
"""


@pytest.fixture(autouse=True)
def not_tried_before() -> Iterator[None]:
    nvenc.opens.cache_clear()
    yield
    nvenc.opens.cache_clear()


@pytest.fixture
def calls_of_fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fake stands before the real ffmpeg; where it notes the files that it was asked to encode."""
    notes, program = tmp_path / "calls", tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(FAKE.format(python=sys.executable, notes=str(notes), ffmpeg=shutil.which("ffmpeg")))
    program.chmod(0o755)
    notes.touch()
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return notes


CLIPS: dict[str, dict[str, Any]] = {
    "with sound": {"rate": Fraction(30000, 1001), "audio_seconds": 0.5},
    "uneven and late": {"times_ms": (0, 33, 34, 70, 500, 540), "start_ms": 300, "audio_seconds": 1},
}


@pytest.fixture(params=CLIPS)
def clip(request: pytest.FixtureRequest, tmp_path: Path) -> VideoInfo:
    return probe(write_clip(tmp_path / "s.mp4", numbered_frames(6, 161, 97), pix_fmt="yuv444p", **CLIPS[request.param]))


def test_the_fake_gpu_writes_the_same_video(
    clip: VideoInfo, tmp_path: Path, calls_of_fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = write(spec_for(clip, tmp_path / "plain.mp4"))
    assert calls_of_fake.read_text() == ""
    monkeypatch.setenv(NVENC.variable, "1")
    first, second = (write(spec_for(clip, tmp_path / name)) for name in ("1.mp4", "2.mp4"))
    tried, *written = calls_of_fake.read_text().splitlines()
    assert tried == "-" and len(written) == 2  # tried once, by encoding
    assert probe_times(first) == pytest.approx(probe_times(plain), abs=1e-6)
    assert packets(first) == packets(plain) and first.stat().st_size > 0 < second.stat().st_size
    same = ("start_time", "duration", "nb_frames", "sample_aspect_ratio", "pix_fmt", "width", "height", "time_base")
    tags = ("color_space", "color_primaries", "color_transfer", "color_range", "codec_name")
    ours, theirs = stream(first), stream(plain)
    assert {name: ours.get(name) for name in same + tags} == {name: theirs.get(name) for name in same + tags}
    assert np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(decoded(first), decoded(plain), strict=True)]) < 3


def test_an_encoder_that_cannot_be_opened_gives_way_to_libx264(
    clip: VideoInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if nvenc.opens(162, 98):
        pytest.skip("this machine has such a GPU")
    plain = write(spec_for(clip, tmp_path / "plain.mp4")).read_bytes()
    nvenc.opens.cache_clear()
    caplog.clear()
    monkeypatch.setenv(NVENC.variable, "1")
    with caplog.at_level(logging.INFO, "sam2_cog"):
        assert write(spec_for(clip, tmp_path / "asked.mp4")).read_bytes() == plain
        write(spec_for(clip, tmp_path / "again.mp4"))
    (line,) = [record.message for record in caplog.records if NVENC.variable in record.message]
    assert line == "SAM2_NVENC: the GPU's encoder cannot be opened for 162x98: libx264 encodes."


def test_many_videos_at_a_time_do_without(
    clip: VideoInfo, tmp_path: Path, calls_of_fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NVENC.variable, "1")
    unpacked(write(replace(spec_for(clip, tmp_path / "out.zip"), separate_objects=True)))
    assert calls_of_fake.read_text() == ""


def test_another_value_is_refused(clip: VideoInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NVENC.variable, "yes")
    with pytest.raises(InvalidRequest, match=r"^SAM2_NVENC: 'yes' is neither 0 nor 1$"):
        write(spec_for(clip, tmp_path / "asked.mp4"))
