"""Name labels: each name drawn once into a small picture, then put beside its box on every frame, always inside it."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sam2_cog.masks import Box

Colour = tuple[int, int, int]
Picture = NDArray[np.uint8]
Font = ImageFont.FreeTypeFont

TEXT_SHARE = 0.03
"""Height of the text as a share of the frame's shorter side: 22 pixels at 720p, 65 at 2160p."""
SMALLEST_TEXT = 12
"""Pixels; smaller text cannot be read after H.264."""

FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "C:/Windows/Fonts",
)
WIDE_FONTS = (
    "NotoSansCJK",
    "DroidSansFallback",
    "wqy-",
    "PingFang",
    "msyh",
    "Arial Unicode",
    "DejaVuSans.",
    "NotoSans",
)
"""How the file names of fonts with many scripts begin, best first; for what Pillow's own, English, font cannot draw."""


@dataclass(frozen=True)
class Label:
    """One drawn name."""

    colours: Picture
    """(h, w, 3) uint8 RGB"""
    opacity: NDArray[np.float32]
    """(h, w, 1) float32 in [0, 1]: below 1 only at the rounded corners."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        height, width = self.colours.shape[:2]
        return width, height

    def paste(self, image: Picture, left: int, top: int) -> None:
        """Draw the label onto the (H, W, 3) RGB image, in place, with its top left corner at (left, top)."""
        width, height = self.size
        part = image[top : top + height, left : left + width]
        part[...] = np.rint(part + self.opacity * (self.colours.astype(np.float32) - part)).astype(np.uint8)


def draw_labels(
    names: Sequence[str], colours: Sequence[Colour], frame_width: int, frame_height: int
) -> tuple[Label, ...]:
    """Draw each name on its object's colour, sized for the frame; what does not fit into the frame ends in an ellipsis.

    All names are drawn in one font where one has all their characters.
    """
    text_size = max(SMALLEST_TEXT, round(min(frame_width, frame_height) * TEXT_SHARE))
    names = [unicodedata.normalize("NFC", name) for name in names]
    common = _font_for("".join(names), text_size)
    labels = []
    for position, (name, colour) in enumerate(zip(names, colours, strict=True), 1):
        font = common if _drawn(common, name) == len(name) else _font_for(name, text_size)
        text = _drawable(name, font)
        if text != name and not text.strip("? "):
            text = f"object_{position}"
        labels.append(_draw_label(text, font, colour, frame_width, frame_height))
    return tuple(labels)


def place_label(label: tuple[int, int], box: Box, frame: tuple[int, int], taken: Sequence[Box]) -> Box:
    """Where a label of (width, height) goes: by its object's box, inside the frame, off the labels placed before it.

    Tried in order: above the box, below it, each at the left and the right; where none is free, the least covered one.
    """
    width, height = label
    x0, y0, x1, y1 = box
    places = []
    for top in (y0 - height, y1, y0, y1 - height):
        for left in (x0, x1 - width):
            left_inside = min(max(left, 0), frame[0] - width)
            top_inside = min(max(top, 0), frame[1] - height)
            places.append((left_inside, top_inside, left_inside + width, top_inside + height))
    return min(places, key=lambda place: sum(_overlap(place, other) for other in taken))


def text_colour(background: Colour) -> Colour:
    """Black or white, whichever has the higher contrast on the colour (relative luminance as in WCAG 2.1)."""
    red, green, blue = (c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in background)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 1.05 * 0.05 else (255, 255, 255)


def _draw_label(text: str, font: Font, background: Colour, frame_width: int, frame_height: int) -> Label:
    padding = max(2, round(font.size * 0.3))
    text = _fit(text, font, frame_width - 2 * padding)
    ascent, descent = font.getmetrics()
    width = min(frame_width, round(font.getlength(text)) + 2 * padding)
    height = min(frame_height, ascent + descent + padding)
    picture = Image.new("RGB", (width, height), background)
    ImageDraw.Draw(picture).text((padding, padding // 2), text, font=font, fill=text_colour(background))
    corners = Image.new("L", (width, height), 0)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, width - 1, height - 1), radius=padding, fill=255)
    opacity = np.asarray(corners, dtype=np.float32)[..., None] / np.float32(255)
    return Label(np.array(picture, dtype=np.uint8), opacity)


def _overlap(a: Box, b: Box) -> int:
    """The number of pixels that two boxes share."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _fit(text: str, font: Font, width: int) -> str:
    """The text, shortened with an ellipsis until it is at most `width` pixels wide."""
    if font.getlength(text) <= width:
        return text
    end = "..."
    while text and font.getlength(text + end) > width:
        text = text[:-1]
    return text + end


def _drawable(name: str, font: Font) -> str:
    """The name in characters that the font has: without an accent, or as "?", where it has to be."""
    plain = (c if _draws(font, c) else unicodedata.normalize("NFKD", c)[0] for c in name)
    return "".join(c if _draws(font, c) else "?" for c in plain)


def _font_for(name: str, size: int) -> Font:
    """Pillow's own font if it has every character of the name, else the font of this machine that has most of them."""
    own = ImageFont.load_default(size)
    assert isinstance(own, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    best, most = own, _drawn(own, name)
    for path in _wide_fonts():
        if most == len(name):
            break
        font = ImageFont.truetype(str(path), size)
        if _drawn(font, name) > most:
            best, most = font, _drawn(font, name)
    return best


@lru_cache(maxsize=1)
def _wide_fonts() -> tuple[Path, ...]:
    """The fonts of this machine with many scripts, in the order of WIDE_FONTS."""
    files = [
        path
        for folder in FONT_FOLDERS
        for path in sorted(Path(folder).rglob("*"))
        if path.suffix.lower() in (".ttf", ".ttc", ".otf")
    ]
    return tuple(path for start in WIDE_FONTS for path in files if path.name.startswith(start))


def _drawn(font: Font, text: str) -> int:
    """How many characters of the text the font can draw."""
    return sum(_draws(font, character) for character in text)


def _draws(font: Font, character: str) -> bool:
    """Whether the font has a glyph for the character: one that looks unlike the sign for "no such character"."""
    if character.isspace() or unicodedata.category(character) in ("Mn", "Cf"):
        return True
    glyph, missing = (font.getmask(c) for c in (character, "\U0010ffff"))
    return bool(glyph.size != missing.size or bytes(glyph) != bytes(missing))
