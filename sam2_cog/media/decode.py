"""The frames of a probed video, decoded by ffmpeg from the nearest place where that can begin, or out of a copy.

Each frame of a clip whose packets promised it is held against that promise (`shown_times`).
"""

import logging
from bisect import bisect_right
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import islice
from math import ceil
from pathlib import Path
from threading import Lock
from weakref import WeakKeyDictionary

import ffmpeg
import numpy as np

from sam2_cog.errors import UnreadableVideo
from sam2_cog.media.clip_info import VideoInfo
from sam2_cog.media.decoded_copy import DecodedCopy, copy_images, images_that_fit
from sam2_cog.media.ffmpeg_run import SOURCE, has_complained, input_options, passthrough, reason, running
from sam2_cog.media.frame_archive import IMAGE_CONTAINERS
from sam2_cog.media.indexed_copy import IndexedCopy, copy_stream
from sam2_cog.media.refusals import sentence, unreadable
from sam2_cog.media.shown_times import ShownTimes
from sam2_cog.media.to_bt709 import PIXEL_FORMAT, to_bt709

_log = logging.getLogger(__name__)

_MOST_IN_VAIN = 64  # frames decoded only to be passed over before a clip or a part is copied; and a window's most
_SCALER = "bicubic+accurate_rnd+full_chroma_int"  # right to half a level; swscale's quick path is off by up to 3


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


def decode(info: VideoInfo, wanted: range) -> Generator[np.ndarray, None, None]:
    """The wanted frames of a whole clip, each (H, W, 3) uint8 RGB; `BrokenPromise` where they are not as promised.

    They are decoded from the last place before them where that can begin. Where no such place is known, the packets are
    copied into a file with an index; where it is far before a window of frames, as it is in a GIF, the decoded frames
    are. Both is done here, in the thread of the caller, which a cancel reaches, and not when the first frame is asked
    for.

    Raises:
        UnreadableVideo: the file changed or broke since it was probed.
    """
    start, stop = wanted.start, wanted[-1] + 1
    source, anchor = decoding_begins(info, start)
    if start - anchor > _MOST_IN_VAIN and (copy := _decoded(info, source, anchor, start, stop)):
        return _every(copy.read(start, stop), wanted.step)
    return _decode_from(source, anchor, wanted)


def decoding_begins(info: VideoInfo, start: int) -> tuple[VideoInfo, int]:
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
            copies.indexed = copy_stream(info)
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
        counted=copy.counted,
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
        if info.counted:
            pick = _count(int(info.pts[anchor]), wanted.start - anchor)
        elif shown:
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


def _count(stamp: int, frames: int) -> str:
    """The frames from so many on after the first, if that is the key frame of this stamp: else none.

    The first has the stamp of its packet; of those after it ffmpeg makes up what fits an increasing order.
    """
    return f"if(eq(n,0),st(0,key*eq(pts,{stamp})));ld(0)*gte(n,{frames})"


def _pixel_formats(info: VideoInfo) -> tuple[str, ...]:
    """What the picture becomes: from YUV by way of planes, which swscale makes with vector instructions.

    Less than half the work of packed RGB at once, and equal in every bit; from RGB the way of planes is not equal.
    """
    if info.colours:
        return (PIXEL_FORMAT,)
    return ("gbrp", "rgb24") if info.yuv_matrix else ("rgb24",)


def has_broken_a_promise(path: Path) -> bool:
    """Whether the frames of this file, as it is now, were not what its packets promised."""
    return _identity(path) in _promise_breakers


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
