"""Clips in HDR and in wide gamut, coded from BT.709 by the standards' formulas in the coder's direction, in float64."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sam2_cog.media.to_bt709 import Colours

PHONE = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "lossless=1:log-level=error")
KINDS = [Colours("HLG", "BT.2020"), Colours("PQ", "BT.2020"), Colours("SDR", "BT.2020"), Colours("SDR", "Display P3")]
_FROM_BT709 = {  # light in BT.709's primaries to light in others
    "BT.2020": [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]],  # BT.2087-0, 2.2
    "Display P3": [[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]],  # W3C, CSS Color 4
}
_WEIGHTS = {"BT.2020": (0.2627, 0.6780, 0.0593), "Display P3": (0.2126, 0.7152, 0.0722)}  # of luma: red, green, blue
_TAGS = {
    "HLG": "arib-std-b67", "PQ": "smpte2084", ("SDR", "BT.2020"): "bt2020-10", ("SDR", "Display P3"): "bt709",
    "BT.2020": ("bt2020", "bt2020nc"), "Display P3": ("smpte432", "bt709"),
}  # fmt: skip


def write_wide_clip(
    path: Path, frames: np.ndarray, colours: Colours, codec: Sequence[str] = ("-c:v", "ffv1"), white: float = 1
) -> Path:
    """Encode (N, H, W, 3) uint8 BT.709 frames, tagged; by default in 12 bits, exactly.

    Args:
        white: the light that the frames' white becomes, in terms of diffuse white.
    """
    light = white * (frames / 255) ** 2.4 @ np.array(_FROM_BT709[colours.primaries]).T
    codes = _yuv(_signal(light, colours.transfer), _WEIGHTS[colours.primaries])
    transfer = _TAGS.get(colours.transfer) or _TAGS[colours.transfer, colours.primaries]
    primaries, matrix = _TAGS[colours.primaries]
    tags = f"setparams=range=tv:color_primaries={primaries}:color_trc={transfer}:colorspace={matrix}"
    size = f"{frames.shape[2]}x{frames.shape[1]}"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv444p12le", "-s", size, "-r", "24"]
    command += ["-i", "pipe:", "-vf", f"{tags},scale=flags=accurate_rnd+full_chroma_inp", *codec]
    command += ["-color_primaries", primaries, "-color_trc", str(transfer), "-colorspace", matrix, "-color_range", "tv"]
    subprocess.run([*command, str(path)], input=codes.tobytes(), check=True)
    return path


def _signal(light: np.ndarray, transfer: str) -> np.ndarray:
    """The signal of light in terms of diffuse white, of 203 cd/m2 in HDR."""
    if transfer == "PQ":  # BT.2100-2, table 4: the inverse EOTF
        power = (light * 203 / 10000) ** (2610 / 16384)
        return np.asarray(((3424 + 32 * 2413 * power) / (4096 + 32 * 2392 * power)) ** (2523 / 32))
    if transfer == "HLG":  # table 5: the inverse OOTF for 1000 cd/m2, and the OETF
        shown = light * 203 / 1000
        luminance = np.maximum(shown @ _WEIGHTS["BT.2020"], 1e-12)
        scene = shown * luminance[..., None] ** (1 / 1.2 - 1)
        high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)
    return np.asarray(light ** (1 / 2.4))


def _yuv(signal: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """(N, 3, H, W) 12-bit codes in limited range, by BT.2100-2, tables 6 and 9."""
    luma = signal @ np.array(weights)
    blue = (signal[..., 2] - luma) / (2 - 2 * weights[2])
    red = (signal[..., 0] - luma) / (2 - 2 * weights[0])
    codes = np.stack([219 * luma + 16, 224 * blue + 128, 224 * red + 128], axis=1) * 16
    return np.rint(codes).astype("<u2")
