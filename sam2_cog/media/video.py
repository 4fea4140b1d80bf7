"""A video file in, RGB frames out: `probe` says what a clip is, `read_frames` streams its frames.

One frame of the stream is one `Frame`, in display order, never duplicated or dropped. A video is decoded by ffmpeg; a
zip or a folder of frames or an image file by `frame_archive`. YUV becomes RGB with the matrix and range that the stream
is tagged with (see `stream_header.yuv_matrix`), HDR without tone mapping; an alpha plane is left out and the RGB taken
as it is.
"""

import json
import logging
from array import array
from bisect import bisect_right
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate, islice
from math import ceil
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from sam2_cog import limits
from sam2_cog.media import stream_header
from sam2_cog.media.ffmpeg_run import SOURCE, ffprobe, input_options, passthrough, reason, running
from sam2_cog.media.frame_archive import IMAGE_CONTAINERS, ImageClip, probe_images, read_images, sentence, unreadable

_log = logging.getLogger(__name__)

_SEEKABLE = ("mov", "matroska")  # containers with an index of exact time stamps
_PACKETS_TO_FIRST_FRAME = 16  # B-frames come before the frame that they follow
_SCALER = "bicubic+accurate_rnd+full_chroma_int"  # right to half a level; swscale's quick path is off by up to 3


@dataclass(frozen=True)
class VideoInfo:
    """What a clip is. Sizes are pixels of the frame as it is displayed: after rotation, pixel aspect left as it is.

    Frame k is displayed at `pts[k] * time_base` seconds of the file's own clock, the one that its sound is on too.
    """

    path: Path
    container: str  # ffmpeg's name of the format, "zip", "folder" or "image"
    codec: str  # ffmpeg's name of the picture's codec; of images "jpeg", "png", "webp", "bmp", "tiff" or "avif"
    width: int
    height: int
    frame_rate: Fraction  # frames a second: nominal where the frames keep to it, else their average
    frame_count: int  # frames that really decode
    duration_seconds: float  # from the first frame's start to the last one's end
    rotation: int  # degrees clockwise by which the stored picture was turned: 0, 90, 180 or 270
    has_audio: bool
    has_alpha: bool  # the file has an alpha plane, which the RGB leaves out
    start_seconds: float  # earliest time stamp of any stream of the file, by its own clock
    time_base: Fraction  # seconds a tick
    pts: np.ndarray = field(repr=False, compare=False)  # (frame_count,) int64 ticks, strictly increasing
    seek_points: np.ndarray = field(repr=False, compare=False)  # indices of the frames where decoding may start
    stream_index: int = 0
    yuv_matrix: str = ""  # swscale's name of the matrix; empty: the picture is RGB or grey
    full_range: bool = False
    pixel_aspect: Fraction = Fraction(1)  # width to height of a pixel when displayed
    uniform: bool = True  # size and colours never change within the stream
    notes: tuple[str, ...] = ()  # what of the file does not come through, as sentences

    @property
    def frame_times(self) -> np.ndarray:
        """(frame_count,) float64 seconds by the file's own clock."""
        return self.pts * self.time_base.numerator / self.time_base.denominator


@dataclass(frozen=True)
class Frame:
    """One decoded frame: its index from 0, its time by the file's own clock, and (H, W, 3) uint8 RGB."""

    index: int
    time_seconds: float
    image: np.ndarray


