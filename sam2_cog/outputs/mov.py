"""A QuickTime movie: ProRes 4444, which editors take as it is, with 16-bit straight alpha for `cutout`.

Size: the source's; odd ones need nothing.
Quality: `quality` q is ProRes' quantiser 12 - 0.1 q: 100 -> 2, 80 -> 4, 50 -> 7, 1 -> 12. A fixed one, because ffmpeg's
    search for one that meets a rate takes five times as long.
"""

from typing import Any

from sam2_cog.outputs.sound import SoundRule
from sam2_cog.outputs.video import VideoOutput

COPIED_SOUND = frozenset(
    ("aac", "ac3", "alac", "eac3", "mp3", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le")
)
"""Codecs that QuickTime movies hold, by ffmpeg's names."""


class MovOutput(VideoOutput):
    """See the module."""

    suffix = ".mov"
    muxer = "mov"
    sound = SoundRule("MOV", COPIED_SOUND, "aac", "AAC")

    def _pixel_format(self) -> str:
        return "yuva444p10le" if self.spec.transparent else "yuv444p10le"

    def _codec(self) -> dict[str, Any]:
        alpha = {"alpha_bits": 16} if self.spec.transparent else {}
        quantiser = round(12 - 0.1 * self.spec.quality)
        return {"c:v": "prores_ks", "profile:v": "4444", "vendor": "apl0", "qscale:v": quantiser, **alpha}

    def _muxing(self) -> dict[str, Any]:
        return {"movflags": "+faststart", "video_track_timescale": self._time_base.denominator}
