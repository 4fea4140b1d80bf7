"""An MP4: H.264 in yuv420p, which plays everywhere.

Size: yuv420p needs even sizes, so an odd width or height gets its last column or row once more.
Speed: x264's preset `superfast`. On a real clip in 1080p `veryfast` took 1.6 times the processor time for a file that was 6 %
    smaller and no better (PSNR 39.4 instead of 39.7 dB), `ultrafast` half the time for one that was 63 % larger.
Quality: `quality` q is x264's constant rate factor 52 - 0.4 q, at most 51: 100 -> 12, 80 -> 20, 50 -> 32, 1 -> 51.
"""

from typing import Any

from sam2_cog.outputs.sound import SoundRule
from sam2_cog.outputs.video import VideoOutput

COPIED_SOUND = frozenset(("aac", "ac3", "alac", "dts", "eac3", "flac", "mp1", "mp2", "mp3", "opus", "truehd", "vorbis"))
"""Codecs that ffmpeg's MP4 muxer takes as they are."""


class Mp4Output(VideoOutput):
    """See the module."""

    suffix = ".mp4"
    muxer = "mp4"
    sound = SoundRule("MP4", COPIED_SOUND, "aac", "AAC")
    even_size = True

    def _pixel_format(self) -> str:
        return "yuv420p"

    def _codec(self) -> dict[str, Any]:
        return {"c:v": "libx264", "preset": "superfast", "crf": f"{constant_rate_factor(self.spec.quality):.1f}"}

    def _muxing(self) -> dict[str, Any]:
        return {"movflags": "+faststart", "video_track_timescale": self._time_base.denominator}


def constant_rate_factor(quality: int) -> float:
    """x264's constant rate factor (51 worst, 0 lossless) for a `quality` of 1 to 100."""
    return min(51.0, 52 - 0.4 * quality)
