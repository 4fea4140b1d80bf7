"""A video file in, RGB frames out: `probe` says what a clip is, `read_frames` streams its frames.

One frame of the stream is one `Frame`, in display order, never duplicated or dropped. A video is decoded by ffmpeg; a
zip or a folder of frames or an image file by `frame_archive`. YUV becomes RGB with the matrix and range that the stream
is tagged with (see `stream_header.yuv_matrix`), HDR and wide gamut become BT.709 (see `to_bt709`); an alpha plane
is left out and the RGB taken as it is.
"""

import json
import logging
from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import accumulate, islice
from math import ceil
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import ffmpeg
import numpy as np

from sam2_cog import limits
from sam2_cog.errors import UnreadableVideo
from sam2_cog.media import stream_header
from sam2_cog.media.decoded_copy import DecodedCopy, copy_images, images_that_fit
from sam2_cog.media.ffmpeg_run import SOURCE, ffprobe, has_complained, input_options, passthrough, reason, running
from sam2_cog.media.frame_archive import IMAGE_CONTAINERS, ImageClip, probe_images, read_images, sentence, unreadable
from sam2_cog.media.frame_times import FrameTimes, put_right
from sam2_cog.media.indexed_copy import IndexedCopy, copy_stream
from sam2_cog.media.scan import excess_of_clip, scan_frames, scan_packets
from sam2_cog.media.shown_times import ShownTimes, can_be_noted
from sam2_cog.media.to_bt709 import PIXEL_FORMAT, Colours, to_bt709

_log = logging.getLogger(__name__)

_SEEKABLE = ("mov", "matroska")  # containers with an index of exact time stamps
_JUMPING = ("mpegts", "mpeg")  # containers whose clock may jump, so that files can be joined by `cat`
_MOST_IN_VAIN = (
    64  # frames decoded only to be passed over, before a clip or a part of it is copied; and a window's most
)
_SCALER = "bicubic+accurate_rnd+full_chroma_int"  # right to half a level; swscale's quick path is off by up to 3


@dataclass(frozen=True)
class VideoInfo:
    """What a clip is. Sizes are pixels of the frame as it is displayed: after rotation, pixel aspect left as it is.

    Frame k is displayed `pts[k] * time_base` seconds after the clip begins, which it does when the earlier of picture
    and sound does: `clock_start` is the time of that on the file's own clock, which may begin anywhere.
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
    time_base: Fraction  # seconds a tick
    pts: np.ndarray = field(repr=False, compare=False)  # (frame_count,) int64 ticks >= 0, strictly increasing
    seek_points: np.ndarray = field(repr=False, compare=False)  # indices of the frames where decoding may start
    stream_index: int = 0
    yuv_matrix: str = ""  # swscale's name of the matrix; empty: the picture is RGB or grey
    full_range: bool = False
    colours: Colours | None = None  # what the file's RGB means, where that is not BT.709; that of a `Frame` is
    pixel_aspect: Fraction = Fraction(1)  # width to height of a pixel when displayed
    uniform: bool = True  # size and colours never change within the stream
    orderly: bool = True  # it decoded without a complaint, and its time stamps are in order as they are
    promised: bool = False  # by its packets, not decoded yet: `read_frames` holds each frame against it
    clock_start: int = 0  # ticks
    clock_shifts: tuple[int, ...] = ()  # ticks to add to the file's clock from its k-th jump on, see frame_times.py
    notes: tuple[str, ...] = ()  # what of the file does not come through as it is, as sentences
    part: range | None = None  # of a part of a clip: its frames' numbers in the whole one
    part_of: "VideoInfo | None" = field(default=None, repr=False)  # which is this

    @property
    def numbers(self) -> range:
        """The frames' numbers in the whole clip."""
        return range(self.frame_count) if self.part is None else self.part

    def place_of(self, number: int) -> int:
        """Where the frame of this number stands among the frames."""
        return number if self.part is None else self.part.index(number)

    @property
    def whole(self) -> "VideoInfo":
        """The clip that this is a part of, or is."""
        return self.part_of or self

    @property
    def frame_times(self) -> np.ndarray:
        """(frame_count,) float64 seconds from the clip's beginning."""
        return self.pts * self.time_base.numerator / self.time_base.denominator


