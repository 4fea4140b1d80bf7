"""The table of clips: a row for each kind of file that people hand in, written by the real ffmpeg, and its content."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.clips import LOSSLESS, frame_zip, numbered_frames, set_rotation, write_clip, write_raw

COUNT = 24
FRAMES = numbered_frames(COUNT)
UNEVEN: list[Any] = [0, 40, 90, 100, 500, 540, *range(600, 600 + 33 * (COUNT - 6), 33)]
EVEN = [1000 * index / 24 for index in range(COUNT)]
HUNDREDTHS = [40.0 * index for index in range(COUNT)]
CLOSED = ("-qp", "0", "-g", "8", "-bf", "3")
EXACT = 2  # levels of 255: what is lost in 8-bit YUV and back
CHROMA = 128  # subsampled or few colours on a card with hard edges: of these only order and times are asked


def with_alpha(frames: np.ndarray) -> np.ndarray:
    ramp = np.broadcast_to(np.linspace(1, 254, frames.shape[2]).astype(np.uint8)[:, None], (*frames.shape[:3], 1))
    return np.concatenate([frames, ramp], axis=3)


def turned(path: Path, clockwise: int) -> Path:
    stored = np.rot90(FRAMES, clockwise // 90, (1, 2))  # anticlockwise, to be undone by the player
    return set_rotation(write_clip(path, stored, pix_fmt="yuv444p", options=CLOSED), clockwise)


def x264(**options: int) -> tuple[str, ...]:
    return (
        "-qp",
        "4",
        "-x264-params",
        ":".join(f"{name.replace('_', '-')}={value}" for name, value in options.items()),
    )


def cut(path: Path) -> Path:
    """An edit list: packets from a key frame on, of which the first seven are not to be shown."""
    whole = write_clip(path.with_name("whole.mp4"), FRAMES, pix_fmt="yuv444p", options=CLOSED, audio_seconds=1)
    command = ["ffmpeg", "-v", "error", "-ss", "0.625", "-i", str(whole), "-c", "copy", str(path)]
    subprocess.run(command, check=True)
    return path


def with_cover(path: Path) -> Path:
    clip = write_clip(path.with_name("bare.mp4"), FRAMES, pix_fmt="yuv444p", options=CLOSED)
    cover = path.with_name("cover.png")
    Image.fromarray(255 - FRAMES[0]).save(cover)
    command = ["ffmpeg", "-v", "error", "-i", cover, "-i", clip, "-map", "0", "-map", "1", "-c", "copy"]
    subprocess.run([*map(str, command), "-disposition:v:0", "attached_pic", str(path)], check=True)
    return path


def joined(path: Path, **how: Any) -> Path:
    """Two streams behind one another, as `cat` leaves them: the clock of the second begins anew."""
    parts = [
        write_clip(path.with_name(f"{number}{path.suffix}"), part, audio_seconds=len(part) / 24, **how)
        for number, part in enumerate((FRAMES[:14], FRAMES[14:]))
    ]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def segment(path: Path) -> Path:
    """The second of the segments that a stream is cut into."""
    pattern = ("-f", "hls", "-hls_time", "0.5", "-hls_segment_filename", str(path.with_name("part%d.ts")))
    options = ("-qp", "0", "-g", "12", "-bf", "0", *pattern)
    write_clip(path.with_name("list.m3u8"), FRAMES, pix_fmt="yuv444p", audio_seconds=1, options=options)
    return path.with_name("part1.ts").rename(path)


def grown(path: Path) -> Path:
    """The picture doubles its size in mid-stream."""
    large = FRAMES[12:].repeat(2, axis=1).repeat(2, axis=2)
    parts = [write_clip(path.with_name(f"{len(part[0])}.h264"), part, pix_fmt="yuv444p", options=CLOSED)
             for part in (FRAMES[:12], large)]  # fmt: skip
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@dataclass(frozen=True)
class Case:
    """A kind of clip: what writes it, and what must come out of it again, timed from the clip's beginning."""

    file: str
    make: Callable[[Path], Path]
    levels: int
    times_ms: list[float]
    frames: np.ndarray
    sound: tuple[float, float] | None  # seconds from its beginning to its end


def case(file: str, levels: int = EXACT, times: list[float] = EVEN, frames: np.ndarray = FRAMES, **how: Any) -> Case:
    """A clip of `frames`, or of `source` in their place; `make` writes it, else `write_clip` with the other options."""
    source, seconds = how.pop("source", frames), how.get("audio_seconds")
    sound = how.pop("sound", None if seconds is None else (0, seconds))
    defaults = {"pix_fmt": "yuv444p", "options": CLOSED}
    make = how.pop("make", None) or (lambda path: write_clip(path, source, **{**defaults, **how}))
    return Case(file, make, levels, times, frames, sound)


