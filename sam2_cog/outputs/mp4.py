"""An MP4: H.264 in yuv420p, the source's size, frame times and sound.

Size: yuv420p needs even sizes, so an odd width or height gets its last column or row once more. The shape of the pixels
    is the source's.
Times: each frame is shown at its own time by the source's clock, to the tick, the last one for as long as frames last
    on average. A clock that begins below zero, or beyond ten seconds as in a recorded broadcast, is moved to begin at
    zero, and the sound with it.
Colours: RGB becomes BT.709 in limited range, and the file says so.
Sound: kept when every frame is written at its own time. Packets are copied where MP4 can hold their codec, else they
    become AAC. Neither picture nor sound is cut to the length of the other.
Quality: `quality` q is x264's constant rate factor 52 - 0.4 q, at most 51: 100 -> 12, 80 -> 20, 50 -> 32, 1 -> 51.
"""

import logging
import subprocess
import tempfile
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import cv2
import ffmpeg
import numpy as np

from sam2_cog.masks import FrameMasks
from sam2_cog.media.ffmpeg_run import LIMITS, passthrough, reason
from sam2_cog.media.video import Frame, VideoInfo
from sam2_cog.outputs.base import Output, OutputSpec
from sam2_cog.outputs.raw_matroska import TICKS_PER_SECOND, frame_header, stream_header
from sam2_cog.painting.captions import Picture

COPIED_SOUND = frozenset(("aac", "ac3", "alac", "dts", "eac3", "flac", "mp1", "mp2", "mp3", "opus", "truehd", "vorbis"))
"""Codecs that ffmpeg's MP4 muxer takes as they are."""
LATEST_START_SECONDS = 10

_log = logging.getLogger(__name__)


class Mp4Output(Output):
    """See the module. The frames go to one ffmpeg process, raw, each with its time."""

    suffix = ".mp4"

    def __init__(self, spec: OutputSpec) -> None:
        super().__init__(spec)
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: IO[bytes] | None = None
        self._rate = _new_rate(spec)
        self._time_base = 1 / self._rate if self._rate else spec.video.time_base
        self._start = 0 if self._rate else _first_tick(spec.video)

    def _open(self, path: Path) -> None:
        spec, video = self.spec, self.spec.video
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115  closed by _stop()
        try:
            self._process = subprocess.Popen(
                self._command(path), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._messages
            )
        except FileNotFoundError as error:
            raise OSError("the program ffmpeg is not installed") from error
        rate = self._rate or video.frame_rate / spec.frame_interval
        self._send(stream_header(video.width + video.width % 2, video.height + video.height % 2, rate))

    def _add(self, frame: Frame, masks: FrameMasks) -> None:
        picture = _even(self._paint(frame, masks))
        tick = self.frames_written if self._rate else int(self.spec.video.pts[frame.index]) - self._start
        self._send(frame_header(round(tick * self._time_base * TICKS_PER_SECOND), picture.nbytes))
        self._send(picture.data)

    def _finish(self) -> None:
        assert self._process is not None and self._process.stdin is not None
        with suppress(BrokenPipeError):  # the exit status says why
            self._process.stdin.close()
        if self._process.wait() != 0:
            raise OSError(self._reason())

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        if self._messages is not None:
            self._messages.close()

    def _send(self, content: bytes | memoryview) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(content)
        except BrokenPipeError as error:
            self._process.wait()
            raise OSError(self._reason()) from error

    def _reason(self) -> str:
        """Why ffmpeg gave up, in its own words."""
        assert self._messages is not None
        return f"ffmpeg stopped{reason(self._messages)}"

    def _command(self, path: Path) -> list[str]:
        pictures = ffmpeg.input("pipe:0", format="matroska", protocol_whitelist="pipe", probesize=32, analyzeduration=0)
        matrix = {"out_color_matrix": "bt709", "out_range": "tv", "flags": "bicubic+accurate_rnd+full_chroma_inp"}
        aspect = self.spec.video.pixel_aspect
        video = pictures.video.filter("scale", **matrix).filter("format", "yuv420p")
        video = video.filter("setsar", f"{aspect.numerator}/{aspect.denominator}")
        timing_kept = self._rate is None and self.spec.frame_interval == 1
        sound, codecs = _sound(self.spec.video, -self._start * self._time_base) if timing_kept else ([], {})
        if self.spec.video.has_audio and not timing_kept:
            _log.info("The sound is left out, because frames are left out or shown at another rate.")
        output = ffmpeg.output(
            video,
            *sound,
            f"file:{path.absolute()}",
            format="mp4",
            **codecs,
            **self._times(),
            **_picture_codec(self.spec),
        )
        command: list[str] = output.global_args("-y", "-v", "error").compile()
        return command

    def _times(self) -> dict[str, Any]:
        """Options that carry every time stamp through ffmpeg as it is."""
        return {
            "copyts": None,
            **passthrough(),
            "enc_time_base": f"{self._time_base.numerator}/{self._time_base.denominator}",
            "video_track_timescale": self._time_base.denominator,
        }


