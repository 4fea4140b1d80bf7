"""Raw RGB or RGBA frames with a time each, as a Matroska stream: the form in which ffmpeg takes frame times on a pipe.

Only what that needs: one uncompressed track, one cluster per frame, all numbers eight bytes long. Source: RFC 8794
(EBML) and RFC 9559 (Matroska); the names in the comments are theirs.
"""

from fractions import Fraction

TICKS_PER_SECOND = 10**9
_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
_KEY_FRAME_OF_TRACK_1 = bytes((0x81, 0, 0, 0x80))


def stream_header(width: int, height: int, frame_rate: Fraction, *, alpha: bool = False) -> bytes:
    """Begin a stream of (height, width, 3) uint8 RGB frames, or (height, width, 4) RGBA ones.

    The last of them lasts 1 / `frame_rate` seconds.
    """
    fourcc = _element(0x2EB524, b"RGBA" if alpha else b"RGB\x18")  # UncompressedFourCC
    video = _number(0xB0, width) + _number(0xBA, height) + fourcc  # PixelWidth, PixelHeight
    duration = _number(0x23E383, round(TICKS_PER_SECOND / frame_rate))  # DefaultDuration
    track = _number(0xD7, 1) + _number(0x73C5, 1) + _number(0x83, 1)  # TrackNumber, TrackUID, TrackType: video
    track += _element(0x86, b"V_UNCOMPRESSED") + duration + _element(0xE0, video)  # CodecID
    info = _element(0x1549A966, _number(0x2AD7B1, 1))  # Info, TimestampScale: nanoseconds
    tracks = _element(0x1654AE6B, _element(0xAE, track))
    return _element(0x1A45DFA3, _element(0x4282, b"matroska")) + _name(0x18538067) + _UNKNOWN_SIZE + info + tracks


def frame_header(ticks: int, size: int) -> bytes:
    """What goes before the `size` bytes of a frame that is shown at `ticks` >= 0, in `TICKS_PER_SECOND`."""
    timestamp = _number(0xE7, ticks)
    block = _name(0xA3) + _size(len(_KEY_FRAME_OF_TRACK_1) + size) + _KEY_FRAME_OF_TRACK_1  # SimpleBlock
    return _name(0x1F43B675) + _size(len(timestamp) + len(block) + size) + timestamp + block  # Cluster


def _name(identifier: int) -> bytes:
    return identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")


def _size(size: int) -> bytes:
    return (size | 1 << 56).to_bytes(8, "big")


def _element(identifier: int, content: bytes) -> bytes:
    return _name(identifier) + _size(len(content)) + content


def _number(identifier: int, value: int) -> bytes:
    return _element(identifier, value.to_bytes(8, "big"))
