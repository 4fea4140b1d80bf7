"""What all videos share: the source's frame times and sound, its shape of pixels, and colours that the file names.

Times: each frame is shown at its own time by the source's clock, to the tick, the last one for as long as frames last
    on average. A clock that begins below zero, or beyond ten seconds as in a recorded broadcast, is moved to begin at
    zero, and the sound with it.
Colours: RGB becomes BT.709 in limited range, and the file says so, in its container and in its stream.
Sound: kept when every frame is written at its own time. Packets are copied where the container can hold their codec.
    Neither picture nor sound is cut to the length of the other.
"""

from abc import abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import cv2
import ffmpeg
import numpy as np

from sam2_cog.masks import FrameMasks
from sam2_cog.media.ffmpeg_run import passthrough
from sam2_cog.media.video import Frame, VideoInfo
from sam2_cog.outputs.base import Output, OutputSpec
from sam2_cog.outputs.facts import ObjectFacts
from sam2_cog.outputs.ffmpeg_writer import FfmpegWriter
from sam2_cog.outputs.raw_matroska import stream_header
from sam2_cog.outputs.sound import SoundRule, sound_tracks
from sam2_cog.painting.captions import Picture

LATEST_START_SECONDS = 10

_MATRIX = {
    "out_color_matrix": "bt709",
    "out_range": "tv",
    "flags": "bicubic+accurate_rnd+full_chroma_inp+full_chroma_int",
}
_TAGS = {"color_primaries": "bt709", "color_trc": "bt709", "colorspace": "bt709"}


class VideoOutput(Output):
    """See the module. A container says how it takes the picture and which sound it holds."""

    muxer: ClassVar[str]
    """ffmpeg's name of the container."""
    sound: ClassVar[SoundRule]
    even_size: ClassVar[bool] = False
    """An odd width or height gets its last column or row once more."""

    def __init__(self, spec: OutputSpec) -> None:
        super().__init__(spec)
        self._writer: FfmpegWriter | None = None
        self._rate = _new_rate(spec)
        self._time_base = 1 / self._rate if self._rate else spec.video.time_base
        self._start = 0 if self._rate else _first_tick(spec.video)

    @abstractmethod
    def _pixel_format(self) -> str:
        """ffmpeg's name of the encoded form of the pixels."""

    @abstractmethod
    def _codec(self) -> dict[str, Any]:
        """ffmpeg's options for the picture's codec."""

    def _muxing(self) -> dict[str, Any]:
        """ffmpeg's options for the container."""
        return {}

    def _open(self, path: Path) -> None:
        spec, video = self.spec, self.spec.video
        width, height = video.width, video.height
        if self.even_size:
            width, height = width + width % 2, height + height % 2
        rate = self._rate or video.frame_rate / spec.frame_interval
        self._writer = FfmpegWriter(self._command(path), stream_header(width, height, rate, alpha=spec.transparent))

    def _add(self, frame: Frame, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        assert self._writer is not None
        picture = self._paint(frame, masks)
        tick = self.frames_written if self._rate else int(self.spec.video.pts[frame.index]) - self._start
        self._writer.write(_even(picture) if self.even_size else picture, tick * self._time_base)

    def _finish(self) -> None:
        assert self._writer is not None
        self._writer.finish()

    def _stop(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            self._writer = None

    def _command(self, path: Path) -> list[str]:
        pictures = ffmpeg.input("pipe:0", format="matroska", protocol_whitelist="pipe", probesize=32, analyzeduration=0)
        aspect = self.spec.video.pixel_aspect
        video = pictures.video.filter("scale", **_MATRIX).filter("format", self._pixel_format())
        video = video.filter("setsar", f"{aspect.numerator}/{aspect.denominator}")
        video = video.filter("setparams", range="tv", **_TAGS)  # some encoders write into the stream only what it says
        sound, codecs = self._sound()
        output = ffmpeg.output(
            video,
            *sound,
            f"file:{path.absolute()}",
            format=self.muxer,
            **codecs,
            **self._times(),
            **self._codec(),
            **_TAGS,
            color_range="tv",
            map_chapters=-1,
            map_metadata=-1,
            **self._muxing(),
        )
        command: list[str] = output.global_args("-y", "-v", "error").compile()
        return command

    def _sound(self) -> tuple[list[Any], dict[str, Any]]:
        if self._rate is None and self.spec.frame_interval == 1:
            tracks, codecs, notes = sound_tracks(self.spec.video, -self._start * self._time_base, self.sound)
            self.notes += notes
            return tracks, codecs
        if self.spec.video.has_audio:
            self.notes.append("The sound is left out, because frames are left out or shown at another rate.")
        return [], {}

    def _times(self) -> dict[str, Any]:
        """Options that carry every time stamp through ffmpeg as it is."""
        base = f"{self._time_base.numerator}/{self._time_base.denominator}"
        return {"copyts": None, **passthrough(), "enc_time_base": base}


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
