"""Clips for the tests, drawn with numpy and encoded by the real ffmpeg.

Every frame carries its own number in a row of eight black or white blocks (see `frame_number`), so that a test sees a
dropped, doubled or misplaced frame in the pixels and not only in a count.
"""

import os
import runpy
import struct
import subprocess
import zipfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sam2_cog.media.ffmpeg_run import passthrough
from sam2_cog.outputs.mp4_ending import end_last_frame
from sam2_cog.outputs.raw_matroska import TICKS_PER_SECOND, frame_header, stream_header

SAMPLES = Path(__file__).parent.parent / "samples"
draw_frame: Callable[[int], tuple[np.ndarray, dict[str, np.ndarray]]] = cache(
    runpy.run_path(str(SAMPLES / "draw_two_birds.py"))["draw_frame"]
)
"""A frame of the sample as its script draws it: the picture, and the exact mask of each bird by name."""

LOSSLESS: dict[str, Any] = {"codec": "ffv1", "pix_fmt": "bgr0"}  # for .mkv: the pixels come back as they went in
CARD = np.array(  # the colours of the test card, one per column
    [
        [235, 20, 25],
        [20, 200, 30],
        [30, 40, 230],
        [240, 220, 20],
        [20, 210, 220],
        [200, 30, 210],
        [128, 128, 128],
        [90, 60, 30],
    ],
    np.uint8,
)


