"""Whatever comes in, a request is carried out or refused in a sentence: no other exception, no hang.

Some examples, always the same ones, in the suite; many, and new ones each time, by `make fuzz`.
"""

import os
import random
import time
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.media.video import probe, read_frames
from sam2_cog.pipeline import segment_video
from sam2_cog.prompts import parse_prompts
from sam2_cog.request import Request
from tests.clips import children, encode_image, frame_zip, numbered_frames, write_clip

STRINGS = int(os.environ.get("FUZZ_STRINGS", 300))
FILES = int(os.environ.get("FUZZ_FILES", 30))
LONGEST_SECONDS = 20
FRAMES = numbered_frames(3, 32, 24)


def examples(count: int) -> settings:
    """So many; without new ones each time unless they were asked for."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize="FUZZ_STRINGS" not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


# Strings.

PIECES = ["[1,2]", "[1,2,9,9]", *'[],; \n"{a\0', "0", "1", "-1", "1e9", "NaN", "null"]
TEXT = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
    st.lists(st.lists(st.integers(-5, 40), min_size=1, max_size=5), max_size=6).map(str),
)


@given(TEXT, TEXT, TEXT, TEXT, TEXT)
@examples(STRINGS)
def test_any_strings_are_prompts_or_a_sentence(points: str, labels: str, frames: str, names: str, fixes: str) -> None:
    for rest in ((labels, frames, names, fixes), ("1", "0", "", "0")):
        try:
            objects = parse_prompts(points, *rest, width=32, height=24, frame_count=3)
        except InvalidRequest as error:
            assert "\n" not in str(error) and len(str(error)) < 400
        else:
            assert objects and all(one.prompts for one in objects)


# Files.


@cache
def seeds() -> dict[str, bytes]:
    """Small whole files of every kind, by name."""
    folder = Path(os.environ["FUZZ_FOLDER"])
    clips: dict[str, Callable[[Path], Path]] = {
        "a.mp4": lambda path: write_clip(path, FRAMES, audio_seconds=0.1),
        "a.mkv": lambda path: write_clip(path, FRAMES, codec="ffv1", pix_fmt="bgr0"),
        "a.ts": lambda path: write_clip(path, FRAMES, codec="mpeg2video"),
        "a.avi": lambda path: write_clip(path, FRAMES, codec="mjpeg", pix_fmt="yuvj420p"),
        "a.webm": lambda path: write_clip(path, FRAMES, codec="libvpx-vp9"),
        "a.gif": lambda path: write_clip(path, FRAMES, codec="gif", pix_fmt="rgb8"),
        "a.zip": lambda path: frame_zip(path, FRAMES),
    }
    found = {name: make(folder / name).read_bytes() for name, make in clips.items()}
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP"):
        found[f"a.{kind.lower()}"] = encode_image(FRAMES[0], kind)
    animation = BytesIO()
    pictures = [Image.fromarray(frame) for frame in FRAMES]
    pictures[0].save(animation, "WEBP", save_all=True, append_images=pictures[1:])
    return found | {"b.webp": animation.getvalue()}


def mutated(name: str, seed: int) -> bytes:
    """A whole file with some bytes changed, cut out, doubled or cut off."""
    dice, data = random.Random(seed), bytearray(seeds()[name])
    for _ in range(dice.randint(1, 8)):
        place, length = dice.randrange(max(1, len(data))), dice.choice((1, 1, 2, 4, 16, 200))
        kind = dice.randrange(6)
        if kind == 0:
            data[place : place + length] = dice.randbytes(length)
        elif kind == 1:
            data[place : place + length] = dice.choice((b"\xff", b"\0", b"\x7f")) * length
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = data[place : place + length]
        elif kind == 4 and data:
            data[place % len(data)] ^= 1 << dice.randrange(8)
        elif dice.random() < 0.3:
            del data[place:]
    return bytes(data)


NAMES = [
    f"a.{kind}" for kind in ["mp4", "mkv", "ts", "avi", "webm", "gif", "zip", "png", "jpeg", "webp", "tiff", "bmp"]
] + ["b.webp"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fuzz")
    os.environ["FUZZ_FOLDER"] = str(made)
    return made


@given(st.sampled_from(NAMES), st.integers(0, 1 << 60))
@examples(FILES)
def test_any_file_is_a_clip_or_a_sentence(folder: Path, name: str, seed: int) -> None:
    path = folder / "file"
    path.write_bytes(mutated(name, seed))
    begin = time.monotonic()
    try:
        info = probe(path)
        frames = list(read_frames(info))
        assert len(frames) == info.frame_count
        assert all(frame.image.shape == (info.height, info.width, 3) for frame in frames)
    except UnreadableVideo as error:
        assert str(error).startswith("video: ") and "\n" not in str(error) and "object at 0x" not in str(error)
        assert str(folder) not in str(error)
    assert time.monotonic() - begin < LONGEST_SECONDS and children() == []


@given(st.sampled_from(NAMES), st.integers(0, 1 << 60), st.sampled_from(["mp4", "png"]), TEXT)
@examples(max(4, FILES // 10))
def test_any_request_is_a_file_or_a_sentence(
    folder: Path, at_64_pixels: LoadedModel, name: str, seed: int, output_format: str, names: str
) -> None:
    path, out = folder / "file", folder / "out"
    out.mkdir(exist_ok=True)
    path.write_bytes(mutated(name, seed))
    result = out / f"a.{'mp4' if output_format == 'mp4' else 'zip'}"
    begin = time.monotonic()
    try:
        request = Request(path, "[5,5],[20,12]", click_object_ids=names, output_format=output_format)
        assert segment_video(request, at_64_pixels, result).path == result
        assert result.stat().st_size
        result.unlink()
    except (InvalidRequest, UnreadableVideo) as error:
        assert "\n" not in str(error)
    assert list(out.iterdir()) == [] and children() == []
    assert time.monotonic() - begin < LONGEST_SECONDS


def test_the_mutations_are_not_all_harmless_and_not_all_deadly(folder: Path) -> None:
    """What the tests above are worth: both of their branches are taken."""
    ends = []
    for number in range(12):
        (folder / "file").write_bytes(mutated(("a.png", "a.zip", "a.bmp")[number % 3], number))
        try:
            ends.append(bool(list(read_frames(probe(folder / "file")))))
        except UnreadableVideo:
            ends.append(False)
    assert np.unique(ends).tolist() == [False, True]