@dataclass(frozen=True)
class Frame:
    """One decoded frame: its index from 0, its time from the clip's beginning, and (H, W, 3) uint8 RGB."""

    index: int
    time_seconds: float
    image: np.ndarray


class BrokenPromise(UnreadableVideo):
    """A clip's frames are not those that its packets promised; the next `probe` of it decodes them all."""


class _Copies:
    """What was copied of a clip, by one thread at a time, so that windows of it need not be decoded from far before."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.indexed: IndexedCopy | None = None
        self.decoded: DecodedCopy | None = None
        self.no_index = self.no_room = False


_promise_breakers: set[tuple[int, ...]] = set()  # files whose packets promised what is not so
_copies: WeakKeyDictionary[VideoInfo, _Copies] = WeakKeyDictionary()  # they live as long as the clip's info
_all_copies = Lock()


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


def part_of(info: VideoInfo, numbers: range) -> VideoInfo:
    """A part of a clip as a clip: the frames with these numbers, at least one, ascending, counted anew from 0.

    It begins with its first frame, and a part of all frames is the clip itself.
    """
    if numbers == info.numbers:
        return info
    pts, step = info.pts[numbers.start : numbers.stop : numbers.step], numbers.step
    begin = int(pts[0]) if numbers.start else 0
    after = numbers[-1] + step  # the frame that would come next
    seconds = float(int(pts[-1] - pts[0]) * info.time_base)
    if after < info.frame_count:
        seconds = float(int(info.pts[after] - pts[0]) * info.time_base)
    elif step == 1:
        seconds = info.duration_seconds - float(int(pts[0] - info.pts[0]) * info.time_base)
    else:
        seconds += float(step / info.frame_rate)
    return replace(
        info,
        frame_rate=info.frame_rate / step,
        frame_count=len(numbers),
        duration_seconds=seconds,
        pts=_frozen(pts - begin),
        seek_points=_frozen(()),
        clock_start=info.clock_start + begin,
        part=numbers,
        part_of=info,
    )


def read_frames(info: VideoInfo, start: int = 0, stop: int | None = None) -> Generator[Frame, None, None]:
    """Stream the frames [start, stop) of a probed clip; a frame has the same pixels whatever `start` is.

    Of a part they are counted from 0, too, but have the times of the whole clip. Nothing but the current frame is held.
    Closing the iterator, or any error, ends ffmpeg at once. What has to be copied so that frames far into a clip can be
    reached (see `_decode`) is copied before this returns.

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
    return _numbered(info, start, stop, _decode(info.whole, wanted))


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
        if stretches and _begin(info.whole, info.numbers[index])[1] <= info.numbers[stretches[-1][-1]]:
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
        pts=_frozen(pts),
        seek_points=_frozen(()),
        notes=images.notes,
    )


def _probe_video(path: Path, first_only: bool, certain: bool) -> VideoInfo:
    streams, container = describe(path)
    stream = stream_header.picture_stream(path, streams)
    if excess := limits.SOUND_TRACKS.excess(sum(map(_is_sound, streams))):
        raise unreadable(path, f"has {excess}")
    time_base, format_name = Fraction(stream["time_base"]), container.split(",")[0]
    may_promise = not (first_only or certain) and _identity(path) not in _promise_breakers and can_be_noted()
    promise = scan_packets(path, stream, format_name) if may_promise else None
    scan = promise or scan_frames(path, stream, first_only)
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
        pts=_frozen(times.pts - start),
        seek_points=_frozen(scan.key_frames if seekable else ()),
        stream_index=int(stream["index"]),
        yuv_matrix=stream_header.yuv_matrix(stream),
        full_range=stream.get("color_range") == "pc",
        colours=stream_header.colours(stream),
        pixel_aspect=stream_header.pixel_aspect(stream),
        uniform=scan.uniform,
        orderly=orderly,
        promised=promise is not None,
        clock_start=start,
        clock_shifts=times.shifts,
        notes=(*scan.notes, *_mends(path, times), *stream_header.notes(path, stream)),
    )


