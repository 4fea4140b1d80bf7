"""A WebM: VP9 in yuv420p, which browsers play, with a plane of straight alpha for `cutout`.

Size: the source's; odd ones need nothing. Times: to the millisecond, which is WebM's clock. Up to ffmpeg 6, Opus sound
    begins the 7 ms of its lead-in too early; from 7 on it keeps its time.
Quality: `quality` q is VP9's constant quality 60 - 0.5 q: 100 -> 10, 80 -> 20, 50 -> 35, 1 -> 60.
"""

from typing import Any

from sam2_cog.outputs.sound import SoundRule
from sam2_cog.outputs.video import VideoOutput

COPIED_SOUND = frozenset(("opus", "vorbis"))
"""All that WebM holds."""


class WebmOutput(VideoOutput):
    """See the module."""

    suffix = ".webm"
    muxer = "webm"
    sound = SoundRule("WebM", COPIED_SOUND, "libopus", "Opus")

    def _pixel_format(self) -> str:
        return "yuva420p" if self.spec.transparent else "yuv420p"

    def _codec(self) -> dict[str, Any]:
        # the quick mode: the same error as the thorough one on what was measured, at five times the speed
        speed = {"deadline": "realtime", "cpu-used": 8, "row-mt": 1}
        quality = {"b:v": 0, "crf": round(60 - 0.5 * self.spec.quality)}
        return {"c:v": "libvpx-vp9", **quality, **speed, "auto-alt-ref": 0}  # old builds refuse alpha with alt-refs

    def _muxing(self) -> dict[str, Any]:
        # else Opus' lead-in moves the picture, and the file has a random number in it
        return {"avoid_negative_ts": "disabled", "fflags": "+bitexact"}
