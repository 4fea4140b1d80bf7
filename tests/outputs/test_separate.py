"""A video, or a folder of pictures, per object."""

import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sam2_cog.errors import InvalidRequest
from sam2_cog.media.video import VideoInfo, probe
from sam2_cog.outputs import output_for
from tests.clips import LOSSLESS, children, numbered_frames, probe_times, write_clip
from tests.outputs.written import player_frames, soft_masks_of, spec_for, stream, write

APART: dict[str, Any] = {"separate_objects": True}
NAMES = ("../../etc/passwd", "CON", "\N{DOG FACE}" * 64, "red", "Red", "a/b")
FILES = ("_.._etc_passwd", "CON_", "\N{DOG FACE}" * 50, "red", "Red_2", "a_b")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    folder = tmp_path_factory.mktemp("clip")
    return probe(write_clip(folder / "s.mkv", numbered_frames(3, 96, 64), audio_seconds=0.2, **LOSSLESS))


@pytest.mark.parametrize("kind", ["mp4", "mov", "webm"])
def test_each_object_has_a_whole_video_of_its_own(kind: str, clip: VideoInfo, tmp_path: Path) -> None:
    path = write(spec_for(clip, tmp_path / "out.zip", mask_type="binary", **APART), kind, soft_masks_of)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [f"dog.{kind}", f"cat.{kind}", "manifest.json"]
        archive.extractall(tmp_path)
        objects = json.loads(archive.read("manifest.json"))["objects"]
    assert [(entry["name"], entry["folder"]) for entry in objects] == [("dog", f"dog.{kind}"), ("cat", f"cat.{kind}")]
    for index, entry in enumerate(objects):
        video = tmp_path / entry["folder"]
        assert probe_times(video) == pytest.approx(probe_times(clip.path), abs=0.0015) and stream(video, "a")
        for number, picture in enumerate(player_frames(video)):
            mask = soft_masks_of(clip, number).objects[index].full()
            assert ((picture[..., 0] > 127) == mask).mean() > 0.99


def test_an_archive_of_pictures_has_a_folder_per_object(clip: VideoInfo, tmp_path: Path) -> None:
    path = write(spec_for(clip, tmp_path / "out.zip", mask_type="cutout", **APART), "png", soft_masks_of)
    with zipfile.ZipFile(path) as archive:
        content = archive.read("frames/cat/00002.png")
        assert len(archive.namelist()) == 2 * 3 + 1
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert ((picture[..., 3] > 127) == soft_masks_of(clip, 2).objects[1].full()).all()


def test_any_names_make_safe_and_distinct_files_and_the_true_ones_are_in_the_manifest(
    clip: VideoInfo, tmp_path: Path
) -> None:
    spec = spec_for(clip, tmp_path / "out.zip", mask_type="binary", **APART)
    masks = soft_masks_of(clip, 0)
    for kind, suffix in (("mp4", ".mp4"), ("png", "")):
        with output_for(kind, type(spec)(**vars(spec) | {"names": NAMES})) as output:
            frame = next(iter(_frames(clip)))
            output.write(frame, type(masks)(0, masks.objects * 3, np.ones(6, np.float32), np.ones(6, np.float32)))
        with zipfile.ZipFile(spec.path) as archive:
            objects = json.loads(archive.read("manifest.json"))["objects"]
            assert [entry["name"] for entry in objects] == list(NAMES)
            assert [entry["folder"].removeprefix("masks/") for entry in objects] == [name + suffix for name in FILES]
            assert all(any(name.startswith(entry["folder"]) for name in archive.namelist()) for entry in objects)


def _frames(info: VideoInfo) -> Any:
    from sam2_cog.media.video import read_frames

    return read_frames(info)


def test_more_videos_than_may_be_encoded_at_a_time_are_refused(
    clip: VideoInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM2_MAX_SEPARATE_VIDEOS", "1")
    with pytest.raises(InvalidRequest, match=r"^separate_objects: there are 2 videos, but at most 1 are allowed .*png"):
        output_for("mp4", spec_for(clip, tmp_path / "out.zip", **APART))


@pytest.mark.parametrize("frames", [0, 2])
def test_nothing_stays_behind_after_a_cancel(frames: int, clip: VideoInfo, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), output_for("mp4", spec_for(clip, tmp_path / "o.zip", **APART)) as output:
        for frame in list(_frames(clip))[:frames]:
            output.write(frame, soft_masks_of(clip, frame.index))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [] and children() == []