def probe(path: Path | str, frame_rate: Fraction | None = None, *, first_only: bool = False) -> VideoInfo:
    """Say what a clip is. A video is decoded once without colour conversion: only that counts its frames for certain.

    Args:
        path: a video, a zip or a folder of frames, or one image; its content tells which, not its suffix.
        frame_rate: frames a second of frames without times of their own, 24 unless given; a video keeps its own.
        first_only: count no further than a video's first frame, which takes no longer for a long clip: enough to show
            it. A video's `frame_count` is then 1, and what depends on its other frames is not known.

    Raises:
        UnreadableVideo: the file is missing, or no frame can be read from it.
    """
    path = Path(path).absolute()
    if not (path.is_file() or path.is_dir()):
        raise unreadable(path, "is neither a file nor a folder" if path.exists() else "does not exist")
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise unreadable(path, "is empty")
        images = probe_images(path)
        rate = frame_rate or stream_header.DEFAULT_RATE
        info = _probe_video(path, first_only) if images is None else _image_info(path, images, rate)
    except PermissionError:
        raise unreadable(path, "cannot be opened: permission denied") from None
    if excess := _excess(info.frame_count, info.width * info.height, info.duration_seconds):
        raise unreadable(path, f"has {excess}")
    return info


def read_frames(info: VideoInfo, start: int = 0, stop: int | None = None) -> Generator[Frame, None, None]:
    """Stream the frames [start, stop) of a probed clip; a frame has the same pixels whatever `start` is.

    Nothing but the current frame is held. Closing the iterator, or any error, ends ffmpeg at once.

    Raises:
        UnreadableVideo: the file changed or broke since it was probed.
    """
    stop = info.frame_count if stop is None else stop
    if not 0 <= start <= stop <= info.frame_count:
        raise ValueError(f"frames [{start}, {stop}) of a clip of {info.frame_count}")
    if start == stop:
        return
    if not info.path.exists():
        raise unreadable(info.path, "is no longer there")
    images = read_images(info.path, start, stop) if info.container in IMAGE_CONTAINERS else _decode(info, start, stop)
    with closing(images):
        for index, image in enumerate(images, start):
            yield Frame(index, float(int(info.pts[index]) * info.time_base), image)


def _image_info(path: Path, images: ImageClip, rate: Fraction) -> VideoInfo:
    time_base, pts, end = 1 / rate, list(range(images.count)), images.count
    if images.durations_ms:  # an animation has times of its own
        *pts, end = accumulate(images.durations_ms, initial=0)
        time_base, rate = Fraction(1, 1000), Fraction(1000 * images.count, end)
    return VideoInfo(
        path=path,
        container=images.container,
        codec=images.codec,
        width=images.width,
        height=images.height,
        frame_rate=rate,
        frame_count=images.count,
        duration_seconds=float(end * time_base),
        rotation=0,
        has_audio=False,
        has_alpha=images.has_alpha,
        start_seconds=0.0,
        time_base=time_base,
        pts=_frozen(pts),
        seek_points=_frozen(()),
        notes=images.notes,
    )


def _probe_video(path: Path, first_only: bool) -> VideoInfo:
    streams, container, start_seconds = describe(path)
    stream = stream_header.picture_stream(path, streams)
    if excess := limits.SOUND_TRACKS.excess(sum(other.get("codec_type") == "audio" for other in streams)):
        raise unreadable(path, f"has {excess}")
    scan = _scan(path, stream, first_only)
    time_base, nominal = Fraction(stream["time_base"]), stream_header.nominal_rate(stream)
    if scan.in_order:
        pts, rate = _frozen(scan.pts), _measured_rate(scan.pts, time_base, nominal)
    else:  # time stamps that go back cannot be right: even spacing from the first one
        steps = np.round(np.arange(len(scan.pts)) * float(1 / (nominal * time_base)))
        pts, rate = _frozen(scan.pts[0] + steps), nominal
    turn, size = stream_header.rotation(stream), (int(stream["width"]), int(stream["height"]))
    seekable = scan.in_order and scan.uniform and scan.sound and container.split(",")[0] in _SEEKABLE
    return VideoInfo(
        path=path,
        container=container,
        codec=str(stream.get("codec_name", "unknown")),
        width=size[1] if turn % 180 else size[0],
        height=size[0] if turn % 180 else size[1],
        frame_rate=rate,
        frame_count=len(pts),
        duration_seconds=float(int(pts[-1] - pts[0]) * time_base + (scan.last_duration * time_base or 1 / rate)),
        rotation=turn,
        has_audio=any(other.get("codec_type") == "audio" for other in streams),
        has_alpha=stream_header.has_alpha(stream),
        start_seconds=start_seconds,
        time_base=time_base,
        pts=pts,
        seek_points=_frozen(scan.key_frames if seekable else ()),
        stream_index=int(stream["index"]),
        yuv_matrix=stream_header.yuv_matrix(stream),
        full_range=stream.get("color_range") == "pc",
        pixel_aspect=stream_header.pixel_aspect(stream),
        uniform=scan.uniform,
        notes=scan.notes + stream_header.notes(path, stream),
    )