RAW = {**LOSSLESS, "options": ()}
OPEN_GOP = x264(open_gop=1, keyint=8, bframes=3, scenecut=0, b_adapt=0)
HEVC = ("-x265-params", "open-gop=1:keyint=8:scenecut=0:log-level=error")
VP9 = ("-lossless", "1", "-cpu-used", "8", "-g", "9")
VP8 = ("-auto-alt-ref", "1", "-lag-in-frames", "9", "-b:v", "2M")
LATE = [1500 + ms for ms in EVEN]
SOON = [10 + ms for ms in EVEN]  # ffmpeg's multiplexers for streams let coded sound begin a little earlier
HOURS = [0.0, 3.6e6, 7.2e6]
STREAM = {"pix_fmt": "yuv444p", "options": CLOSED}
PROGRAM = {"codec": "mpeg2video", "pix_fmt": "yuv420p"}
SMALL = numbered_frames(COUNT, 65, 49)
RGBA = with_alpha(FRAMES)
MOVING = np.stack([np.roll(frame, 3 * number, axis=0) for number, frame in enumerate(numbered_frames(COUNT, 64, 64))])
MOVING[:, :22] = numbered_frames(COUNT, 64, 64)[:, :22]

CASES = {
    "rgb": case("a.mkv", 0, **RAW),
    "bt601": case("a.mp4", audio_seconds=1),
    "bt601-full": case("a.mp4", matrix="smpte170m", full_range=True),
    "bt709": case("a.mp4", matrix="bt709", full_range=False),
    "bt709-full": case("a.mp4", matrix="bt709", full_range=True),
    "10-bit": case("a.mp4", pix_fmt="yuv444p10le"),
    "4:2:0": case("a.mp4", CHROMA, pix_fmt="yuv420p"),
    "open-gop": case("a.mkv", CHROMA, pix_fmt="yuv420p", options=OPEN_GOP),
    "refresh": case("a.mkv", CHROMA, frames=MOVING, pix_fmt="yuv420p", options=x264(intra_refresh=1, keyint=8)),
    "hevc": case("a.mp4", CHROMA, pix_fmt="yuv420p", codec="libx265", options=HEVC),
    "vp9": case("a.webm", codec="libvpx-vp9", options=VP9),
    "vp8-hidden": case("a.webm", CHROMA, pix_fmt="yuv420p", codec="libvpx", options=VP8),
    "uneven-mp4": case("a.mp4", times=UNEVEN, times_ms=UNEVEN),
    "uneven-mkv": case("a.mkv", 0, UNEVEN, times_ms=UNEVEN, **RAW),
    "late-mp4": case("a.mp4", times=LATE, start_ms=1500, audio_seconds=3),
    "late-mkv": case("a.mkv", 0, LATE, start_ms=1500, audio_seconds=1, **{**RAW, "options": ("-c:a", "pcm_s16le")}),
    "late-alone": case("a.mkv", 0, start_ms=1500, **RAW),  # late beside nothing
    "long-sound": case("a.mp4", audio_seconds=4),
    "turned-90": case("a.mp4", make=lambda path: turned(path, 90)),
    "turned-180": case("a.mp4", make=lambda path: turned(path, 180)),
    "turned-270": case("a.mov", make=lambda path: turned(path, 270)),
    "65x49": case("a.mp4", frames=SMALL),
    "one-frame": case("a.mp4", times=EVEN[:1], frames=FRAMES[:1]),
    "alpha-qtrle": case("a.mov", 0, source=RGBA, codec="qtrle", pix_fmt="argb", options=()),
    "alpha-png": case("a.mov", 0, source=RGBA, codec="png", pix_fmt="rgba", options=()),
    "alpha-prores": case("a.mov", source=RGBA, codec="prores_ks", pix_fmt="yuva444p10le", options=("-qscale:v", "1")),
    "alpha-vp9": case("a.webm", CHROMA, source=RGBA, codec="libvpx-vp9", pix_fmt="yuva420p", options=("-b:v", "3M")),
    "gif": case("a.gif", CHROMA, HUNDREDTHS, codec="gif", pix_fmt="rgb8", rate=25, options=()),
    "apng": case("a.png", 0, HUNDREDTHS, codec="apng", pix_fmt="rgb24", rate=25, options=("-f", "apng")),
    "avi": case("a.avi", 0, **RAW),
    "transport": case("a.ts", audio_seconds=1, times=SOON),  # its clock begins at 1.4 s
    "transport-silent": case("a.ts"),
    "transport-late": case("a.ts", times=[500 + ms for ms in SOON], audio_seconds=2, start_ms=500),
    "transport-5000": case("a.ts", times=SOON, audio_seconds=1, options=(*CLOSED, "-output_ts_offset", "5000")),
    "transport-joined": case("a.ts", times=SOON, sound=(0, 1), make=lambda path: joined(path, **STREAM)),
    "transport-segment": case("a.ts", times=EVEN[:12], frames=FRAMES[12:], sound=(0, 0.5), make=segment),
    "program": case("a.mpg", CHROMA, SOON, codec="mpeg2video", pix_fmt="yuv420p", audio_seconds=1, options=()),
    "program-joined": case("a.mpg", CHROMA, SOON, sound=(0, 1), make=lambda path: joined(path, **PROGRAM)),
    "repeated": case("a.mkv", 0, make=lambda path: write_raw(path, FRAMES, [*EVEN[:9], EVEN[8], *EVEN[10:]])),
    "far-apart": case("a.mkv", 0, HOURS, FRAMES[:3], make=lambda path: write_raw(path, FRAMES[:3], HOURS)),
    "edit-list": case("a.mp4", times=EVEN[: COUNT - 15], frames=FRAMES[15:], sound=(0, 0.375), make=cut),
    "cover": case("a.mp4", make=with_cover),
    "zip": case("a.zip", 0, make=lambda path: frame_zip(path, FRAMES)),
}
