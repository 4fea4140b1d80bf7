"""Every format is written in constant memory: four times as many frames take no more."""

import gc
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sam2_cog.media.video import Frame, VideoInfo, probe
from sam2_cog.outputs import OUTPUTS, json_lines, output_for, zip_file
from sam2_cog.outputs.video import VideoOutput
from tests.clips import numbered_frames, write_clip
from tests.outputs.written import soft_masks_of, spec_for

FRAMES = 150
FORMATS = [name for name, kind in OUTPUTS.items() if not issubclass(kind, VideoOutput)] + ["mp4"]


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    return probe(write_clip(tmp_path_factory.mktemp("memory") / "clip.mp4", numbered_frames(2, 32, 24)))


def held(output_format: str, info: VideoInfo, frames: int, path: Path) -> int:
    """Bytes that are held after the last frame, or at most while the file is finished; the masks were there before."""
    clip = replace(info, frame_count=frames, pts=np.arange(frames) * int(info.pts[1]))
    image = np.zeros((24, 32, 3), np.uint8)
    masks = soft_masks_of(info, 0)
    tracemalloc.start()
    with output_for(output_format, spec_for(clip, path)) as output:
        for index in range(frames):
            output.write(Frame(index, index / 24, image), replace(masks, frame_index=index))
        gc.collect()  # Python keeps small tuples for the next ones
        tracemalloc.reset_peak()
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    path.unlink()
    return taken


@pytest.mark.parametrize("output_format", FORMATS)
def test_memory_does_not_grow_with_the_clip(
    output_format: str, info: VideoInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "_IN_MEMORY", 1 << 10)  # what waits is on disk from the beginning
    monkeypatch.setattr(zip_file, "_IN_MEMORY", 1 << 10)
    held(output_format, info, 2, tmp_path / "out")  # what is made once is there
    short, long = (held(output_format, info, frames, tmp_path / "out") for frames in (FRAMES, 4 * FRAMES))
    print(f"{output_format}: {short / 1024:.0f} KiB for {FRAMES} frames, {long / 1024:.0f} KiB for {4 * FRAMES}")
    assert long - short < 64 * 3 * FRAMES  # bytes: two numbers a frame in a list would be more