def _identity(path: Path) -> tuple[int, ...]:
    """What a file no longer has when it is changed."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _broken(info: VideoInfo, found: str) -> UnreadableVideo:
    """The error for frames that did not come; with a promise, that is broken and not to be believed again."""
    if not info.promised:
        return unreadable(info.path, found)
    _promise_breakers.add(_identity(info.path))
    return BrokenPromise(sentence(info.path, f"{found}; its packets promise something else, open it again"))


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


def _decode(info: VideoInfo, wanted: range) -> Generator[np.ndarray, None, None]:
    """The frames as they are decoded from the last place before them where that can begin, or out of a copy.

    Where no such place is known, the packets are copied into a file with an index; where it is far before a window of
    frames, as it is in a GIF, the decoded frames are. Both is done here, in the thread of the caller, which a cancel
    reaches, and not when the first frame is asked for.
    """
    start, stop = wanted.start, wanted[-1] + 1
    source, anchor = _begin(info, start)
    if start - anchor > _MOST_IN_VAIN and (copy := _decoded(info, source, anchor, start, stop)):
        return _every(copy.read(start, stop), wanted.step)
    return _decode_from(source, anchor, wanted)


def _begin(info: VideoInfo, start: int) -> tuple[VideoInfo, int]:
    """The clip or its indexed copy, and the number of the frame where decoding begins to reach frame `start`."""
    if info.container in IMAGE_CONTAINERS:
        return info, 0 if info.container == "image" else start  # an animation, or files
    source = info
    if start > _MOST_IN_VAIN and not len(info.seek_points) and info.uniform and info.orderly:
        source = _indexed(info)
    position = bisect_right(source.seek_points, start) - 1
    return source, int(source.seek_points[position]) if position >= 0 else 0


def _every(images: Generator[np.ndarray, None, None], step: int) -> Generator[np.ndarray, None, None]:
    with closing(images):
        yield from islice(images, 0, None, step)


def _decode_from(info: VideoInfo, anchor: int, wanted: range) -> Generator[np.ndarray, None, None]:
    """Decode from frame `anchor` where that turns out to be possible, else from the beginning of the file."""
    if anchor > 0:
        with closing(_run(info, wanted, anchor)) as images:
            first = next(images, None)
            if first is not None:
                yield first
                yield from images
                return
        if info.promised:
            raise _broken(info, f"cannot be read from frame {anchor} on, where decoding should begin")
        _log.warning("%s: its index is wrong, reading from the beginning", info.path.name)
    if info.uniform:
        yield from _run(info, wanted, 0)
    else:  # where the picture changes, ffmpeg begins to count anew
        yield from islice(_run(info, range(wanted[-1] + 1), 0), wanted.start, None, wanted.step)


def _copies_of(info: VideoInfo) -> _Copies:
    with _all_copies:
        return _copies.setdefault(info, _Copies())


def _decoded(info: VideoInfo, source: VideoInfo, anchor: int, start: int, stop: int) -> DecodedCopy | None:
    """A copy that holds the frames [start, stop), and those before them back to `anchor` as far as there is room.

    Made for a window, not for a single frame or the rest of a clip; None where there is none and none is made.
    """
    copies, image_bytes = _copies_of(info), info.width * info.height * 3
    with copies.lock:
        if copies.decoded and copies.decoded.holds(start, stop):
            return copies.decoded
        room = images_that_fit(image_bytes)
        if copies.no_room or not 1 < stop - start <= min(_MOST_IN_VAIN, room):
            return None
        copies.decoded, first = None, max(anchor, stop - room)
        with closing(_decode_from(source, anchor, range(first, stop))) as images:
            copies.decoded = copy_images(images, first, stop, (info.height, info.width))
        copies.no_room = copies.decoded is None
        return copies.decoded


def _indexed(info: VideoInfo) -> VideoInfo:
    """The clip as its indexed copy has it, which is made once; the clip as it is where there can be none."""
    copies = _copies_of(info)
    with copies.lock:
        if copies.indexed is None and not copies.no_index:
            copies.indexed = copy_stream(info.path, info.stream_index, info.frame_times)
            copies.no_index = copies.indexed is None
        copy = copies.indexed
    if copy is None:
        return info
    return replace(
        info,
        path=copy.path,
        stream_index=0,
        seek_points=copy.key_frames,
        time_base=copy.time_base,
        pts=copy.stamps,
        clock_start=0,
        promised=False,  # whoever reads the clip itself to its end finds out
    )


def _run(info: VideoInfo, wanted: range, anchor: int) -> Generator[np.ndarray, None, None]:
    """One ffmpeg process. After a seek to `anchor` that missed the first frame, nothing comes and nothing is raised."""
    with ExitStack() as opened:
        stamps = info.pts[wanted.start :] + info.clock_start
        shown = opened.enter_context(ShownTimes(stamps)) if info.promised else None
        command = _command(info, wanted, anchor, shown)
        process, errors = opened.enter_context(running(command, info.path, [shown.descriptor] if shown else []))
        planes = np.empty((3, info.height, info.width), "<u2") if info.colours else None
        for index in wanted:
            number = index - wanted.start + 1
            image = np.empty((info.height, info.width, 3), np.uint8) if planes is None else planes
            if process.stdout.readinto(image.data.cast("B")) < image.nbytes:
                if anchor > 0 and index == wanted.start:
                    return
                process.wait()
                raise _broken(info, f"broke off at frame {index} of {info.frame_count}{reason(errors)}")
            if shown and (not shown.agree(number) or has_complained(errors)):
                raise _broken(info, f"is not as it should be at frame {index}{reason(errors)}")
            yield to_bt709(image, info.colours) if info.colours else image
        if shown and _reaches_end(info, wanted):
            surplus, failed = process.stdout.read(1), process.wait() != 0
            if surplus or failed or not shown.agree(number) or has_complained(errors):
                raise _broken(info, f"is not as it should be after frame {wanted[-1]}{reason(errors)}")


def _reaches_end(info: VideoInfo, wanted: range) -> bool:
    return wanted[-1] == info.frame_count - 1


def _command(info: VideoInfo, wanted: range, anchor: int, shown: ShownTimes | None) -> list[str]:
    """ffmpeg's arguments to write the wanted frames to its standard output: as RGB, or as planes for `to_bt709`.

    After a seek, the first frame must be the first wanted one by its exact time stamp, which `copyts` keeps: a seek
    that lands too late then gives no frame at all, instead of the wrong ones; nor does one to a frame that only its
    packet called a key frame. Of a clip that is held to a promise, one frame more is asked for after the last, which
    must not come.
    """
    seek = {}
    pick = f"gte(n,{wanted.start})"
    if anchor > 0:
        seconds = ceil((int(info.pts[anchor]) + info.clock_start) * info.time_base * 10**6) / 10**6
        seek = {"seek_timestamp": 1, "noaccurate_seek": None, "ss": f"{seconds:.6f}"}
        pick = f"eq(pts,{info.pts[wanted.start] + info.clock_start})+gt(selected_n,0)"
        if shown:
            pick = f"st(0,max(ld(0),key*eq(pts,{info.pts[anchor] + info.clock_start})));ld(0)*({pick})"
    yuv = {"in_color_matrix": info.yuv_matrix, "in_range": "pc" if info.full_range else "tv"} if info.yuv_matrix else {}
    source = ffmpeg.input(SOURCE, nostdin=None, copyts=None, **input_options(), **seek)
    frames = source[str(info.stream_index)].filter("select", pick)
    frames = shown.noted(frames) if shown else frames
    if wanted.step > 1:
        frames = frames.filter("select", f"not(mod(n,{wanted.step}))")
    # the size is named so that a change of resolution within the stream cannot shift the raw bytes
    frames = frames.filter("scale", info.width, info.height, flags=_SCALER, **yuv)
    for pixels in _pixel_formats(info):
        frames = frames.filter("format", pixels)
    count = len(wanted) + (shown is not None and _reaches_end(info, wanted))
    ticks = {"enc_time_base": f"{info.time_base.numerator}/{info.time_base.denominator}"}  # coarser: a complaint
    output = {"format": "rawvideo", "frames:v": count, **passthrough(), **ticks}
    command: list[str] = ffmpeg.output(frames, "pipe:", **output).compile()
    return command


def _pixel_formats(info: VideoInfo) -> tuple[str, ...]:
    """What the picture becomes: from YUV by way of planes, which swscale makes with vector instructions.

    Less than half the work of packed RGB at once, and equal in every bit; from RGB the way of planes is not equal.
    """
    if info.colours:
        return (PIXEL_FORMAT,)
    return ("gbrp", "rgb24") if info.yuv_matrix else ("rgb24",)


def _frozen(values: Any) -> np.ndarray:
    numbers = np.array(values, dtype=np.int64)
    numbers.setflags(write=False)
    return numbers
