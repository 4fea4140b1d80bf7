"""The ICC profile of a photo: phones save Display P3, cameras Adobe RGB; the pixels become sRGB, as screens show it."""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

_EQUAL = 2  # levels of 255: profiles that change no more are sRGB's own, written by somebody
_PROBES = np.array([[0] * 3, [255] * 3, [128] * 3, [255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 60, 30]], np.uint8)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An RGB image in the colours of sRGB; as it is without a profile, or with one of sRGB, broken or not of RGB."""
    transform = _transform(profile) if profile else None
    if transform is None:
        return image
    return ImageCms.applyTransform(image, transform) or image


def converted_from(profile: bytes | None) -> str | None:
    """What a profile that `to_srgb` converts from calls itself; None for one that it does not."""
    if not profile or _transform(profile) is None:
        return None
    return ImageCms.getProfileDescription(ImageCms.getOpenProfile(BytesIO(profile))).strip()[:60]


@lru_cache(maxsize=8)
def _transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    try:
        source, target = ImageCms.getOpenProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
        probes = Image.fromarray(_PROBES[None])
        changed = np.asarray(ImageCms.applyTransform(probes, transform)).astype(int) - _PROBES
    except (ImageCms.PyCMSError, ImportError, OSError):  # without LittleCMS Pillow raises the second
        return None
    return transform if np.abs(changed).max() > _EQUAL else None
