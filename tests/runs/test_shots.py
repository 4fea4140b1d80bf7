"""Several videos as one clip of shots: prompts in one, masks in all, a result for each."""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.evaluate.metrics import region_similarity
from sam2_cog.media.shots import Shots, opened_shots
from sam2_cog.media.video import probe
from sam2_cog.pipeline import Result, segment_video
from sam2_cog.request import Request
from sam2_cog.runs.shots import numbered_through
from tests.clips import draw_frame, frame_zip, numbered_frames, write_clip, write_zip
from tests.page.disc import LOSSLESS

FIRST, SECOND = range(12), range(60, 72)
"""The frames of the sample that the shots show; the second shot is turned over, and smaller."""
SMALL = (480, 270)
CLICKS: dict[str, Any] = {
    "click_coordinates": "[80,222],[556,96]",
    "click_frames": "0:0",
    "click_object_ids": "red,blue",
}


def turned(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(picture[:, ::-1]), SMALL, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shots")
    write_clip(folder / "wide.mp4", np.stack([draw_frame(index)[0] for index in FIRST]), audio_seconds=0.5)
    write_clip(folder / "turned 10.mp4", np.stack([turned(draw_frame(index)[0]) for index in SECOND]))
    files = [("takes/2.mp4", "turned 10.mp4"), ("takes/1.mp4", "wide.mp4"), ("takes/notes.txt", "wide.mp4")]
    return write_zip(folder / "shots.zip", [(name, (folder / file).read_bytes()) for name, file in files])


Run = Callable[..., Result]


@pytest.fixture
def run(small_model: LoadedModel, shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a request into a folder of its own; nothing may be left of what was unpacked and written beside."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    def run_request(model: LoadedModel = small_model, **inputs: Any) -> Result:
        request = Request(**{"video": shots, **CLICKS} | inputs)
        result = segment_video(request, model, tmp_path / "results/result.zip", lambda *_: None)
        assert not list((tmp_path / "temporary").iterdir())
        assert [path.name for path in (tmp_path / "results").iterdir()] == ["result.zip"]
        return result

    return run_request


def masks_in(path: Path) -> dict[str, dict[str, Any]]:
    """Shot -> the masks (H, W) bool of its archive by their names, and its manifest."""
    found: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(path) as result:
        for shot in result.namelist():
            with zipfile.ZipFile(io.BytesIO(result.read(shot))) as archive:
                pictures = {name: archive.read(name) for name in archive.namelist() if name.endswith(".png")}
                found[shot] = {name: np.asarray(Image.open(io.BytesIO(one))) > 127 for name, one in pictures.items()}
                found[shot]["manifest"] = json.loads(archive.read("manifest.json"))
    return found


def truth(shot: str, name: str, number: int) -> np.ndarray:
    bird = {"red": "bird_1", "blue": "bird_2"}[name]
    if shot == "1.zip":
        return draw_frame(FIRST[number])[1][bird]
    return turned(draw_frame(SECOND[number])[1][bird].astype(np.uint8) * 255) > 127


def test_clicks_in_one_shot_give_exact_masks_in_the_other(run: Run, demo_model: LoadedModel) -> None:
    result = run(demo_model, mask_type="binary", output_format="png")
    found = masks_in(result.path)
    assert list(found) == ["1.zip", "2.zip"] and (result.frames, result.objects) == (24, 2)
    for shot, size in (("1.zip", (360, 640)), ("2.zip", SMALL[::-1])):
        for name in ("red", "blue"):
            masks = [found[shot][f"masks/{name}/{number:05d}.png"] for number in range(12)]
            assert {mask.shape for mask in masks} == {size}
            regions = [region_similarity(mask, truth(shot, name, number)) for number, mask in enumerate(masks)]
            assert np.mean(regions) > 0.85, (shot, name, np.round(regions, 2))
    manifests = [found[shot]["manifest"] for shot in found]
    assert [entry["frame"] for entry in manifests[1]["frames"]] == list(range(12))
    assert [len(entry["prompts"]) for manifest in manifests for entry in manifest["objects"]] == [1, 1, 0, 0]
    assert [manifest["video"]["name"] for manifest in manifests] == ["1.mp4", "2.mp4"]


def test_videos_keep_their_own_size_times_and_sound(run: Run, tmp_path: Path) -> None:
    with zipfile.ZipFile(run().path) as result:
        result.extractall(tmp_path)
    wide, small = probe(tmp_path / "1.mp4"), probe(tmp_path / "2.mp4")
    assert (wide.width, wide.height, wide.frame_count, wide.has_audio) == (640, 360, 12, True)
    assert (small.width, small.height, small.frame_count, small.has_audio) == (*SMALL, 12, False)
    assert small.frame_times[0] == 0


def test_shots_of_one_size_are_as_the_clip_that_they_were_cut_from(small_model: LoadedModel, tmp_path: Path) -> None:
    """Bit for bit; prompts and a correction in either shot, a backward pass over the cut, frames in both notations."""
    frames = numbered_frames(9, 96, 64)
    whole = write_clip(tmp_path / "whole.mp4", frames, **LOSSLESS)
    folder = tmp_path / "cut"
    folder.mkdir()
    write_clip(folder / "1.mkv", frames[:5], **LOSSLESS)
    write_clip(folder / "2.mkv", frames[5:], **LOSSLESS)
    clicks: dict[str, Any] = {
        "click_coordinates": "[30,40],[60,50],[10,10]",
        "click_object_ids": "a,b,a",
        "click_labels": "1,1,0",
    }
    given = {**clicks, "mask_type": "binary", "output_format": "png"}

    def masks(video: Path, click_frames: str) -> list[bytes]:
        request = Request(video, click_frames=click_frames, **given)
        path = segment_video(request, small_model, tmp_path / "result.zip", lambda *_: None).path
        if video == whole:
            with zipfile.ZipFile(path) as archive:
                found = {
                    name: np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in archive.namelist()[:-1]
                }
            return [found[f"masks/{name}/{number:05d}.png"].tobytes() for number in range(9) for name in "ab"]
        parts = masks_in(path)
        order = [("1.zip", number) for number in range(5)] + [("2.zip", number) for number in range(4)]
        return [
            np.uint8(255 * parts[shot][f"masks/{name}/{number:05d}.png"]).tobytes()
            for shot, number in order
            for name in "ab"
        ]

    expected = masks(whole, "6,3,8")
    assert masks(folder, "1:1,0:3,1:3") == masks(folder, "6,3,8") == expected
    assert len(set(expected)) > 4


def test_an_interval_counts_in_each_shot_and_notes_name_the_shot(run: Run) -> None:
    result = run(output_frame_interval=5, output_format="png", click_coordinates="[80,222],[5,350]")
    with zipfile.ZipFile(result.path) as archive:
        for shot in archive.namelist():
            with zipfile.ZipFile(io.BytesIO(archive.read(shot))) as inner:
                assert len(inner.namelist()) == 3 + 1
    assert all(note.startswith(("1.mp4: ", "2.mp4: ")) for note in result.notes)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"click_frames": "0:12"}, "click_frames: '0:12' is on frame 12, but shot 0 (1.mp4) has frames 0 to 11"),
        ({"click_frames": "2:0"}, "click_frames: '2:0' is in shot 2, but there are shots 0 to 1"),
        ({"click_frames": "24"}, "click_frames: point 1 is on frame 24, but the video has frames 0 to 23"),
        ({"click_frames": "1:"}, "click_frames: point 1 is on frame '1:', but a frame is a whole number from 0 to 23"),
        (
            {"click_frames": "1:3"},
            "click_coordinates: 'blue' is clicked at [556, 96] on frame 3 of shot 1 (2.mp4), which is 480x270",
        ),
        (
            {"click_frames": "1:3", "click_coordinates": "[0,0,500,9]", "click_object_ids": ""},
            "click_coordinates: 'object_1' has the box [0, 0, 500, 9] on frame 3 of shot 1 (2.mp4), which is 480x270",
        ),
        ({"masks": "shots.zip"}, "masks: the shots of shots.zip differ in size, they take clicks and boxes alone"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_network(
    shots: Path, tmp_path: Path, inputs: dict[str, Any], sentence: str
) -> None:
    files = {"masks": shots} if "masks" in inputs else {}
    request = Request(**{"video": shots, **CLICKS} | inputs | files)
    with pytest.raises(InvalidRequest) as refused:
        segment_video(request, lambda: pytest.fail("loaded"), tmp_path / "result.zip")
    assert str(refused.value) == sentence


def test_the_result_is_a_zip_and_has_no_report(shots: Path, small_model: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"^output: 'a.mp4' does not end in .zip, which several shots need$"):
        segment_video(Request(shots, **CLICKS), small_model, tmp_path / "a.mp4")
    several = "there is none beside several results, and shots.zip holds several shots"
    with pytest.raises(InvalidRequest, match=f"^report: {several}$"):
        segment_video(Request(shots, **CLICKS), small_model, tmp_path / "a.zip", report=tmp_path / "a.json")
    with pytest.raises(InvalidRequest, match=f"^checkpoint: {several}$"):
        segment_video(Request(shots, **CLICKS), small_model, tmp_path / "a.zip", checkpoint=1)
    frames = frame_zip(tmp_path / "frames.zip", numbered_frames(2))
    with pytest.raises(InvalidRequest, match=r"^output: 'a.zip' does not end in .mp4, which mp4 needs$"):
        segment_video(Request(frames, "[1,1]"), small_model, tmp_path / "a.zip")
    asked: list[str] = []

    def place(suffix: str) -> Path:
        asked.append(suffix)
        return tmp_path / f"result{suffix}"

    assert segment_video(Request(shots, **CLICKS), small_model, place, lambda *_: None).path.name == "result.zip"
    assert asked == [".zip"]


def test_several_paths_are_shots_in_the_order_given(
    run: Run, shots: Path, small_model: LoadedModel, tmp_path: Path
) -> None:
    """The same as a zip of them whose names are in that order; nothing is copied."""
    expected = run(output_format="png", mask_type="binary", click_frames="1:0,0:3", click_coordinates="[80,22],[56,96]")
    with zipfile.ZipFile(shots) as archive:
        paths = [Path(archive.extract(name, tmp_path)) for name in ("takes/1.mp4", "takes/2.mp4")]
    request = Request(paths[0], "[80,22],[56,96]", click_frames="1:0,0:3", click_object_ids="red,blue")
    request = replace(request, output_format="png", mask_type="binary")

    def of(path: Path, *order: Path) -> Path:
        first, *further = order
        return segment_video(replace(request, video=first), small_model, path, lambda *_: None, further=further).path

    assert of(tmp_path / "given.zip", *paths).read_bytes() == expected.path.read_bytes()
    turned_round = of(tmp_path / "turned.zip", *reversed([*paths, paths[1]]))
    assert list(masks_in(turned_round)) == ["2.zip", "2_2.zip", "1.zip"]


def test_paths_that_are_no_shots_are_refused(shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, photo = write_clip(tmp_path / "clip.mp4", numbered_frames(3)), tmp_path / "photo.jpg"
    Image.fromarray(numbered_frames(1)[0]).save(photo)

    def refusal(*further: Path, output: str = "result.zip", **given: Any) -> str:
        request = Request(**{"video": clip, "click_coordinates": "[1,1]"} | given.pop("inputs", {}))
        with pytest.raises((UnreadableVideo, InvalidRequest)) as refused:
            segment_video(request, lambda: pytest.fail("loaded"), tmp_path / output, further=further, **given)
        return str(refused.value)

    needed = "but each of several paths is a shot, a video; frames are one path, their folder or a .zip of them"
    for path in (photo, shots, frame_zip(tmp_path / "frames.zip", numbered_frames(2)), shots.parent):
        assert refusal(path) == f"video: {path.name} is no video, {needed}"
    assert refusal(tmp_path / "none.mp4") == "video: none.mp4 does not exist"
    assert refusal(clip, output="a.mp4") == "output: 'a.mp4' does not end in .zip, which several shots need"
    assert refusal(clip, output="-") == "output: '-' does not end in .zip, which several shots need"
    own = tmp_path / "own.zip"
    own.write_bytes(clip.read_bytes())
    assert refusal(own, output="own.zip") == "output: 'own.zip' is the video itself, it must be another file"
    assert (
        refusal(clip, inputs={"end_frame": 1})
        == "end_frame: 1 is of a part of one clip, but 2 videos are several shots"
    )
    several = "there is none beside several results, and 2 videos are several shots"
    assert refusal(clip, checkpoint=1.0) == f"checkpoint: {several}"
    assert refusal(clip, report=tmp_path / "a.csv") == f"report: {several}"
    small = write_clip(tmp_path / "small.mp4", numbered_frames(2, 32, 24))
    found = "the shots of clip.mp4 with 1 more differ in size, they take clicks and boxes alone"
    assert refusal(small, inputs={"masks": photo}) == f"masks: {found}"
    monkeypatch.setenv("SAM2_MAX_FRAMES", "5")
    expected = "video: clip.mp4 with 1 more has 6 frames, but at most 5 are allowed (SAM2_MAX_FRAMES)"
    assert refusal(clip) == expected
    monkeypatch.setenv("SAM2_MAX_SHOTS", "2")
    assert refusal(clip, clip) == "video: there are 3 videos, but at most 2 are allowed (SAM2_MAX_SHOTS)"
    assert refusal(photo, photo, inputs={"video": photo}) == f"video: photo.jpg is no video, {needed}"


def test_bad_zips_are_refused_and_leave_nothing(shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    def refusal(path: Path) -> str:
        with pytest.raises(UnreadableVideo) as refused, opened_shots(path):
            pass
        assert not list((tmp_path / "temporary").iterdir())
        return str(refused.value)

    noise = write_zip(tmp_path / "noise.zip", [("takes/a.mp4", b"noise")])
    assert refusal(noise).startswith("video: a.mp4 cannot be read as a video")
    picture = io.BytesIO()
    Image.fromarray(numbered_frames(1)[0]).save(picture, "PNG")
    image = write_zip(tmp_path / "image.zip", [("a.mp4", picture.getvalue())])
    assert refusal(image) == "video: image.zip holds a.mp4, which is no video in spite of its name"
    with zipfile.ZipFile(tmp_path / "lzma.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.mp4", b"a")
    assert refusal(tmp_path / "lzma.zip") == (
        "video: lzma.zip holds a video that cannot be decoded (a.mp4): it is neither stored nor deflated, as it must be"
    )
    monkeypatch.setenv("SAM2_MAX_SHOTS", "1")
    assert refusal(shots) == "video: shots.zip holds 2 videos, but at most 1 are allowed (SAM2_MAX_SHOTS)"
    monkeypatch.setenv("SAM2_MAX_SHOTS", "2")
    monkeypatch.setenv("SAM2_MAX_SHOT_BYTES", "9")
    assert "but at most 9 are allowed (SAM2_MAX_SHOT_BYTES)" in refusal(shots)
    monkeypatch.delenv("SAM2_MAX_SHOT_BYTES")
    monkeypatch.setenv("SAM2_MAX_FRAMES", "20")
    assert refusal(shots) == "video: shots.zip has 24 frames, but at most 20 are allowed (SAM2_MAX_FRAMES)"


def test_shots_may_lie_in_a_folder_of_their_own(tmp_path: Path, shots: Path) -> None:
    """As in a zip that was made of their folder, and in what it is unpacked to."""
    with zipfile.ZipFile(shots) as archive:
        archive.extractall(tmp_path / "day")
    assert (tmp_path / "day/takes/1.mp4").exists()
    with opened_shots(shots) as packed, opened_shots(tmp_path / "day") as unpacked:
        assert [info.path.name for info in unpacked.videos] == [info.path.name for info in packed.videos]
        assert unpacked.frame_count == packed.frame_count


def test_a_name_that_climbs_stays_within(tmp_path: Path, shots: Path) -> None:
    content = zipfile.ZipFile(shots).read("takes/1.mp4")
    zips = write_zip(tmp_path / "climbs.zip", [("takes/C:\\..\\evil\x7f.mp4", content), (".hidden.mp4", content)])
    with opened_shots(zips) as opened:
        (info,) = opened.videos
        assert Path(tempfile.gettempdir()) in info.path.parents and info.path.suffix == ".mp4"


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 11)), min_size=1, max_size=6),
    st.sampled_from([",", " ", ", "]),
)
def test_both_notations_name_the_same_frame(places: list[tuple[int, int]], separator: str) -> None:
    shots = Shots(Path("shots.zip"), (_OF_TWELVE, _OF_TWELVE))
    text = separator.join(f"{shot}:{frame}" for shot, frame in places)
    numbers = numbered_through("click_frames", text, shots).split(separator)
    assert [shots.place(int(number)) for number in numbers] == places


class _Twelve:
    frame_count = 12


_OF_TWELVE: Any = _Twelve()
