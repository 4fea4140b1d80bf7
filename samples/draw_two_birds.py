"""Draw the sample clip: two birds cross the sky, pass behind clouds and across each other.

    python samples/draw_two_birds.py

writes two_birds.mp4, two_birds_masks.zip, two_birds.json and two_birds_boxes.csv beside this file.

Everything is computed, nothing is loaded: polygons and discs are filled on a canvas four times as large, in exact
arithmetic, so that the frames are the same bytes on every machine. The masks are what is visible of each bird: a pixel
is the bird's when more than half of its 16 sub-pixels are. Only the encoded MP4 may differ between versions of ffmpeg.
"""

import argparse
import io
import json
import math
import subprocess
import wave
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT, FRAMES, RATE = 640, 360, 120, 24
SCALE = 4  # sub-pixels per pixel and axis
SAMPLE_RATE = 48000

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]

SKY_TOP, SKY_BOTTOM = (122, 193, 236), (250, 244, 226)
SUN, SUN_GLOW = (255, 240, 190), (240, 243, 221)
CLOUD_SHADE, CLOUD_MIDDLE, CLOUD_LIGHT = (208, 223, 236), (231, 240, 247), (252, 253, 255)
HILLS = ((176, 213, 196), (143, 194, 166), (108, 171, 137))
INK, WHITE = (30, 28, 38), (255, 255, 255)

# Outlines of a bird that flies to the right, in pixels from its centre, y downwards.
BODY: Points = [
    (50, -12), (42, -29), (24, -35), (2, -26), (-22, -17), (-44, -15), (-66, -22), (-61, -2), (-66, 16), (-42, 16),
    (-18, 29), (12, 34), (38, 21), (51, 3),
]  # fmt: skip
BELLY: Points = [(47, 6), (35, 19), (12, 30), (-16, 25), (-34, 15), (-8, 14), (16, 10), (33, 2)]
WING: Points = [
    (21, 2), (19, -24), (5, -47), (-16, -57), (-28, -50), (-33, -39), (-37, -27), (-33, -13), (-25, 5), (0, 11),
]  # fmt: skip
BEAK: Points = [(46, -18), (67, -7), (48, 4)]
EYE, GLEAM = (35.0, -15.0), (36.5, -16.7)
SHOULDER = (0.0, -8.0)


@dataclass(frozen=True)
class Bird:
    """One bird: its name, its shades, and where it is when: keys of (frame, x, y) in pixels."""

    name: str
    body: Colour
    belly: Colour
    wing: Colour
    far_wing: Colour
    beak: Colour
    facing: int  # 1 flies to the right, -1 to the left
    flap_frames: float  # length of one wing beat
    path: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Cloud:
    """Discs of (x, y, radius) in pixels from the cloud's place, which drifts by `drift` pixels a frame."""

    x: float
    y: float
    drift: float
    discs: tuple[tuple[float, float, float], ...]


RED = Bird(
    "bird_1", (219, 58, 52), (235, 92, 76), (184, 38, 42), (150, 28, 38), (240, 150, 50), 1, 15,
    ((-30, -150, 236), (0, 80, 222), (22, 258, 204), (44, 336, 182),
     (62, 370, 168), (90, 462, 140), (119, 556, 108), (150, 690, 80)),
)  # fmt: skip
BLUE = Bird(
    "bird_2", (38, 70, 170), (66, 104, 204), (27, 48, 134), (20, 36, 106), (240, 150, 50), -1, 13,
    ((-30, 700, 84), (0, 556, 96), (30, 452, 116), (48, 380, 142),
     (62, 320, 154), (88, 206, 150), (119, 84, 190), (150, -60, 240)),
)  # fmt: skip
BIRDS = (BLUE, RED)  # from back to front: the red bird passes in front of the blue one

PUFF = ((-52, 14, 22), (-35, -4, 31), (-2, -18, 42), (34, -5, 32), (54, 14, 21), (-20, 16, 26), (18, 17, 26))
WISP = ((-40, 4, 14), (-18, -4, 20), (10, -6, 22), (36, 4, 15), (0, 8, 12))
FAR_CLOUDS = (
    Cloud(96, 62, -0.10, WISP),
    Cloud(322, 44, -0.08, PUFF),
    Cloud(566, 236, -0.07, WISP),
    Cloud(330, 268, -0.06, WISP),
)
NEAR_CLOUDS = (Cloud(232, 214, -0.50, PUFF), Cloud(486, 174, -0.35, WISP))


