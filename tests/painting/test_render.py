"""Painted pictures: what each type shows, where, in which colours, and that names can be read and stay in the frame."""

import unicodedata
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_cog.masks import ObjectMask, mask_box, mask_union
from sam2_cog.painting.captions import draw_labels, place_label, text_colour
from sam2_cog.painting.render import PALETTE_SIZE, Painter, object_colour
from sam2_cog.request import CHROMA_GREEN, AnnotationType, MaskType

SIZES = [(426, 240), (65, 49), (1280, 720), (3840, 2160)]


def scene(width: int = 160, height: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A noisy frame and three masks: a disc with a hole, a rectangle at the lower right edge, and an empty one."""
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    masks = np.zeros((3, height, width), bool)
    y, x = np.ogrid[:height, :width]
    distance = np.hypot(x - width // 3, y - height // 2)
    masks[0] = (distance < height // 4) & (distance > height // 10)
    masks[1, height * 3 // 4 :, width * 3 // 4 :] = True
    return image, masks


def packed(masks: np.ndarray) -> list[ObjectMask]:
    return [ObjectMask.of(mask) for mask in masks]


def paint(mask_type: MaskType, annotation_type: AnnotationType = "mask") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    image, masks = scene()
    painter = Painter(("one", "two", "three"), 160, 120, mask_type, annotation_type)
    before = image.copy()
    painted = painter.paint(image, packed(masks))
    assert (image == before).all() and not np.shares_memory(image, painted)
    assert painted.shape == image.shape and painted.dtype == np.uint8
    return image, masks, painted


def test_binary_is_white_on_black() -> None:
    _, masks, painted = paint("binary")
    assert (painted == np.where(masks.any(axis=0), 255, 0)[..., None]).all()


def test_greenscreen_keeps_the_objects_alone() -> None:
    image, masks, painted = paint("greenscreen", "both")
    kept = masks.any(axis=0)
    assert (painted[kept] == image[kept]).all()
    assert (painted[~kept] == CHROMA_GREEN).all()


def test_highlighted_mixes_each_objects_colour_with_the_frame_inside_its_mask_and_changes_nothing_far_from_it() -> None:
    image, masks, painted = paint("highlighted")
    for index in (0, 1):
        inside = cv2.erode(masks[index].astype(np.uint8), np.ones((5, 5)), borderValue=0).astype(bool)
        expected = image[inside] * 0.55 + np.array(object_colour(index)) * 0.45
        assert inside.any() and np.abs(painted[inside] - expected).max() <= 1.01
    outside = cv2.dilate(mask_union(packed(masks), (120, 160)), np.ones((5, 5))) == 0
    assert (painted[outside] == image[outside]).all()


def test_outlines_follow_the_rim_and_the_hole_in_the_objects_colour_with_soft_edges() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    y, x = np.ogrid[:240, :320]
    distance = np.hypot(x - 160, y - 120)
    ring = (distance < 80) & (distance > 30)
    painted = Painter(("ring",), 320, 240, "highlighted", "mask").paint(image, packed(ring[None]))
    strength = painted.max(axis=2) / max(object_colour(0))
    rims = np.minimum(np.abs(distance - 79.5), np.abs(distance - 30.5))
    assert strength[rims < 0.5].mean() > 0.75  # the line
    assert (strength[rims > 3] < 0.47).all()  # nothing but the fill off it
    just_outside = strength[(distance > 80) & (distance < 82)]
    assert ((just_outside > 0.05) & (just_outside < 0.9)).mean() > 0.2, "stairs instead of a soft edge"


def test_box_surrounds_the_object_and_leaves_its_inside_alone() -> None:
    image, masks, painted = paint("highlighted", "box")
    x0, y0, x1, y1 = mask_box(masks[1]) or (0, 0, 0, 0)
    assert (painted[y1 - 1, x0:x1] == object_colour(1)).all()
    assert (painted[y0:y1, x0] == object_colour(1)).all()
    assert (painted[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] == image[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2]).all()


def test_both_is_mask_and_box() -> None:
    _, masks, both = paint("highlighted", "both")
    _, _, mask_only = paint("highlighted", "mask")
    x0, y0, x1, y1 = mask_box(masks[0]) or (0, 0, 0, 0)
    assert (both[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3] == mask_only[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3]).all()
    assert (both[y0 + 20, x0] == object_colour(0)).all()


@pytest.mark.parametrize("mask_type", ["binary", "greenscreen", "highlighted"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 5), (65, 49)])
def test_tiny_frames_and_full_and_empty_masks(mask_type: MaskType, width: int, height: int) -> None:
    masks = np.zeros((2, height, width), bool)
    masks[0] = True
    painter = Painter(("a name that is far too long for this", ""), width, height, mask_type, "both")
    assert painter.paint(np.full((height, width, 3), 9, np.uint8), packed(masks)).shape == (height, width, 3)


def test_many_small_specks_are_painted() -> None:
    masks = np.random.default_rng(2).random((1, 90, 120)) > 0.7
    painted = Painter(("dust",), 120, 90, "highlighted", "both").paint(np.zeros((90, 120, 3), np.uint8), packed(masks))
    assert painted[masks[0]].any(axis=1).all()


# --- colours ---------------------------------------------------------------------------------------------------------


def lab(colour: tuple[int, int, int]) -> np.ndarray:
    return np.asarray(cv2.cvtColor(np.array([[colour]], np.float32) / 255, cv2.COLOR_RGB2Lab))[0, 0]


def test_palette_colours_are_far_apart() -> None:
    assert PALETTE_SIZE >= 20
    colours = [lab(object_colour(index)) for index in range(PALETTE_SIZE)]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(colours, 2)) > 32


def test_later_objects_get_variations_and_every_index_a_colour() -> None:
    colours = [object_colour(index) for index in range(3 * PALETTE_SIZE)]
    assert len(set(colours)) == 3 * PALETTE_SIZE
    assert object_colour(3 * PALETTE_SIZE) == object_colour(0)
    assert all(0 <= channel <= 255 for colour in colours for channel in colour)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_text_contrasts_with_its_background(background: tuple[int, int, int]) -> None:
    def luminance(colour: tuple[int, int, int]) -> float:
        linear = [c / 255 / 12.92 if c / 255 <= 0.03928 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    light, dark = sorted((luminance(background), luminance(text_colour(background))), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.1, level AA


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_labels_are_legible_and_fit_the_frame(width: int, height: int) -> None:
    short, long = draw_labels(("dog", "W" * 64), ((255, 255, 255), (0, 0, 0)), width, height)
    assert long.size[0] <= width and long.size[1] <= height
    ink = np.flatnonzero((short.colours[..., 0] < 128).any(axis=1))
    text_height = ink[-1] - ink[0] + 1
    assert text_height >= max(9, min(width, height) * 0.02), "too small to read"
    assert text_height <= max(16, min(width, height) * 0.05), "too large beside the picture"
    assert ink[0] >= 1 and ink[-1] < short.size[1] - 1, "cut off at the rim of the label"


def test_different_names_look_different_and_text_beyond_ascii_is_never_lost() -> None:
    names = ("dog", "cat", "Möwe", "éléphant", "собака", "犬", "🐕", "شيء")
    labels = draw_labels(names, ((255, 255, 255),) * len(names), 640, 360)
    assert len({label.colours.tobytes() for label in labels}) >= 5
    for name, label in zip(names, labels, strict=True):
        assert (label.colours < 128).any(), name


def test_a_letter_that_no_font_has_becomes_its_base_letter_or_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sam2_cog.painting.captions._wide_fonts", lambda: ())
    white = (255, 255, 255)
    odd, plain = draw_labels((unicodedata.normalize("NFD", "é\u0416"), "e?"), (white, white), 640, 360)
    assert (odd.colours == plain.colours).all()
    lost, numbered = draw_labels(("犬犬", "object_1"), (white, white), 640, 360)
    assert (lost.colours == numbered.colours).all(), "a name without any known letter"


frame_sizes = st.tuples(st.integers(1, 300), st.integers(1, 200))


@given(st.data(), frame_sizes)
def test_labels_lie_inside_the_frame(data: st.DataObject, frame: tuple[int, int]) -> None:
    width, height = data.draw(st.integers(1, frame[0])), data.draw(st.integers(1, frame[1]))
    x0, y0 = data.draw(st.integers(0, frame[0] - 1)), data.draw(st.integers(0, frame[1] - 1))
    box = (x0, y0, data.draw(st.integers(x0 + 1, frame[0])), data.draw(st.integers(y0 + 1, frame[1])))
    left, top, right, bottom = place_label((width, height), box, frame, [])
    assert 0 <= left < right <= frame[0] and 0 <= top < bottom <= frame[1]
    assert (right - left, bottom - top) == (width, height)


def test_labels_avoid_each_other_where_there_is_room() -> None:
    frame, size, box = (400, 300), (80, 20), (100, 100, 300, 200)
    taken: list[tuple[int, int, int, int]] = []
    for _ in range(8):
        taken.append(place_label(size, box, frame, taken))
    for a, b in combinations(taken, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert taken[0] == (100, 80, 180, 100), "the first choice is above the box"


def test_the_name_is_drawn_by_its_box() -> None:
    image, masks, painted = paint("highlighted", "box")
    x0, y0, _, _ = mask_box(masks[0]) or (0, 0, 0, 0)
    (label,) = draw_labels(("one",), (object_colour(0),), 160, 120)
    width, height = label.size
    solid = label.opacity[..., 0] == 1
    assert (painted[y0 - height : y0, x0 : x0 + width][solid] == label.colours[solid]).mean() > 0.95
    assert not (image[y0 - height : y0, x0 : x0 + width][solid] == label.colours[solid]).all()
