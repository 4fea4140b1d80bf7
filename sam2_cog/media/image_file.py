"""One image file: what kind it is, how large it stands upright, whether it is whole, and its pixels."""

import re
import warnings
from pathlib import PurePath

import numpy as np
from PIL import Image, features

from sam2_cog.media.colour_profile import to_srgb

warnings.filterwarnings("ignore", module="PIL")  # oddities of a file that it can be read in spite of

_SUFFIXES = {  # Pillow's names of the formats that frames come in, and how the names of their files end
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif"),
    "JXL": (".jxl",),
}
_HEAD = re.compile(
    rb"(?P<JPEG>\xff\xd8\xff)|(?P<PNG>\x89PNG\r\n\x1a\n)|(?P<WEBP>RIFF....WEBP)|(?P<BMP>BM....\0\0\0\0)"
    rb"|(?P<TIFF>II[*+]\0|MM\0[*+])|(?P<AVIF>....ftypavi[fs])|(?P<HEIF>....ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1))"
    rb"|(?P<JXL>\xff\x0a|\0\0\0\x0cJXL )",
    re.DOTALL,
)
HEAD_BYTES = 12
_MANY = ("WEBP", "AVIF", "TIFF")  # formats whose files may hold many pictures: an animation, or a stack of pages
_ORIENTATION_TAG = 0x0112
_TRANSPOSES = {  # EXIF 2.32, section 4.6.4, Orientation: what brings the stored pixels upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def kind_by_name(name: str) -> str | None:
    """The format that the suffix of a file's name stands for; None for what is no frame."""
    suffix = PurePath(name).suffix.lower()
    return next((kind for kind, suffixes in _SUFFIXES.items() if suffix in suffixes), None)


def kind_by_content(head: bytes) -> str | None:
    """The format that the first `HEAD_BYTES` of a file tell; None for what is no such image."""
    match = _HEAD.match(head)
    return match.lastgroup if match else None


def readable_kinds() -> list[str]:
    """The formats that this installation of Pillow reads: JPEG, PNG, WebP, BMP and TIFF always."""
    Image.init()
    return [kind for kind in _SUFFIXES if kind in Image.OPEN and (kind != "AVIF" or features.check("avif"))]


def picture_count(image: Image.Image) -> int:
    """How many pictures a file holds; 1 for a JPEG, whose further ones are previews and depth maps."""
    return int(getattr(image, "n_frames", 1)) if image.format in (*_MANY, "PNG") else 1


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) as the picture is displayed, from the header alone."""
    return image.size if _orientation(image) < 5 else image.size[::-1]


def require_usable(image: Image.Image) -> None:
    """Raise what Pillow raises if the picture is damaged; the cheapest way is taken, and `image` is used up by it.

    Raises:
        ValueError: its values have no known range.
    """
    if image.mode in ("I", "F"):
        raise ValueError("values of 32 bits have no known range; save it with 8 or 16 bits")
    if image.format == "PNG":
        image.verify()  # the check sums of all its parts
    else:
        image.draft("RGB", (1, 1))  # a JPEG at an eighth of its size
        image.load()


def pixels(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 sRGB, upright; an alpha plane is left out, 16 bits are scaled to 8."""
    profile = image.info.get("icc_profile")
    transpose = _TRANSPOSES.get(_orientation(image))
    if transpose is not None:
        image = image.transpose(transpose)
    if image.mode.startswith("I;16"):  # grey, which Pillow would clip and not scale
        grey = (np.asarray(image).astype(np.uint32) * 255 + 32767) // 65535
        return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    return np.array(to_srgb(image.convert("RGB"), profile))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation 1 to 8, read from the header: 5 and up swap width and height."""
    exif = Image.Exif()
    exif.load(image.info.get("exif") or b"")
    value = exif.get(_ORIENTATION_TAG, 1)
    return value if value in _TRANSPOSES else 1