def numbered_frames(count: int, width: int = 64, height: int = 48) -> np.ndarray:
    """(count, height, width, 3) uint8 RGB: a test card of eight colours under the blocks of the frame's number."""
    block = width // 8
    columns = np.minimum(np.arange(width) // block, 7)
    shade = np.linspace(1.0, 0.5, height)[:, None, None]
    frames = np.repeat(np.round(CARD[columns][None] * shade).astype(np.uint8)[None], count, axis=0)
    for number in range(count):
        for bit in range(8):
            frames[number, : height // 3, bit * block : (bit + 1) * block] = 255 * (number >> bit & 1)
    frames[:, : height // 3, 8 * block :] = 0
    return frames


def frame_number(image: np.ndarray) -> int:
    """The number that `numbered_frames` drew into a frame, modulo 256."""
    block, row = image.shape[1] // 8, image.shape[0] // 6
    return sum(1 << bit for bit in range(8) if image[row, bit * block + block // 2].mean() > 127)


def write_clip(
    path: Path,
    frames: np.ndarray,
    *,
    rate: Fraction | int = 24,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: Sequence[str] = (),
    times_ms: Sequence[int] | None = None,
    start_ms: int = 0,
    audio_seconds: float | None = None,
    matrix: str | None = None,
    full_range: bool | None = None,
) -> Path:
    """Encode (N, H, W, 3) or, with alpha, (N, H, W, 4) uint8 frames; the suffix of `path` picks the container.

    Args:
        options: more ffmpeg output options, such as ("-qp", "0").
        times_ms: the frames' times in milliseconds, increasing, in place of the constant `rate`. There are no B frames
            then, with which ffmpeg 4.3 and 7.1 write an MP4 that ends before its last frame.
        start_ms: added to the times of the picture, not to those of the sound.
        audio_seconds: length of a sine tone beside the picture; None: no sound.
        matrix: "bt709" or "smpte170m", used and tagged; None: BT.601 and no tag.
        full_range: used and tagged; None: limited and no tag.
    """
    count, height, width, channels = frames.shape
    raw = "rgba" if channels == 4 else "rgb24"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", raw, "-s", f"{width}x{height}"]
    command += ["-r", str(Fraction(rate)), "-i", "pipe:"]
    if audio_seconds is not None:
        command += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={audio_seconds}"]
    command += ["-map", "0:v", "-vf", ",".join(_filters(count, rate, pix_fmt, times_ms, start_ms, matrix, full_range))]
    command += ["-map", "1:a"] if audio_seconds is not None else []
    every_frame = [word for name, value in passthrough().items() for word in (f"-{name}", value)]
    command += ["-c:v", codec, *every_frame, "-copyts", *_tags(matrix, full_range), *options]
    command += ["-enc_time_base", "1:1000", "-bf", "0"] if times_ms else []
    command += [str(path)]
    subprocess.run(command, input=np.ascontiguousarray(frames).tobytes(), check=True)
    if times_ms is not None and path.suffix in (".mp4", ".mov"):
        end_last_frame(path, 1 / Fraction(rate))
    return path


def write_raw(path: Path, frames: np.ndarray, times_ms: Sequence[float]) -> Path:
    """A Matroska file of (N, H, W, 3) uint8 frames, not coded at all, with any time stamps, wrong ones too."""
    height, width = frames.shape[1:3]
    with path.open("wb") as file:
        file.write(stream_header(width, height, Fraction(24)))
        for frame, time in zip(frames, times_ms, strict=True):
            file.write(frame_header(round(time * TICKS_PER_SECOND / 1000), frame.nbytes) + frame.tobytes())
    return path


def _filters(
    count: int,
    rate: Fraction | int,
    pix_fmt: str,
    times_ms: Sequence[int] | None,
    start_ms: int,
    matrix: str | None,
    full_range: bool | None,
) -> list[str]:
    scale = f"scale=flags=accurate_rnd+full_chroma_int+full_chroma_inp:out_range={'pc' if full_range else 'tv'}"
    filters = [f"{scale}:out_color_matrix={matrix or 'bt601'}", f"format={pix_fmt}"]
    if times_ms is not None:
        assert len(times_ms) == count
        steps = "+".join(f"eq(N\\,{index})*{time + start_ms}" for index, time in enumerate(times_ms))
        filters += ["settb=1/1000", f"setpts={steps}"]
    elif start_ms:
        filters += [f"setpts=PTS+{start_ms}/1000/TB"]
    return filters


def _tags(matrix: str | None, full_range: bool | None) -> list[str]:
    tags = ["-colorspace", matrix, "-color_primaries", matrix, "-color_trc", matrix] if matrix else []
    return tags + ([] if full_range is None else ["-color_range", "pc" if full_range else "tv"])


def set_rotation(path: Path, clockwise: int) -> Path:
    """Mark the first track of an MP4 or MOV file to be shown turned by a multiple of 90 degrees.

    Written straight into the display matrix of the track header (ISO 14496-12, 8.3.2): ffmpeg's own option for this
    has changed its name and its sign from version to version.
    """
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise]
    one = 1 << 16
    struct.pack_into(">9i", data, matrix, cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def encode_image(image: np.ndarray, image_format: str = "PNG", **options: Any) -> bytes:
    """One image file, encoded by Pillow."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, image_format, **options)
    return buffer.getvalue()


def write_zip(path: Path, entries: Sequence[tuple[str, bytes]]) -> Path:
    """A zip with these names and contents, in this order."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def frame_zip(path: Path, frames: np.ndarray, pattern: str = "{}.png") -> Path:
    """A zip of PNG frames named by their unpadded numbers, so that order by text is not order by number."""
    return write_zip(path, [(pattern.format(number), encode_image(frame)) for number, frame in enumerate(frames)])


def probe_times(path: Path, stream: str = "v:0") -> list[float]:
    """The display times of a stream's frames in seconds, as ffprobe says: an opinion from outside the project."""
    entry = "frame=best_effort_timestamp_time"
    command = ["ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", entry, "-of", "csv=p=0", str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [float(line.strip(",")) for line in lines]


def children() -> list[str]:
    """The ffmpeg and ffprobe processes that this one has started and not waited for, zombies among them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = entry.read_text().rpartition(")")
        except OSError:
            continue
        if rest.split()[1] == str(os.getpid()):
            found.append(name)
    return [name for name in found if "ffmpeg" in name or "ffprobe" in name]
