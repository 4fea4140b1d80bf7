"""HDR and wide gamut through real files: what went in as BT.709 comes back, and what it cannot hold stays sensible."""

import colorsys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from sam2_cog.media import to_bt709
from sam2_cog.media.to_bt709 import Colours
from sam2_cog.media.video import probe, read_frames
from tests.clips import CARD
from tests.wide_colours import KINDS, PHONE, write_wide_clip

GREYS = np.linspace(0, 255, 33).round().astype(np.uint8)[:, None].repeat(3, axis=1)
PATCHES = np.concatenate([CARD, CARD // 2, 255 - (255 - CARD) // 2, GREYS])
BY_NAME = pytest.mark.parametrize("colours", KINDS, ids=lambda kind: f"{kind.transfer} {kind.primaries}")


def patches(colours: np.ndarray) -> np.ndarray:
    """(1, 16, 16 * count, 3): a square of each of the (count, 3) colours."""
    return colours[None, None].repeat(16, axis=1).repeat(16, axis=2)


def read_patches(path: Path) -> np.ndarray:
    """(count, 3) int from the squares' middles."""
    (frame,) = read_frames(probe(path))
    return frame.image[8, 8::16].astype(int)


def hues(colours: np.ndarray) -> np.ndarray:
    """Degrees."""
    return np.array([360 * colorsys.rgb_to_hsv(*colour)[0] for colour in colours / 255])


@BY_NAME
@pytest.mark.parametrize("codec", [("-c:v", "ffv1"), PHONE], ids=["12 bits", "as phones record"])
def test_a_card_comes_back(tmp_path: Path, colours: Colours, codec: tuple[str, ...]) -> None:
    name = "card.mp4" if codec is PHONE else "card.mkv"
    found = read_patches(write_wide_clip(tmp_path / name, patches(PATCHES), colours, codec))
    assert np.abs(found - PATCHES).max() <= (12 if codec is PHONE else 6)  # 10 bits leave less of a dark channel
    coloured = np.ptp(PATCHES, axis=1) > 40
    turned = np.abs((hues(found) - hues(PATCHES) + 180) % 360 - 180)
    assert turned[coloured].max() <= 5
    assert np.ptp(found[-len(GREYS) :], axis=1).max() <= (1 if codec is PHONE else 0)


@BY_NAME
def test_what_was_converted_is_said(tmp_path: Path, colours: Colours) -> None:
    info = probe(write_wide_clip(tmp_path / "a.mkv", patches(GREYS), colours))
    assert info.colours == colours
    hdr = f"is HDR ({colours.transfer}, BT.2020), and was converted to BT.709: what is brighter than diffuse white is"
    sdr = f"has the colours of {colours.primaries}, and was converted to BT.709"
    assert info.notes == (f"video: a.mkv {hdr} nearly white" if colours.is_hdr else f"video: a.mkv {sdr}",)


@pytest.mark.parametrize("transfer", ["HLG", "PQ"])
def test_highlights_stay_apart_and_end_at_white(tmp_path: Path, transfer: str) -> None:
    bright = read_patches(write_wide_clip(tmp_path / "a.mkv", patches(GREYS), Colours(transfer, "BT.2020"), white=4.92))
    assert all((after >= before).all() for before, after in pairwise(bright))
    assert len(np.unique(bright[GREYS[:, 0] > 131, 0])) >= 4  # 131 is diffuse white here
    assert (bright[-1] == 255).all()


def test_the_curves_are_those_of_the_standards() -> None:
    # BT.2408, table 1: diffuse white is at 58 % of PQ and at 75 % of HLG
    white = np.array([0.58])
    assert to_bt709.pq_to_light(white) == pytest.approx(1, abs=0.01)
    assert to_bt709.pq_to_light(np.array([1.0])) == pytest.approx(10000 / 203)
    scene = to_bt709.hlg_to_scene(np.array([0.75, 1]))
    assert 1000 * scene**1.2 == pytest.approx([203, 1000], rel=2e-3)


def test_the_matrices_are_those_of_the_standards() -> None:
    published = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]  # BT.2407-0, 2.2
    assert to_bt709.to_bt709_primaries("BT.2020") == pytest.approx(np.array(published), abs=1e-4)
    assert to_bt709.to_bt709_primaries("BT.709") == pytest.approx(np.eye(3))


def test_colours_outside_of_bt709_are_clipped() -> None:
    red = np.zeros((3, 1, 1), np.uint16)
    red[2] = 4080  # planes are green, blue, red
    assert to_bt709.to_bt709(red, Colours("SDR", "BT.2020")).tolist() == [[[255, 0, 0]]]


@pytest.mark.parametrize("size", [(1, 1), (3, 40001), (701, 67)])
def test_every_pixel_is_converted_by_itself(size: tuple[int, int]) -> None:
    planes = np.random.default_rng(5).integers(0, 4096, (3, *size), np.uint16)
    whole = to_bt709.to_bt709(planes, Colours("HLG", "BT.2020"))
    last = to_bt709.to_bt709(planes[:, -1:, -1:], Colours("HLG", "BT.2020"))
    assert whole.shape == (*size, 3) and (whole[-1, -1] == last[0, 0]).all()
