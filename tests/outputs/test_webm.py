"""VP9 in WebM: alpha by the decoder that reads it, colours, frame times to the millisecond, sound, sizes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_cog.media.video import probe
from tests.clips import CARD, LOSSLESS, numbered_frames, probe_times, write_clip
from tests.outputs.written import card_clip, everything, packets, player_frames, soft_masks_of, spec_for, stream, write

CUTOUT: dict[str, Any] = {"mask_type": "cutout"}
WITH_ALPHA = ("-c:v", "libvpx-vp9")  # ffmpeg's own VP9 decoder leaves alpha out


@pytest.mark.parametrize("mask_type", ["cutout", "greenscreen"])
def test_a_plain_decode_gives_the_colours(mask_type: Any, tmp_path: Path) -> None:
    path = write(spec_for(card_clip(tmp_path), tmp_path / "out.webm", mask_type=mask_type), "webm", everything)
    centres = np.arange(len(CARD)) * 32 + 16
    assert np.abs(player_frames(path)[:, 16, centres, :3].astype(int) - CARD).max() <= 4
    header = stream(path)
    assert (header["codec_name"], header["color_space"], header["color_range"]) == ("vp9", "bt709", "tv")
    assert header.get("tags", {}).get("alpha_mode") == ("1" if mask_type == "cutout" else None)


def test_alpha_is_the_mask_with_a_soft_edge(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "s.mkv", numbered_frames(6, 161, 121), **LOSSLESS))
    path = write(spec_for(info, tmp_path / "out.webm", **CUTOUT), "webm", soft_masks_of)
    alpha = player_frames(path, *WITH_ALPHA)[..., 3]
    assert alpha.shape == (6, 121, 161)  # odd sizes stay
    for index, plane in enumerate(alpha):
        union = soft_masks_of(info, index).array().any(axis=0)
        assert (((plane > 127) & union).sum()) / ((plane > 127) | union).sum() >= 0.99


def test_the_colours_of_the_rim_are_the_pictures_own(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "s.mkv", np.full((2, 121, 161, 3), (30, 180, 60), np.uint8), **LOSSLESS))
    seen = player_frames(write(spec_for(info, tmp_path / "out.webm", **CUTOUT), "webm", soft_masks_of), *WITH_ALPHA)
    assert np.abs(seen[seen[..., 3] > 60][:, :3].astype(int) - (30, 180, 60)).max() <= 6


@pytest.mark.parametrize(("codec", "copied"), [("libopus", True), ("libvorbis", True), ("aac", False)])
def test_times_and_sound_are_the_sources(codec: str, copied: bool, tmp_path: Path) -> None:
    times = (0, 33, 34, 70, 500, 540)
    options = ("-c:a", codec)
    source = write_clip(tmp_path / "s.mkv", numbered_frames(6), times_ms=times, audio_seconds=0.6, options=options)
    path = write(spec_for(probe(source), tmp_path / "out.webm", **CUTOUT), "webm", soft_masks_of)
    assert probe_times(path) == pytest.approx(probe_times(source), abs=0.001)
    before, after = packets(source), packets(path)
    if copied:
        assert [content for _, content in after] == [content for _, content in before]
        assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=0.0075)
    else:
        assert stream(path, "a")["codec_name"] == "opus"


def test_quality_sets_the_size(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "s.mkv", numbered_frames(3, 96, 64), **LOSSLESS))
    sizes = [
        write(spec_for(info, tmp_path / f"{quality}.webm", quality=quality), "webm").stat().st_size
        for quality in (1, 80, 100)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_the_same_frames_are_the_same_bytes(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "s.mkv", numbered_frames(3, 96, 64), **LOSSLESS, audio_seconds=0.1))
    one, other = (write(spec_for(info, tmp_path / f"{name}.webm"), "webm").read_bytes() for name in "ab")
    assert one == other
