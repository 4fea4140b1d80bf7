"""Files that are not what they claim: each is one sentence, soon, in little memory, and never another exception."""

import struct
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from sam2_cog.errors import UnreadableVideo
from sam2_cog.media.video import probe, read_frames
from tests.clips import encode_image, numbered_frames, write_clip, write_zip

FRAME = encode_image(numbered_frames(1)[0])


def refusal(path: Path) -> str:
    """The sentence, after the whole file was read as far as it goes."""
    with pytest.raises(UnreadableVideo) as caught:
        list(read_frames(probe(path)))
    message = str(caught.value)
    assert message.startswith("video: ") and message.isprintable() and len(message) < 400
    assert "<" not in message and str(path.parent) not in message  # no object as Python prints it, no folder
    return message


def header_png(width: int, height: int) -> bytes:
    """A grey PNG whose header says this size, with hardly any pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")


def claim_size(archive: bytes, size: int) -> bytes:
    """The archive with another uncompressed size of its only entry, in both headers."""
    data = bytearray(archive)
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(signature) + offset, size)
    return bytes(data)


def refusal_of_a_bomb(path: Path, method: int) -> str:
    """The sentence about a zip whose entry of 50 MB claims to be of 1000 bytes; it costs little memory."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("0.png", bytes(50_000_000))
    path.write_bytes(claim_size(path.read_bytes(), 1000))
    tracemalloc.start()
    message = refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    return message


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_stored_and_deflated_entries_are_read(tmp_path: Path, method: int) -> None:
    found = refusal_of_a_bomb(tmp_path / "a.zip", method)
    assert "cannot be decoded (0.png): it is neither stored nor deflated" in found


def test_no_more_is_unpacked_than_an_entry_claims(tmp_path: Path) -> None:
    assert "holds an image that cannot be decoded (0.png): " in refusal_of_a_bomb(
        tmp_path / "a.zip", zipfile.ZIP_DEFLATED
    )


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (67_108_864, 1, "67108864 pixels on a side, but at most 16384 are allowed"),
        (1, 67_108_864, "67108864 pixels on a side, but at most 16384 are allowed"),
        (16_385, 2, "16385 pixels on a side, but at most 16384 are allowed"),
        (8193, 8192, "67117056 pixels a frame, but at most 67108864 are allowed"),
        (0, 5, "cannot be decoded"),
    ],
)
def test_a_size_that_is_too_large_or_nothing_is_refused(tmp_path: Path, width: int, height: int, reason: str) -> None:
    (tmp_path / "a.png").write_bytes(header_png(width, height))
    assert reason in refusal(tmp_path / "a.png")
    assert reason in refusal(write_zip(tmp_path / "a.zip", [("0.png", header_png(width, height))]))


def test_names_of_thousands_of_digits_are_names(tmp_path: Path) -> None:
    names = [f"{'9' * 5000}.png", f"{'1' + '0' * 5000}.png", "7.png"]
    path = write_zip(tmp_path / "a.zip", [(name, FRAME) for name in names])
    assert probe(path).frame_count == 3
    refusal(write_zip(tmp_path / "b.zip", [(name, b"no image") for name in names]))


def test_a_gif_of_huge_frames_is_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "a.gif", numbered_frames(30, 320, 240), codec="gif", pix_fmt="rgb8")
    monkeypatch.setenv("SAM2_MAX_VIDEO_PIXELS", "70000")
    begin = time.process_time()
    assert "of 320x240 has 76800 pixels a frame, but at most 70000 are allowed" in refusal(tmp_path / "a.gif")
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_every_cut_and_every_flipped_byte_of_an_image_is_a_sentence(tmp_path: Path, kind: str) -> None:
    whole, path = encode_image(numbered_frames(1, 16, 8)[0], kind), tmp_path / "a.bin"
    for position in range(0, len(whole), 1 + len(whole) // 60):
        for content in (whole[:position], whole[:position] + b"\xff" + whole[position + 1 :]):
            path.write_bytes(content)
            try:
                assert list(read_frames(probe(path)))
            except UnreadableVideo as error:
                assert " at 0x" not in str(error)
