"""What a checkpoint belongs to: the request, the files by their content, the model and the version."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import InvalidRequest
from sam2_cog.request import Request
from sam2_cog.runs import resume
from sam2_cog.runs.resume import check_checkpoint, folder_beside
from tests.clips import encode_image, numbered_frames


@pytest.fixture
def video(tmp_path: Path, small_clip: Path) -> Path:
    return Path(shutil.copy(small_clip, tmp_path / "clip.mp4"))


def differing(one: dict[str, str], other: dict[str, str]) -> set[str]:
    assert one.keys() == other.keys()
    return {kind for kind in one if one[kind] != other[kind]}


def belongs_to(model: LoadedModel, video: Path, **inputs: Any) -> dict[str, str]:
    return resume._belongs_to(Request(video, "[30,40]", **inputs), model)


def test_a_copy_elsewhere_is_the_same_video_and_another_content_is_not(demo_model: LoadedModel, video: Path) -> None:
    before = belongs_to(demo_model, video)
    moved = video.rename(video.with_name("moved.mp4"))
    assert belongs_to(demo_model, moved) == before
    moved.write_bytes(moved.read_bytes()[:-1] + b"x")
    assert differing(belongs_to(demo_model, moved), before) == {"video"}


@pytest.mark.parametrize("within", ["", "bear"])
def test_a_folder_of_frames_counts_with_its_names_and_contents(
    demo_model: LoadedModel, tmp_path: Path, within: str
) -> None:
    """Also where the frames lie in a folder of their own in there."""
    given = tmp_path / "frames"
    folder = given / within
    folder.mkdir(parents=True)
    for number, frame in enumerate(numbered_frames(2)):
        (folder / f"{number}.png").write_bytes(encode_image(frame))
    before = belongs_to(demo_model, given)
    (folder / "1.png").rename(folder / "2.png")
    assert differing(belongs_to(demo_model, given), before) == {"video"}


@pytest.mark.parametrize(
    "inputs", [{"click_labels": "1,0"}, {"output_quality": 79}, {"propagation": "forward"}, {"mask_type": "binary"}]
)
def test_any_other_input_is_another_request(demo_model: LoadedModel, video: Path, inputs: dict[str, Any]) -> None:
    assert differing(belongs_to(demo_model, video, **inputs), belongs_to(demo_model, video)) == {"request"}


def test_boxes_of_the_same_name_with_another_content_are_too(demo_model: LoadedModel, video: Path) -> None:
    boxes = video.with_name("boxes.csv")
    found = []
    for content in ("0,a,1,1,9,9\n", "0,a,1,1,9,8\n"):
        boxes.write_text(content)
        found.append(belongs_to(demo_model, video, boxes=boxes))
    assert differing(*found) == {"request"}


def test_another_network_or_version_is_another(
    demo_model: LoadedModel, at_64_pixels: LoadedModel, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = belongs_to(demo_model, video)
    assert differing(belongs_to(at_64_pixels, video), before) == {"model"}
    monkeypatch.setattr(resume, "__version__", "0.0.1")
    assert differing(belongs_to(demo_model, video), before) == {"version"}


def test_when_it_was_saved_last(tmp_path: Path) -> None:
    assert resume.last_saved(tmp_path / "out.mp4") == 0
    (tmp_path / ".out.mp4.checkpoint").mkdir()
    (tmp_path / ".out.mp4.checkpoint/state").touch()
    assert resume.last_saved(tmp_path / "out.mp4") > 0


def test_its_folder_is_hidden_beside_the_output() -> None:
    assert folder_beside(Path("there/out.mp4")) == Path("there/.out.mp4.checkpoint")


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.09, 86401.0, float("nan"), float("inf")])
def test_seconds_beyond_the_bounds_are_refused(seconds: float) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        check_checkpoint(seconds, Path("out.mp4"))
    said = f"checkpoint: {seconds:g} is not allowed, it must be a number of seconds from 0.1 to 86400"
    assert str(refusal.value) == said


def test_a_name_that_leaves_no_room_for_the_folders_is_refused() -> None:
    check_checkpoint(60, Path("é" * 119 + "x.mp4"))
    with pytest.raises(InvalidRequest, match="is too long for a checkpoint beside it: 243 bytes at most"):
        check_checkpoint(60, Path("é" * 120 + ".mp4"))


def test_there_is_no_place_beside_the_standard_output() -> None:
    with pytest.raises(InvalidRequest, match="must be a file, not the standard output"):
        check_checkpoint(60, Path("-"))
