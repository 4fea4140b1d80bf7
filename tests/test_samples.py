"""The sample clip: its script draws the same bytes again, and what lies beside it is what the script draws."""

import hashlib
import json
import zipfile
from fractions import Fraction
from io import BytesIO
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from sam2_cog.masks import mask_box
from sam2_cog.media.video import probe, read_frames
from sam2_cog.prompts import parse_prompts
from sam2_cog.request import MaskType
from tests.clips import SAMPLES, draw_frame
from tools.mask_types import BAR, COLUMNS, GAP, SHOWN, WIDTH

FRAMES = range(0, 120, 8)
DRAWN_SHA256 = "e6f64f6c92afd630f50dae8086ff8d92c279de850e4fe9f8eb8931859466d044"


def test_the_same_bytes_of_frames_are_drawn_again() -> None:
    digest = hashlib.sha256()
    for frame in FRAMES:
        picture, masks = draw_frame(frame)
        digest.update(picture.tobytes())
        for mask in masks.values():
            digest.update(np.packbits(mask).tobytes())
    assert digest.hexdigest() == DRAWN_SHA256


def test_the_photo_is_the_first_frame() -> None:
    photo = np.asarray(Image.open(SAMPLES / "two_birds_photo.jpg")).astype(int)
    assert np.abs(photo - draw_frame(0)[0]).mean() < 2


def test_the_clip_is_what_the_script_draws() -> None:
    info = probe(SAMPLES / "two_birds.mp4")
    assert (info.width, info.height, info.frame_count, info.frame_rate) == (640, 360, 120, Fraction(24))
    assert info.has_audio
    for frame in FRAMES:
        (decoded,) = read_frames(info, frame, frame + 1)
        # 4:2:0 and H.264 blur the colours at edges, nothing else
        assert np.abs(decoded.image.astype(int) - draw_frame(frame)[0]).mean() < 2


def test_the_masks_are_what_the_script_draws() -> None:
    with zipfile.ZipFile(SAMPLES / "two_birds_masks.zip") as archive:
        assert sorted(archive.namelist()) == [
            f"masks/{bird}/{frame:05d}.png" for bird in ("bird_1", "bird_2") for frame in range(120)
        ]
        for frame in FRAMES:
            for bird, mask in draw_frame(frame)[1].items():
                image = np.asarray(Image.open(BytesIO(archive.read(f"masks/{bird}/{frame:05d}.png"))))
                np.testing.assert_array_equal(image, mask * np.uint8(255))


def test_no_pixel_belongs_to_both_birds() -> None:
    for frame in FRAMES:
        first, second = draw_frame(frame)[1].values()
        assert not (first & second).any()


@pytest.mark.parametrize("bird", ["bird_1", "bird_2"])
def test_each_bird_is_whole_at_first_and_partly_hidden_later(bird: str) -> None:
    areas = [np.count_nonzero(draw_frame(frame)[1][bird]) for frame in FRAMES]
    start = draw_frame(0)[1][bird]
    assert not (start[0].any() or start[-1].any() or start[:, 0].any() or start[:, -1].any())
    assert areas[0] > 5000
    assert min(areas) < areas[0] / 2


def test_the_boxes_are_those_of_the_birds() -> None:
    _, *lines = (SAMPLES / "two_birds_boxes.csv").read_text().splitlines()
    bounds = {name: mask_box(mask) for name, mask in draw_frame(0)[1].items()}
    assert lines == [f"0,{name},{','.join(map(str, box))}" for name, box in bounds.items() if box]


def test_the_request_clicks_on_each_bird() -> None:
    request = json.loads((SAMPLES / "two_birds.json").read_text())
    objects = parse_prompts(**request, width=640, height=360, frame_count=120)
    assert [one.name for one in objects] == ["bird_1", "bird_2"]
    for one in objects:
        (prompt,) = one.prompts
        ((x, y),) = prompt.points
        assert prompt.frame_index == 0
        assert draw_frame(0)[1][one.name][int(y), int(x)]


def test_the_picture_of_mask_types_has_a_panel_for_each() -> None:
    assert {inputs["mask_type"] for inputs in SHOWN.values()} == set(get_args(MaskType))
    rows = -(-len(SHOWN) // COLUMNS)
    panel = (WIDTH + GAP, round(WIDTH * 360 / 640) + BAR)
    assert Image.open(SAMPLES / "mask_types.jpg").size == (COLUMNS * panel[0], rows * panel[1])
