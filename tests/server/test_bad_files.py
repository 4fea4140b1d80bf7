"""Files that are damaged, or lie: one sentence each over HTTP, nothing is left, and the next request succeeds."""

import re
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clips import encode_image, numbered_frames, write_clip, write_zip
from tests.media.test_lying_files import claim_size, header_png
from tests.server.cog_server import Server

FRAME = encode_image(numbered_frames(1)[0])


def written(content: bytes) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(content), None)[1]


def cut_clip(path: Path, part: float, *options: str) -> None:
    whole = write_clip(path.with_suffix(".mp4"), numbered_frames(6), options=options).read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])


def sound_only(path: Path) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))


def many_tracks(path: Path) -> None:
    """A quarter of a second of picture with 40 sound tracks."""
    options = (*["-map", "1:a"] * 39, "-c:a", "pcm_s16le")
    write_clip(path.with_suffix(".mkv"), numbered_frames(6), audio_seconds=0.2, options=options).rename(path)


def bomb(path: Path, method: int) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("0.png", bytes(20_000_000))
    path.write_bytes(claim_size(path.read_bytes(), 1000))


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (written(b""), "is empty"),
    "text": (written(b"hello " * 100), "cannot be read as a video"),
    "html": (written(b"<!doctype html><title>404</title>"), "cannot be read as a video"),
    "svg": (written(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), "cannot be read as a video"),
    "noise": (written(bytes(range(256)) * 40), "cannot be read as a video"),
    "playlist": (written(b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n"), "not supported"),
    "list of files": (written(b"ffconcat version 1.0\nfile '/etc/passwd'\n"), "not supported"),
    "clip without its index": (lambda path: cut_clip(path, 0.5), "no frame|cannot be read as a video"),
    "clip without its frames": (lambda path: cut_clip(path, 0.4, "-movflags", "+faststart"), "no frame|cannot be read"),
    "sound": (sound_only, "has sound but no picture"),
    "40 sound tracks": (many_tracks, "has 40 sound tracks, but at most 32 are allowed"),
    "PNG of 67108864x1": (written(header_png(67_108_864, 1)), "67108864 pixels on a side, but at most 16384"),
    "PNG of 9000x9000": (written(header_png(9000, 9000)), "81000000 pixels a frame, but at most 67108864"),
    "PNG without pixels": (written(header_png(64, 48)), "cannot be decoded"),
    "cut PNG": (written(FRAME[:-40]), "cannot be decoded"),
    "cut JPEG": (written(encode_image(numbered_frames(1)[0], "JPEG")[:200]), "cannot be decoded"),
    "zip of nothing": (lambda path: write_zip(path, []), "zip"),
    "zip of text": (lambda path: write_zip(path, [("a.txt", b"a")]), "without a video or a JPEG"),
    "zip of noise": (lambda path: write_zip(path, [("0.png", b"noise")]), r"cannot be decoded \(0.png\)"),
    "zip of two sizes": (
        lambda path: write_zip(path, [("0.png", FRAME), ("1.png", encode_image(numbered_frames(1, 32, 32)[0]))]),
        "all must be equal",
    ),
    "zip that climbs": (lambda path: write_zip(path, [("../../0.png", FRAME)]), "without a video or a JPEG"),
    "cut zip": (written(b"PK\x03\x04" + FRAME), "cannot be decoded"),
    "bzip2 bomb": (lambda path: bomb(path, zipfile.ZIP_BZIP2), "neither stored nor deflated"),
    "deflated bomb": (lambda path: bomb(path, zipfile.ZIP_DEFLATED), "cannot be decoded"),
    "5000 digits": (lambda path: write_zip(path, [("9" * 5000 + ".png", b"x")]), "cannot be decoded"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_one_sentence(server: Server, tmp_path: Path, name: str) -> None:
    make, words = FILES[name]
    make(tmp_path / "file")
    message = server.refuses(tmp_path / "file", click_coordinates="[1,1]")
    assert message.startswith("UnreadableVideo: video: file "), message
    assert re.search(words, message), message
