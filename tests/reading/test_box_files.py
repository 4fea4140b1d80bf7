"""Boxes in a file -> prompts, whoever wrote it; what does not fit is refused in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sam2_cog.errors import InvalidRequest
from sam2_cog.reading.box_files import read_boxes
from sam2_cog.reading.entry import Entry
from tests.parsing import FRAMES, HEIGHT, WIDTH, names_of, parse

TOLD = [("dog", 3, (10.0, 20.0, 90.0, 80.5)), ("red bird", 0, (1.0, 2.0, 30.0, 40.0))]


def read(folder: Path, content: str | bytes) -> tuple[Entry, ...]:
    path = folder / "boxes"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_boxes(path, width=WIDTH, height=HEIGHT, frame_count=FRAMES)


def refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read(folder, content)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 300
    return message


def told(entries: tuple[Entry, ...]) -> list[tuple[Any, ...]]:
    return [(one.name, one.frame, one.box) for one in entries]


def coco(boxes: list[dict[str, Any]], **images: Any) -> str:
    """Annotations of the categories dog (1) and cat (2) on images that are given by id."""
    return json.dumps(
        {
            "images": [{"id": int(number.removeprefix("i")), **image} for number, image in images.items()],
            "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
            "annotations": boxes,
        }
    )


def box(image: int, category: int = 1, *corners: float, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": list(corners or (10, 20, 5, 6)), **more}


@pytest.mark.parametrize(
    "text",
    [
        "frame,name,x0,y0,x1,y1\n3,dog,10,20,90,80.5\n0,red bird,1,2,30,40\n",
        "3,dog,10,20,90,80.5\r\n0,red bird,1,2,30,40\r\n",
        '3;"dog";10.0;20;90;8.05e1\n\n0;red  bird ;1;2;30;40',
        "\ufeffx0\ty0\tx1\ty1\tscore\tName\tFrame\n10\t20\t90\t80.5\t0.9\tdog\t3\n1\t2\t30\t40\t0.8\tred bird\t0.0",
    ],
)
def test_a_csv_with_and_without_names_of_its_columns(tmp_path: Path, text: str) -> None:
    assert told(read(tmp_path, text)) == TOLD


def test_a_coco_data_set_tells_frames_by_index_or_by_the_names_of_files(tmp_path: Path) -> None:
    text = coco(
        [box(7, 1, 10, 20, 80, 60.5), box(9, 2, 1, 2, 29, 38)],
        i7={"file_name": "clip_00003.jpg"},
        i9={"file_name": "a.jpg", "frame_index": 0},
    )
    assert told(read(tmp_path, text)) == [("dog", *TOLD[0][1:]), ("cat", *TOLD[1][1:])]


@pytest.mark.parametrize(
    ("boxes", "names"),
    [
        ([box(1), box(2)], ["dog", "dog"]),
        ([box(1, track_id=4), box(2, track_id=4)], ["dog", "dog"]),
        ([box(1, track_id=4), box(1, track_id=5), box(2, track_id=4)], ["dog_4", "dog_5", "dog_4"]),
        ([box(1), box(1), box(1, 2)], ["dog_1", "dog_2", "cat"]),
        ([box(1), box(2), box(2, 2)], ["dog", "dog", "cat"]),
    ],
)
def test_objects_of_one_category_are_told_apart(tmp_path: Path, boxes: list[dict[str, Any]], names: list[str]) -> None:
    text = coco(boxes, i1={"file_name": "000.png"}, i2={"file_name": "010.png"})
    assert [one.name for one in read(tmp_path, text)] == names


def test_a_yolo_text_is_of_the_first_frame(tmp_path: Path) -> None:
    found = read(tmp_path, "0 0.5 0.5 0.25 0.5\n16 0.1 0.5 0.1 0.1 0.87\n0 .25 .25 .1 .1\n")
    assert [(one.name, one.frame) for one in found] == [("class_0_1", 0), ("class_16", 0), ("class_0_2", 0)]
    assert found[0].box == (240.0, 90.0, 400.0, 270.0)


def test_a_pixel_over_the_edge_is_cut(tmp_path: Path) -> None:
    assert told(read(tmp_path, "0,dog,-0.4,-1,640.7,361"))[0][2] == (0.0, 0.0, 640.0, 360.0)


def test_boxes_join_clicks_of_the_same_name(tmp_path: Path) -> None:
    dog, bird = parse("[5,6],[50,60]", "0,1", "3", "dog,red bird", from_files=read(tmp_path, "3,dog,10,20,90,80.5"))
    assert [(p.frame_index, p.box, p.labels) for p in dog.prompts] == [(3, TOLD[0][2], (0,))]
    assert names_of((dog, bird)) == ["dog", "red bird"]


def test_two_boxes_for_one_object_on_a_frame_are_refused_by_their_lines(tmp_path: Path) -> None:
    twice = read(tmp_path, "3,dog,10,20,90,80\n3,dog,20,20,90,80")
    with pytest.raises(InvalidRequest) as caught:
        parse("", from_files=twice)
    assert str(caught.value) == (
        "boxes: line 2 of boxes is a second box for 'dog' on frame 3, but an object has at most one box on a frame"
    )


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", "boxes holds no box"),
    "a head": ("frame,name,x0,y0,x1,y1", "boxes holds no box"),
    "few cells": ("0,dog,1,2,30", "line 1 is '0,dog,1,2,30', but a line is frame, name, x0, y0, x1, y1, such as"),
    "a word": ("0,dog,1,2,30,40\n0,dog,1,2,x,40", "line 2 is '0,dog,1,2,x,40', but a line is frame, name"),
    "no name": ("0,,1,2,30,40", "line 1 is '0,,1,2,30,40', but"),
    "frame": ("164,dog,1,2,30,40", "line 1 is on frame '164', but the video has frames 0 to 163"),
    "no frame": ("first,dog,1,2,30,40", "line 1 is on frame 'first', but the video has frames 0 to 163"),
    "corners": (
        "0,dog,30,2,1,40",
        "line 1 is the box [30, 2, 1, 40], but a box is [x0,y0,x1,y1] with x0 < x1 and y0 < y1",
    ),
    "outside": (
        "0,dog,1,2,900,40",
        "line 1 is the box [1, 2, 900, 40], but the video is 640x360 (for a box x from 0 to 640, y from 0 to 360)",
    ),
    "shares": ("0,dog,.1,.2,.3,.4", "line 1 is the box [0.1, 0.2, 0.3, 0.4], which is smaller than a pixel, but"),
    "name": (
        f"0,{'d' * 65},1,2,30,40",
        f"line 1 is of an object named '{'d' * 37}...', 65 characters, but a name has at",
    ),
    "yolo": (
        "0 0.5 0.5 12 0.5",
        "line 1 is '0 0.5 0.5 12 0.5', but a line is CSV (frame, name, x0, y0, x1, y1) or YOLO's",
    ),
    "outline": (
        "0 0.1 0.1 0.2 0.1 0.2 0.3 0.1 0.3",
        "line 1 is '0 0.1 0.1 0.2 0.1 0.2 0.3 0.1 0.3', but a line is CSV (frame, name, x0, y0, x1, y1) or YOLO's",
    ),
    "another size": (
        coco([box(1)], i1={"file_name": "0.png", "width": 320, "height": 180}),
        "annotation 1 is on an image of 320x180, but the video is 640x360, and the image must be too",
    ),
    "prose": ("a dog", "line 1 is 'a dog', but a line is CSV"),
    "json": ("{", "boxes is no COCO data set with images, annotations with a bbox, and categories"),
    "results": ('[{"image_id": 1, "bbox": [1, 2, 3, 4]}]', "boxes is no COCO data set with images"),
    "no bbox": (coco([{"image_id": 1, "category_id": 1}], i1={"file_name": "0.png"}), "boxes is no COCO data set"),
    "no number": (coco([box(1)], i1={"file_name": "dog.png"}), "annotation 1 is on frame 'dog.png', but the video has"),
    "not a number": (
        coco([box(1, 1, float("nan"), 2, 3, 4)], i1={"file_name": "0.png"}),
        "annotation 1 is the box [nan, 2, nan, 6], but a box is",
    ),
    "no tracks": (
        coco([box(1), box(1), box(2)], i1={"file_name": "0.png"}, i2={"file_name": "1.png"}),
        "boxes has several boxes of 'dog' on a frame and more on others, and does not say which are of one object: "
        "annotations with a track_id, or a CSV with a name for each object, do",
    ),
    "no text": (b"\xff\xfe\x00", "boxes is no text, but it must be CSV, COCO's JSON or YOLO's text"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(tmp_path: Path, case: str) -> None:
    content, sentence = REFUSED[case]
    assert refusal(tmp_path, content).startswith(f"boxes: {sentence}")


def test_too_many_and_missing_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MAX_CLICKS", "2")
    message = refusal(tmp_path, "0,dog,1,2,30,40\n" * 3)
    assert message == "boxes: boxes has 3 clicks, but at most 2 are allowed (SAM2_MAX_CLICKS)"
    with pytest.raises(InvalidRequest, match=r"boxes: none\.csv does not exist"):
        read_boxes(tmp_path / "none.csv", width=9, height=9, frame_count=1)
    with pytest.raises(InvalidRequest, match=r"boxes: .* cannot be read"):
        read_boxes(tmp_path, width=9, height=9, frame_count=1)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text('0123456789.,;-eE\t "\n[]{}:dog', max_size=80), st.text(max_size=40), st.binary(max_size=40)))
def test_any_content_is_read_or_refused(tmp_path: Path, content: str | bytes) -> None:
    try:
        assert read(tmp_path, content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    except InvalidRequest as error:
        assert str(error).isprintable() and len(str(error)) < 300
