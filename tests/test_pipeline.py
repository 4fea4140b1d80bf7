"""The whole way from request to file, with the demo model: what comes out, and what stays behind when it fails."""

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from sam2_cog import pipeline
from sam2_cog.engine import tracker
from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.tracker import Tracker
from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.masks import FrameMasks, ObjectMask
from sam2_cog.media import frame_archive
from sam2_cog.media.video import VideoInfo, probe, read_frames
from sam2_cog.outputs import OUTPUTS, suffix_of
from sam2_cog.pipeline import Result, segment_video
from sam2_cog.request import Request
from sam2_cog.runs import watched_clip
from tests.clips import draw_frame, encode_image, frame_zip, numbered_frames, probe_times, write_clip, write_zip

Run = Callable[..., Result]


class Cancelled(BaseException):
    """As Cog's: not an Exception."""


@pytest.fixture(scope="module")
def small_info(small_clip: Path) -> VideoInfo:
    return probe(small_clip)


@pytest.fixture
def run(small_model: LoadedModel, small_clip: Path, small_info: VideoInfo, tmp_path: Path) -> Run:
    """Run a request on the small clip, which is probed once for all, into the test's own folder."""

    def run_request(progress: Any = None, **inputs: Any) -> Result:
        info = None if "video" in inputs else small_info
        needed: dict[str, Any] = {"video": small_clip, "click_coordinates": "[30,40]"}
        request = Request(**needed | inputs)
        path = tmp_path / f"result{suffix_of(request)}"
        return segment_video(request, small_model, path, progress, info=info)

    return run_request


def entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def mask(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content))) > 127


def test_paths_may_be_texts(demo_model: LoadedModel, small_clip: Path, tmp_path: Path) -> None:
    result = segment_video(Request(str(small_clip), "[30,40]"), demo_model, str(tmp_path / "out.mp4"))  # type: ignore[arg-type]
    assert result.path == tmp_path / "out.mp4" and result.path.is_file()


@pytest.mark.parametrize("output_format", ["mov", "webm", "png", "webp"])
def test_a_cutout_has_an_edge_from_the_networks_logits(run: Run, output_format: str) -> None:
    result = run(mask_type="cutout", output_format=output_format)
    if output_format in ("png", "webp"):
        alpha = np.asarray(Image.open(io.BytesIO(entries(result.path)[f"frames/00003.{output_format}"])))[..., 3]
        exact = mask(entries(run(mask_type="binary", output_format="png").path)["masks/object_1/00003.png"])
        assert ((alpha > 127) == exact).all() and len(np.unique(alpha)) > 10
    else:
        assert probe(result.path).frame_count == 6 and probe(result.path).has_alpha


def test_probabilities_are_those_of_the_masks(run: Run) -> None:
    exact = mask(entries(run(mask_type="binary", output_format="png").path)["masks/object_1/00003.png"])
    content = entries(run(mask_type="probability", output_format="png").path)["masks/object_1/00003.png"]
    graded = np.asarray(Image.open(io.BytesIO(content)))
    assert ((graded > 127) == exact).mean() > 0.999 and len(np.unique(graded)) > 10
    arrays = np.load(run(mask_type="probability", output_format="npz").path)
    large = cv2.resize(arrays["logits/00003"][0].astype(np.float32), (96, 64))
    assert np.abs(255 / (1 + np.exp(-large)) - graded).max() <= 0.51
    assert (arrays["masks/00003"][0] == exact).all()


@pytest.mark.parametrize("output_format", ["mp4", "png"])
def test_objects_come_apart(run: Run, output_format: str) -> None:
    given = {"click_coordinates": "[30,40],[60,50]", "click_object_ids": "a,b", "separate_objects": True}
    found = set(entries(run(**given, output_format=output_format).path))
    pictures = {f"frames/{name}/{number:05d}.png" for name in "ab" for number in range(6)}
    assert found == {"manifest.json"} | ({"a.mp4", "b.mp4"} if output_format == "mp4" else pictures)


