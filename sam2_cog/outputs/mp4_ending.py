"""The end of the last frame of an MP4 or MOV: ffmpeg 4.3 gives the last sample a tick of the encoder's, or none at all.

A frame without any is never shown, because the track ends where it begins. Source of the layouts: ISO 14496-12, boxes
mvhd (8.2.2), tkhd (8.3.2), mdhd (8.4.2), hdlr (8.4.3), stts (8.6.1.2) and elst (8.6.6).
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

_Span = tuple[int, int]  # first byte of a box's content, first byte behind it


def end_last_frame(path: Path, seconds: Fraction) -> None:
    """Let the last frame of each picture track last for so long, if it does not last as long as the ones before it."""
    with path.open("r+b") as file:
        while head := file.read(16):
            start = file.tell() - len(head)
            length = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4], "big")
            file.seek(start)
            if head[4:8] == b"moov":
                movie = bytearray(file.read(length))
                _lengthen(movie, seconds)
                file.seek(start)
                file.write(movie)
                return
            file.seek(start + max(length, 8))


def _lengthen(movie: bytearray, seconds: Fraction) -> None:
    """The same in the box of all tables."""
    whole = (8, len(movie))
    header = _inside(movie, whole, b"mvhd")
    shown = []
    for track in [span for name, span in _boxes(movie, whole) if name == b"trak"]:
        kind = _inside(movie, track, b"mdia", b"hdlr")[0] + 8
        track_header = _inside(movie, track, b"tkhd")
        last = _inside(movie, track, b"mdia", b"minf", b"stbl", b"stts")[1] - 8  # how many samples, and how long each
        if movie[kind : kind + 4] == b"vide" and _value(movie, last, 4) == 1:
            media = _inside(movie, track, b"mdia", b"mdhd")
            lacking = round(seconds * _timescale(movie, media)) - _value(movie, last + 4, 4)
            _add(movie, last + 4, 4, lacking)
            _add(movie, *_field(movie, media, 16, 24), lacking)
            in_movie = round(Fraction(lacking, _timescale(movie, media)) * _timescale(movie, header))
            edits = _inside(movie, track, b"edts", b"elst")
            wide = movie[edits[0]] == 1
            _add(movie, edits[1] - (20 if wide else 12), 8 if wide else 4, in_movie)
            _add(movie, *_field(movie, track_header, 20, 28), in_movie)
        shown.append(_value(movie, *_field(movie, track_header, 20, 28)))
    length = _field(movie, header, 16, 24)
    _add(movie, *length, max(shown) - _value(movie, *length))


def _boxes(data: bytearray, span: _Span) -> Iterator[tuple[bytes, _Span]]:
    start, stop = span
    while start < stop:
        length = int.from_bytes(data[start : start + 4], "big")
        yield bytes(data[start + 4 : start + 8]), (start + 8, start + length)
        start += length


def _inside(data: bytearray, span: _Span, *names: bytes) -> _Span:
    """The box that one gets to by these names, the first of each."""
    for name in names:
        span = next(inner for found, inner in _boxes(data, span) if found == name)
    return span


def _field(data: bytearray, box: _Span, narrow: int, wide: int) -> tuple[int, int]:
    """Place and width of a duration: at `narrow` with 4 bytes, in a box of version 1 at `wide` with 8."""
    return (box[0] + wide, 8) if data[box[0]] == 1 else (box[0] + narrow, 4)


def _timescale(data: bytearray, box: _Span) -> int:
    at, _ = _field(data, box, 12, 20)
    return _value(data, at, 4)


def _value(data: bytearray, at: int, width: int) -> int:
    return int.from_bytes(data[at : at + width], "big")


def _add(data: bytearray, at: int, width: int, ticks: int) -> None:
    data[at : at + width] = (_value(data, at, width) + ticks).to_bytes(width, "big")
