"""Photos with ICC profiles: Display P3, built here by ICC.1:2022, comes out as the sRGB that it was made of."""

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from sam2_cog.media.video import probe, read_frames
from tests.clips import CARD, encode_image, write_zip

_P3_TO_XYZ = [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]  # under D50
_SRGB_TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])  # W3C, CSS Color 4
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def display_p3() -> bytes:
    """A matrix profile with sRGB's curve (ICC.1:2022, sections 7, 8.3 and 10.18)."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    xyz = [b"XYZ \0\0\0\0" + fixed(*column) for column in zip(*_P3_TO_XYZ, strict=True)]
    curve = b"para\0\0\0\0\0\x03\0\0" + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    text = "Display P3".encode("utf-16-be")
    name = b"mluc\0\0\0\0" + struct.pack(">2I2s2s2I", 1, 12, b"en", b"US", len(text), 28) + text
    white = b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)
    names = [b"desc", b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"]
    table, data = struct.pack(">I", len(names)), b""
    for tag, content in zip(names, [name, white, *xyz, curve, curve, curve], strict=True):
        table += tag + struct.pack(">2I", 128 + 4 + 12 * len(names) + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    what = (b"\x04\x30\0\0", b"mntr", b"RGB ", b"XYZ ", b"acsp")
    head = struct.pack(">I4x4s4s4s4s12x4s28x", 128 + len(table) + len(data), *what)
    head += fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + table + data


def in_p3(srgb: np.ndarray) -> np.ndarray:
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4) @ _SRGB_TO_P3.T
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def image_of(path: Path) -> np.ndarray:
    (frame,) = read_frames(probe(path))
    return frame.image.astype(int)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_phones_photo_becomes_srgb(tmp_path: Path, kind: str) -> None:
    card = CARD[None].repeat(16, axis=0).repeat(16, axis=1)
    coded = np.rint(255 * in_p3(card / 255)).astype(np.uint8)
    how: dict[str, dict[str, Any]] = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    data = encode_image(coded, kind, icc_profile=display_p3(), **how.get(kind, {}))
    path = tmp_path / f"photo.{kind.lower()}"
    path.write_bytes(data)
    most = 12 if kind == "JPEG" else 3  # YUV of 8 bits leaves less of a dark channel
    assert np.abs(image_of(path)[8, 8::16] - CARD).max() <= most < np.abs(coded[8, 8::16].astype(int) - CARD).max()
    note = "has the colours of Display P3, and was converted to sRGB"
    assert probe(path).notes == (f"video: {path.name} {note}",)
    assert probe(write_zip(tmp_path / "a.zip", [(f"0.{kind}", data)])).notes == (f"video: a.zip {note}",)


@pytest.mark.parametrize("profile", [SRGB, b"no profile", SRGB[:200], display_p3()[:300]])
def test_other_profiles_change_no_bit(tmp_path: Path, profile: bytes) -> None:
    noise = np.random.default_rng(6).integers(0, 256, (40, 40, 3), np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(encode_image(noise, icc_profile=profile))
    assert np.array_equal(image_of(path), noise) and probe(path).notes == ()


def test_a_profile_of_another_kind_of_pixels_is_not_looked_at(tmp_path: Path) -> None:
    grey = np.linspace(0, 255, 1600).astype(np.uint8).reshape(40, 40)
    buffer = BytesIO()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(grey).save(buffer, "PNG", icc_profile=lab)
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    assert np.array_equal(image_of(tmp_path / "a.png"), grey[..., None].repeat(3, axis=2))
