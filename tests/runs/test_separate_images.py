"""Images of different sizes in a zip: each segmented for itself, and written by its own name in its own size."""

import io
import json
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam2_cog import limits
from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.evaluate.metrics import region_similarity
from sam2_cog.fleet.cost import _images
from sam2_cog.media import frame_archive, image_file, image_set
from sam2_cog.outputs import archive
from sam2_cog.pipeline import Result, segment_video
from sam2_cog.request import Request
from tests.clips import draw_frame, encode_image, write_zip

SIZES = {"bay.png": (640, 360), "cliff.jpg": (320, 180), "dune.webp": (400, 360), "elm.bmp": (640, 360)}
"""What each image is: a frame of the sample, whole, at half its size, and a part of it."""
WHOLE, HALF, PART, LAST = 0, 1, 2, 3
CLICKS: dict[str, Any] = {
    "click_coordinates": "[80,222],[556,96],[278,48],[40,222]",
    "click_frames": "0,0,1,2",
    "click_object_ids": "red,blue,blue,red",
}
Run = Callable[..., Result]


def scene(number: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """An image, (H, W, 3) uint8, and the exact masks of the birds on it, (H, W) bool."""
    picture, birds = draw_frame(0)
    masks = {"red": birds["bird_1"], "blue": birds["bird_2"]}
    if number == HALF:
        return picture[::2, ::2], {name: mask[::2, ::2] for name, mask in masks.items()}
    if number == PART:
        return picture[:, 40:440], {name: mask[:, 40:440] for name, mask in masks.items()}
    return picture, masks


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kinds = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}
    entries = [
        (f"shots/{name}", encode_image(scene(number)[0], kinds[Path(name).suffix])) for number, name in enumerate(SIZES)
    ]
    return write_zip(tmp_path_factory.mktemp("images") / "photos.zip", entries)


@pytest.fixture
def run(demo_model: LoadedModel, images: Path, tmp_path: Path) -> Run:
    def run_request(**inputs: Any) -> Result:
        request = Request(**{"video": images, "output_format": "png", **CLICKS} | inputs)
        return segment_video(request, demo_model, tmp_path / "result.zip", lambda *_: None)

    return run_request