# Seconds at which a chirp starts, its first and its last pitch in Hz; the red bird's rise, the blue one's fall.
CHIRPS = (
    (0.40, 2600, 3600), (0.62, 2800, 3900), (1.70, 3300, 2300), (1.95, 3400, 2400), (2.50, 2600, 3800),
    (2.72, 3500, 2500), (3.60, 3300, 2300), (4.20, 2700, 3700), (4.40, 2900, 3900),
)  # fmt: skip
CHIRP_SECONDS = 0.14


def smooth(corners: Points, steps: int = 8) -> Points:
    """A closed Catmull-Rom curve through the corners."""
    curve: Points = []
    count = len(corners)
    for i in range(count):
        a, b, c, d = (corners[(i + k) % count] for k in (-1, 0, 1, 2))
        for step in range(steps):
            t = step / steps
            curve.append((catmull_rom(a[0], b[0], c[0], d[0], t), catmull_rom(a[1], b[1], c[1], d[1], t)))
    return curve


def catmull_rom(a: float, b: float, c: float, d: float, t: float) -> float:
    """The value at t in [0, 1] between b and c."""
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def position(bird: Bird, frame: float) -> tuple[float, float]:
    """Where the bird is on a frame: a Catmull-Rom curve through its keys."""
    keys = bird.path
    i = max(k for k in range(1, len(keys) - 2) if keys[k][0] <= frame or k == 1)
    t = (frame - keys[i][0]) / (keys[i + 1][0] - keys[i][0])
    (_, ax, ay), (_, bx, by), (_, cx, cy), (_, dx, dy) = keys[i - 1 : i + 3]
    return catmull_rom(ax, bx, cx, dx, t), catmull_rom(ay, by, cy, dy, t)


class Canvas:
    """A picture of sub-pixels: colours, and whose each is (0: nobody's, else 1 + the bird's number)."""

    def __init__(self, colours: np.ndarray) -> None:
        self.colours = colours
        self.owners: np.ndarray = np.zeros(colours.shape[:2], np.uint8)

    def polygon(self, points: Iterable[tuple[float, float]], colour: Colour, owner: int = 0) -> None:
        """Fill a polygon (corners in pixels) by the even-odd rule at sub-pixel centres."""
        # 1/256 of a sub-pixel: the last bits of a machine's sine must not reach the picture
        corners = [(round(x * SCALE * 256) / 256, round(y * SCALE * 256) / 256) for x, y in points]
        height, width = self.owners.shape
        top = max(0, math.floor(min(y for _, y in corners)))
        bottom = min(height, math.ceil(max(y for _, y in corners)))
        if top >= bottom:
            return
        toggles = np.zeros((bottom - top, width + 1), bool)
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
            if y0 > y1:
                x0, y0, x1, y1 = x1, y1, x0, y0
            rows = np.arange(max(top, math.ceil(y0 - 0.5)), min(bottom, math.ceil(y1 - 0.5)))
            if rows.size:
                crossings = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
                toggles[rows - top, np.clip(np.ceil(crossings - 0.5), 0, width).astype(int)] ^= True
        self.paint(np.logical_xor.accumulate(toggles[:, :-1], axis=1), top, 0, colour, owner)

    def disc(self, x: float, y: float, radius: float, colour: Colour, owner: int = 0) -> None:
        """Fill a disc (centre and radius in pixels)."""
        cx, cy, r = (round(value * SCALE * 256) / 256 for value in (x, y, radius))
        height, width = self.owners.shape
        top, bottom = max(0, math.floor(cy - r)), min(height, math.ceil(cy + r))
        left, right = max(0, math.floor(cx - r)), min(width, math.ceil(cx + r))
        if top < bottom and left < right:
            ys, xs = np.arange(top, bottom)[:, None] + 0.5 - cy, np.arange(left, right)[None] + 0.5 - cx
            self.paint(xs * xs + ys * ys <= r * r, top, left, colour, owner)

    def paint(self, inside: np.ndarray, top: int, left: int, colour: Colour, owner: int) -> None:
        """Colour and own the sub-pixels of a patch whose corner is at (top, left)."""
        patch = slice(top, top + inside.shape[0]), slice(left, left + inside.shape[1])
        self.colours[patch][inside] = colour
        self.owners[patch][inside] = owner


