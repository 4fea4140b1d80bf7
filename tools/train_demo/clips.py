"""Clips of moving things with exact masks of what is visible of them, made from a seed.

Things (objects and occluders) are stacked in a fixed depth order before a background; each moves, turns, scales and
deforms smoothly, some out of the frame and back; the camera pans, zooms and rolls; then light, blur and noise.
The same maker gives the training clips and the fixed test set `TEST_SEEDS`, which training never draws from:
100 clips of 48 frames, the even seeds with two objects and the odd ones with three (`test_clip`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tools.train_demo.shapes import Rng, outline
from tools.train_demo.textures import background, texture

TEST_SEEDS = range(900_000, 900_100)
TEST_FRAMES = 48
SMALLEST_START = 0.015  # visible share of the frame that every object has on frame 0: a person would click on it
TEXTURE = 64
CANVAS = 1.6  # side of the background in frames, so that the camera can move


@dataclass(frozen=True)
class Part:
    """A piece of a thing: outline (N, 2) and texture, placed in the thing's coordinates, swinging about its anchor."""

    points: np.ndarray
    surface: np.ndarray
    anchor: tuple[float, float]
    shift: tuple[float, float]
    size: float
    swing: tuple[float, float, float]
    ripple: tuple[float, int, float, float]


@dataclass(frozen=True)
class Thing:
    """Something that moves. `label` 0 is an occluder; `poses` (T, 2, 3) maps its coordinates to the unit square."""

    label: int
    parts: tuple[Part, ...]
    poses: np.ndarray


def _affine(scale: float, angle: float, x: float, y: float) -> np.ndarray:
    """Scale, then turn by `angle` radians, then move: a (3, 3) matrix."""
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    return np.array([[c, -s, x], [s, c, y], [0.0, 0.0, 1.0]])


def _wave(rng: Rng, times: np.ndarray, size: float) -> np.ndarray:
    """A smooth drift that starts at 0: up to `size`, one half to two and a half turns in 48 frames."""
    pace, phase = rng.uniform(0.5, 2.5) * 2 * np.pi / 48, rng.uniform(0, 2 * np.pi)
    return rng.uniform(0.2, 1.0) * size * (np.sin(pace * times + phase) - np.sin(phase)) / 2