def describe(path: Path, *options: str) -> tuple[list[dict[str, Any]], str, float]:
    """ffprobe's description of the streams, its name of the container, and the earliest time stamp in seconds."""
    with running(ffprobe(*options, "-show_streams", "-show_format", "-of", "json"), path) as (process, errors):
        output = process.stdout.read()
        failed, complaint = process.wait() != 0, reason(errors)
    if failed or limits.VIDEO_PIXELS.variable in complaint:
        raise unreadable(path, f"cannot be read as a video, an image or a zip of frames{complaint}")
    header = json.loads(output)
    return header["streams"], str(header["format"]["format_name"]), float(header["format"].get("start_time", 0))


@dataclass(frozen=True)
class _Scan:
    pts: "array[int]"  # ticks of every frame in display order
    key_frames: "array[int]"  # indices of the frames that need no earlier one
    last_duration: int  # ticks; 0: unknown
    in_order: bool  # every frame is later than the one before
    uniform: bool
    sound: bool  # decoded without a complaint
    notes: tuple[str, ...] = ()


def _excess(frames: int, pixels: int, seconds: float) -> str:
    """What is too much about a clip of so many frames, pixels a frame and seconds; empty if nothing is."""
    return (
        limits.FRAMES.excess(frames)
        or limits.PIXELS_OF_ALL_FRAMES.excess(frames * pixels)
        or limits.SECONDS_OF_VIDEO.excess(seconds)
    )


def _scan(path: Path, stream: dict[str, Any], first_only: bool) -> _Scan:
    """Decode the whole stream, or its beginning, for the time stamps of its frames: 8 bytes a frame are kept."""
    pts, key_frames, looks, duration = array("q"), array("q"), set[tuple[str | None, ...]](), 0
    look = ("width", "height", "pix_fmt", "color_space", "color_range")
    names = ",".join(("key_frame", "best_effort_timestamp", "pkt_duration", "duration", *look))
    options = ("-select_streams", str(stream["index"]), "-show_entries", f"frame={names}", "-of", "compact=p=0")
    interval = ("-read_intervals", f"%+#{_PACKETS_TO_FIRST_FRAME}") if first_only else ()
    pixels, deadline = int(stream["width"]) * int(stream["height"]), limits.Deadline()
    with running(ffprobe(*options, *interval), path) as (process, errors):
        for line in process.stdout:
            entry = dict(item.partition("=")[::2] for item in line.decode("ascii", "replace").strip().split("|"))
            if "key_frame" not in entry:
                continue  # a line of side data
            if entry["key_frame"] == "1":
                key_frames.append(len(pts))
            time = _ticks(entry.get("best_effort_timestamp"))
            pts.append(time if time is not None else pts[-1] + duration if pts else 0)
            duration = _ticks(entry.get("duration")) or _ticks(entry.get("pkt_duration")) or 0
            looks.add(tuple(entry.get(name) for name in look))
            deadline.check()
            if excess := _excess(len(pts), pixels, 0):
                raise unreadable(path, f"has {excess}")
        process.wait()
        complaint = reason(errors)
    if not pts:
        raise unreadable(path, f"has no frame that can be decoded{complaint}")
    if first_only:
        return _Scan(pts[:1], key_frames[:1], duration, True, True, True)
    announced = f" of {stream['nb_frames']}" if "nb_frames" in stream else ""
    damage = sentence(path, f"is damaged, {len(pts)}{announced} frames could be decoded{complaint}")
    in_order = len(pts) == 1 or bool((np.diff(np.array(pts)) > 0).all())
    return _Scan(pts, key_frames, duration, in_order, len(looks) == 1, not complaint, (damage,) if complaint else ())