def test_a_video_keeps_its_frames_times_and_sound(run: Run, small_clip: Path) -> None:
    result = run()
    info = probe(result.path)
    assert (info.frame_count, info.width, info.height) == (6, 96, 64)
    assert info.has_audio
    assert probe_times(result.path) == pytest.approx(probe_times(small_clip), abs=0.001)


@pytest.mark.parametrize("output_format", ["png", "webp", "jpg"])
@pytest.mark.parametrize("mask_type", ["highlighted", "greenscreen"])
def test_an_archive_holds_a_picture_per_frame(run: Run, output_format: str, mask_type: str) -> None:
    found = entries(run(output_format=output_format, mask_type=mask_type).path)
    manifest = json.loads(found.pop("manifest.json"))
    assert list(found) == [f"frames/{frame:05d}.{output_format}" for frame in range(6)]
    assert {Image.open(io.BytesIO(content)).size for content in found.values()} == {(96, 64)}
    assert [frame["frame"] for frame in manifest["frames"]] == list(range(6))


def test_small_parts_are_left_out_where_that_is_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    speckled = np.zeros((64, 96), bool)
    speckled[20:40, 30:60] = speckled[:3, :3] = True
    monkeypatch.setattr(tracker, "cut", lambda logits, height, width: lambda: (ObjectMask.of(speckled),))
    for percent, area in ((0, 609), (1, 609), (2, 600)):
        request = {"output_format": "png", "mask_type": "binary", "click_object_ids": "card"}
        found = entries(run(**request, smallest_part=percent).path)
        assert mask(found["masks/card/00003.png"]).sum() == area
        assert json.loads(found["manifest.json"])["frames"][3]["objects"][0]["area"] == area


def test_masks_are_found_and_painted(run: Run, small_clip: Path) -> None:
    """The highlighted picture differs from the video inside the mask, and hardly elsewhere: an outline may overlap."""
    masks = entries(run(output_format="png", mask_type="binary", click_object_ids="card").path)
    found = mask(masks["masks/card/00003.png"])
    pictures = entries(run(output_format="png").path)
    painted = np.asarray(Image.open(io.BytesIO(pictures["frames/00003.png"]))).astype(int)
    (frame,) = read_frames(probe(small_clip), 3, 4)
    changed = np.abs(painted - frame.image).max(axis=2) > 10
    assert found.any()
    assert (changed & found).sum() > 0.9 * found.sum()
    assert (changed & ~found).sum() < found.sum()


def test_every_object_has_its_own_masks_whatever_its_name(run: Run) -> None:
    names = ["../../etc/passwd", "鳥", "CON", "a" * 64]
    clicks = "[10,40],[30,40],[60,40],[90,40]"
    given = {"click_coordinates": clicks, "click_object_ids": ",".join(names)}
    found = entries(run(output_format="png", mask_type="binary", **given).path)
    manifest = json.loads(found["manifest.json"])
    assert [entry["name"] for entry in manifest["objects"]] == names
    folders = {name.rpartition("/")[0] for name in found if name != "manifest.json"}
    assert len(folders) == 4
    assert all(folder.count("/") == 1 and ".." not in folder.split("/") for folder in folders)
    assert len(found) == 4 * 6 + 1


@pytest.mark.parametrize("propagation", ["both", "forward"])
def test_frames_before_the_first_click(run: Run, propagation: str) -> None:
    given = {"click_frames": "3", "click_object_ids": "card", "output_format": "png", "mask_type": "binary"}
    found = entries(run(propagation=propagation, **given).path)
    assert mask(found["masks/card/00003.png"]).any()
    before = [mask(found[f"masks/card/{frame:05d}.png"]).any() for frame in range(3)]
    assert before == [propagation == "both"] * 3


def test_an_interval_leaves_frames_out(run: Run) -> None:
    result = run(output_frame_interval=4)
    assert result.frames == 6
    assert probe(result.path).frame_count == 2
    assert not probe(result.path).has_audio


def test_another_rate_plays_faster(run: Run) -> None:
    info = probe(run(video_fps=48).path)
    assert (info.frame_count, info.frame_rate, info.has_audio) == (6, Fraction(48), False)