def entries(path: Path) -> dict[str, Any]:
    """The pictures of an archive by name, and its manifest."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    return {name: Image.open(io.BytesIO(content)) for name, content in files.items()} | {"manifest": manifest}


def test_each_image_has_the_masks_of_what_is_clicked_on_it(run: Run) -> None:
    result = run(mask_type="binary")
    found = entries(result.path)
    manifest = found.pop("manifest")
    assert set(found) == {
        "masks/red/bay.png", "masks/blue/bay.png", "masks/blue/cliff.png", "masks/red/dune.png",
    }  # fmt: skip
    for name, picture in found.items():
        number = [Path(image).stem for image in SIZES].index(Path(name).stem)
        assert picture.size == list(SIZES.values())[number]
        truth = scene(number)[1][Path(name).parts[1]]
        assert region_similarity(np.asarray(picture) > 127, truth) > 0.85, name
    assert (result.frames, result.objects) == (3, 2)
    assert result.notes[:2] == (
        "photos.zip holds images of different sizes, which are taken each for itself",
        "1 of 4 images have no click and are left out",
    )
    assert [(frame["frame"], frame["image"], frame["width"], frame["files"]) for frame in manifest["frames"]] == [
        (0, "bay.png", 640, ["masks/red/bay.png", "masks/blue/bay.png"]),
        (1, "cliff.jpg", 320, ["masks/blue/cliff.png"]),
        (2, "dune.webp", 400, ["masks/red/dune.png"]),
    ]
    assert [entry["folder"] for entry in manifest["objects"]] == ["masks/red", "masks/blue"]
    assert [one["iou_before"] for frame in manifest["frames"] for one in frame["objects"]] == [None] * 4


@pytest.mark.parametrize("mask_type", ["binary", "cutout", "probability", "highlighted"])
def test_an_image_is_as_it_is_alone(run: Run, demo_model: LoadedModel, tmp_path: Path, mask_type: str) -> None:
    """Whatever lies beside it, and an object keeps its colour."""
    found = entries(run(mask_type=mask_type, click_object_ids="blue,red,blue,red").path)
    alone = tmp_path / "cliff.png"
    Image.open(io.BytesIO(encode_image(scene(HALF)[0], "JPEG"))).save(alone)
    name = "blue" if mask_type in ("binary", "probability") else ""
    request = Request(alone, "[278,48]", mask_type=mask_type, output_format="png", click_object_ids="blue")  # type: ignore[arg-type]
    expected = Image.open(segment_video(request, demo_model, tmp_path / "alone.png").path)
    picture = found[f"masks/{name}/cliff.png" if name else "frames/cliff.png"]
    assert np.array_equal(np.asarray(picture), np.asarray(expected))


def test_pictures_are_encoded_side_by_side_to_the_same_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "cores", lambda: 1)
    alone = run().path.read_bytes()
    together, encode = threading.Barrier(2), archive.encode

    def encode_two(*picture: Any) -> bytes:
        if picture[1].shape[:2] in ((360, 640), (180, 320)):  # the first and the second of three
            together.wait(20)
        return encode(*picture)

    monkeypatch.setattr(archive, "cores", lambda: 2)
    monkeypatch.setattr(archive, "encode", encode_two)
    assert run().path.read_bytes() == alone


def test_separate_objects_and_boxes_from_a_file(run: Run, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("frame,name,x0,y0,x1,y1\n3,bird,12,186,141,257\n")
    result = run(separate_objects=True, boxes=boxes, output_format="webp")
    found = set(entries(result.path)) - {"manifest"}
    assert found == {
        "frames/red/bay.webp", "frames/blue/bay.webp", "frames/blue/cliff.webp", "frames/red/dune.webp",
        "frames/bird/elm.webp",
    }  # fmt: skip


def test_what_is_not_found_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sam2_cog.engine.steps.ABSENT_LOGIT", -1.0)
    monkeypatch.setattr(
        "sam2_cog.engine.tracker.cut", lambda logits, height, width: lambda: nothing(len(logits), height, width)
    )
    assert "blue has no mask on image 1 (cliff.jpg)" in run().notes


def nothing(count: int, height: int, width: int) -> tuple[Any, ...]:
    from sam2_cog.masks import ObjectMask

    return (ObjectMask((height, width), None, b""),) * count


ODD = "video: photos.zip holds an image of 320x180 (cliff.jpg), but its first is 640x360; all must be equal"


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"output_format": "yolo"}, f"{ODD} for yolo; png, webp, jpg take each for itself"),
        ({"output_format": "coco"}, f"{ODD} for coco; png, webp, jpg take each for itself"),
        ({"masks": "masks.zip"}, "masks: the images of photos.zip differ in size, they take clicks and boxes alone"),
        ({"click_frames": "0,0,1,4"}, "click_frames: point 4 is on frame 4, but the video has frames 0 to 3"),
        (
            {"click_coordinates": "[80,222],[556,96],[330,48],[40,222]"},
            "click_coordinates: 'blue' is clicked at [330, 48], but image 1 (cliff.jpg) is 320x180",
        ),
        (
            {"click_coordinates": "[80,222],[556,96],[10,10,90,190],[40,222]"},
            "click_coordinates: 'blue' has the box [10, 10, 90, 190], but image 1 (cliff.jpg) is 320x180",
        ),
        (
            {"click_labels": "1,1,0,1"},
            "click_corrections: 'blue' is corrected on image 1 (cliff.jpg), but has no foreground click or box there, "
            "and of images of different sizes none follows from another",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_the_network(
    images: Path, tmp_path: Path, inputs: dict[str, Any], sentence: str
) -> None:
    (tmp_path / "masks.zip").write_bytes(b"")
    files = {"masks": tmp_path / "masks.zip"} if "masks" in inputs else {}
    request = Request(**{"video": images, "output_format": "png", **CLICKS} | inputs | files)
    with pytest.raises((InvalidRequest, UnreadableVideo)) as refused:
        segment_video(request, lambda: pytest.fail("loaded"), tmp_path / "result.zip")
    assert str(refused.value) == sentence


@pytest.mark.parametrize(("name", "given"), [("a.png", None), ("a.zip", "report.csv")])
def test_one_picture_and_reports_are_refused(images: Path, tmp_path: Path, name: str, given: str | None) -> None:
    request = Request(images, output_format="png", **CLICKS)
    report = tmp_path / given if given else None
    with pytest.raises(
        InvalidRequest,
        match=r"^(output: 'a.png' is one picture|report: there is none beside several results)",
    ):
        segment_video(request, lambda: pytest.fail("loaded"), tmp_path / name, report=report)


def test_damage_is_found_first_and_time_is_bounded(
    images: Path, demo_model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [(name, encode_image(scene(number)[0])) for number, name in enumerate(("a.png", "b.png"))]
    damaged = write_zip(tmp_path / "damaged.zip", [*whole, ("c.png", whole[0][1][:-40])])
    request = Request(damaged, "[1,1]", output_format="png")
    with pytest.raises(UnreadableVideo, match=r"damaged.zip holds an image that cannot be decoded \(c.png\)"):
        segment_video(request, lambda: pytest.fail("loaded"), tmp_path / "result.zip")
    monkeypatch.setattr(limits.Deadline, "check", lambda self: (_ for _ in ()).throw(InvalidRequest("time is over")))
    with pytest.raises(InvalidRequest, match="time is over"):
        segment_video(Request(images, "[1,1]", output_format="png"), demo_model, tmp_path / "result.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.zip"]


def test_one_image_is_held_at_a_time_and_those_without_a_click_are_not_decoded(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = image_set.probe_image_set(images)
    assert [(info.width, info.height) for info in found.images] == list(SIZES.values())
    decoded: list[Any] = []

    def pixels(image: Any) -> np.ndarray:
        decoded.append(image)
        return image_file.pixels(image)

    monkeypatch.setattr(frame_archive, "pixels", pixels)
    frames = found.read({3, 1})
    assert next(frames).index == 1 and len(decoded) == 1
    assert next(frames).index == 3 and len(decoded) == 2
    assert next(frames, None) is None


def test_an_estimate_counts_them(images: Path) -> None:
    found = _images(images)
    assert found is not None and [(one.width, one.height) for one in found] == list(SIZES.values())
