"""Masks in a file -> prompts; what does not fit or is damaged is refused in one sentence."""

import json
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sam2_cog.errors import InvalidRequest
from sam2_cog.reading.entry import Entry
from sam2_cog.reading.mask_files import read_masks

WIDTH, HEIGHT, FRAMES = 24, 16, 50


def block(x: int = 2, value: int = 255, dtype: Any = np.uint8) -> np.ndarray:
    """A picture with a block of 4x3 pixels."""
    picture = np.zeros((HEIGHT, WIDTH), dtype)
    picture[5:8, x : x + 4] = value
    return picture


def png(picture: np.ndarray, mode: str | None = None) -> bytes:
    image = Image.fromarray(picture)
    if mode == "P":
        image = Image.fromarray(picture, "L").convert("P")
        image.putdata(picture.ravel().tolist())
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    elif mode:
        image = image.convert(mode)
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def archive(path: Path, files: Mapping[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def read(path: Path, mask_frames: str = "") -> tuple[Entry, ...]:
    return read_masks(path, mask_frames, width=WIDTH, height=HEIGHT, frame_count=FRAMES)


def refusal(path: Path, mask_frames: str = "") -> str:
    with pytest.raises(InvalidRequest) as caught:
        read(path, mask_frames)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 300
    return message


def told(entries: tuple[Entry, ...]) -> list[tuple[str, int, int]]:
    """(name, frame, left edge) of each."""
    return [(one.name, one.frame, one.mask.tight[0]) for one in entries if one.mask and one.mask.tight]


# An archive.


def test_an_archive_has_a_folder_for_each_object(tmp_path: Path) -> None:
    files = {
        "masks/dog/00003.png": png(block(2)),
        "masks/cat/00003.png": png(block(9)),
        "masks/dog/00010.png": png(block(5)),
        "masks/cat/00010.png": png(block(9, 0)),
        "notes.txt": b"",
    }
    path = archive(tmp_path / "m.zip", files)
    assert told(read(path)) == [("dog", 3, 2), ("cat", 3, 9), ("dog", 10, 5)]
    assert told(read(path, "10 3")) == told(read(path))
    assert told(read(path, "3")) == [("dog", 3, 2), ("cat", 3, 9)]
    assert {(one.label, one.correction, one.point, one.box) for one in read(path)} == {(1, 0, None, None)}


def test_a_folder_around_the_masks_does_not_matter(tmp_path: Path) -> None:
    assert told(read(archive(tmp_path / "m.zip", {"result/masks/dog/7.png": png(block())}))) == [("dog", 7, 2)]


def test_a_manifest_says_the_names_and_the_frames_of_the_numbers(tmp_path: Path) -> None:
    manifest = {
        "objects": [{"name": "red: bird", "folder": "masks/red_ bird"}],
        "frames": [{"frame": 0}, {"frame": 10}, {"frame": 20}],
    }
    files = {f"masks/red_ bird/{number:05d}.png": png(block(number)) for number in range(3)}
    path = archive(tmp_path / "m.zip", files | {"manifest.json": json.dumps(manifest)})
    assert told(read(path)) == [("red: bird", 0, 0), ("red: bird", 10, 1), ("red: bird", 20, 2)]
    assert told(read(path, "20")) == [("red: bird", 20, 2)]


@pytest.mark.parametrize(
    "content",
    [
        png(block(2, 255)),
        png(block(2, 128)),
        png(block(2, 1)),
        png(block(2, 1), "P"),
        png(block(2, 255), "1"),
        png(block(2, 255), "RGB"),
        png(block(2, 255), "RGBA"),
        png(block(2, 255), "LA"),
        png(block(2, 40000, np.uint16)),
    ],
)
def test_masks_of_many_kinds_and_soft_ones_are_cut_at_half(tmp_path: Path, content: bytes) -> None:
    (one,) = read(archive(tmp_path / "m.zip", {"masks/dog/0.png": content}))
    assert one.mask and np.array_equal(one.mask.full(), block() > 0)


def test_what_is_below_half_is_nothing(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.zip", {"masks/dog/0.png": png(block(2, 127)), "masks/dog/1.png": png(block(2, 128))})
    assert told(read(path)) == [("dog", 1, 2)]


# One picture.


def test_each_value_of_a_picture_is_an_object(tmp_path: Path) -> None:
    labels = block(2, 1) + block(9, 2)
    for name, content in {
        "indexed": png(labels, "P"),
        "grey": png(labels),
        "deep": png(labels.astype(np.uint16)),
    }.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(content)
        assert told(read(path)) == [("object_1", 0, 2), ("object_2", 0, 9)]
        assert told(read(path, "7")) == [("object_1", 7, 2), ("object_2", 7, 9)]


def test_white_on_black_is_one_object(tmp_path: Path) -> None:
    path = tmp_path / "white.png"
    path.write_bytes(png(block()))
    assert told(read(path)) == [("object_1", 0, 2)]


# Refusals.

MANIFEST = json.dumps({"objects": [{"name": "dog", "folder": "masks/dog"}], "frames": [{"frame": 0}]})
MASK = {"masks/dog/00000.png": png(block())}
ARCHIVES: dict[str, tuple[dict[str, Any], str, str]] = {
    "no masks": ({"dog/0.png": png(block())}, "", "m.zip is a zip without masks/<object>/<frame>.png"),
    "size": (
        {"masks/dog/3.png": png(block()[:, :-1])},
        "",
        "'masks/dog/3.png' is 23x16, but the video is 24x16, and a mask must be too",
    ),
    "frame": (
        {"masks/dog/50.png": png(block())},
        "",
        "'masks/dog/50.png' is on frame 50, but the video has frames 0 to 49",
    ),
    "twice": (
        {"masks/dog/5.png": png(block()), "masks/dog/05.png": png(block())},
        "",
        "'masks/dog/5.png' and 'masks/dog/05.png' are of one object on one frame",
    ),
    "colours": (
        {"masks/dog/0.png": png(np.dstack([block(), block(3), block()]))},
        "",
        "'masks/dog/0.png' has colours or transparency, but a mask is grey or indexed",
    ),
    "damaged": (
        {"masks/dog/0.png": png(block())[:60]},
        "",
        "'masks/dog/0.png' cannot be read: it is damaged, or no PNG or zip",
    ),
    "no PNG": ({"masks/dog/0.png": b"GIF89a"}, "", "'masks/dog/0.png' cannot be read: it is damaged, or no PNG or zip"),
    "empty": ({"masks/dog/0.png": png(block(value=0))}, "", "'dog' has no pixel in m.zip on any frame"),
    "empty there": (
        MASK | {"masks/dog/3.png": png(block(value=0))},
        "3",
        "'dog' has no pixel in m.zip on frame 3 (mask_frames)",
    ),
    "not there": (MASK, "3,4", "m.zip has no mask on frame 3, 4 (mask_frames)"),
    "name": (
        {f"masks/{'d' * 65}/0.png": png(block())},
        "",
        f"'masks/{'d' * 31}...' is of an object named '{'d' * 37}...', 65 characters, but a name has at most 64",
    ),
    "manifest": (MASK | {"manifest.json": "{}"}, "", "m.zip has a manifest.json that is not one of this project"),
    "not in manifest": (
        {"masks/dog/1.png": png(block()), "manifest.json": MANIFEST},
        "",
        "'masks/dog/1.png' is not in the manifest.json of m.zip",
    ),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_an_archive_that_does_not_fit_is_refused(tmp_path: Path, case: str) -> None:
    files, mask_frames, sentence = ARCHIVES[case]
    assert refusal(archive(tmp_path / "m.zip", files), mask_frames) == f"masks: {sentence}"


PICTURES: dict[str, tuple[bytes, str, str]] = {
    "soft": (
        png(block() + block(9, 100)),
        "",
        "masks: m.png is grey with 2 values above 0, which may be one soft mask or several objects: save objects as an "
        "indexed PNG, or a soft mask as masks/<object>/<frame>.png in a zip",
    ),
    "a photograph": (
        png(np.arange(WIDTH * HEIGHT, dtype=np.uint8).reshape(HEIGHT, WIDTH) % 200),
        "",
        "masks: m.png is grey",
    ),
    "nothing": (png(block(value=0)), "", "masks: m.png has no pixel above 0, so there is nothing to follow"),
    "two frames": (png(block()), "1,2", "mask_frames: m.png is one picture, which is on one frame, not on more"),
    "no frame": (png(block()), "50", "mask_frames: it has frame 50, but the video has frames 0 to 49"),
    "no number": (
        png(block()),
        "first",
        "mask_frames: it has frame 'first', but a frame is a whole number from 0 to 49",
    ),
    "no list": (png(block()), "[1", "mask_frames: '[1' is not a list of frames, such as 0,30"),
    "a text": (b"dog", "", "masks: 'm.png' cannot be read: it is damaged, or no PNG or zip"),
    "a broken zip": (b"PK\x03\x04", "", "masks: 'm.png' cannot be read: it is damaged, or no PNG or zip"),
}


@pytest.mark.parametrize("case", PICTURES)
def test_a_picture_that_does_not_fit_is_refused(tmp_path: Path, case: str) -> None:
    content, mask_frames, sentence = PICTURES[case]
    path = tmp_path / "m.png"
    path.write_bytes(content)
    assert refusal(path, mask_frames).startswith(sentence)


def test_a_file_that_is_missing_or_no_file_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "m.zip") == "masks: m.zip does not exist"
    assert refusal(tmp_path).startswith("masks: ")


def test_too_much_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "m.zip", {f"masks/dog/{frame}.png": b"unread" for frame in range(3)})
    monkeypatch.setenv("SAM2_MAX_CLICKED_FRAMES", "2")
    assert refusal(path).startswith("masks: m.zip has 3 clicked frames, but at most 2 are allowed")
    monkeypatch.setenv("SAM2_MAX_CLICKED_FRAMES", "3")
    monkeypatch.setenv("SAM2_MAX_MASK_PIXELS", "1000")
    assert refusal(path).startswith("masks: m.zip has 1152 pixels in all masks, but at most 1000 are allowed")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    files = {"masks/dog/00000.png": png(block()), "manifest.json": MANIFEST.encode()}
    whole = archive(tmp_path / "whole.zip", files).read_bytes() if data.draw(st.booleans()) else png(block(2, 1), "P")
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "m.zip"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        assert read(path)
    except InvalidRequest as error:
        assert str(error).isprintable() and len(str(error)) < 300
