"""An MP4: H.264 in yuv420p, which plays everywhere.

Size: yuv420p needs even sizes, so an odd width or height gets its last column or row once more.
Speed: x264's preset `superfast`. On a real clip in 1080p `veryfast` took 1.6 times the processor time for a file that
    was 6 % smaller and no better (PSNR 39.4 dB for 39.7), `ultrafast` half of it for one that was 63 % larger.
Times: frames at uneven times are coded without B frames: ffmpeg takes the end of the last frame from decode times,
    which would not be the display times.
GPU: `SAM2_NVENC=1` (see `nvenc`), but for `separate_objects`, since a GPU encodes only a few videos at a time.
Quality: `quality` q is x264's constant rate factor 52 - 0.4 q, at most 51: 100 -> 12, 80 -> 20, 50 -> 32, 1 -> 51.
"""

from pathlib import Path
from typing import Any

import numpy as np

from sam2_cog.limits import NVENC
from sam2_cog.outputs import nvenc
from sam2_cog.outputs.sound import SoundRule
from sam2_cog.outputs.video import VideoOutput

COPIED_SOUND = frozenset(("aac", "ac3", "alac", "dts", "eac3", "flac", "mp1", "mp2", "mp3", "opus", "truehd", "vorbis"))
"""Codecs that ffmpeg's MP4 muxer takes as they are."""

_EVEN_TO = 0.05  # of the frames' average distance: uneven beyond
_FARTHEST_TICKS = 2**29  # that frames may be apart and be coded in another order: an MP4 has 31 bits for the difference


class Mp4Output(VideoOutput):
    """See the module."""

    suffix = ".mp4"
    muxer = "mp4"
    sound = SoundRule("MP4", COPIED_SOUND, "aac", "AAC", since={"alac": (58, 76)})  # libavformat of ffmpeg 4.4
    even_size = True

    def _pixel_format(self) -> str:
        return "yuv420p"

    def _open(self, path: Path) -> None:
        if NVENC.on and not self.spec.separate_objects:
            width, height = self.spec.video.width, self.spec.video.height
            self.on_gpu = nvenc.opens(width + width % 2, height + height % 2)
        super()._open(path)

    def _codec(self) -> dict[str, Any]:
        if self.on_gpu:
            return nvenc.codec(constant_rate_factor(self.spec.quality))
        order = {} if self._b_frames_fit() else {"bf": 0}
        crf = f"{constant_rate_factor(self.spec.quality):.1f}"
        return {"c:v": "libx264", "preset": "superfast", "crf": crf, **order}

    def _b_frames_fit(self) -> bool:
        """Whether the written frames are at even distances, rounding aside, and not hours apart."""
        steps = np.diff(self.spec.video.pts[:: self.spec.frame_interval])
        if self._rate is not None or not len(steps):
            return True
        return bool(np.ptp(steps) <= max(1, _EVEN_TO * steps.mean()) and steps.max() < _FARTHEST_TICKS)

    def _muxing(self) -> dict[str, Any]:
        return {"movflags": "+faststart", "video_track_timescale": self._time_base.denominator}


def constant_rate_factor(quality: int) -> float:
    """x264's constant rate factor (51 worst, 0 lossless) for a `quality` of 1 to 100."""
    return min(51.0, 52 - 0.4 * quality)
