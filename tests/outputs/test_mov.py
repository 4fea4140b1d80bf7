"""ProRes in MOV: alpha and colours by a plain decode, tags, frame times, sound, sizes."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_cog.media.video import probe
from tests.clips import CARD, LOSSLESS, numbered_frames, probe_times, write_clip
from tests.outputs.written import card_clip, everything, packets, player_frames, soft_masks_of, spec_for, stream, write

CUTOUT: dict[str, Any] = {"mask_type": "cutout"}


@pytest.mark.parametrize("mask_type", ["cutout", "greenscreen"])
def test_a_plain_decode_gives_the_colours(mask_type: Any, tmp_path: Path) -> None:
    info = card_clip(tmp_path)
    path = write(spec_for(info, tmp_path / "out.mov", mask_type=mask_type), "mov", everything)
    centres = np.arange(len(CARD)) * 32 + 16
    seen = player_frames(path)
    assert np.abs(seen[:, 16, centres, :3].astype(int) - CARD).max() <= 2
    assert (seen[..., 3] == 255).all()
    header = stream(path)
    assert (header["codec_name"], header["profile"], header["codec_tag_string"]) == ("prores", "4444", "ap4h")
    for tag in ("color_space", "color_primaries", "color_transfer"):
        assert header[tag] == "bt709"  # of the frames themselves: without it a decode takes BT.601
    assert header["pix_fmt"].startswith("yuva444p" if mask_type == "cutout" else "yuv444p")


def test_alpha_is_the_mask_with_a_soft_edge(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "s.mkv", numbered_frames(4, 161, 121), **LOSSLESS))
    alpha = player_frames(write(spec_for(info, tmp_path / "out.mov", **CUTOUT), "mov", soft_masks_of))[..., 3]
    assert alpha.shape == (4, 121, 161)  # odd sizes stay
    for index, plane in enumerate(alpha):
        union = soft_masks_of(info, index).array().any(axis=0)
        assert (((plane > 127) & union).sum()) / ((plane > 127) | union).sum() >= 0.99
        assert 0.001 < ((plane > 5) & (plane < 250)).mean() < 0.1


def test_binary_is_a_matte_and_quality_sets_the_size(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "s.mkv", numbered_frames(3, 96, 64), **LOSSLESS))
    matte = player_frames(write(spec_for(info, tmp_path / "m.mov", mask_type="binary"), "mov", soft_masks_of))
    for index, picture in enumerate(matte):
        union = soft_masks_of(info, index).array().any(axis=0)
        assert ((picture[..., 0] > 127) == union).mean() > 0.999
    sizes = [
        write(spec_for(info, tmp_path / f"{quality}.mov", quality=quality), "mov").stat().st_size
        for quality in (1, 80, 100)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_times_sound_and_pixels_are_as_in_the_source(tmp_path: Path) -> None:
    times = (0, 33, 34, 70, 500, 540)
    options = ("-aspect", "16/9", "-c:a", "aac")
    source = write_clip(tmp_path / "s.mp4", numbered_frames(6), times_ms=times, audio_seconds=0.6, options=options)
    path = write(spec_for(probe(source), tmp_path / "out.mov", **CUTOUT), "mov", soft_masks_of)
    assert probe_times(path) == pytest.approx(probe_times(source), abs=0.001)
    assert packets(path) == packets(source)
    assert stream(path)["sample_aspect_ratio"] == stream(source)["sample_aspect_ratio"] == "4:3"


@pytest.mark.parametrize(("codec", "kept"), [("pcm_s16le", "pcm_s16le"), ("libopus", "aac")])
def test_sound_that_quicktime_does_not_hold_becomes_aac(codec: str, kept: str, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "s.mkv", numbered_frames(3), audio_seconds=0.3, options=("-c:a", codec))
    assert stream(write(spec_for(probe(source), tmp_path / "out.mov"), "mov"), "a")["codec_name"] == kept


def test_another_rate(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "s.mp4", numbered_frames(4), audio_seconds=0.2))
    path = write(replace(spec_for(info, tmp_path / "out.mov"), frame_interval=2, frame_rate=Fraction(10)), "mov")
    assert probe_times(path) == pytest.approx([0, 0.1], abs=0.001) and not stream(path, "a")
