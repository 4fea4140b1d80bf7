"""The alpha of a cutout: exact against the mask, smooth along its edge, true colours around it."""

import numpy as np
import pytest

from sam2_cog.masks import ObjectMask
from sam2_cog.painting.cutout import BAND, cut_out

HEIGHT, WIDTH = 120, 160
IMAGE = np.random.default_rng(1).integers(1, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def disc(radius: float, scale: int, centre: tuple[float, float] = (60, 80)) -> tuple[ObjectMask, np.ndarray]:
    """A disc's mask, and its logits in a `scale` times smaller size."""
    rows, columns = np.mgrid[: HEIGHT // scale, : WIDTH // scale] * scale + (scale - 1) / 2
    logits = (radius - np.hypot(rows - centre[0], columns - centre[1])).astype(np.float16)
    return ObjectMask.of(covered_share(radius, centre) > 0.5), logits[None]


def covered_share(radius: float, centre: tuple[float, float] = (60, 80), fine: int = 8) -> np.ndarray:
    """How much of each pixel the disc covers, counted on 8 x 8 points a pixel."""
    rows, columns = (np.mgrid[: HEIGHT * fine, : WIDTH * fine] + 0.5) / fine - 0.5
    inside = np.hypot(rows - centre[0], columns - centre[1]) < radius
    share: np.ndarray = inside.reshape(HEIGHT, fine, WIDTH, fine).mean(axis=(1, 3))
    return share


@pytest.mark.parametrize("scale", [1, 4])
def test_the_edge_is_the_share_of_each_pixel(scale: int) -> None:
    mask, soft = disc(37.3, scale)
    picture = cut_out(IMAGE, [mask], soft)
    alpha = picture[..., 3].astype(float)
    assert ((alpha > 127) == mask.full()).all()
    error = np.abs(alpha / 255 - covered_share(37.3))
    hard = np.abs(mask.full() - covered_share(37.3))
    assert error.max() < 0.2 and error.sum() < hard.sum() / 4
    assert set(np.unique(cut_out(IMAGE, [mask], None)[..., 3])) - {0, 255}


def test_what_was_taken_off_a_mask_stays_away_although_the_logits_have_it() -> None:
    mask, soft = disc(30, 4)
    half = mask.full()
    half[:, :80] = False
    alpha = cut_out(IMAGE, [ObjectMask.of(half)], soft)[..., 3]
    assert (alpha[:, :78] == 0).all() and ((alpha > 127) == half).all()


def test_colours_are_kept_in_a_band_and_flat_beyond() -> None:
    mask, soft = disc(20, 4)
    picture = cut_out(IMAGE, [mask], soft)
    distance = np.hypot(*(np.mgrid[:HEIGHT, :WIDTH] - np.array([60, 80])[:, None, None])) - 20
    assert (picture[..., :3] == IMAGE)[distance < BAND - 1].all()
    assert (picture[..., :3][distance > (BAND + 2) * 1.5] == 0).all()


def test_objects_are_laid_over_each_other_and_edges_of_the_frame_stay_full() -> None:
    first, one = disc(40, 4, (0, 0))
    second, two = disc(40, 4, (60, 80))
    alpha = cut_out(IMAGE, [first, second], np.concatenate((one, two)))[..., 3]
    assert ((alpha > 127) == first.full() | second.full()).all()
    assert alpha[0, 0] == 255 and (alpha[0, :38] == 255).all()
    assert (cut_out(IMAGE, [ObjectMask((HEIGHT, WIDTH), None, b"")], None) == 0).all()
