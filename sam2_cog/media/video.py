"""A video file in, RGB frames out: `probe` says what a clip is, `read_frames` streams its frames.

One frame of the stream is one `Frame`, in display order, never duplicated or dropped. A video is decoded by ffmpeg; a
zip or a folder of frames or an image file by `frame_archive`. YUV becomes RGB with the matrix and range that the stream
is tagged with (see `stream_header.yuv_matrix`), HDR and wide gamut become BT.709 (see `to_bt709`); an alpha plane
is left out and the RGB taken as it is.
"""

import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import numpy as np

from sam2_cog import limits
from sam2_cog.media import stream_header
from sam2_cog.media.clip_info import Frame as Frame
from sam2_cog.media.clip_info import VideoInfo as VideoInfo
from sam2_cog.media.clip_info import frozen
from sam2_cog.media.clip_info import part_of as part_of
from sam2_cog.media.decode import BrokenPromise as BrokenPromise
from sam2_cog.media.decode import decode, decoding_begins, has_broken_a_promise
from sam2_cog.media.ffmpeg_run import ffprobe, reason, running
from sam2_cog.media.frame_archive import IMAGE_CONTAINERS, ImageClip, probe_images, read_images
from sam2_cog.media.frame_times import FrameTimes, put_right
from sam2_cog.media.refusals import sentence, unreadable
from sam2_cog.media.scan import Scan, excess_of_clip, scan_frames, scan_packets
from sam2_cog.media.shown_times import can_be_noted

_SEEKABLE = ("mov", "matroska")  # containers with an index of exact time stamps
_JUMPING = ("mpegts", "mpeg")  # containers whose clock may jump, so that files can be joined by `cat`


def probe(
    path: Path | str,
    frame_rate: Fraction | None = None,
    *,
    first_only: bool = False,
    certain: bool = False,
    used: slice = slice(None),
) -> VideoInfo:
    """Say what a clip is. The frames of a video are those that its packets promise, else all of them are decoded once.

    Args:
        path: a video, a zip or a folder of frames, or one image; its content tells which, not its suffix.
        frame_rate: frames a second of frames without times of their own, 24 unless given; a video keeps its own.
        first_only: count no further than a video's first frame, which takes no longer for a long clip: enough to show
            it. A video's `frame_count` is then 1, and what depends on its other frames is not known.
        certain: decode all frames of a video to count them, whatever its packets promise.
        used: the frames that will be read. Of a zip or a folder of frames the others are counted, not looked at.

    Raises:
        UnreadableVideo: the file is missing, or no frame can be read from it.
    """
    path = Path(path).absolute()
    if not (path.is_file() or path.is_dir()):
        raise unreadable(path, "is neither a file nor a folder" if path.exists() else "does not exist")
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise unreadable(path, "is empty")
        images = probe_images(path, used=used)
        rate = frame_rate or stream_header.DEFAULT_RATE
        info = _probe_video(path, first_only, certain) if images is None else image_info(path, images, rate)
    except PermissionError:
        raise unreadable(path, "cannot be opened: permission denied") from None
    if excess := excess_of_clip(info.frame_count, info.width * info.height, info.duration_seconds):
        raise unreadable(path, f"has {excess}")
    return info


def read_frames(info: VideoInfo, start: int = 0, stop: int | None = None) -> Generator[Frame, None, None]:
    """Stream the frames [start, stop) of a probed clip; a frame has the same pixels whatever `start` is.

    Of a part they are counted from 0, too, but have the times of the whole clip. Nothing but the current frame is held.
    Closing the iterator, or any error, ends ffmpeg at once. What has to be copied so that frames far into a clip can be
    reached (see `decode`) is copied before this returns.

    Raises:
        UnreadableVideo: the file changed or broke since it was probed.
        BrokenPromise: it is not what its packets promised, which may show only after the last frame.
    """
    stop = info.frame_count if stop is None else stop
    if not 0 <= start <= stop <= info.frame_count:
        raise ValueError(f"frames [{start}, {stop}) of a clip of {info.frame_count}")
    if start < stop and not info.path.exists():
        raise unreadable(info.path, "is no longer there")
    wanted = info.numbers[start:stop]
    if info.container in IMAGE_CONTAINERS or start == stop:
        return _numbered(info, start, stop, read_images(info.path, wanted))
    return _numbered(info, start, stop, decode(info.whole, wanted))


def pick_frames(info: VideoInfo, indices: Sequence[int]) -> Generator[Frame, None, None]:
    """Yield the frames with these ascending indices, as `read_frames` has them; each is decoded once at most.

    Raises:
        UnreadableVideo, BrokenPromise: as `read_frames`.
    """
    for stretch in _stretches(info, indices):
        # of several read as the rest of the clip, which is not copied as a window is
        stop = stretch[0] + 1 if len(stretch) == 1 else None
        with closing(read_frames(info, stretch[0], stop)) as frames:
            wanted = set(stretch)
            yield from (frame for frame in islice(frames, stretch[-1] - stretch[0] + 1) if frame.index in wanted)


