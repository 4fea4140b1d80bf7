"""JPEG files for the browser: the right frame in whatever order they are asked for, within a budget."""

import io
import random

import numpy as np
from PIL import Image

from sam2_cog.page.pictures import REACH, Pictures
from tests.clips import frame_number, numbered_frames

FRAMES = numbered_frames(60)


class Reader:
    """Counts what is read."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, index: int) -> np.ndarray:
        self.asked.append(index)
        return FRAMES[index]


def number(jpeg: bytes) -> int:
    return frame_number(np.array(Image.open(io.BytesIO(jpeg)).convert("RGB")))


def test_every_frame_is_itself_in_any_order() -> None:
    pictures = Pictures(Reader())
    order = [*range(len(FRAMES))] * 2
    random.Random(1).shuffle(order)
    assert [number(pictures.jpeg(index)) for index in order] == order


def test_frames_on_the_way_are_read_in_order_and_once() -> None:
    reader = Reader()
    pictures = Pictures(reader)
    for index in (0, 3, 1, 2, 3):
        pictures.jpeg(index)
    assert reader.asked == [0, 1, 2, 3]
    pictures.jpeg(4 + REACH)  # too far to go through all between
    assert reader.asked == [0, 1, 2, 3, 4 + REACH]


def test_no_more_than_the_budget_is_kept() -> None:
    reader = Reader()
    size = len(Pictures(Reader()).jpeg(0))
    pictures = Pictures(reader, budget_bytes=5 * size)
    for index in range(20):
        pictures.jpeg(index)
    assert 0 < pictures._bytes <= 5 * size
    assert sum(map(len, pictures._kept.values())) == pictures._bytes
    pictures.jpeg(0)
    assert reader.asked == [*range(20), 0]