def constant_rate_factor(quality: int) -> float:
    """x264's constant rate factor (51 worst, 0 lossless) for a `quality` of 1 to 100."""
    return min(51.0, 52 - 0.4 * quality)


def _picture_codec(spec: OutputSpec) -> dict[str, Any]:
    return {
        "c:v": "libx264",
        "preset": "veryfast",
        "crf": f"{constant_rate_factor(spec.quality):.1f}",
        "colorspace": "bt709",
        "color_primaries": "bt709",
        "color_trc": "bt709",
        "color_range": "tv",
        "movflags": "+faststart",
        "map_chapters": -1,
        "map_metadata": -1,
    }


def _even(picture: Picture) -> Picture:
    """The picture with an odd last row or column doubled."""
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return picture
    return cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE).astype("uint8", copy=False)


def _new_rate(spec: OutputSpec) -> Fraction | None:
    """The rate to show the written frames at; None where they keep their own times, as they do if those fit it."""
    if spec.frame_rate is None or spec.frame_interval > 1:
        return spec.frame_rate
    ticks = float(1 / spec.frame_rate / spec.video.time_base)
    late = spec.video.pts - spec.video.pts[0] - np.arange(len(spec.video.pts)) * ticks
    return None if np.abs(late).max() <= 1 else spec.frame_rate


def _first_tick(video: VideoInfo) -> int:
    """The tick of the source's clock that becomes zero."""
    first = int(video.pts[0])
    if first >= 0 and video.start_seconds <= LATEST_START_SECONDS:
        return 0
    return min(first, round(Fraction(video.start_seconds) / video.time_base)) if first > 0 else first


def _sound(video: VideoInfo, shift_seconds: Fraction) -> tuple[list[Any], dict[str, Any]]:
    """The source's sound tracks as ffmpeg's streams, moved by so much, and its options for their codecs."""
    if not video.has_audio:
        return [], {}
    name = f"file:{video.path.absolute()}"
    try:
        tracks = ffmpeg.probe(name, **LIMITS, select_streams="a")["streams"]
    except ffmpeg.Error as error:
        raise OSError(f"the sound of {video.path.name} cannot be read") from error
    tracks = [track for track in tracks if "codec_name" in track]  # ffmpeg can do nothing with the others
    source = ffmpeg.input(name, itsoffset=f"{float(shift_seconds):.9f}", **LIMITS)
    codecs: dict[str, Any] = {"strict": "experimental"}  # FLAC in MP4 counts as that up to ffmpeg 5
    for position, track in enumerate(tracks):
        copied = track["codec_name"] in COPIED_SOUND
        codecs[f"c:a:{position}"] = "copy" if copied else "aac"
        if not copied:
            _log.info("The sound is re-encoded as AAC, because MP4 cannot hold %s.", track["codec_name"])
    return [source[str(track["index"])] for track in tracks], codecs
