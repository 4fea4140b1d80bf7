"""NVIDIA's H.264 encoder for MP4, where `SAM2_NVENC=1` asks for it.

It has never been run by this project's authors, who had no GPU that has one (A100 and H100 have none), and its files
differ from machine to machine: hence only on request. Its constant quantiser is x264's rate factor, on the same scale.
Pictures are coded in the order in which they are shown, so that times and edit lists are x264's without B frames.
"""

import logging
import subprocess
import tempfile
from functools import lru_cache
from typing import Any

from sam2_cog.limits import NVENC
from sam2_cog.media.ffmpeg_run import start

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 30


def codec(rate_factor: float) -> dict[str, Any]:
    """ffmpeg's options, the same ones from 4.3 on."""
    return {"c:v": "h264_nvenc", "rc": "constqp", "qp": round(rate_factor), "bf": 0}


@lru_cache(maxsize=64)
def opens(width: int, height: int) -> bool:
    """Whether it encodes a frame of this size, tried once: ffmpeg lists it on machines that have no such GPU, too."""
    options = [word for name, value in codec(20).items() for word in (f"-{name}", str(value))]
    command = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}"]
    with tempfile.TemporaryFile() as picture:
        picture.truncate(width * height * 3 // 2)
        picture.seek(0)
        process = start(
            [*command, "-i", "pipe:0", *options, "-f", "null", "-"],
            on_gpu=True,
            stdin=picture,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            found = process.wait(_WAIT_SECONDS) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            found = process.wait() == 0
    if not found:
        logger.info("%s: the GPU's encoder cannot be opened for %dx%d: libx264 encodes.", NVENC.variable, width, height)
    return found
