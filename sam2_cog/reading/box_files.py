"""Detections of another program -> entries for `parse_prompts`: boxes in a CSV, in COCO's JSON or in YOLO's text."""

import csv
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sam2_cog import limits
from sam2_cog.errors import InvalidRequest, quoted
from sam2_cog.reading.click_lists import Box, box_in_frame, check_name
from sam2_cog.reading.entry import Entry

MAX_BYTES = 1 << 26
SEPARATORS = ",;\t"
COLUMNS = ("frame", "name", "x0", "y0", "x1", "y1")

_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,20}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,2})?")
_WHOLE = re.compile(r"([0-9]{1,18})(?:\.0{0,40})?")
_LAST_NUMBER = re.compile(r"([0-9]{1,18})\D*\Z")


@dataclass(frozen=True)
class _Found:
    """A box of a file; `track` tells objects of one name apart, where the file does."""

    called: str
    frame: int
    name: str
    track: str
    box: Box


@dataclass(frozen=True)
class _Video:
    """What the boxes must fit."""

    file: str
    width: int
    height: int
    frame_count: int


def read_boxes(path: Path, *, width: int, height: int, frame_count: int) -> tuple[Entry, ...]:
    """The boxes of a file, at least one, as prompts in a video of `width` x `height` pixels and `frame_count` frames.

    path: a CSV with the columns frame, name, x0, y0, x1, y1 (in this order unless its first line names them); a COCO
        data set, whose images tell their frame by `frame_index` or by the last number of `file_name`, and whose
        annotations may have a `track_id`; or a YOLO text (class, centre and size as shares of the frame) for frame 0.
        Boxes may reach over the edge of the frame by a pixel, as detectors' do, and are cut there.

    Raises:
        InvalidRequest: the file cannot be read, or does not fit the video.
    """
    video = _Video(path.name, width, height, frame_count)
    text = _text(path)
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    if text.lstrip().startswith(("{", "[")):
        found = _named(video, _coco(video, text))
    elif any(separator in first for separator in SEPARATORS):
        found = _csv(video, lines, max(SEPARATORS, key=first.count))
    else:
        found = _named(video, _yolo(video, lines))
    if not found:
        raise InvalidRequest(f"boxes: {path.name} holds no box")
    if excess := limits.CLICKS.excess(len(found)):
        raise InvalidRequest(f"boxes: {path.name} has {excess}")
    for one in found:
        check_name(one.name, f"boxes: {one.called} is of an object named {quoted(one.name)}")
    return tuple(Entry("boxes", f"{one.called} of boxes", one.frame, one.name, box=one.box) for one in found)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidRequest(f"boxes: {path.name} has more than {MAX_BYTES} bytes")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InvalidRequest(f"boxes: {path.name} does not exist") from None
    except OSError as error:
        raise InvalidRequest(f"boxes: {path.name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise InvalidRequest(f"boxes: {path.name} is no text, but it must be CSV, COCO's JSON or YOLO's text") from None


def _found(video: _Video, called: str, frame: Any, name: Any, corners: Sequence[float], track: Any = "") -> _Found:
    """A box that fits the video; one that reaches over the edge by a pixel, as detectors' do, is cut there."""
    whole = _WHOLE.fullmatch(str(frame).strip())
    if not whole or int(whole[1]) >= video.frame_count:
        last = video.frame_count - 1
        raise InvalidRequest(f"boxes: {called} is on frame {quoted(str(frame))}, but the video has frames 0 to {last}")
    shown = f"boxes: {called} is the box [{', '.join(f'{corner:g}' for corner in corners)}]"
    far = (video.width, video.height) * 2
    cut = [
        min(max(corner, 0.0), edge) if -1 <= corner <= edge + 1 else corner
        for corner, edge in zip(corners, far, strict=True)
    ]
    box = box_in_frame(shown, cut, video.width, video.height)
    return _Found(called, int(whole[1]), " ".join(str(name).split()), str(track), box)


def _csv(video: _Video, lines: Sequence[str], delimiter: str) -> list[_Found]:
    try:
        rows = [
            (line, row) for line, row in enumerate(csv.reader(lines, delimiter=delimiter), 1) if "".join(row).strip()
        ]
    except csv.Error as error:
        raise InvalidRequest(f"boxes: {video.file} cannot be read as CSV: {error}") from None
    order = list(range(len(COLUMNS)))
    head = [cell.strip().lower() for cell in rows[0][1]] if rows else []
    if set(COLUMNS) <= set(head):
        order, rows = [head.index(column) for column in COLUMNS], rows[1:]
    found = []
    for line, row in rows:
        cells = [row[column].strip() for column in order if column < len(row)]
        if len(cells) < len(COLUMNS) or not all(map(_NUMBER.fullmatch, cells[2:])) or not cells[1]:
            shown = quoted(delimiter.join(row))
            raise InvalidRequest(
                f"boxes: line {line} is {shown}, but a line is {', '.join(COLUMNS)}, such as 0,dog,10,20,90,80"
            )
        found.append(_found(video, f"line {line}", cells[0], cells[1], [float(cell) for cell in cells[2:]]))
    return found


def _coco(video: _Video, text: str) -> list[_Found]:
    try:
        said: Any = json.loads(text)
        images = {one["id"]: (_frame_of(one), one.get("width"), one.get("height")) for one in said["images"]}
        names = {one["id"]: one["name"] for one in said["categories"]}
        boxes = [
            (
                images[one["image_id"]],
                names[one["category_id"]],
                one.get("track_id", ""),
                [float(side) for side in one["bbox"]],
            )
            for one in said["annotations"]
        ]
        corners = [(x, y, x + w, y + h) for _, _, _, (x, y, w, h) in boxes]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InvalidRequest(
            f"boxes: {video.file} is no COCO data set with images, annotations with a bbox, and categories"
        ) from None
    found = []
    for number, (((frame, *size), name, track, _), box) in enumerate(zip(boxes, corners, strict=True), 1):
        called = f"annotation {number}"
        _check_size(video, called, size)
        found.append(_found(video, called, frame, name, box, track))
    return found


def _check_size(video: _Video, called: str, size: Sequence[Any]) -> None:
    """The numbers of a box on a smaller copy of the frame would be of another place; an image need not say its size."""
    if all(isinstance(side, int) and 0 < side < 1_000_000 for side in size) and size != [video.width, video.height]:
        raise InvalidRequest(
            f"boxes: {called} is on an image of {size[0]}x{size[1]}, but the video is {video.width}x{video.height}, "
            "and the image must be too"
        )


def _frame_of(image: dict[str, Any]) -> Any:
    """`frame_index` as our own data sets have it, else the last number of the file's name."""
    if "frame_index" in image:
        return image["frame_index"]
    number = _LAST_NUMBER.search(str(image["file_name"]).rpartition(".")[0])
    return number[1] if number else image["file_name"]


def _yolo(video: _Video, lines: Sequence[str]) -> list[_Found]:
    found = []
    for number, line in enumerate(lines, 1):
        cells = line.split()
        if not cells:
            continue
        if (
            len(cells) not in (5, 6)  # an outline has more numbers, and its first four are no box
            or not all(map(_NUMBER.fullmatch, cells))
            or not all(0 <= float(cell) <= 1 for cell in cells[1:5])
        ):
            raise InvalidRequest(
                f"boxes: line {number} is {quoted(line)}, but a line is CSV ({', '.join(COLUMNS)}) or YOLO's class, "
                "x, y, width and height, the last four from 0 to 1, and at most one number more"
            )
        x, y, w, h = (
            float(cell) * side for cell, side in zip(cells[1:5], (video.width, video.height) * 2, strict=True)
        )
        corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        found.append(_found(video, f"line {number}", 0, f"class_{cells[0]}", corners))
    return found


def _named(video: _Video, found: Sequence[_Found]) -> list[_Found]:
    """A name for each object: the class's, with the track or a number where a class has several objects."""
    classes: dict[str, list[_Found]] = defaultdict(list)
    for one in found:
        classes[one.name].append(one)
    names: dict[int, str] = {}
    for name, boxes in classes.items():
        tracks = {one.track for one in boxes}
        frames = [one.frame for one in boxes]
        if len(tracks) > 1 and "" not in tracks:
            names |= {id(one): f"{name}_{one.track}" for one in boxes}
        elif len(frames) > len(set(frames)) > 1:
            raise InvalidRequest(
                f"boxes: {video.file} has several boxes of {quoted(name)} on a frame and more on others, and does not "
                "say which are of one object: annotations with a track_id, or a CSV with a name for each object, do"
            )
        elif len(boxes) > len(set(frames)):
            names |= {id(one): f"{name}_{number}" for number, one in enumerate(boxes, 1)}
    if taken := classes.keys() & names.values():
        raise InvalidRequest(
            f"boxes: {video.file} has a class {quoted(min(taken))}, which is also the name of an object of another"
        )
    return [replace(one, name=names.get(id(one), one.name)) for one in found]