def _reflect(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Fold a straight path into [low, high], as a ball between two walls."""
    span = high - low
    return low + span - np.abs((values - low) % (2 * span) - span)


def _path(rng: Rng, times: np.ndarray) -> np.ndarray:
    """Centres over time in units of the frame, (T, 2); one in five wanders out of the frame and comes back."""
    margin = -0.2 if rng.random() < 0.2 else 0.1
    start, speed = rng.uniform(0.15, 0.85, 2), rng.uniform(-1, 1, 2) * rng.choice([0.004, 0.01, 0.018])
    drift = np.stack([_wave(rng, times, 0.25), _wave(rng, times, 0.25)], axis=-1)
    return _reflect(start + speed * times[:, None] + drift, margin, 1 - margin)


def _poses(rng: Rng, times: np.ndarray, radius: float, moving: bool) -> np.ndarray:
    """(T, 3, 3) placements of a thing of that radius; what does not move only has a place and an angle."""
    angle = rng.uniform(0, 2 * np.pi)
    if not moving:
        return np.repeat(_affine(radius, angle, *rng.uniform(0.1, 0.9, 2))[None], len(times), axis=0)
    centres = _path(rng, times)
    angles = angle + times * rng.uniform(-1, 1) * rng.choice([0.0, 0.02, 0.06]) + _wave(rng, times, 0.6)
    scales = radius * np.exp(_wave(rng, times, 0.45))
    poses = np.stack([_affine(s, a, x, y) for s, a, (x, y) in zip(scales, angles, centres, strict=True)])
    squash = np.exp(_wave(rng, times, 0.3))
    poses[:, :2, 0] *= squash[:, None]
    poses[:, :2, 1] /= squash[:, None]
    return poses


def _part(rng: Rng, surface: np.ndarray, size: float, anchor: tuple[float, float], limb: bool) -> Part:
    swing = (rng.uniform(0.2, 0.7) if limb else 0.0, rng.uniform(0.08, 0.3), rng.uniform(0, 2 * np.pi))
    ripple = (rng.uniform(0, 0.1), int(rng.integers(2, 5)), rng.uniform(-0.3, 0.3), rng.uniform(0, 2 * np.pi))
    shift = (0.75 * size, 0.0) if limb else (0.0, 0.0)
    return Part(outline(rng), surface, anchor, shift, size, swing, ripple)


def _mean_colour(picture: np.ndarray) -> np.ndarray:
    return picture.mean(axis=(0, 1)) / 255


def _parts(rng: Rng, photos: Sequence[np.ndarray], used: Sequence[np.ndarray]) -> tuple[Part, ...]:
    """A body; in one thing of three also one to three limbs that swing at its rim, behind it or (wings) before it."""
    surface = texture(rng, TEXTURE, photos, used)
    behind: list[Part] = []
    before: list[Part] = []
    for _ in range(int(rng.integers(1, 4)) if rng.random() < 1 / 3 else 0):
        at = rng.uniform(0, 2 * np.pi)
        anchor = (0.65 * np.cos(at), 0.65 * np.sin(at))
        limb = _part(rng, _limb_surface(rng, surface, photos, used), rng.uniform(0.4, 0.65), anchor, limb=True)
        (before if rng.random() < 0.3 else behind).append(limb)
    return (*behind, _part(rng, surface, 1.0, (0.0, 0.0), limb=False), *before)


def _limb_surface(
    rng: Rng, surface: np.ndarray, photos: Sequence[np.ndarray], used: Sequence[np.ndarray]
) -> np.ndarray:
    """That of the body, a darker or lighter shade of it, or now and then another one."""
    choice = rng.random()
    if choice < 0.5:
        return surface
    if choice < 0.85:
        return cv2.convertScaleAbs(surface, alpha=rng.uniform(0.45, 1.4))
    return texture(rng, TEXTURE, photos, used)


def _crowd(rng: Rng, things: Sequence[Thing]) -> None:
    """Move, in place, a thing before each object to that object's middle at the first moment: its box holds both.

    Half of those things are first made nearly as large as the object and put closer to its middle: a rim may be left.
    """
    for rear, thing in enumerate(things[:-1]):
        if thing.label:
            poses, start = things[int(rng.integers(rear + 1, len(things)))].poses, thing.poses[0]
            radius, tight = _radius(start), rng.random() < 0.5
            if tight:
                poses[:, :2, :2] *= rng.uniform(0.6, 1.0) * radius / _radius(poses[0])
            off = rng.uniform(-1, 1, 2) * radius * (0.25 if tight else 0.6)
            poses[:, :2, 2] += start[:2, 2] + off - poses[0, :2, 2]


def _radius(pose: np.ndarray) -> float:
    """The mean radius of what the (3, 3) placement makes of a thing of radius 1."""
    return float(np.sqrt(abs(np.linalg.det(pose[:2, :2]))))


def _things(
    rng: Rng, times: np.ndarray, objects: int, photos: Sequence[np.ndarray], backdrop: np.ndarray
) -> list[Thing]:
    """The objects and up to three occluders (bars or things, still or moving) in random depth order, rear first."""
    labels = [*range(1, objects + 1), *[0] * int(rng.integers(0, 4))]
    used, things = [backdrop], []
    for label in rng.permutation(labels):
        radius = rng.uniform(0.11, 0.23) if label else rng.uniform(0.06, 0.16)
        moving = bool(label) or rng.random() < 0.4
        poses = _poses(rng, times, radius, moving)
        if not label and rng.random() < 0.4:
            poses[:, :2, 0] *= 5.0  # a bar or branch
        parts = _parts(rng, photos, used)
        used.append(_mean_colour(max(parts, key=lambda part: part.size).surface))
        things.append(Thing(int(label), parts, poses))
    return things


def _camera(rng: Rng, times: np.ndarray) -> np.ndarray:
    """(T, 3, 3) maps from the unit square of the world to that of the picture; three cameras of ten stand still."""
    size = 0.0 if rng.random() < 0.3 else rng.uniform(0.2, 1.0)
    pans = _wave(rng, times, 0.25 * size), _wave(rng, times, 0.25 * size)
    zooms, rolls = np.exp(_wave(rng, times, 0.3 * size)), _wave(rng, times, 0.15 * size)
    moves = [_affine(z, r, 0.5 + x, 0.5 + y) for z, r, x, y in zip(zooms, rolls, *pans, strict=True)]
    return np.stack(moves) @ _affine(1.0, 0.0, -0.5, -0.5)


def _ripple(part: Part, time: float) -> np.ndarray:
    """The part's outline at that time: its radius swells and shrinks in a wave that runs around it."""
    amount, waves, pace, phase = part.ripple
    angles = np.arctan2(part.points[:, 1], part.points[:, 0])
    return part.points * (1 + amount * np.sin(waves * angles + pace * time + phase))[:, None]


def _draw_part(
    image: np.ndarray, labels: np.ndarray, part: Part, to_pixels: np.ndarray, time: float, label: int
) -> None:
    """Draw one part into image and labels, in place; `to_pixels` (3, 3) maps the thing's coordinates to pixels."""
    amount, pace, phase = part.swing
    placed = to_pixels @ _affine(
        1.0, amount * np.sin(pace * time + phase) + np.arctan2(*part.anchor[::-1]), *part.anchor
    )
    placed = placed @ _affine(part.size, 0.0, *part.shift)
    corners = _ripple(part, time) @ placed[:2, :2].T + placed[:2, 2]
    size = len(image)
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 1, 0, size)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 2, 0, size)
    if (high <= low).any():
        return
    region = (slice(low[1], high[1]), slice(low[0], high[0]))
    mask = np.zeros(tuple(high - low)[::-1], np.uint8)
    cv2.fillPoly(mask, [np.round((corners - low) * 16).astype(np.int32)], 255, lineType=cv2.LINE_8, shift=4)
    texels = placed @ _affine(2.8 / TEXTURE, 0.0, -1.4, -1.4)
    texels[:2, 2] -= low
    surface = cv2.warpAffine(
        part.surface, texels[:2], mask.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    cv2.copyTo(surface, mask, image[region])
    labels[region][mask > 0] = label


def _scene(
    canvas: np.ndarray, things: Sequence[Thing], camera: np.ndarray, index: int, time: float, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The picture (size, size, 3) and labels (size, size) of one moment, before light, blur and noise."""
    to_pixels = _affine(size, 0.0, 0.0, 0.0) @ camera
    backdrop = to_pixels @ _affine(CANVAS / len(canvas), 0.0, (1 - CANVAS) / 2, (1 - CANVAS) / 2)
    image = cv2.warpAffine(canvas, backdrop[:2], (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    labels = np.zeros((size, size), np.uint8)
    for thing in things:
        for part in thing.parts:
            _draw_part(image, labels, part, to_pixels @ thing.poses[index], time, thing.label)
    return image, labels


def _lens(rng: Rng, images: list[np.ndarray], times: np.ndarray) -> np.ndarray:
    """Drifting light, blur and fresh noise on every frame: (T, H, W, 3) uint8."""
    size = len(images[0])
    light, blur, noise = np.exp(_wave(rng, times, 0.4)), rng.uniform(0.4, 1.0), rng.uniform(0, 8)
    grain = (rng.standard_normal((size + 64, size + 64, 3), dtype=np.float32) * noise).astype(np.int16)
    out = np.empty((len(images), size, size, 3), np.uint8)
    for index, image in enumerate(images):
        top, left = rng.integers(0, 64, 2)
        soft = cv2.GaussianBlur(cv2.convertScaleAbs(image, alpha=float(light[index])), (5, 5), blur)
        cv2.add(soft, grain[top : top + size, left : left + size], dst=out[index], dtype=cv2.CV_8U)
    return out


def _starts_visible(labels: np.ndarray, objects: int) -> bool:
    return bool((np.bincount(labels.ravel(), minlength=objects + 1)[1:] >= SMALLEST_START * labels.size).all())


def make_clip(
    seed: int,
    frames: int = 48,
    size: int = 256,
    objects: int = 2,
    photos: Sequence[np.ndarray] = (),
    step: int = 1,
    crowded: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """A clip and its exact masks, always the same for the same arguments.

    Returns images (T, H, W, 3) uint8 RGB and labels (T, H, W) uint8: 0 background and occluders, k the visible pixels
    of object k (1 to `objects`). On frame 0 every object shows at least `SMALLEST_START` of the frame. `photos`
    (RGB images of any size) also serve as backgrounds and textures; of `step` moments one is shown;
    in a `crowded` clip all objects but the foremost start with another thing before their middle.
    """
    times = np.arange(frames, dtype=np.float64) * step
    attempt = 0
    while True:  # each try has its own stream, so that the accepted one depends on the seed alone
        rng = np.random.default_rng([seed, objects, attempt])
        canvas, camera = background(rng, int(CANVAS * size), photos), _camera(rng, times)
        things = _things(rng, times, objects, photos, _mean_colour(canvas))
        if crowded:
            _crowd(rng, things)
        if _starts_visible(_scene(canvas, things, camera[0], 0, 0.0, size)[1], objects):
            break
        attempt += 1
    scenes = [_scene(canvas, things, camera[i], i, t, size) for i, t in enumerate(times)]
    images, labels = [image for image, _ in scenes], np.stack([labels for _, labels in scenes])
    return _lens(rng, images, times), labels


def test_clip(seed: int, size: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Clip `seed` of the fixed test set: as `make_clip`, with two objects for even seeds and three for odd ones."""
    if seed not in TEST_SEEDS:
        raise ValueError(f"seed {seed} is not in the test set, {TEST_SEEDS.start} to {TEST_SEEDS.stop - 1}")
    return make_clip(seed, TEST_FRAMES, size, 2 + seed % 2)