def draw_cloud(canvas: Canvas, cloud: Cloud, frame: int) -> None:
    """Three tones, each a little higher and smaller than the one below it."""
    x = cloud.x + cloud.drift * frame
    for lift, shrink, colour in ((0, 0, CLOUD_SHADE), (4, 1.5, CLOUD_MIDDLE), (9, 4, CLOUD_LIGHT)):
        for dx, dy, radius in cloud.discs:
            canvas.disc(x + dx - lift / 3, cloud.y + dy - lift, radius - shrink, colour)


def draw_bird(canvas: Canvas, bird: Bird, frame: int) -> None:
    """Far wing, tail to beak, near wing; turned along the path, wings by the beat."""
    owner = 1 + BIRDS.index(bird)
    x, y = position(bird, frame)
    ahead_x, ahead_y = position(bird, frame + 1)
    angle = 0.7 * math.atan2(ahead_y - y, abs(ahead_x - x))
    beat = math.sin(2 * math.pi * frame / bird.flap_frames)
    y -= 2.0 * beat
    cosine, sine = math.cos(angle), math.sin(angle)

    def placed(points: Iterable[tuple[float, float]]) -> Points:
        return [(x + bird.facing * (px * cosine - py * sine), y + px * sine + py * cosine) for px, py in points]

    def wing(lift: float, dx: float) -> Points:
        folded = [(px + SHOULDER[0] + dx + 9 * (1 - lift) * py / 57, SHOULDER[1] + lift * py) for px, py in WING]
        return placed(smooth(folded))

    lift = 0.2 + 0.68 * beat
    canvas.polygon(wing(lift + 0.06, 9), bird.far_wing, owner)
    canvas.polygon(placed(BEAK), bird.beak, owner)
    canvas.polygon(placed(smooth(BODY)), bird.body, owner)
    canvas.polygon(placed(smooth(BELLY)), bird.belly, owner)
    ((eye_x, eye_y), (gleam_x, gleam_y)) = placed([EYE, GLEAM])
    canvas.disc(eye_x, eye_y, 4.4, INK, owner)
    canvas.disc(gleam_x, gleam_y, 1.6, WHITE, owner)
    canvas.polygon(wing(lift, -2), bird.wing, owner)


@lru_cache(maxsize=1)
def backdrop() -> np.ndarray:
    """Sky, sun and hills, which stand still: (1440, 2560, 3) uint8."""
    rows = np.arange(HEIGHT * SCALE)[:, None]
    top, bottom = np.array(SKY_TOP), np.array(SKY_BOTTOM)
    sky = top + ((bottom - top) * rows) // (HEIGHT * SCALE - 1)
    canvas = Canvas(np.repeat(sky.astype(np.uint8)[:, None], WIDTH * SCALE, axis=1))
    canvas.disc(520, 292, 64, SUN_GLOW)
    canvas.disc(520, 292, 44, SUN)
    for i, colour in enumerate(HILLS):
        ridge = [
            (x, 304 + 17 * i + (13 - 3 * i) * math.sin(x / (96 + 21 * i) + 1.7 * i) + 4 * math.sin(x / 37 + i))
            for x in range(-8, WIDTH + 16, 8)
        ]
        canvas.polygon([*ridge, (WIDTH + 16, HEIGHT), (-8, HEIGHT)], colour)
    return canvas.colours


