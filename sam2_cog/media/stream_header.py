"""What ffprobe's description of a picture stream means: which one to show, its rate, rotation, alpha and colours."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from sam2_cog import limits
from sam2_cog.media.refusals import check_size, sentence, unreadable
from sam2_cog.media.to_bt709 import Colours

DEFAULT_RATE = Fraction(24)  # frames a second where the source has no rate of its own

_MATRICES = {  # ffprobe's names to swscale's
    "bt709": "bt709",
    "smpte170m": "bt601",
    "bt470bg": "bt601",
    "fcc": "fcc",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
    "bt2020c": "bt2020",
}
_HDR_TRANSFERS = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
_PRIMARIES = {"bt2020": "BT.2020", "smpte432": "Display P3", "smpte431": "Display P3"}  # others are as good as BT.709
_FIELDS = ("tt", "bb", "tb", "bt")  # ffprobe's field_order of interlaced pictures
_NOT_YUV = ("rgb", "bgr", "gbr", "pal8", "gray", "mono", "ya8", "ya16")
_WITH_ALPHA = ("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "pal8")


def picture_stream(path: Path, streams: list[dict[str, Any]]) -> dict[str, Any]:
    """The stream to show: no cover picture or thumbnail, and among several the one marked as default.

    Raises:
        UnreadableVideo: there is none, or its size is beyond what is allowed.
    """
    pictures = _pictures(streams)
    if not pictures:
        raise unreadable(path, "has sound but no picture" if streams else "has no picture")
    stream = max(pictures, key=lambda candidate: candidate["disposition"].get("default", 0))
    check_size(path, int(stream.get("width", 0)), int(stream.get("height", 0)), limits.VIDEO_PIXELS)
    return stream


def _pictures(streams: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        stream
        for stream in streams
        if stream.get("codec_type") == "video"
        and not stream["disposition"].get("attached_pic")
        and not stream["disposition"].get("timed_thumbnails")
    ]


def nominal_rate(stream: dict[str, Any]) -> Fraction:
    """The header's frame rate; 24 where it has none that could be one."""
    for name in ("r_frame_rate", "avg_frame_rate"):
        above, _, below = str(stream.get(name, "0/0")).partition("/")
        if int(below or 0) and 0 < Fraction(int(above), int(below)) <= 1000:
            return Fraction(int(above), int(below))
    return DEFAULT_RATE


def rotation(stream: dict[str, Any]) -> int:
    """Degrees clockwise by which ffmpeg turns the frame for display: 0, 90, 180 or 270.

    0 as well for an oblique angle, by which ffmpeg turns the picture within a frame of the same size.
    """
    angles = [data["rotation"] for data in stream.get("side_data_list", ()) if "rotation" in data]
    clockwise = -float(angles[0]) if angles else 0.0  # ffprobe counts the other way round
    quarters = round(clockwise / 90)
    return quarters * 90 % 360 if abs(clockwise - quarters * 90) < 1 else 0


def pixel_aspect(stream: dict[str, Any]) -> Fraction:
    """Width to height of a pixel as it is displayed; 1 where the header does not say."""
    above, _, below = str(stream.get("sample_aspect_ratio", "1:1")).partition(":")
    known = above.isdigit() and below.isdigit() and int(above) and int(below)
    stored = Fraction(int(above), int(below)) if known else Fraction(1)
    return 1 / stored if rotation(stream) % 180 else stored


def has_alpha(stream: dict[str, Any]) -> bool:
    """Whether the frames carry an alpha plane."""
    marked = stream.get("tags", {}).get("alpha_mode") == "1"  # VP8 and VP9 in WebM
    return marked or str(stream.get("pix_fmt")).startswith(_WITH_ALPHA)


def colours(stream: dict[str, Any]) -> Colours | None:
    """What the picture's RGB means, as tagged; None: BT.709, or so near to it that it is taken for it.

    HDR without a tag of its primaries is BT.2020, and P3 with a cinema's white is taken for P3 with D65.
    """
    transfer = _HDR_TRANSFERS.get(str(stream.get("color_transfer")), "SDR")
    unknown = "BT.709" if transfer == "SDR" or stream.get("color_primaries") == "bt709" else "BT.2020"
    primaries = _PRIMARIES.get(str(stream.get("color_primaries")), unknown)
    return None if (transfer, primaries) == ("SDR", "BT.709") else Colours(transfer, primaries)


def notes(path: Path, stream: dict[str, Any], streams: list[dict[str, Any]]) -> Iterator[str]:
    """What does not come through as it is when frames are read from this one of a file's streams, as sentences."""
    tracks = [one["index"] for one in _pictures(streams)]
    if len(tracks) > 1:
        taken = f"number {tracks.index(stream['index']) + 1}, of {stream['width']}x{stream['height']}"
        yield sentence(path, f"has {len(tracks)} video tracks, of which {taken}, was taken")
    source = colours(stream)
    if source is not None and source.is_hdr:
        found = f"is HDR ({source.transfer}, {source.primaries}), and was converted to BT.709"
        yield sentence(path, f"{found}: what is brighter than diffuse white is nearly white")
    elif source is not None:
        yield sentence(path, f"has the colours of {source.primaries}, and was converted to BT.709")
    if any(data.get("dv_profile") == 5 for data in stream.get("side_data_list", ())):
        yield sentence(path, "is Dolby Vision of profile 5, of which only players with a licence know the colours")
    if stream.get("field_order") in _FIELDS:
        yield sentence(path, "is interlaced, and was left as it is: edges that move look like combs")


def yuv_matrix(stream: dict[str, Any]) -> str:
    """swscale's name of the YUV matrix, empty for RGB and grey.

    As tagged; without a tag as players choose it: BT.2020 for HDR and BT.2020's primaries, else BT.709 from 1280 pixels
    wide or 577 high, else BT.601.
    """
    if any(letters in str(stream.get("pix_fmt")) for letters in _NOT_YUV):
        return ""
    large = int(stream["width"]) >= 1280 or int(stream["height"]) > 576
    source = colours(stream)
    untagged = "bt2020" if source and source.primaries == "BT.2020" else "bt709" if large else "bt601"
    return _MATRICES.get(str(stream.get("color_space")), untagged)
