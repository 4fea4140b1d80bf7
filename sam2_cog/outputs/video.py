"""What all videos share: the source's frame times and sound, its shape of pixels, and colours that the file names.

Times: each frame is shown at its own time from the clip's beginning, to the tick (coarser where frames are hours
    apart), the last one for as long as frames last on average.
Colours: RGB becomes BT.709 in limited range, and the file says so, in its container and in its stream.
Sound: kept when every frame is written at its own time. Packets are copied where the container can hold their codec.
    Neither picture nor sound is cut to the length of the other.
"""

from abc import abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from math import ceil
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
from sam2_cog.outputs.mp4_ending import end_last_frame
from sam2_cog.outputs.raw_matroska import stream_header
from sam2_cog.outputs.sound import SoundRule, sound_tracks
from sam2_cog.painting.captions import Picture

_LONGEST_TICKS = 2**31 - 1  # that a frame may last in an MP4 or a MOV

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
    on_gpu = False
    """Whether ffmpeg encodes on a GPU."""

    def __init__(self, spec: OutputSpec) -> None:
        super().__init__(spec)
        self._writer: FfmpegWriter | None = None
        self._rate = _new_rate(spec)
        self._time_base = 1 / self._rate if self._rate else _time_base(spec.video, spec.frame_interval)
        self._shown_rate = self._rate or spec.video.frame_rate / spec.frame_interval

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
        self._path, width, height = path, self.spec.video.width, self.spec.video.height
        if self.even_size:
            width, height = width + width % 2, height + height % 2
        header = stream_header(width, height, self._shown_rate, alpha=self.spec.transparent)
        self._writer = FfmpegWriter(self._command(path), header, on_gpu=self.on_gpu)

    def _add(self, frame: Frame, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        assert self._writer is not None
        picture = self._paint(frame, masks)
        own = int(self.spec.video.pts[self.spec.video.place_of(frame.index)]) * self.spec.video.time_base
        seconds = self.frames_written / self._rate if self._rate else own
        self._writer.write(_even(picture) if self.even_size else picture, seconds)

    def _finish(self) -> None:
        assert self._writer is not None
        self._writer.finish()
        if self.muxer in ("mp4", "mov"):
            end_last_frame(self._path, 1 / self._shown_rate)

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
        if self._rate is None and self.spec.frame_interval == self.spec.video.numbers.step == 1:
            tracks, codecs, notes = sound_tracks(self.spec.video, self.sound)
            self.notes += notes
            return tracks, codecs
        if self.spec.video.has_audio:
            self.notes.append("The sound is left out, because frames are left out or shown at another rate.")
        return [], {}

    def _times(self) -> dict[str, Any]:
        """Options that carry every time stamp through ffmpeg as it is."""
        base = f"{self._time_base.numerator}/{self._time_base.denominator}"
        # of the picture alone: Opus and AAC count their samples in the sound's own time base
        return {"copyts": None, **passthrough(), "enc_time_base:v": base}


def _even(picture: Picture) -> Picture:
    """The picture with an odd last row or column doubled."""
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return picture
    return cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE).astype("uint8", copy=False)


def _new_rate(spec: OutputSpec) -> Fraction | None:
    """The rate to show the written frames at; None where they keep their own times, as they do if those fit it.

    They fit to within a tick and a hundred-thousandth: 29.97 is 30000/1001.
    """
    if spec.frame_rate is None or spec.frame_interval > 1:
        return spec.frame_rate
    ticks = float(1 / spec.frame_rate / spec.video.time_base)
    expected = np.arange(len(spec.video.pts)) * ticks
    late = np.abs(spec.video.pts - spec.video.pts[0] - expected)
    return None if (late <= 1 + 1e-5 * expected).all() else spec.frame_rate


def _time_base(video: VideoInfo, interval: int) -> Fraction:
    """The source's own seconds a tick, or coarser ones where a frame would last too many of them."""
    widest = int(np.diff(video.pts[::interval]).max(initial=0))
    if widest <= _LONGEST_TICKS:
        return video.time_base
    return Fraction(1, max(1, min(90_000, _LONGEST_TICKS // ceil(widest * video.time_base))))