def draw_frame(frame: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The picture (360, 640, 3) uint8 RGB and, by name, the visible mask (360, 640) bool of each bird."""
    canvas = Canvas(backdrop().copy())
    for cloud in FAR_CLOUDS:
        draw_cloud(canvas, cloud, frame)
    for bird in BIRDS:
        draw_bird(canvas, bird, frame)
    for cloud in NEAR_CLOUDS:
        draw_cloud(canvas, cloud, frame)
    area = SCALE * SCALE
    picture = (in_blocks(canvas.colours) + area // 2) // area
    masks = {bird.name: in_blocks(canvas.owners == 1 + i) > area // 2 for i, bird in enumerate(BIRDS)}
    return picture.astype(np.uint8), {name: masks[name] for name in sorted(masks)}


def in_blocks(values: np.ndarray) -> np.ndarray:
    """Sums over the sub-pixels of each pixel."""
    rows = np.zeros((HEIGHT, *values.shape[1:]), np.uint16)
    for i in range(SCALE):
        rows += values[i::SCALE]
    blocks = np.zeros((HEIGHT, WIDTH, *values.shape[2:]), np.uint16)
    for i in range(SCALE):
        blocks += rows[:, i::SCALE]
    return blocks


def draw_sound() -> bytes:
    """Wind, and a few chirps from either bird: mono, 16 bit, as many samples as the picture is long."""
    count = FRAMES * SAMPLE_RATE // RATE
    seconds = np.arange(count) / SAMPLE_RATE
    noise = np.random.Generator(np.random.PCG64(2)).standard_normal(count + 400)
    wind = np.convolve(noise, np.hanning(401), "valid")[:count]
    sound = 0.02 * wind / wind.std() * (1 + 0.5 * np.sin(2 * np.pi * seconds / 3.1))
    for start, low, high in CHIRPS:
        t = (seconds - start) / CHIRP_SECONDS
        inside = (t >= 0) & (t < 1)
        phase = 2 * np.pi * np.cumsum(np.where(inside, low + (high - low) * t, 0)) / SAMPLE_RATE
        sound += np.where(inside, 0.16 * np.sin(np.pi * np.clip(t, 0, 1)) ** 2 * np.sin(phase), 0)
    fade = np.clip(np.minimum(seconds, seconds[-1] - seconds) / 0.1, 0, 1)
    return (np.clip(sound * fade, -1, 1) * 32767).astype("<i2").tobytes()


def encode(frames: Iterator[np.ndarray], path: Path) -> None:
    """H.264 and AAC by the system's ffmpeg."""
    sound = path.with_suffix(".wav")
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(draw_sound())
    picture = f"-f rawvideo -pix_fmt rgb24 -s {WIDTH}x{HEIGHT} -r {RATE} -i pipe:0"
    video = "-vf scale=out_color_matrix=bt709:out_range=tv -c:v libx264 -preset veryslow -crf 17 -pix_fmt yuv420p"
    tags = "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -movflags +faststart -map_metadata -1"
    command = ["ffmpeg", "-v", "error", "-y", *picture.split(), "-i", str(sound)]
    command += [*video.split(), *tags.split(), "-c:a", "aac", "-b:a", "64k", str(path)]
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            for frame in frames:
                process.stdin.write(frame.tobytes())
            process.stdin.close()
            if process.wait():
                raise SystemExit("ffmpeg could not encode the clip")
    finally:
        sound.unlink()


def as_png(mask: np.ndarray) -> bytes:
    """A mask as an 8-bit PNG of 0 and 255."""
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, "PNG", optimize=True)
    return file.getvalue()


def draw_clip(folder: Path) -> None:
    """Write the clip, its masks and its request into the folder."""
    with zipfile.ZipFile(folder / "two_birds_masks.zip", "w", zipfile.ZIP_STORED) as archive:

        def pictures() -> Iterator[np.ndarray]:
            for frame in range(FRAMES):
                picture, masks = draw_frame(frame)
                for name, mask in masks.items():
                    # a date of its own would make another archive each time
                    archive.writestr(zipfile.ZipInfo(f"masks/{name}/{frame:05d}.png"), as_png(mask))
                yield picture

        encode(pictures(), folder / "two_birds.mp4")
    Image.fromarray(draw_frame(0)[0]).save(folder / "two_birds_photo.jpg", quality=90)
    clicks = {bird.name: position(bird, 0) for bird in sorted(BIRDS, key=lambda bird: bird.name)}
    request = {
        "click_coordinates": ",".join(f"[{round(x)},{round(y)}]" for x, y in clicks.values()),
        "click_labels": "1,1",
        "click_frames": "0,0",
        "click_object_ids": ",".join(clicks),
    }
    (folder / "two_birds.json").write_text(json.dumps(request, indent=2) + "\n")
    (folder / "two_birds_boxes.csv").write_text("\n".join(["frame,name,x0,y0,x1,y1", *first_boxes()]) + "\n")


def first_boxes() -> Iterator[str]:
    """A line for the box of each bird on frame 0."""
    for name, mask in draw_frame(0)[1].items():
        y, x = np.nonzero(mask)
        yield f"0,{name},{x.min()},{y.min()},{x.max() + 1},{y.max() + 1}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the sample clip of two birds, its masks and its request.")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent, help="where to write (default: here)")
    draw_clip(parser.parse_args().folder)