def _decode(info: VideoInfo, start: int, stop: int) -> Generator[np.ndarray, None, None]:
    """Decode from the last frame before `start` where that is possible, else from the beginning of the file."""
    position = bisect_right(info.seek_points, start) - 1
    anchor = int(info.seek_points[position]) if position >= 0 else 0
    if anchor > 0:
        with closing(_run(info, start, stop, anchor)) as images:
            first = next(images, None)
            if first is not None:
                yield first
                yield from images
                return
        _log.warning("%s: its index is wrong, reading from the beginning", info.path.name)
    if info.uniform:
        yield from _run(info, start, stop, 0)
    else:  # where the picture changes, ffmpeg begins to count anew
        yield from islice(_run(info, 0, stop, 0), start, None)


def _run(info: VideoInfo, start: int, stop: int, anchor: int) -> Generator[np.ndarray, None, None]:
    """One ffmpeg process. After a seek to `anchor` that missed frame `start`, nothing comes and nothing is raised."""
    with running(_command(info, start, stop, anchor), info.path) as (process, errors):
        for index in range(start, stop):
            image = np.empty((info.height, info.width, 3), np.uint8)
            if process.stdout.readinto(image.data.cast("B")) < image.nbytes:
                if anchor > 0 and index == start:
                    return
                process.wait()
                raise unreadable(info.path, f"broke off at frame {index} of {info.frame_count}{reason(errors)}")
            yield image


def _command(info: VideoInfo, start: int, stop: int, anchor: int) -> list[str]:
    """ffmpeg's arguments to write the frames [start, stop) as raw RGB to its standard output.

    After a seek, the first frame must be frame `start` by its exact time stamp, which `copyts` keeps: a seek that lands
    too late then gives no frame at all, instead of the wrong ones.
    """
    seek = {}
    pick = f"gte(n,{start})"
    if anchor > 0:
        seconds = ceil(int(info.pts[anchor]) * info.time_base * 10**6) / 10**6
        seek = {"seek_timestamp": 1, "noaccurate_seek": None, "ss": f"{seconds:.6f}"}
        pick = f"eq(pts,{info.pts[start]})+gt(selected_n,0)"
    yuv = {"in_color_matrix": info.yuv_matrix, "in_range": "pc" if info.full_range else "tv"} if info.yuv_matrix else {}
    source = ffmpeg.input(SOURCE, nostdin=None, copyts=None, **input_options(), **seek)
    frames = source[str(info.stream_index)].filter("select", pick)
    # the size is named so that a change of resolution within the stream cannot shift the raw bytes
    frames = frames.filter("scale", info.width, info.height, flags=_SCALER, **yuv).filter("format", "rgb24")
    output = {"format": "rawvideo", "frames:v": stop - start, **passthrough()}
    command: list[str] = ffmpeg.output(frames, "pipe:", **output).compile()
    return command


def _measured_rate(pts: "array[int]", time_base: Fraction, nominal: Fraction) -> Fraction:
    """The nominal rate if the frames keep to it over the whole clip to within a tick, else their average."""
    span, steps = (pts[-1] - pts[0]) * time_base, len(pts) - 1
    if steps == 0 or abs(span - steps / nominal) <= time_base:
        return nominal
    return (steps / span).limit_denominator(100_000)


def _ticks(text: str | None) -> int | None:
    return int(text) if text and text.lstrip("-").isdigit() else None


def _frozen(values: Any) -> np.ndarray:
    numbers = np.array(values, dtype=np.int64)
    numbers.setflags(write=False)
    return numbers