def test_a_zip_of_frames_and_an_image_are_clips(run: Run, tmp_path: Path) -> None:
    frames = numbered_frames(3, 65, 49)
    assert probe(run(video=frame_zip(tmp_path / "frames.zip", frames)).path).frame_count == 3
    Image.fromarray(frames[0]).save(tmp_path / "one.png")
    assert probe(run(video=tmp_path / "one.png").path).frame_count == 1


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(numbered_frames(1, 97, 65)[0]).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def pick(name: Path) -> Callable[[str], Path]:
    return name.with_suffix


@pytest.mark.parametrize(
    ("inputs", "suffix", "mode"),
    [
        ({"output_format": "png", "mask_type": "cutout"}, ".png", "RGBA"),
        ({"output_format": "webp", "mask_type": "cutout"}, ".webp", "RGBA"),
        ({"output_format": "jpg", "click_coordinates": "[30,40],[60,50]"}, ".jpg", "RGB"),
        ({"output_format": "webp", "mask_type": "greenscreen"}, ".webp", "RGB"),
        ({"output_format": "jpg", "mask_type": "binary"}, ".png", "L"),
        ({"output_format": "png", "mask_type": "probability"}, ".png", "L"),
    ],
)
def test_of_one_image_one_picture_is_enough(
    demo_model: LoadedModel, photo: Path, tmp_path: Path, inputs: dict[str, Any], suffix: str, mode: str
) -> None:
    request = Request(photo, **{"click_coordinates": "[30,40]"} | inputs)
    result = segment_video(request, demo_model, pick(tmp_path / "result"))
    assert result.path == tmp_path / f"result{suffix}"
    with Image.open(result.path) as picture:
        assert (picture.mode, picture.size) == (mode, (97, 65))
    archive = entries(segment_video(request, demo_model, tmp_path / "result.zip").path)
    (name,) = (name for name in archive if name != "manifest.json")
    assert archive[name] == result.path.read_bytes(), "the picture that the archive holds"
    assert {entry.name for entry in tmp_path.iterdir()} == {"photo.png", f"result{suffix}", "result.zip"}


@pytest.mark.parametrize(
    ("inputs", "suffix"),
    [
        ({"output_format": "png", "mask_type": "binary", "click_coordinates": "[30,40],[60,50]"}, ".zip"),
        ({"output_format": "png", "separate_objects": True}, ".zip"),
        ({"output_format": "coco"}, ".zip"),
        ({}, ".mp4"),
    ],
)
def test_of_one_image_everything_else_is_as_of_a_clip(
    demo_model: LoadedModel, photo: Path, tmp_path: Path, inputs: dict[str, Any], suffix: str
) -> None:
    request = Request(photo, **{"click_coordinates": "[30,40]"} | inputs)
    assert segment_video(request, demo_model, pick(tmp_path / "result")).path == tmp_path / f"result{suffix}"


def test_one_picture_of_several_is_refused_before_the_network(
    demo_model: LoadedModel, photo: Path, small_clip: Path, tmp_path: Path
) -> None:
    def refusal(video: Path, name: str, clicks: str = "[30,40]", **inputs: Any) -> str:
        request = Request(video, clicks, output_format="png", **inputs)
        with pytest.raises(InvalidRequest) as refused:
            segment_video(request, lambda: pytest.fail("loaded"), tmp_path / name)
        return str(refused.value)

    one = "output: 'a.png' is one picture, but"
    assert refusal(small_clip, "a.png") == f"{one} small.mp4 is not one image, so it must end in .zip"
    assert refusal(photo, "a.png", "[30,40],[60,50]", mask_type="binary") == (
        f"{one} binary has a picture for each of the 2 objects, so it must end in .zip"
    )
    assert refusal(photo, "a.jpg") == "output: 'a.jpg' does not end in .zip, which png needs, or of one image in .png"
    apart = refusal(photo, "a.png", separate_objects=True)
    assert apart == "output: 'a.png' does not end in .zip, which separate_objects needs"


