"""Surfaces: small textures of things and large backgrounds, all (H, W, 3) uint8 RGB."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

Rng = np.random.Generator
KINDS = ("flat", "stripes", "checks", "spots", "gradient", "noise", "halves")
PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def smooth_noise(rng: Rng, size: int, cells: int, channels: int = 3) -> np.ndarray:
    """Random values on a coarse grid, smoothly enlarged: (size, size, channels) float32, about 0 to 1."""
    grid = rng.random((cells, cells, channels), dtype=np.float32)
    return cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC).reshape(size, size, channels)


def _pattern(rng: Rng, kind: str, size: int) -> np.ndarray:
    """How much of the second colour each texel takes: (size, size) float32, 0 to 1."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    waves = rng.uniform(2, 7) * 2 * np.pi
    if kind == "stripes":
        return (np.sin(x * waves) > rng.uniform(-0.5, 0.5)).astype(np.float32)
    if kind == "checks":
        return ((np.sin(x * waves) > 0) ^ (np.sin(y * waves) > 0)).astype(np.float32)
    if kind == "spots":
        return (np.sin(x * waves) * np.sin(y * waves) > rng.uniform(0.3, 0.7)).astype(np.float32)
    if kind == "gradient":
        return x
    if kind == "noise":
        return np.clip(smooth_noise(rng, size, int(rng.integers(4, 14)), 1)[..., 0], 0, 1)
    if kind == "halves":
        return (x > rng.uniform(0.35, 0.65)).astype(np.float32)
    return np.zeros((size, size), np.float32)


def _unlike(rng: Rng, used: Sequence[np.ndarray]) -> np.ndarray:
    """Of six random colours (3,) in [0, 1] the one least like those used, so that most things differ in colour."""
    drawn = rng.uniform(0, 1, (6, 3)).astype(np.float32)
    nearest = [min((float(np.abs(colour - other).sum()) for other in used), default=0.0) for colour in drawn]
    return drawn[int(np.argmax(nearest))]


def _shade(rng: Rng, colour: np.ndarray) -> np.ndarray:
    """A far darker tone of a light colour (3,), a far lighter one of a dark: a blue bird in a blue sky."""
    share = np.float32(rng.uniform(0.15, 0.55))
    return colour * share if colour.mean() > 0.5 else 1 - (1 - colour) * share


def texture(rng: Rng, size: int = 64, photos: Sequence[np.ndarray] = (), used: Sequence[np.ndarray] = ()) -> np.ndarray:
    """The surface of a thing, (size, size, 3) uint8: two softly lit colours in a pattern, or a photograph.

    `used` are colours (3,) in [0, 1] that its first colour rather keeps away from. Where there is only that of the
    background, the first colour is in half of the cases a tone of it.
    """
    if len(photos) and rng.random() < 0.5:
        return photo_piece(rng, photos, size)
    first = _shade(rng, used[0]) if len(used) == 1 and rng.random() < 0.5 else _unlike(rng, used)
    second = np.clip(first + rng.uniform(-1, 1, 3) * rng.choice([0.15, 0.3, 0.6]), 0, 1).astype(np.float32)
    share = _pattern(rng, str(rng.choice(KINDS)), size)[..., None]
    light = 1 + (smooth_noise(rng, size, 3, 1) - 0.5) * rng.uniform(0, 0.5)
    surface = (first * (1 - share) + second * share) * light
    return (np.clip(surface, 0, 1) * 255).astype(np.uint8)


def _clutter(rng: Rng, canvas: np.ndarray) -> None:
    """Draw a few soft-coloured rectangles, discs and lines, which are part of the background, into `canvas`."""
    size = len(canvas)
    for _ in range(int(rng.integers(3, 14))):
        a, b = (tuple(int(v) for v in rng.integers(0, size, 2)) for _ in range(2))
        base = canvas[a[1], a[0]].astype(float)
        colour = tuple(float(v) for v in np.clip(base + rng.uniform(-45, 45, 3), 0, 255))
        form = rng.integers(0, 3)
        if form == 0:
            cv2.rectangle(canvas, a, b, colour, -1)
        elif form == 1:
            cv2.circle(canvas, a, int(rng.integers(size // 30, size // 6)), colour, -1)
        else:
            cv2.line(canvas, a, b, colour, int(rng.integers(2, size // 25)))


def background(rng: Rng, size: int, photos: Sequence[np.ndarray] = ()) -> np.ndarray:
    """What is behind everything, (size, size, 3) uint8: smooth noise, perhaps with clutter, or a photograph."""
    if len(photos) and rng.random() < 0.5:
        return photo_piece(rng, photos, size)
    base = rng.uniform(0.15, 0.85, 3).astype(np.float32)
    coarse = (smooth_noise(rng, size, int(rng.integers(2, 7))) - 0.5) * rng.uniform(0.1, 0.5)
    fine = (smooth_noise(rng, size, int(rng.integers(size // 24, size // 4)), 1) - 0.5) * rng.choice([0.0, 0.1, 0.25])
    canvas = np.ascontiguousarray((np.clip(base + coarse + fine, 0, 1) * 255).astype(np.uint8))
    if rng.random() < 0.5:
        _clutter(rng, canvas)
    return canvas


def photo_piece(rng: Rng, photos: Sequence[np.ndarray], size: int) -> np.ndarray:
    """A random square of a random photograph, resized to (size, size, 3)."""
    photo = photos[int(rng.integers(len(photos)))]
    height, width = photo.shape[:2]
    side = int(rng.uniform(0.4, 1.0) * min(height, width))
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    return cv2.resize(photo[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)


def load_photos(folder: Path, limit: int = 500, side: int = 512) -> list[np.ndarray]:
    """Up to `limit` photographs under `folder`, shrunk so that the shorter side is at most `side` pixels."""
    photos = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)[:limit]:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            continue
        scale = min(1.0, side / min(image.shape[:2]))
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        photos.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    return photos