def _stretches(info: VideoInfo, indices: Sequence[int]) -> list[list[int]]:
    """Ascending indices, those together of which one lies on the way from where decoding begins to the next."""
    stretches: list[list[int]] = []
    for index in indices:
        if stretches and decoding_begins(info.whole, info.numbers[index])[1] <= info.numbers[stretches[-1][-1]]:
            stretches[-1].append(index)
        else:
            stretches.append([index])
    return stretches


def _numbered(
    info: VideoInfo, start: int, stop: int, images: Generator[np.ndarray, None, None]
) -> Generator[Frame, None, None]:
    index, whole = start, info.whole
    with closing(images):
        for image in images if start < stop else ():
            if image.shape[:2] != (info.height, info.width):
                break
            yield Frame(index, float(int(whole.pts[info.numbers[index]]) * whole.time_base), image)
            index += 1
    if index < stop:
        raise unreadable(info.path, f"was changed while it was read: frame {index} is gone or of another size")


def image_info(path: Path, images: ImageClip, rate: Fraction) -> VideoInfo:
    """A clip of images, `rate` of them a second where they have no times of their own."""
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
        time_base=time_base,
        pts=frozen(pts),
        seek_points=frozen(()),
        notes=images.notes,
    )


def _probe_video(path: Path, first_only: bool, certain: bool) -> VideoInfo:
    streams, container = describe(path)
    stream = stream_header.picture_stream(path, streams)
    if excess := limits.SOUND_TRACKS.excess(sum(map(_is_sound, streams))):
        raise unreadable(path, f"has {excess}")
    time_base, format_name = Fraction(stream["time_base"]), container.split(",")[0]
    scan, promised = _scan(path, stream, format_name, first_only, certain)
    nominal = stream_header.nominal_rate(stream)
    times = put_right(scan.stamps, time_base, nominal, may_jump=format_name in _JUMPING)
    turn, size = stream_header.rotation(stream), (int(stream["width"]), int(stream["height"]))
    orderly = scan.sound and not times.wrong and not times.shifts
    seekable = orderly and scan.uniform and format_name in _SEEKABLE
    start = _clock_start(int(times.pts[0]), time_base, streams)
    return VideoInfo(
        path=path,
        container=container,
        codec=str(stream.get("codec_name", "unknown")),
        width=size[1] if turn % 180 else size[0],
        height=size[0] if turn % 180 else size[1],
        frame_rate=times.rate,
        frame_count=len(times.pts),
        duration_seconds=float(int(times.pts[-1] - times.pts[0]) * time_base)
        + float(scan.last_duration * time_base or 1 / times.rate),
        rotation=turn,
        has_audio=any(map(_is_sound, streams)),
        has_alpha=stream_header.has_alpha(stream),
        time_base=time_base,
        pts=frozen(times.pts - start),
        seek_points=frozen(scan.key_frames if seekable else ()),
        stream_index=int(stream["index"]),
        yuv_matrix=stream_header.yuv_matrix(stream),
        full_range=stream.get("color_range") == "pc",
        colours=stream_header.colours(stream),
        pixel_aspect=stream_header.pixel_aspect(stream),
        uniform=scan.uniform,
        orderly=orderly,
        key_frames=frozen(scan.key_frames),
        order=scan.order,
        promised=promised,
        clock_start=start,
        clock_shifts=times.shifts,
        notes=(*scan.notes, *_mends(path, times), *stream_header.notes(path, stream, streams)),
    )


def _scan(path: Path, stream: dict[str, Any], format_name: str, first_only: bool, certain: bool) -> tuple[Scan, bool]:
    """The frames of a stream, and whether they are only promised."""
    may_promise = not (first_only or certain) and not has_broken_a_promise(path) and can_be_noted()
    promise = scan_packets(path, stream, format_name) if may_promise else None
    return promise or scan_frames(path, stream, first_only), promise is not None


def _clock_start(first: int, time_base: Fraction, streams: list[dict[str, Any]]) -> int:
    """Ticks of the file's clock at which the earlier of picture and sound begins; sound before zero is only primed."""
    sound = [Fraction(stream["start_time"]) for stream in streams if _is_sound(stream) and "start_time" in stream]
    return min(first, max(0, round(min(sound, default=first * time_base) / time_base)))


def _is_sound(stream: dict[str, Any]) -> bool:
    return stream.get("codec_type") == "audio"


def _mends(path: Path, times: FrameTimes) -> Iterator[str]:
    """What had to be done to the time stamps, as sentences."""
    if times.shifts:
        parts = len(times.shifts) + 1
        yield sentence(path, f"has {parts} parts, each with a clock of its own; they are put one after another")
    if times.wrong:
        yield sentence(path, f"has time stamps that cannot be right: {times.wrong} of {len(times.pts)} are mended")


def describe(path: Path, *options: str) -> tuple[list[dict[str, Any]], str]:
    """ffprobe's description of the streams, and its name of the container."""
    with running(ffprobe(*options, "-show_streams", "-show_format", "-of", "json"), path) as (process, errors):
        output = process.stdout.read()
        failed, complaint = process.wait() != 0, reason(errors)
    if failed or limits.VIDEO_PIXELS.variable in complaint:
        raise unreadable(path, f"cannot be read as a video, an image or a zip of frames{complaint}")
    header = json.loads(output)
    return header["streams"], str(header["format"]["format_name"])