def test_the_same_request_gives_the_same_bytes(run: Run) -> None:
    given = {"output_format": "png", "mask_type": "binary"}
    first = run(**given).path.read_bytes()
    run(click_coordinates="[60,20]")
    assert run(**given).path.read_bytes() == first


def test_the_seconds_are_parts_of_the_whole(run: Run) -> None:
    result = run(click_coordinates="[30,40],[60,50]")
    assert (result.frames, result.objects) == (6, 2)
    parts = (result.decode_seconds, result.network_seconds, result.paint_seconds, result.encode_seconds)
    assert all(seconds > 0 for seconds in parts)
    assert result.decode_seconds + result.network_seconds <= result.seconds
    assert set(result.metrics) == {
        *("frames", "objects", "seconds", "decode_seconds", "network_seconds", "paint_seconds", "encode_seconds")
    }


def test_frames_too_large_to_wait_give_the_same_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = run(click_frames="3").path.read_bytes()
    monkeypatch.setattr(watched_clip, "MOST_BYTES_WAITING", 1)
    monkeypatch.setattr(watched_clip, "read_ahead", lambda *arguments: pytest.fail("a thread"))
    monkeypatch.setattr(pipeline, "WriteBehind", lambda *arguments: pytest.fail("a thread"))
    assert run(click_frames="3").path.read_bytes() == beside


