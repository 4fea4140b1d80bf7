"""What packets promise of a clip's frames against what decoding finds, and what comes of a broken promise."""

import random
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sam2_cog.media import video
from sam2_cog.media.video import BrokenPromise, Frame, VideoInfo, probe, read_frames
from tests.clip_table import CASES, CLOSED, COUNT, FRAMES, grown
from tests.clips import frame_number, write_clip

TELL_TOO_LITTLE = {
    *("gif", "apng", "avi", "repeated", "zip", "program", "program-joined", "alpha-qtrle"),
    *(name for name in CASES if name.startswith("transport")),
}
FAST_START = (*CLOSED, "-movflags", "+faststart")
OTHER_KEY_FRAMES = ("refresh",)  # the container marks some, where depends on the encoder; the decoder finds the first


def read_all(path: Path) -> tuple[VideoInfo, list[Frame]]:
    """As whoever needs a whole clip reads it: a broken promise is not believed a second time."""
    try:
        info = probe(path)
        return info, list(read_frames(info))
    except BrokenPromise:
        info = probe(path)
        assert not info.promised
        return info, list(read_frames(info))


def assert_same(promised: tuple[VideoInfo, list[Frame]], decoded: tuple[VideoInfo, list[Frame]]) -> None:
    assert replace(promised[0], promised=False) == decoded[0]
    assert np.array_equal(promised[0].pts, decoded[0].pts)
    for one, other in zip(promised[1], decoded[1], strict=True):  # damage is not hidden twice in the same way
        assert not promised[0].promised or np.array_equal(one.image, other.image), one.index


@pytest.mark.parametrize("name", CASES)
def test_packets_promise_what_decoding_finds(
    tmp_path: Path, name: str, table_clip: Callable[[str, Path], Path]
) -> None:
    path = table_clip(name, tmp_path)
    info, decoded = probe(path), probe(path, certain=True)
    assert info.promised == (name not in TELL_TOO_LITTLE) and not decoded.promised
    assert_same((info, list(read_frames(info))), (decoded, list(read_frames(decoded))))
    assert (list(info.seek_points) == list(decoded.seek_points)) == (name not in OTHER_KEY_FRAMES)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same pictures in two containers."""
    folder = tmp_path_factory.mktemp("intact")
    return {
        ".mp4": write_clip(folder / "a.mp4", FRAMES, options=FAST_START).read_bytes(),
        ".mkv": write_clip(folder / "a.mkv", FRAMES, options=CLOSED).read_bytes(),
    }


@pytest.fixture
def clip(tmp_path: Path, intact: dict[str, bytes]) -> Path:
    (tmp_path / "a.mp4").write_bytes(intact[".mp4"])
    return tmp_path / "a.mp4"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_damage_ends_as_it_does_when_all_is_decoded(
    tmp_path: Path, intact: dict[str, bytes], suffix: str, seed: int
) -> None:
    path = tmp_path / f"a{suffix}"
    data, noise = bytearray(intact[suffix]), random.Random(seed)
    for _ in range(noise.choice([1, 3, 40])):
        data[noise.randrange(len(data) // 3, len(data))] = noise.randrange(256)
    path.write_bytes(data)
    decoded = probe(path, certain=True)
    assert_same(read_all(path), (decoded, list(read_frames(decoded))))


def test_a_change_of_size_is_noticed(tmp_path: Path) -> None:
    raw, path = grown(tmp_path / "a.h264"), tmp_path / "a.mkv"
    subprocess.run(["ffmpeg", "-v", "error", "-r", "24", "-i", str(raw), "-c", "copy", str(path)], check=True)
    assert probe(path).promised
    info, frames = read_all(path)
    assert not info.uniform and [frame_number(frame.image) for frame in frames] == list(range(COUNT))


@pytest.mark.parametrize("stop", [None, 7])
def test_a_frame_too_many_or_too_few_is_noticed(clip: Path, stop: int | None) -> None:
    info = probe(clip)
    for pts in (info.pts[:-1], np.append(info.pts, 2 * info.pts[-1]), np.delete(info.pts, 5)):
        other = replace(info, pts=pts, frame_count=len(pts))
        if (stop and len(pts) != COUNT - 1) or (stop and pts[5] == info.pts[5]):
            assert len(list(read_frames(other, 0, stop))) == stop  # nothing is wrong before the end
            continue
        with pytest.raises(
            BrokenPromise, match=r"^video: a.mp4 .*; its packets promise something else, open it again$"
        ):
            list(read_frames(other, 0, stop))
    assert not probe(clip).promised
    clip.write_bytes(clip.read_bytes() + bytes(8))
    assert probe(clip).promised  # another file


def test_a_frame_that_is_only_called_a_key_frame_is_noticed(clip: Path) -> None:
    wrong = replace(probe(clip), seek_points=np.array([0, 5]))
    with pytest.raises(BrokenPromise, match="cannot be read from frame 5 on, where decoding should begin"):
        list(read_frames(wrong, 6, 9))
    assert [frame_number(frame.image) for frame in read_frames(probe(clip), 6, 9)] == [6, 7, 8]


def test_a_frame_at_another_time_is_noticed_when_it_comes(clip: Path) -> None:
    info = probe(clip)
    wrong = replace(info, pts=info.pts + (np.arange(COUNT) == 10))
    for start, stop in ((0, None), (9, 12)):
        with pytest.raises(BrokenPromise, match="is not as it should be at frame "):
            list(read_frames(wrong, start, stop))


def test_an_ffmpeg_that_cannot_note_frames_is_given_no_promise(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those before version 4.4."""
    monkeypatch.setattr(video, "can_be_noted", lambda: False)
    assert not probe(clip).promised
