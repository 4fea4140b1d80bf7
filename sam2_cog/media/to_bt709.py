"""HDR and wide-gamut RGB becomes BT.709, which the network has learnt and every result is tagged with.

Each pixel by the formulas: signal to light by a table, primaries by a matrix, light to signal by a table. A 3D table,
as ffmpeg's `lut3d` has it, is off by 30 levels near the edge of the gamut, where light cancels out; `zscale` with
`tonemap`, which not every ffmpeg has, takes one and a half times as long (`benchmarks/colour.py`).

Light is relative to diffuse white, which is BT.709's white: 203 cd/m2 in HDR (BT.2408, table 1). An SDR signal is shown
by a power of 2.4 (BT.1886). Up to `_KNEE` of BT.709's signal nothing is changed; beyond it the channels, each by
itself, approach the maximum, which 1000 cd/m2 reach. Colours outside of BT.709 are clipped. What the file says of its
mastering display or of its brightest pixel is not looked at: the same signal always becomes the same colour.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

PIXEL_FORMAT = "gbrp12le"
"""In which ffmpeg hands over what is to be converted: three planes, green first."""

_CODES = 1 << 12
_CODE_OF_ONE = 255 << 4  # what swscale makes of white, 4095 only if the source is in full range
_WHITE = 203 / 1000  # diffuse white in terms of the peak
_PEAK = 1 / _WHITE  # as light; the luminance of a reference HLG display, beyond which PQ is clipped
_KNEE = 0.96  # of the signal: diffuse white then comes out at 250 of 255
_STEPS = 1 << 14  # of the square root of light, in which the last table is even enough in the dark
_PIXELS_AT_ONCE = 1 << 15  # so that what is between the tables stays in the processor's cache
_CHROMATICITIES = {  # x and y of red, green and blue; white is D65 for all of them
    "BT.709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),  # BT.709-6, item 1.3
    "BT.2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020-2, table 3
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # SMPTE EG 432-1, with D65
}
_D65 = (0.3127, 0.3290)
_HLG_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # BT.2100-2, table 5: of BT.2020's primaries
_HLG_SYSTEM_GAMMA = 1.2  # BT.2100-2, table 5, note 5f: for 1000 cd/m2


@dataclass(frozen=True)
class Colours:
    """What RGB means that is not BT.709."""

    transfer: str  # "PQ", "HLG" or "SDR"
    primaries: str  # "BT.709", "BT.2020" or "Display P3"

    @property
    def is_hdr(self) -> bool:
        """Whether there is light above diffuse white."""
        return self.transfer != "SDR"


def to_bt709(planes: np.ndarray, colours: Colours) -> np.ndarray:
    """Convert (3, H, W) uint16 planes in the form of `PIXEL_FORMAT` to (H, W, 3) uint8 RGB in BT.709."""
    _, height, width = planes.shape
    image = np.empty((height, width, 3), np.uint8)
    rows = max(1, _PIXELS_AT_ONCE // width)
    light, matrix, signal = _light(colours.transfer), _from_green_first(colours.primaries), _signal(colours.is_hdr)
    for top in range(0, height, rows):
        part = np.take(light, planes[:, top : top + rows], mode="clip")
        shown = matrix @ part.reshape(3, -1)
        if colours.transfer == "HLG":
            shown *= _hlg_gain(part.reshape(3, -1))
        np.sqrt(np.maximum(shown, 0, out=shown), out=shown)
        shown *= _STEPS / np.sqrt(_PEAK)
        channels = np.take(signal, shown.astype(np.intp), mode="clip").reshape(part.shape)
        cv2.merge(list(channels), image[top : top + rows])
    return image


@lru_cache
def _light(transfer: str) -> np.ndarray:
    """(codes,) float32 light of each signal; of HLG the light of the scene, which is still to be multiplied."""
    signal = np.minimum(np.arange(_CODES) / _CODE_OF_ONE, 1)
    curve = {"PQ": pq_to_light, "HLG": hlg_to_scene, "SDR": sdr_to_light}[transfer]
    return np.minimum(curve(signal), _PEAK).astype(np.float32)


def sdr_to_light(signal: np.ndarray) -> np.ndarray:
    """Light of white 1 for a signal of 0 to 1: the EOTF of BT.1886 for a display with a perfect black."""
    return np.asarray(signal**2.4)


def pq_to_light(signal: np.ndarray) -> np.ndarray:
    """Light of diffuse white 1 for a PQ signal of 0 to 1: the EOTF of BT.2100-2, table 4."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = signal ** (1 / m2)
    return np.asarray(10 * _PEAK * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1))


def hlg_to_scene(signal: np.ndarray) -> np.ndarray:
    """Light of the scene, 1 at most, for an HLG signal of 0 to 1: the inverse OETF of BT.2100-2, table 5."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _hlg_gain(scene: np.ndarray) -> np.ndarray:
    """(pixels,) from light of the (3, pixels) scene, green first, to light shown: the OOTF of BT.2100-2, table 5."""
    luminance = _HLG_LUMINANCE[[1, 2, 0]] @ scene
    return np.asarray(np.float32(_PEAK) * luminance ** np.float32(_HLG_SYSTEM_GAMMA - 1))


@lru_cache
def _signal(hdr: bool) -> np.ndarray:
    """(steps,) uint8: BT.709's signal at the middle of each step of the square root of light."""
    light = ((np.arange(_STEPS) + 0.5) / _STEPS) ** 2 * _PEAK
    signal = light ** (1 / 2.4)
    return np.rint(255 * np.minimum(_shoulder(signal) if hdr else signal, 1)).astype(np.uint8)


def _shoulder(signal: np.ndarray) -> np.ndarray:
    """The tone curve: above `_KNEE` Reinhard's operator, continued smoothly, with the peak as its white.

    Source: Reinhard and others, Photographic Tone Reproduction for Digital Images, 2002, equation 4.
    """
    beyond, most = (signal - _KNEE) / (1 - _KNEE), (_PEAK ** (1 / 2.4) - _KNEE) / (1 - _KNEE)
    return np.where(beyond <= 0, signal, _KNEE + (1 - _KNEE) * beyond * (1 + beyond / most**2) / (1 + beyond))


@lru_cache
def _from_green_first(primaries: str) -> np.ndarray:
    """(3, 3) float32: light of green, blue and red of these primaries to red, green and blue of BT.709."""
    return to_bt709_primaries(primaries)[:, [1, 2, 0]].astype(np.float32)


def to_bt709_primaries(primaries: str) -> np.ndarray:
    """(3, 3) float64: light in RGB of these primaries to light in RGB of BT.709."""
    return np.linalg.solve(_to_xyz("BT.709"), _to_xyz(primaries))


def _to_xyz(primaries: str) -> np.ndarray:
    """(3, 3): RGB to XYZ with white at a luminance of 1; SMPTE RP 177, section 3.3."""
    columns = np.array([(x, y, 1 - x - y) for x, y in _CHROMATICITIES[primaries]]).T
    x, y = _D65
    return columns * np.linalg.solve(columns, np.array([x / y, 1, (1 - x - y) / y]))
