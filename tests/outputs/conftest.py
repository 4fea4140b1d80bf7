"""The clip of the data sets' tests."""

import pytest

from sam2_cog.media.video import VideoInfo, probe
from tests.clips import LOSSLESS, numbered_frames, write_clip


@pytest.fixture(scope="session")
def dataset_clip(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    """Six frames of 96x64 with a name that needs care."""
    path = tmp_path_factory.mktemp("dataset") / "my clip: é.mkv"
    return probe(write_clip(path, numbered_frames(6, 96, 64), **LOSSLESS))
