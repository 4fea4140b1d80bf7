"""One open clip: what people do with it, from a file to a file."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sam2_cog
from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.tracker import Tracker
from sam2_cog.errors import CheckpointError, InvalidRequest, UnreadableVideo
from sam2_cog.masks import FrameMasks, ObjectMask
from sam2_cog.media.video import read_frames
from sam2_cog.outputs import OUTPUTS
from sam2_cog.pipeline import segment_video
from sam2_cog.prompts import FramePrompt, ObjectPrompts
from sam2_cog.reading.box_files import read_boxes
from sam2_cog.reading.entry import Entry
from sam2_cog.request import Request
from sam2_cog.runs import objects as runs_objects
from sam2_cog.session import FEATURES_KEPT, Session
from tests.clips import children, encode_image, frame_number, frame_zip, numbered_frames, write_clip, write_zip

CLICKS: dict[str, str] = {
    "click_coordinates": "[30,40],[60,50]",
    "click_frames": "2,0",
    "click_object_ids": "red,blue",
}
CORRECTED: dict[str, str] = {
    "click_coordinates": "[30,40],[60,50],[10,10]",
    "click_frames": "2,0,4",
    "click_object_ids": "red,blue,red",
    "click_corrections": "0,0,1",
}
FRAMES = 6


@pytest.fixture
def session(small_model: LoadedModel, small_clip: Path) -> Iterator[Session]:
    with Session(small_clip, small_model) as opened:
        yield opened


def tracked(session: Session, strings: dict[str, str], **more: str) -> list[int]:
    return [masks.frame_index for masks in session.track(session.parse(**strings), **more)]


def assert_as_a_fresh_run(session: Session, strings: dict[str, str], propagation: str = "both") -> None:
    objects = session.parse(**strings)
    for frame, expected in Tracker(session._model).track(session.footage, objects, propagation):
        found = session.masks(frame.index)
        assert found is not None and found.frame_index == frame.index
        assert found.objects == expected.objects and np.array_equal(found.scores, expected.scores)


def test_it_is_what_the_package_offers() -> None:
    assert sam2_cog.Session is Session
    assert (Path(sam2_cog.__file__).parent / "py.typed").exists()
    with pytest.raises(AttributeError, match="Sessions"):
        _ = sam2_cog.Sessions


def test_the_package_is_light_until_it_is_asked_for() -> None:
    code = "import sys, sam2_cog; assert 'torch' not in sys.modules and 'numpy' not in sys.modules; sam2_cog.Session"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_click_track_correct_and_undo(session: Session) -> None:
    first = session.parse(**CLICKS)
    assert session.masks(3) is None
    assert session.stale(first) == {"red": 0, "blue": 0}
    assert tracked(session, CLICKS) == list(range(FRAMES))
    assert session.stale(first) == {}
    assert_as_a_fresh_run(session, CLICKS)
    assert session.stale(session.parse(**CORRECTED)) == {"red": 4}
    early = session.preview(session.parse(**CORRECTED), 4)
    assert tracked(session, CORRECTED) == [4, 5]
    assert_as_a_fresh_run(session, CORRECTED)
    corrected = session.masks(4)
    assert corrected is not None and corrected.objects == early.objects
    assert tracked(session, CLICKS) == []
    assert_as_a_fresh_run(session, CLICKS)


def test_a_candidate_is_chosen_tracked_and_taken_back(session: Session) -> None:
    first = session.parse("[30,40]", click_frames="2")
    candidates = session.candidates(first[0].prompts[0])
    best = max(range(3), key=lambda number: candidates[number].score)
    assert sorted(tracked(session, {"click_coordinates": "[30,40]", "click_frames": "2"})) == list(range(FRAMES))
    for number in range(1, 4):
        chosen = {"click_coordinates": "[30,40]", "click_frames": "2", "click_candidates": str(number)}
        seen = session.preview(session.parse(**chosen), 2)
        assert seen.scores[0] == pytest.approx(candidates[number - 1].score)
        tracked(session, chosen)
        assert_as_a_fresh_run(session, chosen)
        same = session.preview(first, 2)
        assert (same.objects == seen.objects) == (number - 1 == best)
    assert tracked(session, {"click_coordinates": "[30,40]", "click_frames": "2"}) == []


def test_forward_leaves_the_frames_before_the_start_empty(session: Session) -> None:
    strings = CLICKS | {"click_frames": "2,3"}
    assert tracked(session, strings, propagation="forward") == [2, 3, 4, 5]
    assert_as_a_fresh_run(session, strings, "forward")
    objects = session.parse(**strings)
    assert session.stale(objects, "forward") == {}
    assert session.stale(objects, "both") == {"red": 0, "blue": 0}


def test_results_are_the_whole_clip_in_order_without_the_network(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked(session, CLICKS)
    monkeypatch.setattr(session._model.network, "forward_image", None)
    for number, (frame, masks) in enumerate(session.results()):
        assert frame_number(frame.image) == frame.index == masks.frame_index == number
        assert masks.array().shape == (2, 64, 96)
    assert number == FRAMES - 1


@pytest.mark.parametrize("output_format", ["mp4", "png"])
@pytest.mark.parametrize("done", [0, 2, 100])
def test_what_is_written_is_what_a_request_gives(
    session: Session, tmp_path: Path, output_format: str, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(session.info.path, **CORRECTED, output_format=output_format)  # type: ignore[arg-type]
    suffix = OUTPUTS[output_format].suffix
    expected = segment_video(request, session._model, tmp_path / f"fresh{suffix}", lambda *_: None)
    with closing(session.track(session.parse(**CORRECTED))) as masks:
        list(islice(masks, done))
    told: list[tuple[int, int]] = []
    result = session.write(request, tmp_path / f"result{suffix}", lambda *counts: told.append(counts))
    left = max(0, FRAMES - done)
    assert told == [(number, left + FRAMES) for number in range(1, left + FRAMES + 1)]
    assert result.path.read_bytes() == expected.path.read_bytes()
    assert (result.frames, result.objects) == (FRAMES, 2)
    assert_as_a_fresh_run(session, CORRECTED)


@pytest.mark.parametrize("room", [True, False])
def test_what_needs_the_logits_is_written_too(
    small_model: LoadedModel, small_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: bool
) -> None:
    """Without the network where there is room for them, with it where there is none."""
    if not room:
        monkeypatch.setenv("SAM2_MAX_JOURNAL_BYTES", "1000")
    session = Session(small_clip, small_model)
    tracked(session, CLICKS)
    assert session._tracks is not None and session._tracks.has_logits == room
    request = Request(session.info.path, **CLICKS, mask_type="cutout", output_format="png")  # type: ignore[arg-type]
    assert request.wants_logits
    segment_video(request, session._model, tmp_path / "fresh.zip", lambda *_: None)
    if room:
        monkeypatch.setattr(small_model.network, "forward_image", None)
    told: list[tuple[int, int]] = []
    session.write(request, tmp_path / "result.zip", lambda *counts: told.append(counts))
    session.close()
    assert told == [(number, FRAMES) for number in range(1, FRAMES + 1)]
    assert (tmp_path / "result.zip").read_bytes() == (tmp_path / "fresh.zip").read_bytes()


def test_a_zip_of_frames_is_written_at_the_rate_that_is_asked_for(small_model: LoadedModel, tmp_path: Path) -> None:
    path = frame_zip(tmp_path / "frames.zip", numbered_frames(3))
    request = Request(path, "[20,40]", video_fps=12)
    with Session(path, small_model) as session:
        session.write(request, tmp_path / "result.mp4", lambda *_: None)
        assert session.info.frame_rate == 24
    segment_video(request, small_model, tmp_path / "fresh.mp4", lambda *_: None)
    assert (tmp_path / "result.mp4").read_bytes() == (tmp_path / "fresh.mp4").read_bytes()


@pytest.mark.parametrize(
    ("rate", "meant"), [(None, 24), (0, 24), (12, 12), (29.97, Fraction(30000, 1001)), (Fraction(1, 3), Fraction(1, 3))]
)
def test_frames_have_the_rate_that_is_asked_for(
    small_model: LoadedModel, tmp_path: Path, rate: Any, meant: Fraction | int
) -> None:
    with Session(frame_zip(tmp_path / "frames.zip", numbered_frames(3)), small_model, frame_rate=rate) as session:
        assert session.info.frame_rate == meant and session.info.duration_seconds == pytest.approx(3 / meant)


@pytest.mark.parametrize("rate", [-1, Fraction(-1), 240.5, 0.001, float("nan"), "x", True])
def test_a_frame_rate_is_refused_in_the_words_of_the_request(
    small_model: LoadedModel, tmp_path: Path, rate: Any
) -> None:
    path = frame_zip(tmp_path / "frames.zip", numbered_frames(1))
    with pytest.raises(InvalidRequest) as expected:
        Request(path, "[1,1]", video_fps=rate)
    with pytest.raises(InvalidRequest) as refusal:
        Session(path, small_model, frame_rate=rate)
    assert str(refusal.value) == str(expected.value).replace("video_fps", "frame_rate")


@pytest.mark.parametrize("video", [None, 5, b"clip.mp4", "", "a\0b"])
def test_what_is_no_path_is_refused_in_the_words_of_the_request(small_model: LoadedModel, video: Any) -> None:
    with pytest.raises(InvalidRequest) as expected:
        Request(video, "[1,1]")
    with pytest.raises(InvalidRequest, match=f"^{re.escape(str(expected.value))}$"):
        Session(video, small_model)


def test_pictures_are_the_frames_of_the_clip(session: Session) -> None:
    for index in (0, 1, 5, 2):
        (frame,) = read_frames(session.info, index, index + 1)
        assert np.array_equal(session.picture(index), frame.image)


def test_encoded_frames_are_kept_and_few(
    small_model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", numbered_frames(12))
    with Session(clip, small_model) as session:
        objects = session.parse("[20,40]", click_frames="3")
        for frame in range(12):
            session.warm(frame)
        assert len(session._features) == FEATURES_KEPT
        session.warm(3)
        monkeypatch.setattr(small_model.network, "forward_image", None)
        assert session.preview(objects, 3).objects[0].size == (48, 64)


def test_a_preview_of_no_object_is_empty(session: Session) -> None:
    assert session.preview((), 2).objects == () and session.stale(()) == {}


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda s: s.picture(6), "frame: 6 is not a frame of this video, which has frames 0 to 5"),
        (lambda s: s.masks(1.5), "frame: 1.5 is not a frame of this video, which has frames 0 to 5"),
        (lambda s: s.picture("1"), "frame: '1' is not a frame of this video, which has frames 0 to 5"),
        (lambda s: s.masks(-1), "frame: -1 is not a frame of this video, which has frames 0 to 5"),
        (lambda s: s.preview(s.parse(**CLICKS), 99), "frame: 99 is not a frame of this video, which has frames 0 to 5"),
        (lambda s: s.warm(6), "frame: 6 is not a frame of this video, which has frames 0 to 5"),
        (lambda s: s.parse("[96,0]"), "click_coordinates: point 1 is at [96, 0], but the video is 96x64"),
        (lambda s: s.track(()), "objects: there is none, but at least one is needed"),
        (lambda s: s.track(s.parse("[1,1]"), "back"), "propagation: 'back' is not one of both, forward"),
        (lambda s: s.track(s.parse("[1,1]") * 2), "objects: 2 are named 'object_1', each needs its own name"),
        (lambda s: s.track([thing()]), "objects: 'thing' has no foreground click, box or mask to begin with"),
        (lambda s: s.stale([thing(9)]), "objects: 'thing' is clicked on frame 9, but the video has frames 0 to 5"),
        (lambda s: s.track([thing(0, 97)]), "objects: 'thing' is clicked at [97, 2], but the video is 96x64"),
        (
            lambda s: s.track([wrongly_masked()]),
            "objects: 'thing' has a mask of 9x6, but the video is 96x64",
        ),
        (
            lambda s: s.track([thing(0, candidate=4)]),
            "objects: 'thing' has candidate 4 on frame 0, but a candidate is 1,",
        ),
        (
            lambda s: s.candidates(FramePrompt(0, (), (), None)),
            "candidates: the prompt is empty, but it must be clicks",
        ),
        (
            lambda s: s.candidates(wrongly_masked().prompts[0]),
            "candidates: the prompt has a mask of 9x6, but the video",
        ),
        (
            lambda s: s.candidates(thing(6).prompts[0]),
            "candidates: the prompt is clicked on frame 6, but the video has",
        ),
        (lambda s: s.parse("", masks="none.zip"), "masks: none.zip does not exist"),
        (lambda s: s.results(), "objects: they are not tracked to the end yet, so their results are not whole"),
        (
            lambda s: s.write(Request(Path("other.mp4"), "[1,1]"), Path("result.mp4")),
            "video: other.mp4 is not the clip of this session, which is small.mp4",
        ),
        (
            lambda s: s.write(Request(s.info.path, "[1,1]", click_frames="9"), Path("result.mp4")),
            "click_frames: point 1 is on frame 9, but the video has frames 0 to 5",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(session: Session, call: Any, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        call(session)
    assert str(refusal.value).startswith(sentence) and "\n" not in str(refusal.value)


def thing(frame: int | None = None, x: float = 1.0, candidate: int = 0) -> ObjectPrompts:
    prompts = () if frame is None else (FramePrompt(frame, ((x, 2.0),), (1,), None, candidate=candidate),)
    return ObjectPrompts("thing", 0, prompts, ())


def wrongly_masked() -> ObjectPrompts:
    mask = ObjectMask.of(np.eye(6, 9, dtype=bool))
    return ObjectPrompts("thing", 0, (FramePrompt(0, (), (), None, mask),), ())


def test_a_request_asks_for_the_same_as_its_strings(session: Session) -> None:
    inputs: dict[str, Any] = {**CORRECTED, "start_frame": 1, "mask_type": "binary"}
    request = Request(session.info.path, **inputs)
    assert session.objects_of(request) == session.parse(**CORRECTED)
    refused: list[dict[str, Any]] = [{"click_coordinates": ""}, {"click_coordinates": "[1,1]", "propagation": "back"}]
    for strings in refused:
        with pytest.raises(InvalidRequest) as of_request:
            Request(session.info.path, **strings)
        with pytest.raises(InvalidRequest) as of_session:
            session.parse(**strings)
        assert str(of_session.value) == str(of_request.value)


def test_a_file_is_read_once_until_it_is_another(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(name: str) -> None:
        boxes.write_text(f"0,{name},1,2,30,40\n")

    def counted(path: Path, **size: int) -> tuple[Entry, ...]:
        read.append(path)
        return read_boxes(path, **size)

    read: list[Path] = []
    monkeypatch.setattr(runs_objects, "read_boxes", counted)
    boxes = tmp_path / "b.csv"
    write("dog")
    assert [one.name for _ in range(3) for one in session.parse("", boxes=boxes)] == ["dog"] * 3
    assert read == [boxes]
    write("horse")
    assert [one.name for one in session.read_files(boxes=boxes)] == ["horse"]
    assert session.read_files() == () and len(read) == 2
    boxes.unlink()
    with pytest.raises(InvalidRequest, match=r"^boxes: b\.csv does not exist$"):
        session.parse("", boxes=boxes)


def test_masks_from_a_file_are_followed_as_in_a_fresh_run(session: Session, tmp_path: Path) -> None:
    mask = np.zeros((64, 96), np.uint8)
    mask[20:40, 30:60] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    objects = session.parse("[35,25]", "0", "2", "object_1", masks=tmp_path / "mask.png", mask_frames="1")
    tracked = {found.frame_index: found.objects for found in session.track(objects)}
    fresh = Tracker(session._model).track(session.footage, objects)
    assert tracked == {frame.index: found.objects for frame, found in fresh}
    assert (
        session.stale(session.parse("[35,25]", "0", "2", "object_1", masks=tmp_path / "mask.png", mask_frames="1"))
        == {}
    )


def test_a_closed_session_refuses_and_leaves_nothing(small_model: LoadedModel, small_clip: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with Session(small_clip, small_model) as session:
        objects = session.parse(**CLICKS)
        session.picture(1)
        masks = session.track(objects)
        next(masks)
    session.close()
    for call in (
        lambda: next(masks),
        lambda: session.picture(1),
        lambda: session.masks(1),
        lambda: session.stale(objects),
        lambda: session.preview(objects, 2),
        lambda: session.track(objects),
        lambda: session.write(Request(small_clip, **CLICKS), Path("result.mp4")),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidRequest, match="is closed, open it again"):
            call()
    assert children() == [] and set(os.listdir("/proc/self/fd")) <= before


def test_what_cannot_be_opened_is_said(small_clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UnreadableVideo, match=r"^video: nowhere.mp4 does not exist$"):
        Session(tmp_path / "nowhere.mp4", "demo")
    with pytest.raises(CheckpointError, match="enormous"):
        Session(small_clip, "enormous")


def test_a_result_that_cannot_be_written_is_said_and_the_session_goes_on(session: Session, tmp_path: Path) -> None:
    request = Request(session.info.path, **CLICKS)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="does not exist"):
        session.write(request, tmp_path / "nowhere" / "result.mp4", lambda *_: None)
    assert session.write(request, tmp_path / "result.mp4", lambda *_: None).path.exists()


def test_a_file_that_went_away_is_said_and_the_session_goes_on(
    small_model: LoadedModel, small_clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    shutil.copy(small_clip, path)
    with Session(path, small_model) as session:
        path.unlink()
        with pytest.raises(UnreadableVideo, match=r"^video: clip.mp4 is no longer there$"):
            tracked(session, CLICKS)
        shutil.copy(small_clip, path)
        assert tracked(session, CLICKS) == list(range(FRAMES))


def test_somebody_clicks_and_scrubs_while_another_thread_tracks(session: Session) -> None:
    objects, other = session.parse(**CLICKS), session.parse("[50,30]", click_frames="3")
    seen: list[FrameMasks] = []
    thread = threading.Thread(target=lambda: seen.extend(session.track(objects)))
    thread.start()
    while thread.is_alive():
        assert session.preview(other, 3).frame_index == 3
        session.picture(4)
        session.masks(2)
        session.stale(other)
    thread.join()
    assert [masks.frame_index for masks in seen] == list(range(FRAMES))
    assert_as_a_fresh_run(session, CLICKS)


def test_a_session_refuses_the_outputs_that_a_run_refuses(session: Session, small_clip: Path) -> None:
    before = small_clip.read_bytes()
    with pytest.raises(InvalidRequest, match=r"output: .small\.mp4. is the video itself"):
        session.write(Request(small_clip, "[30,40]"), small_clip)
    assert small_clip.read_bytes() == before


def test_a_part_of_the_clip_is_a_clip_of_its_own(small_model: LoadedModel, small_clip: Path, tmp_path: Path) -> None:
    part: dict[str, Any] = {"start_frame": 1, "frame_stride": 2, "output_format": "png", "mask_type": "binary"}
    request = Request(small_clip, "[30,40]", click_frames="3", **part)
    with Session(small_clip, small_model) as session:
        assert session.write(request, tmp_path / "part.zip").frames == 3
    segment_video(request, small_model, tmp_path / "fresh.zip", lambda *_: None)
    assert (tmp_path / "part.zip").read_bytes() == (tmp_path / "fresh.zip").read_bytes()


# What is no clip by itself: images of different sizes, and shots.

SIDES = ((96, 64), (48, 40), (64, 96), (64, 96))
ON_IMAGES: dict[str, str] = {
    "click_coordinates": "[30,40],[60,50],[20,20,40,35],[30,90],[25,10]",
    "click_labels": "1,1,1,1,0",
    "click_frames": "0,0,1,2,1",
    "click_object_ids": "red,blue,red,blue,red",
}
ON_SHOTS: dict[str, str] = {
    "click_coordinates": "[30,40],[20,30],[10,10]",
    "click_frames": "1,1:2,1:3",
    "click_object_ids": "red,blue,red",
    "click_corrections": "0,0,1",
}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Four images of three sizes."""
    pictures = [numbered_frames(number + 1, *side)[number] for number, side in enumerate(SIDES)]
    return write_zip(
        tmp_path / "photos.zip", [(f"{number}.png", encode_image(one)) for number, one in enumerate(pictures)]
    )


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Two shots of different sizes, of 3 and 4 frames."""
    wide = write_clip(tmp_path / "wide.mp4", numbered_frames(3, 96, 64))
    tall = write_clip(tmp_path / "tall.mp4", numbered_frames(4, 48, 64))
    return write_zip(tmp_path / "shots.zip", [("1.mp4", wide.read_bytes()), ("2.mp4", tall.read_bytes())])


def test_images_are_frames_each_with_its_own_size(small_model: LoadedModel, images: Path) -> None:
    with Session(images, small_model) as session:
        assert (session.info.frame_count, session.info.width, session.info.height) == (4, 96, 96)
        for number, (width, height) in enumerate(SIDES):
            assert session.footage.size(number) == (height, width) == session.picture(number).shape[:2]
            assert frame_number(session.picture(number)) == number and session.footage.label(number) == f"{number}.png"
        assert session.preview((), 1).objects == ()


def test_on_images_each_click_counts_for_its_image_alone(small_model: LoadedModel, images: Path) -> None:
    with Session(images, small_model) as session:
        objects = session.parse(**ON_IMAGES)
        assert session.stale(objects) == {"red": 0, "blue": 0} and session.frames_to_track(objects) == 3
        assert session.masks(0) is None
        seen = session.preview(objects, 1)
        assert [one.size for one in seen.objects] == [(40, 48)] * 2 and not seen.objects[1].area
        assert session.stale(objects) == {"red": 0, "blue": 0} and session.frames_to_track(objects) == 2
        assert tracked(session, ON_IMAGES) == [0, 2]
        assert session.stale(objects) == {} and tracked(session, ON_IMAGES) == []
        found = session.masks(1)
        assert found is not None and found.objects == seen.objects
        assert session.masks(3) is None
        assert [frame.index for frame, _ in session.results()] == [0, 1, 2]
        other = ON_IMAGES | {"click_frames": "0,0,1,3,1"}
        assert session.stale(session.parse(**other)) == {"blue": 3}
        assert tracked(session, other) == [3] and tracked(session, ON_IMAGES) == []


def test_a_candidate_on_an_image_is_that_of_the_image(small_model: LoadedModel, images: Path) -> None:
    with Session(images, small_model) as session:
        (one,) = session.parse("[20,30]", click_frames="1")
        candidates = session.candidates(one.prompts[0])
        assert [candidate.mask.size for candidate in candidates] == [(40, 48)] * 3
        chosen = session.preview(session.parse("[20,30]", click_frames="1", click_candidates="2"), 1)
        assert chosen.scores[0] == pytest.approx(candidates[1].score)


@pytest.mark.parametrize("mask_type", ["binary", "highlighted", "cutout"])
@pytest.mark.parametrize("done", [0, 1, 100])
def test_what_is_written_of_images_is_what_a_request_gives(
    small_model: LoadedModel, images: Path, tmp_path: Path, mask_type: str, done: int
) -> None:
    request = Request(images, **ON_IMAGES, output_format="png", mask_type=mask_type)  # type: ignore[arg-type]
    expected = segment_video(request, small_model, tmp_path / "fresh.zip", lambda *_: None)
    with Session(images, small_model) as session:
        with closing(session.track(session.parse(**ON_IMAGES))) as masks:
            list(islice(masks, done))
        told: list[tuple[int, int]] = []
        result = session.write(request, tmp_path / "result.zip", lambda *counts: told.append(counts))
    left = max(0, 3 - done)
    assert told == [(number, left + 3) for number in range(1, left + 4)]
    assert result.path.read_bytes() == expected.path.read_bytes()
    assert result.notes == expected.notes and (result.frames, result.objects) == (3, 2)


@pytest.mark.parametrize("done", [0, 2, 100])
def test_shots_are_edited_as_one_clip_and_written_as_a_request_gives(
    small_model: LoadedModel, shots: Path, tmp_path: Path, done: int
) -> None:
    request = Request(shots, **ON_SHOTS, mask_type="cutout", output_format="png")  # type: ignore[arg-type]
    expected = segment_video(request, small_model, tmp_path / "fresh.zip", lambda *_: None)
    with Session(shots, small_model) as session:
        objects = session.parse(**ON_SHOTS)
        assert [one.prompts[0].frame_index for one in objects] == [1, 5]
        assert session.footage.size(2) == (64, 96) and session.footage.size(3) == (64, 48)
        assert session.footage.label(5) == "1:2 2.mp4" and frame_number(session.picture(5)) == 2
        assert session.preview(objects, 5).objects[1].size == (64, 48)
        with closing(session.track(objects)) as masks:
            list(islice(masks, done))
        told: list[tuple[int, int]] = []
        result = session.write(request, tmp_path / "result.zip", lambda *counts: told.append(counts))
        left = max(0, 7 - done)
        assert told == [(number, left + 7) for number in range(1, left + 8)]
        assert result.path.read_bytes() == expected.path.read_bytes() and result.frames == 7
        assert_as_a_fresh_run(session, ON_SHOTS)


def test_shots_whose_logits_found_no_room_are_tracked_afresh(
    small_model: LoadedModel, shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM2_MAX_JOURNAL_BYTES", "1000")
    request = Request(shots, **ON_SHOTS, mask_type="cutout", output_format="png")  # type: ignore[arg-type]
    segment_video(request, small_model, tmp_path / "fresh.zip", lambda *_: None)
    with Session(shots, small_model) as session:
        session.write(request, tmp_path / "result.zip", lambda *_: None)
        assert session._tracks is not None and not session._tracks.has_logits
    assert (tmp_path / "result.zip").read_bytes() == (tmp_path / "fresh.zip").read_bytes()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda s: s.picture(4), "frame: 4 is not a frame of this video, which has frames 0 to 3"),
        (
            lambda s: s.parse("[50,10]", click_frames="1"),
            "click_coordinates: 'object_1' is clicked at [50, 10], but image 1 (1.png) is 48x40",
        ),
        (lambda s: s.stale([thing(1, 50)]), "objects: 'thing' is clicked at [50, 2], but 1.png is 48x40"),
        (
            lambda s: s.parse("[5,5],[6,6]", "1,0", "0,1", "red,red"),
            "click_corrections: 'red' is corrected on image 1 (1.png), but has no foreground click or box there",
        ),
        (
            lambda s: s.track([ObjectPrompts("thing", 0, thing(0).prompts, thing(1).prompts)]),
            "objects: 'thing' is corrected, but of separate images none follows from another",
        ),
        (
            lambda s: s.write(Request(s.info.path, "[5,5]"), Path("result.zip")),
            "video: photos.zip holds an image of 48x40 (1.png), but its first is 96x64; all must be equal for mp4",
        ),
        (
            lambda s: s.write(Request(s.info.path, "[5,5]", output_format="png", end_frame=1), Path("result.zip")),
            "end_frame: 1 is of a part of one clip, but photos.zip holds images of different sizes",
        ),
        (
            lambda s: s.write(Request(s.info.path, "[5,5]", output_format="png"), Path("nowhere/result.zip")),
            "output: the folder 'nowhere' does not exist",
        ),
    ],
)
def test_what_does_not_fit_images_is_refused_in_a_sentence(
    small_model: LoadedModel, images: Path, call: Any, sentence: str
) -> None:
    with Session(images, small_model) as session, pytest.raises((InvalidRequest, UnreadableVideo)) as refusal:
        call(session)
    assert str(refusal.value).startswith(sentence) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", ["images", "shots"])
def test_a_closed_session_of_parts_leaves_nothing(
    small_model: LoadedModel,
    kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = request.getfixturevalue(kind)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    before = set(os.listdir("/proc/self/fd"))
    with Session(path, small_model) as session:
        objects = session.parse("[30,40]")
        session.picture(1)
        session.preview(objects, 0)
        found = session.track(session.parse("[30,30]", click_frames="1"))
        next(found)
    for call in (
        lambda: session.picture(0),
        lambda: session.masks(1),
        lambda: session.stale(objects),
        lambda: session.preview(objects, 0),
        lambda: session.track(objects),
    ):
        with pytest.raises(InvalidRequest, match="is closed, open it again"):
            call()
    assert set(os.listdir("/proc/self/fd")) <= before and not list((tmp_path / "temporary").iterdir())
    with pytest.raises(CheckpointError, match="enormous"):
        Session(path, "enormous")
    assert not list((tmp_path / "temporary").iterdir())


def test_a_door_that_shows_clips_alone_refuses_what_is_none(
    small_model: LoadedModel, images: Path, shots: Path
) -> None:
    for path, sentence in ((images, "all must be equal"), (shots, "is a zip without")):
        with pytest.raises(UnreadableVideo, match=sentence):
            Session(path, small_model, one_size=True)