@pytest.mark.parametrize(
    ("frames", "propagation", "total"),
    [
        ("0", "both", 1 + 6),
        ("0,5", "both", 2 + 6),
        ("4", "both", 1 + 5 + 6),
        ("4", "forward", 1 + 6),
        ("4,2", "both", 2 + 3 + 6),
    ],
)
def test_progress_goes_from_one_to_all(run: Run, frames: str, propagation: str, total: int) -> None:
    """Prompt frames are read ahead, and those up to the first prompt once more for the way back."""
    told: list[tuple[int, int]] = []
    clicks = ",".join(["[30,40]"] * len(frames.split(",")))
    given = {"click_coordinates": clicks, "click_frames": frames, "click_object_ids": ",".join("a" * len(frames))}
    run(lambda *counts: told.append(counts), propagation=propagation, **given)
    assert told == [(done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize("output_format", OUTPUTS)
@pytest.mark.parametrize(("error", "moment"), [(Cancelled, 1), (RuntimeError, 4), (Cancelled, 7)])
def test_nothing_stays_behind_an_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output_format: str, error: type, moment: int
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    def stop(done: int, total: int) -> None:
        if done == moment:
            raise error

    with pytest.raises(error):
        run(stop, output_format=output_format)
    assert list(scratch.iterdir()) == []
    assert list(tmp_path.iterdir()) == [scratch]


def test_an_error_leaves_an_earlier_result_as_it_was(run: Run) -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled

    path = run().path
    before = path.read_bytes()
    with pytest.raises(Cancelled):
        run(stop)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("inputs", "error", "sentence"),
    [
        ({"click_frames": "6"}, InvalidRequest, "click_frames: point 1 is on frame 6, but the video has frames 0 to 5"),
        ({"click_coordinates": "[96,0]"}, InvalidRequest, "click_coordinates: "),
        ({"click_coordinates": ""}, InvalidRequest, "click_coordinates: "),
        ({"click_labels": "0"}, InvalidRequest, "click_labels: "),
        ({"video": "nowhere.mp4"}, UnreadableVideo, ""),
    ],
)
def test_a_refusal_comes_before_the_network_runs(
    run: Run,
    demo_model: LoadedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    inputs: dict[str, Any],
    error: type[Exception],
    sentence: str,
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the network ran")

    monkeypatch.setattr(demo_model.network, "forward_image", forbidden)
    monkeypatch.setattr(demo_model.network.image_encoder, "forward", forbidden)
    with pytest.raises(error) as caught:
        run(**inputs)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_callers_settings_are_not_touched(run: Run) -> None:
    """Neither between two frames nor afterwards: both belong to the thread, which is Cog's."""
    seen: set[tuple[bool, bool]] = set()
    run(lambda *_: seen.add((torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu"))))
    assert seen == {(False, False)}
    assert torch.is_grad_enabled()


def test_a_clip_of_changing_frame_rate_keeps_its_times(run: Run, tmp_path: Path) -> None:
    times = [0, 40, 100, 250, 300]
    clip = write_clip(tmp_path / "uneven.mkv", numbered_frames(5, 64, 48), times_ms=times)
    assert probe_times(run(video=clip).path) == pytest.approx([time / 1000 for time in times], abs=0.001)


# What may be written


def refused_output(request: Request, path: Path | str) -> str:
    """The sentence; no model must be asked for."""

    def forbidden() -> LoadedModel:
        raise AssertionError("a model was loaded")

    with pytest.raises(InvalidRequest) as refusal:
        segment_video(request, forbidden, path)
    assert "\n" not in str(refusal.value) and "Errno" not in str(refusal.value) and len(str(refusal.value)) < 250
    return str(refusal.value).removeprefix("output: ")


def test_an_output_that_cannot_be_is_refused_before_the_work(small_clip: Path, tmp_path: Path) -> None:
    video, archive = Request(small_clip, "[30,40]"), Request(small_clip, "[30,40]", output_format="png")
    (tmp_path / "folder.zip").mkdir()
    assert refused_output(archive, tmp_path / "folder.zip") == "'folder.zip' is a folder, but it must be a file"
    assert refused_output(archive, str(tmp_path / "a.mp4")) == (
        "'a.mp4' does not end in .zip, which png needs, or of one image in .png"
    )
    assert refused_output(video, tmp_path / "no" / "a.mp4") == f"the folder {str(tmp_path / 'no')!r} does not exist"
    assert refused_output(video, tmp_path / f"{'a' * 252}.mp4").startswith(f"'{'a' * 40}'... cannot be a path: a name")
    assert "cannot be a path" in refused_output(video, tmp_path / ("a/" * 2100) / "a.mp4")
    for name in ("a\0.mp4", "a\ud800.mp4"):
        assert f"{name!r} holds a character that no" in refused_output(video, tmp_path / name)
    assert refused_output(video, "/proc/a.mp4").startswith("nothing can be written to the folder '/proc': ")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.zip"]


def test_the_masks_are_never_written_over(small_clip: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks.zip"
    masks.write_bytes(b"masks")
    sentence = refused_output(Request(small_clip, masks=masks, output_format="png"), masks)
    assert sentence == "'masks.zip' is the masks itself, it must be another file"


def test_the_source_is_never_written_over(small_clip: Path, tmp_path: Path) -> None:
    before, link = small_clip.read_bytes(), tmp_path / "link.mp4"
    link.symlink_to(small_clip)
    for path in (small_clip, str(small_clip), link):
        sentence = refused_output(Request(small_clip, "[30,40]"), path)
        assert sentence == f"{Path(path).name!r} is the video itself, it must be another file"
    assert small_clip.read_bytes() == before


def test_the_longest_name_there_is_can_be_written(demo_model: LoadedModel, small_clip: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{'é' * 125}a.mp4"
    assert len(path.name.encode()) == 255
    segment_video(Request(small_clip, "[30,40]"), demo_model, str(path))
    assert probe(path).frame_count == 6


def test_a_folder_of_frames_is_a_clip(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(numbered_frames(3, 65, 49)):
        Image.fromarray(frame).save(folder / f"{number}.bmp")
    assert probe(run(video=folder).path).frame_count == 3


# What a user should know of the result


def test_an_object_without_masks_on_most_frames_is_named(
    demo_model: LoadedModel, small_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found on two frames of six; with `forward` from frame 4 on, the frames before do not count."""

    def found(self: Tracker, clip: Any, *_: object, **__: object) -> Any:
        for frame in clip.read():
            seen = np.full((64, 96), frame.index in (3, 4))
            masks = (ObjectMask.of(seen), ObjectMask.of(~seen))
            yield frame, FrameMasks(frame.index, masks, np.ones(2, np.float32), np.ones(2, np.float32))

    monkeypatch.setattr(Tracker, "track", found)
    request = Request(small_clip, "[30,40],[1,1]", click_object_ids="red,blue", output_format="png", click_frames="4")
    result = segment_video(request, demo_model, tmp_path / "a.zip")
    assert result.notes[:-1] == ("red has no mask on 4 of 6 frames",)  # and the frames to look at first
    assert json.loads(entries(result.path)["manifest.json"])["notes"] == list(result.notes[:-1])
    assert "notes" not in result.metrics
    forward = segment_video(replace(request, propagation="forward"), demo_model, tmp_path / "a.zip")
    assert "no mask" not in " ".join(forward.notes)


def test_what_the_video_lost_is_in_the_result_and_the_manifest(run: Run, tmp_path: Path) -> None:
    video = frame_zip(tmp_path / "a.zip", numbered_frames(2, 96, 64))
    with zipfile.ZipFile(video, "a") as archive:
        archive.writestr("notes.txt", "x")
    for more in ({}, {"separate_objects": True, "output_format": "mp4"}):
        result = run(video=video, **{"output_format": "png", **more})
        assert result.notes[0] == "video: a.zip holds 1 other file, which was ignored (notes.txt)"
        assert json.loads(entries(result.path)["manifest.json"])["notes"][0] == result.notes[0]


@pytest.mark.parametrize("checkpoint", [None, 0.1])
def test_a_clip_that_breaks_its_promise_is_begun_anew(
    demo_model: LoadedModel, tmp_path: Path, checkpoint: float | None
) -> None:
    fast = ("-qp", "0", "-g", "8", "-movflags", "+faststart")
    clip = write_clip(tmp_path / "a.mp4", numbered_frames(24, 96, 64), options=fast)
    data = bytearray(clip.read_bytes())
    data[-200:-100] = bytes(100)  # one of the last pictures
    clip.write_bytes(data)
    assert probe(clip).promised
    loaded, seen = [], []

    def load() -> LoadedModel:
        loaded.append(1)
        return demo_model

    request = Request(clip, "[30,40]", click_frames="2")
    told: dict[str, Any] = {"progress": lambda done, total: seen.append((done, total)), "checkpoint": checkpoint}
    result = segment_video(request, load, tmp_path / "b.mp4", **told)
    decoded = probe(clip)
    assert not decoded.promised and decoded.notes[0].startswith("video: a.mp4 is damaged, ")
    assert result.frames == decoded.frame_count == probe(tmp_path / "b.mp4").frame_count
    assert decoded.notes[0] in result.notes and len(loaded) == 1
    assert seen[-1] == (decoded.frame_count + 4, decoded.frame_count + 4) and seen.count(seen[0]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


@pytest.fixture
def whole_and_cut(tmp_path: Path) -> tuple[Path, Path, range]:
    """A zip of frames, and every third of the frames 5 to 20 as a zip of its own."""
    drawn = np.stack([draw_frame(2 * number)[0][::4, ::4] for number in range(24)])
    return frame_zip(tmp_path / "whole.zip", drawn), frame_zip(tmp_path / "cut.zip", drawn[5:21:3]), range(5, 21, 3)


@pytest.mark.parametrize("propagation", ["both", "forward"])
def test_a_part_is_tracked_as_if_it_had_been_cut_out(
    run: Run, whole_and_cut: tuple[Path, Path, range], propagation: str
) -> None:
    whole, cut, numbers = whole_and_cut
    inputs: dict[str, Any] = {"output_format": "png", "mask_type": "binary", "propagation": propagation}
    clicks = {"click_coordinates": "[40,42],[60,50],[41,43]", "click_object_ids": "a,b,a", "click_corrections": "0,0,1"}
    expected = entries(run(video=cut, click_frames="2,2,4", **clicks, **inputs).path)
    frames = ",".join(str(numbers[place]) for place in (2, 2, 4))
    part = {"start_frame": 5, "end_frame": 20, "frame_stride": 3}
    result = run(video=whole, click_frames=frames, **clicks, **inputs, **part)
    found = entries(result.path)
    assert result.frames == len(numbers)
    assert {name: data for name, data in found.items() if name != "manifest.json"} == {
        name: data for name, data in expected.items() if name != "manifest.json"
    }
    manifest = json.loads(found["manifest.json"])
    assert [frame["frame"] for frame in manifest["frames"]] == list(numbers)
    assert [frame["time_seconds"] for frame in manifest["frames"]] == pytest.approx([n / 24 for n in numbers], abs=1e-5)
    assert manifest["video"]["frame_count"] == 24
    assert [prompt["frame"] for one in manifest["objects"] for prompt in one["prompts"]] == [11, 17, 11]


def test_of_a_zip_only_the_part_is_looked_at(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole_and_cut: tuple[Path, Path, range]
) -> None:
    """A damaged frame and one of another size beside the part change nothing, and are not even read."""
    whole, _, _ = whole_and_cut
    with zipfile.ZipFile(whole) as archive:
        files = [(name, archive.read(name)) for name in archive.namelist()]
    files[2] = (files[2][0], b"noise")
    files[22] = (files[22][0], encode_image(numbered_frames(1, 32, 24)[0]))
    (tmp_path / "broken").mkdir()
    broken = write_zip(tmp_path / "broken" / whole.name, files)
    part = {"start_frame": 5, "end_frame": 20, "frame_stride": 3, "click_frames": "11", "output_format": "png"}
    expected = entries(run(video=whole, **part).path)
    opened: list[str] = []
    unpacked = frame_archive.unpacked

    def watched(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
        opened.append(entry.filename)
        return unpacked(archive, entry)

    monkeypatch.setattr(frame_archive, "unpacked", watched)
    assert entries(run(video=broken, **part).path) == expected
    assert set(opened) == {files[number][0] for number in range(5, 21, 3)}
    with pytest.raises(
        InvalidRequest, match=r"^start_frame: 24 is not a frame of this video, which has frames 0 to 23"
    ):
        run(video=broken, start_frame=24)
    with pytest.raises(UnreadableVideo, match="cannot be decoded"):
        run(video=broken, **part | {"frame_stride": 1, "start_frame": 1})


def test_a_part_of_a_video_begins_at_its_first_frame_with_its_sound(run: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", numbered_frames(48, 96, 64), options=("-g", "8"), audio_seconds=2)
    result = run(video=clip, click_frames="20", start_frame=20, end_frame=31)
    info = probe(result.path)
    assert (info.frame_count, info.has_audio, info.frame_rate) == (12, True, 24)
    assert probe_times(result.path) == pytest.approx([n / 24 for n in range(12)], abs=1e-3)
    assert "The sound is re-encoded as AAC, because it is cut to a part of the video." in result.notes
    strided = run(video=clip, click_frames="20", start_frame=20, end_frame=31, frame_stride=4)
    info = probe(strided.path)
    assert (info.frame_count, info.has_audio, info.frame_rate) == (3, False, 6)
    faster = probe(run(video=clip, click_frames="20", start_frame=20, frame_stride=4, video_fps=24).path)
    assert (faster.frame_count, faster.frame_rate, faster.duration_seconds) == (7, 24, pytest.approx(7 / 24, abs=1e-3))
    thinned = probe(run(video=clip, click_frames="20", start_frame=20, frame_stride=4, output_frame_interval=3).path)
    assert probe_times(thinned.path) == pytest.approx([0, 0.5, 1], abs=1e-3)


def test_numbers_are_those_of_the_whole_video_in_every_output(
    run: Run, whole_and_cut: tuple[Path, Path, range]
) -> None:
    whole, _, numbers = whole_and_cut
    part = {"video": whole, "start_frame": 5, "end_frame": 20, "frame_stride": 3, "click_frames": "11"}
    rows = run(output_format="csv", **part).path.read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == list(numbers)
    davis = entries(run(output_format="davis", **part).path)
    assert [name[-9:-4] for name in davis if "JPEGImages" in name] == [f"{number:05d}" for number in numbers]
    cvat = entries(run(output_format="cvat", frame_images="none", **part).path)["annotations.xml"].decode()
    assert "<stop_frame>23</stop_frame>" in cvat and 'frame="23" keyframe="1" outside="1"' in cvat


def test_masks_and_boxes_beside_the_part_are_left_out(run: Run, tmp_path: Path, small_clip: Path) -> None:
    (tmp_path / "boxes.csv").write_text("0,a,10,10,40,40\n3,a,10,10,40,40\n")
    inputs: dict[str, Any] = {"click_coordinates": "", "boxes": tmp_path / "boxes.csv"}
    assert run(start_frame=3, **inputs).frames == 3
    with pytest.raises(InvalidRequest, match=r"^boxes: none of them is on a frame that is used \(start_frame 4, "):
        run(start_frame=4, **inputs)
    masks = run(output_format="png", mask_type="binary").path.rename(tmp_path / "masks.zip")
    inputs = {"click_coordinates": "", "masks": masks}
    assert run(start_frame=2, end_frame=4, **inputs).frames == 3
    with pytest.raises(InvalidRequest, match=r"^masks: .* is on frame 1, which is not used \(start_frame 2, "):
        run(start_frame=2, mask_frames="1,2", **inputs)


# A checkpoint beside the result. Real processes and real kills are in test_main.py.


@pytest.mark.parametrize("output_format", ["mp4", "webm", "npz", "coco"])
def test_broken_off_and_run_again_the_file_is_the_same(
    small_model: LoadedModel, tmp_path: Path, output_format: str
) -> None:
    """Each byte, in both passes; and the report beside it."""
    clip = write_clip(tmp_path / "clip.mkv", numbered_frames(12, 96, 64), audio_seconds=0.5)
    request = Request(clip, "[30,40],[60,20]", click_frames="5,8", output_format=output_format)

    def segment(name: str, stop_at: float, **more: Any) -> tuple[bytes, bytes]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        path, report = folder / f"out{suffix_of(request)}", folder / "report.json"

        def progress(done: int, total: int) -> None:
            assert done <= total
            if done / total > stop_at:
                raise Cancelled

        segment_video(request, small_model, path, progress, report=report, **more)
        assert sorted(folder.iterdir()) == [path, report]
        return path.read_bytes(), report.read_bytes()

    for stop_at in (0.45, 0.6, 0.9):
        with pytest.raises(Cancelled):
            segment("broken", stop_at, checkpoint=0.1)
        assert [path.name for path in (tmp_path / "broken").iterdir()] == [f".out{suffix_of(request)}.checkpoint"]
    assert segment("broken", 1, checkpoint=0.1) == segment("whole", 1)


def test_the_progress_of_a_run_that_goes_on_ends_at_the_end(run: Run, demo_model: LoadedModel, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", numbered_frames(10, 96, 64))
    request, told = Request(clip, "[30,40]", click_frames="6"), list[tuple[int, int]]()
    for stop in (5, 9, 100):
        told.clear()

        def progress(done: int, total: int, stop: int = stop) -> None:
            told.append((done, total))
            if done == stop:
                raise Cancelled

        with suppress(Cancelled):
            segment_video(request, demo_model, tmp_path / "out.mp4", progress, checkpoint=0.1)
    assert told[-1][0] == told[-1][1] and [done for done, _ in told] == list(range(1, len(told) + 1))


def test_seconds_that_cannot_be_are_refused_before_anything(demo_model: LoadedModel, small_clip: Path) -> None:
    with pytest.raises(InvalidRequest, match="checkpoint: 0 is not allowed"):
        segment_video(Request(small_clip, "[30,40]"), demo_model, small_clip.with_name("out.mp4"), checkpoint=0)


def test_a_part_of_several_results_is_refused(run: Run, tmp_path: Path) -> None:
    frames = [(f"{n}.png", encode_image(numbered_frames(1, 32 + 8 * n, 32)[0])) for n in range(3)]
    video = write_zip(tmp_path / "unlike.zip", frames)
    with pytest.raises(InvalidRequest, match=r"^frame_stride: 2 is of a part of one clip, but unlike.zip holds images"):
        run(video=video, click_coordinates="[9,9]", frame_stride=2, output_format="png", mask_type="binary")
