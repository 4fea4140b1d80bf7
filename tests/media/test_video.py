"""Clips of every kind through the real ffmpeg: frames in = frames out, times kept, colours kept, bad files refused."""

import os
import random
import subprocess
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam2_cog.errors import UnreadableVideo
from sam2_cog.media import decode, frame_archive, stream_header, video
from sam2_cog.media.to_bt709 import Colours
from sam2_cog.media.video import BrokenPromise, VideoInfo, part_of, probe, read_frames
from tests.clip_table import CASES, CLOSED, COUNT, EXACT, FRAMES, UNEVEN, Case, grown, turned, with_alpha
from tests.clips import (
    LOSSLESS,
    children,
    encode_image,
    frame_number,
    frame_zip,
    numbered_frames,
    probe_times,
    write_clip,
    write_zip,
)


@dataclass(frozen=True)
class Reading:
    """A clip of the table, probed and read from end to end."""

    case: Case
    info: VideoInfo
    frames: list[video.Frame]


@pytest.fixture(scope="module", params=CASES)
def reading(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, table_clip: Callable[[str, Path], Path]
) -> Reading:
    info = probe(table_clip(request.param, tmp_path_factory.mktemp("clip")))
    return Reading(CASES[request.param], info, list(read_frames(info)))


def difference(images: np.ndarray, expected: np.ndarray) -> int:
    return int(np.abs(images.astype(int) - expected.astype(int)).max())


def images_of(info: VideoInfo, start: int = 0, stop: int | None = None) -> np.ndarray:
    return np.stack([frame.image for frame in read_frames(info, start, stop)])


def test_frames_times_and_colours_come_through(reading: Reading) -> None:
    info, frames, expected = reading.info, reading.frames, reading.case.frames
    images = np.stack([frame.image for frame in frames])
    assert (info.width, info.height) == (expected.shape[2], expected.shape[1])
    assert info.frame_count == len(frames) == len(expected)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert [frame_number(image) for image in images] == [frame_number(image) for image in expected]
    assert difference(images, expected) <= reading.case.levels
    assert [1000 * frame.time_seconds for frame in frames] == pytest.approx(reading.case.times_ms, abs=1)
    assert info.frame_times == pytest.approx([frame.time_seconds for frame in frames], abs=1e-9)
    assert images.dtype == np.uint8 and all(frame.image.flags.c_contiguous for frame in frames)


def test_a_window_has_the_pixels_of_the_full_read(reading: Reading) -> None:
    count = reading.info.frame_count
    for start in {8, 13, count - 1} & set(range(count)):
        stop = min(start + 3, count)
        try:
            window = list(read_frames(reading.info, start, stop))
        except BrokenPromise:  # of a frame where decoding cannot begin
            assert reading.case is CASES["refresh"]
            window = list(read_frames(probe(reading.info.path), start, stop))
        assert [frame.index for frame in window] == list(range(start, stop))
        for frame in window:
            assert np.array_equal(frame.image, reading.frames[frame.index].image), frame.index


@pytest.mark.parametrize("numbers", [range(5, 21), range(9, 24, 4)])
def test_a_part_has_the_frames_and_the_times_of_the_whole(
    reading: Reading, numbers: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    if numbers[-1] < reading.info.frame_count:
        assert_part(reading, numbers, monkeypatch)


@pytest.mark.parametrize("reading", ["open-gop", "uneven-mp4", "transport", "repeated", "gif", "zip"], indirect=True)
@pytest.mark.parametrize("numbers", [range(0, 10, 3), range(23, 24)])
def test_a_part_may_have_the_first_frame_or_the_last_alone(
    reading: Reading, numbers: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_part(reading, numbers, monkeypatch)


def assert_part(reading: Reading, numbers: range, monkeypatch: pytest.MonkeyPatch) -> None:
    info = reading.info
    if reading.case is CASES["refresh"]:  # decoding cannot begin where its packets say
        monkeypatch.setattr(video, "scan_packets", lambda *_: None)
        info = probe(info.path)
    part = part_of(info, numbers)
    frames = list(read_frames(part))
    assert [frame.index for frame in frames] == list(range(part.frame_count)) and part.frame_count == len(numbers)
    for frame, number in zip(frames, numbers, strict=True):
        whole = reading.frames[number]
        assert frame.time_seconds == whole.time_seconds and np.array_equal(frame.image, whole.image), number
    begin = reading.frames[numbers[0]].time_seconds if numbers[0] else 0.0
    assert part.frame_times == pytest.approx([frame.time_seconds - begin for frame in frames], abs=1e-9)
    (last,) = read_frames(part, part.frame_count - 1)
    assert last.index == part.frame_count - 1 and np.array_equal(last.image, frames[-1].image)


def test_a_part_lasts_until_the_frame_that_would_come_next(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "a.mp4", FRAMES, options=CLOSED, times_ms=UNEVEN))
    seconds = np.array([*UNEVEN, UNEVEN[-1] + 1000 / 24]) / 1000
    assert part_of(info, range(COUNT)) is info
    for numbers, after in ((range(2, 6), 6), (range(4, COUNT), COUNT), (range(2, 9, 3), 11)):
        assert part_of(info, numbers).duration_seconds == pytest.approx(seconds[after] - seconds[numbers[0]], abs=2e-3)


def test_the_first_frame_can_be_had_before_the_others_are_counted(reading: Reading) -> None:
    info = probe(reading.info.path, first_only=True)
    assert info.frame_count == (reading.info.frame_count if reading.info.container == "zip" else 1)
    assert (info.width, info.height, info.pixel_aspect) == (
        reading.info.width,
        reading.info.height,
        reading.info.pixel_aspect,
    )
    (frame,) = read_frames(info, 0, 1)
    assert frame.time_seconds == reading.frames[0].time_seconds
    assert np.array_equal(frame.image, reading.frames[0].image)


def test_the_facts_of_a_clip(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", FRAMES, rate=Fraction(30000, 1001), options=CLOSED, audio_seconds=4)
    info = probe(str(path))
    assert (info.width, info.height, info.codec, info.frame_count) == (64, 48, "h264", COUNT)
    assert info.frame_rate == Fraction(30000, 1001)
    assert info.duration_seconds == pytest.approx(COUNT * 1001 / 30000, abs=1e-3)
    assert (info.has_audio, info.has_alpha, info.rotation, info.clock_start) == (True, False, 0, 0)
    assert list(info.seek_points) == [0, 8, 16]
    assert info.frame_times == pytest.approx(probe_times(path), abs=1e-6)
    silent = probe(turned(tmp_path / "b.mp4", 90))
    assert (silent.has_audio, silent.rotation, silent.width, silent.height) == (False, 90, 64, 48)
    assert hash(info) != hash(silent) and info == probe(path)
    with pytest.raises(ValueError, match="read-only"):
        info.pts[0] = 1


def test_rate_of_uneven_frames_is_their_average(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "a.mp4", FRAMES, options=CLOSED, times_ms=UNEVEN))
    assert float(info.frame_rate) == pytest.approx(1000 * (COUNT - 1) / UNEVEN[-1], rel=1e-3)


def test_a_late_picture_keeps_its_distance_to_the_sound(tmp_path: Path) -> None:
    beside = probe(write_clip(tmp_path / "a.mp4", FRAMES, options=CLOSED, start_ms=1500, audio_seconds=3))
    assert (beside.frame_times[0], beside.clock_start) == (pytest.approx(1.5, abs=1e-3), 0)
    alone = probe(write_clip(tmp_path / "a.mkv", FRAMES, start_ms=1500, **LOSSLESS))
    assert (alone.frame_times[0], alone.clock_start * alone.time_base) == (0, 1.5)


def test_what_was_done_to_time_stamps_is_said(tmp_path: Path) -> None:
    repeated = probe(CASES["repeated"].make(tmp_path / "a.mkv"))
    assert repeated.notes == ("video: a.mkv has time stamps that cannot be right: 1 of 24 are mended",)
    joined = probe(CASES["transport-joined"].make(tmp_path / "a.ts"))
    assert joined.notes == ("video: a.ts has 2 parts, each with a clock of its own; they are put one after another",)
    assert [shift * joined.time_base for shift in joined.clock_shifts] == [Fraction(14, 24)]


@pytest.mark.parametrize(("width", "matrix"), [(1279, "bt601"), (1280, "bt709")])
def test_untagged_colours_go_by_size(tmp_path: Path, width: int, matrix: str) -> None:
    frames = np.full((1, 16, width, 3), (20, 200, 30), np.uint8)
    coded = "bt709" if matrix == "bt709" else "smpte170m"
    tagged = write_clip(tmp_path / "a.mkv", frames, codec="ffv1", pix_fmt="yuv444p", matrix=coded)
    bare = tmp_path / "b.avi"  # a container without colour tags
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(tagged), "-c", "copy", str(bare)], check=True)
    info = probe(bare)
    assert info.yuv_matrix == matrix
    assert difference(images_of(info), frames) <= EXACT


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "nv12"])
def test_subsampled_colours_are_right_within_a_patch(tmp_path: Path, pix_fmt: str) -> None:
    patches = np.random.default_rng(4).integers(0, 256, (1, 16, 16, 3), np.uint8)
    frames = patches.repeat(16, axis=1).repeat(16, axis=2)
    how: dict[str, Any] = {"pix_fmt": pix_fmt, "matrix": "bt709", "full_range": False, "options": ("-qp", "0")}
    images = images_of(probe(write_clip(tmp_path / "a.mp4", frames, **how)))
    assert difference(images[:, 8::16, 8::16], patches) <= EXACT


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "nv12", "yuvj422p", "yuv444p10le", "yuva420p", "uyvy422"])
@pytest.mark.parametrize("size", ["64x48", "65x49"])
def test_planes_on_the_way_change_no_bit(tmp_path: Path, pix_fmt: str, size: str) -> None:
    noise = ("-f", "lavfi", "-i", f"nullsrc=s={size}:d=0.1:r=24,format=rgb24,geq=r='random(1)*255':g='X*4':b='Y*5'")
    path = tmp_path / "a.nut"
    subprocess.run(["ffmpeg", "-v", "error", *noise, "-c:v", "rawvideo", "-pix_fmt", pix_fmt, str(path)], check=True)
    info = probe(path)
    scale = f"scale={info.width}:{info.height}:flags={decode._SCALER}:in_color_matrix={info.yuv_matrix}"
    packed = f"{scale}:in_range={'pc' if info.full_range else 'tv'},format=rgb24"
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", packed, "-f", "rawvideo", "-"]
    at_once = subprocess.run(command, check=True, capture_output=True).stdout
    assert images_of(info).tobytes() == at_once and len(set(at_once)) > 200


@pytest.mark.parametrize("pattern", ["a.h264", "a.mkv"])
def test_a_change_of_size_within_the_stream(tmp_path: Path, pattern: str) -> None:
    path = grown(tmp_path / "a.h264")
    if pattern != path.name:
        subprocess.run(["ffmpeg", "-v", "error", "-r", "24", "-i", str(path), "-c", "copy", str(tmp_path / pattern)])
    info = probe(tmp_path / pattern)
    if info.promised:
        with pytest.raises(BrokenPromise):
            images_of(info)
        info = probe(info.path)
    images = images_of(info)
    assert [frame_number(image) for image in images] == list(range(COUNT))
    assert np.array_equal(images_of(info, 9, 15), images[9:15])


def test_windows_start_at_the_nearest_key_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = probe(write_clip(tmp_path / "a.mp4", FRAMES, options=CLOSED))
    commands: list[list[str]] = []
    original = decode.running

    def spy(command: list[str], *rest: Any) -> Any:
        commands.append(command)
        return original(command, *rest)

    monkeypatch.setattr(decode, "running", spy)
    images_of(info, 18, 20)
    assert len(commands) == 1 and commands[0][commands[0].index("-ss") + 1] == "0.666667"


def test_a_wrong_index_does_not_give_wrong_frames(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "a.mp4", FRAMES, options=CLOSED))
    late = info.pts.copy()
    late[8] = info.pts[-1]  # a seek to frame 8 now lands behind it
    wrong = replace(info, pts=late, seek_points=np.array([0, 8]))
    assert [frame_number(image) for image in images_of(replace(wrong, promised=False), 9, 12)] == [9, 10, 11]
    with pytest.raises(BrokenPromise, match="cannot be read from frame 8 on, where decoding should begin"):
        images_of(wrong, 9, 12)


@pytest.fixture(scope="module")
def plain_clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_clip(tmp_path_factory.mktemp("plain") / "a.mp4", FRAMES[:3], options=CLOSED).read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "-i", "http:x", "a:b c.mp4", "%03d", "%03d.png", "{1}.gif", "w?.gif", "it's \"q\".mp4", "[x];y=z,.mp4",
        "ü日本 é.mp4", "new\nline.mp4", "clip.jpg", "clip.zip", "-",
    ],
)  # fmt: skip
def test_odd_and_wrong_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain_clip: bytes, name: str
) -> None:
    (tmp_path / name).write_bytes(plain_clip)
    monkeypatch.chdir(tmp_path)
    assert [frame_number(image) for image in images_of(probe(name))] == [0, 1, 2]


@pytest.mark.parametrize(
    ("transfer", "primaries", "matrix", "expected"),
    [
        ("smpte2084", "bt2020", "bt2020nc", Colours("PQ", "BT.2020")),
        ("arib-std-b67", None, None, Colours("HLG", "BT.2020")),
        ("smpte2084", "smpte432", "bt2020nc", Colours("PQ", "Display P3")),
        ("smpte2084", "bt709", "bt709", Colours("PQ", "BT.709")),
        ("bt2020-12", "bt2020", None, Colours("SDR", "BT.2020")),
        ("iec61966-2-1", "smpte431", "bt709", Colours("SDR", "Display P3")),
        ("bt709", "smpte170m", "smpte170m", None),
        (None, None, None, None),
    ],
)
def test_tags_say_what_is_converted(transfer: str, primaries: str, matrix: str, expected: Colours | None) -> None:
    tags = {"color_transfer": transfer, "color_primaries": primaries, "color_space": matrix}
    stream = {"width": 640, "height": 360, "pix_fmt": "yuv420p10le", **{name: tag for name, tag in tags.items() if tag}}
    assert stream_header.colours(stream) == expected
    if matrix is None:
        assert stream_header.yuv_matrix(stream) == ("bt2020" if expected else "bt601")


def test_colours_that_nobody_can_read_are_said() -> None:
    stream = {"side_data_list": [{"side_data_type": "DOVI configuration record", "dv_profile": 5}]}
    (note,) = stream_header.notes(Path("a.mp4"), stream, [stream])
    assert note.startswith("video: a.mp4 is Dolby Vision of profile 5")


def test_which_of_several_video_tracks_is_taken_is_said(tmp_path: Path) -> None:
    one, two = (write_clip(tmp_path / f"{size}.mp4", numbered_frames(3, size, size)) for size in (48, 64))
    command = ["ffmpeg", "-v", "error", "-i", one, "-i", two, "-map", "0", "-map", "1", "-c", "copy"]
    both = tmp_path / "both.mp4"
    subprocess.run([*map(str, command), "-disposition:0", "0", "-disposition:1", "default", str(both)], check=True)
    info = probe(both)
    assert info.width == 64
    assert info.notes == ("video: both.mp4 has 2 video tracks, of which number 2, of 64x64, was taken",)


def test_interlaced_pictures_are_said(tmp_path: Path) -> None:
    interlaced = ("-flags", "+ilme+ildct", "-x264-params", "tff=1")
    info = probe(write_clip(tmp_path / "a.ts", FRAMES, options=interlaced))  # ffmpeg 4.3 does not say it of an MP4
    assert info.notes == ("video: a.ts is interlaced, and was left as it is: edges that move look like combs",)
    assert probe(write_clip(tmp_path / "b.ts", FRAMES)).notes == ()


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableVideo) as error:
        probe(path)
    message = str(error.value)
    assert message.startswith(f"video: {path.name} ") and "\n" not in message and len(message) < 250
    assert str(path.parent) not in message and "stdin" not in message
    return message


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    good = write_clip(tmp_path / "good.mp4", FRAMES, options=("-qp", "0")).read_bytes()
    contents = {
        "empty.mp4": (b"", "is empty"),
        "text.mp4": (b"hello world\n" * 40, "cannot be read as a video"),
        "noise.mp4": (random.Random(1).randbytes(9000), "cannot be read as a video"),
        "cut.mp4": (good[: len(good) // 2], "moov atom not found"),
        "image.png": (encode_image(FRAMES[0])[:200], "cannot be decoded"),
    }
    for name, (content, words) in contents.items():
        (tmp_path / name).write_bytes(content)
        assert words in refusal(tmp_path / name)
    assert "is neither a file nor a folder" in refusal(Path("/dev/null"))
    assert "does not exist" in refusal(tmp_path / "absent.mp4")


def test_sound_without_a_picture_is_refused(tmp_path: Path) -> None:
    for name in ("a.m4a", "a.mp3", "a.wav"):
        tone = ["-f", "lavfi", "-i", "sine=duration=0.2", str(tmp_path / name)]
        subprocess.run(["ffmpeg", "-v", "error", *tone], check=True)
        assert "has sound but no picture" in refusal(tmp_path / name)


def test_a_header_without_frames_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", FRAMES, options=("-qp", "0", "-movflags", "+faststart"))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4])
    assert "has no frame that can be decoded" in refusal(path)


def test_an_enormous_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.mp4", FRAMES[:1], options=("-qp", "0"))
    archive = frame_zip(tmp_path / "a.zip", FRAMES[:1])
    monkeypatch.setenv("SAM2_MAX_VIDEO_PIXELS", "3071")
    assert "64x48 has 3072 pixels a frame, but at most 3071 are allowed (SAM2_MAX_VIDEO_PIXELS)" in refusal(path)
    assert probe(archive).frame_count == 1
    monkeypatch.setenv("SAM2_MAX_PIXELS", "3071")
    assert "is 64x48: 3072 pixels a frame, but at most 3071 are allowed (SAM2_MAX_PIXELS)" in refusal(archive)
    monkeypatch.delenv("SAM2_MAX_VIDEO_PIXELS")
    monkeypatch.setenv("SAM2_MAX_SIDE", "63")
    for either in (path, archive):
        assert "is 64x48: 64 pixels on a side, but at most 63 are allowed (SAM2_MAX_SIDE)" in refusal(either)


@pytest.mark.parametrize(
    ("variable", "most", "counted", "found"),
    [
        ("SAM2_MAX_FRAMES", 2, "more than 2 frames, the most that", "4 frames"),
        (
            "SAM2_MAX_CLIP_PIXELS",
            9216,
            "more than 9216 pixels in all frames, the most that",
            "12288 pixels in all frames",
        ),
        ("SAM2_MAX_VIDEO_SECONDS", 3, "4 seconds of video, but at most 3", "4 seconds of video"),
        ("SAM2_MAX_SOUND_TRACKS", 1, "2 sound tracks, but at most 1", ""),
    ],
)
def test_a_clip_beyond_a_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, most: int, counted: str, found: str
) -> None:
    """The frames of a video are counted no further than that; how many pictures a zip holds is known."""
    two_tracks = ("-map", "1:a", "-c:a", "aac")
    path = write_clip(tmp_path / "a.mp4", FRAMES[:4], rate=1, audio_seconds=1, options=two_tracks)
    assert probe(path).frame_count == 4
    monkeypatch.setenv(variable, str(most))
    assert refusal(path) == f"video: a.mp4 has {counted} are allowed ({variable})"
    if found:
        archive = frame_zip(tmp_path / "a.zip", FRAMES[:4])
        with pytest.raises(UnreadableVideo, match=f"a.zip has {found}.*, but at most {most} are allowed"):
            probe(archive, Fraction(1))


@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8", "list.ffconcat", "list"])
def test_no_file_refers_to_another(tmp_path: Path, name: str) -> None:
    secret = write_clip(tmp_path / "secret.ts", FRAMES, options=("-qp", "0"))
    path = tmp_path / name
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n")
    assert "files of this kind are not supported" in refusal(path)
    path.write_text(f"ffconcat version 1.0\nfile '{secret}'\n")
    assert "files of this kind are not supported" in refusal(path)
    unguarded = ["ffprobe", "-v", "error", "-safe", "0", "-f", "concat", f"file:{path}"]
    assert subprocess.run(unguarded).returncode == 0  # the list itself is fine: it is we who refuse it


def test_damage_is_counted_as_it_is_read(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", FRAMES, options=(*CLOSED, "-movflags", "+faststart"))
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 2 // 3])
    info = probe(clip)
    assert 5 < info.frame_count < COUNT
    (note,) = info.notes
    assert note.startswith(f"video: a.mp4 is damaged, {info.frame_count} of {COUNT} frames could be decoded: ")
    assert [frame_number(image) for image in images_of(info)][:5] == [0, 1, 2, 3, 4]
    noise = random.Random(2)
    for _ in range(40):
        position = noise.randrange(len(data) // 2, len(data))
        data = data[:position] + bytes([noise.randrange(256)]) + data[position + 1 :]
    clip.write_bytes(data)
    info = probe(clip, certain=True)
    assert len(images_of(info)) == info.frame_count


@pytest.fixture
def long_clip(tmp_path: Path) -> VideoInfo:
    large = FRAMES.repeat(8, axis=1).repeat(8, axis=2)
    return probe(write_clip(tmp_path / "a.mp4", large, options=("-preset", "ultrafast")))


def test_closing_early_leaves_nothing_behind(long_clip: VideoInfo, tmp_path: Path) -> None:
    def consume(frames: Iterator[video.Frame]) -> None:
        next(frames)
        raise KeyboardInterrupt

    handles = os.listdir("/proc/self/fd")
    for start in (0, 5):
        frames = read_frames(long_clip, start)
        next(frames)
        assert len(children()) == 1
        frames.close()
        assert children() == []
        with pytest.raises(KeyboardInterrupt):
            consume(read_frames(long_clip, start))
        assert children() == []
    assert len(os.listdir("/proc/self/fd")) == len(handles)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]


def test_a_file_that_breaks_after_probing(long_clip: VideoInfo) -> None:
    long_clip.path.write_bytes(b"gone")
    with pytest.raises(UnreadableVideo, match=r"a\.mp4 broke off at frame 0 of 24: "):
        images_of(long_clip)
    assert children() == []


def test_a_flood_of_messages_does_not_block(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", numbered_frames(200), options=("-qp", "0", "-g", "1"))
    data = bytearray(path.read_bytes())
    noise = random.Random(3)
    for position in range(3000, len(data) - 3000, 40):
        data[position] = noise.randrange(256)
    path.write_bytes(data)
    started = time.monotonic()
    try:
        info = probe(path)
        assert len(images_of(info)) == info.frame_count
    except UnreadableVideo as error:
        assert len(str(error)) < 250
    assert time.monotonic() - started < 30


def test_a_missing_ffmpeg_is_named(long_clip: VideoInfo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "the program ffprobe is not installed" in refusal(long_clip.path)


def test_a_range_outside_of_the_clip(long_clip: VideoInfo) -> None:
    assert list(read_frames(long_clip, 3, 3)) == []
    for start, stop in [(-1, 2), (3, 2), (0, 25), (25, None)]:
        with pytest.raises(ValueError, match="of a clip of 24"):
            next(read_frames(long_clip, start, stop))


def test_nothing_holds_the_clip(long_clip: VideoInfo) -> None:
    tracemalloc.start()
    for _ in read_frames(long_clip):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * long_clip.width * long_clip.height * 3


# Zips of frames and single images


def test_a_zip_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    order = [3, 11, 0, 7, 2, 10, 1, 9, 4, 6, 5, 8]
    entries = [("shot/", b""), ("__MACOSX/shot/._frame2.png", b"x"), ("shot/.hidden.png", b"x"), ("notes.txt", b"x")]
    entries += [(f"shot/frame{number}.PNG", encode_image(FRAMES[number])) for number in order]
    info = probe(write_zip(tmp_path / "a.zip", entries), Fraction(30))
    assert (info.container, info.codec, info.frame_count, info.has_audio) == ("zip", "png", 12, False)
    assert (info.frame_rate, info.duration_seconds) == (30, pytest.approx(0.4))
    frames = list(read_frames(info))
    assert [frame_number(frame.image) for frame in frames] == list(range(12))
    assert frames[3].time_seconds == pytest.approx(0.1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


def test_paths_in_a_zip_lead_nowhere(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    image = encode_image(FRAMES[0])
    assert "without a video or a JPEG" in refusal(write_zip(inner / "a.zip", [("../../0.png", image)]))
    assert len(images_of(probe(write_zip(inner / "a.zip", [(f"{tmp_path}/0.png", image)])))) == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip", "inner"]


def test_bad_zips_are_refused(tmp_path: Path) -> None:
    image, small = encode_image(FRAMES[0]), encode_image(FRAMES[0][:40])
    zips = [
        ([("a.txt", b"x")], "is a zip without a video or a JPEG, PNG, WebP, BMP, TIFF or AVIF image"),
        ([], "is a zip without a video or a JPEG, PNG, WebP, BMP, TIFF or AVIF image"),
        ([("0.png", image), ("1.png", small)], "holds an image of 64x40 (1.png), but its first is 64x48"),
        ([("a/0.png", image), ("b/0.png", image)], "in more than one folder"),
        ([("0.png", b"no image")], "holds an image that cannot be decoded (0.png)"),
        ([("0\x1b.png", b"no image")], "holds an image that cannot be decoded (0?.png)"),
    ]
    for entries, words in zips:
        assert words in refusal(write_zip(tmp_path / "a.zip", entries))
    whole = write_zip(tmp_path / "a.zip", [("0.png", image)]).read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[:-30])
    assert "cannot be decoded: File is not a zip file" in refusal(tmp_path / "a.zip")


def test_a_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = frame_zip(tmp_path / "a.zip", FRAMES[:4])
    monkeypatch.setenv("SAM2_MAX_FRAMES", "3")
    assert "has 4 frames, but at most 3" in refusal(path)
    monkeypatch.setattr(frame_archive, "MAX_IMAGE_BYTES", 50)
    monkeypatch.setenv("SAM2_MAX_FRAMES", "4")
    assert "but 50 is the most" in refusal(path)
    huge = bytearray(encode_image(FRAMES[0]))
    huge[16:24] = (60000).to_bytes(4, "big") * 2
    (tmp_path / "huge.png").write_bytes(huge)
    assert "huge.png" in refusal(tmp_path / "huge.png")


def test_an_image_that_breaks_after_probing(tmp_path: Path) -> None:
    images = [encode_image(frame) for frame in numbered_frames(3)]
    path = write_zip(tmp_path / "a.zip", [(f"{number}.png", image) for number, image in enumerate(images)])
    info = probe(path)
    write_zip(path, [("0.png", images[0]), ("1.png", images[1][:-120]), ("2.png", images[2])])
    frames = read_frames(info)
    assert frame_number(next(frames).image) == 0
    with pytest.raises(UnreadableVideo, match=r"video: a.zip holds an image that cannot be decoded \(1.png\)"):
        next(frames)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_a_single_image_stands_upright(tmp_path: Path, image_format: str, orientation: int) -> None:
    upright = FRAMES[5]
    stored = {  # by EXIF 2.32, from the visual sides at which the stored row 0 and column 0 belong
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless: dict[str, Any] = {"quality": 100, "subsampling": 0} if image_format == "JPEG" else {"lossless": True}
    path = tmp_path / "photo"
    path.write_bytes(encode_image(np.ascontiguousarray(stored), image_format, exif=exif.tobytes(), **lossless))
    info = probe(path)
    assert (info.width, info.height, info.frame_count, info.container) == (64, 48, 1, "image")
    assert difference(images_of(info), upright[None]) <= (6 if image_format == "JPEG" else 0)


def test_images_of_every_mode_become_rgb(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 64).round().astype(np.uint8)[None].repeat(48, axis=0)
    grey = ramp[..., None].repeat(3, axis=2)
    palette = Image.fromarray(FRAMES[0]).convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    images = {
        "grey": (Image.fromarray(ramp), grey),
        "grey16": (Image.fromarray((ramp.astype(np.float64) * 257 + 100).clip(0, 65535).astype(np.uint16)), grey),
        "alpha": (Image.fromarray(with_alpha(FRAMES)[0]), FRAMES[0]),
        "palette": (palette, np.array(palette.convert("RGB"))),
    }
    for name, (image, expected) in images.items():
        image.save(tmp_path / f"{name}.png")
        info = probe(tmp_path / f"{name}.png")
        assert difference(images_of(info), expected[None]) == 0, name
        assert info.has_alpha == (name == "alpha")


def test_a_file_that_went_away_is_said(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "gone.mp4", numbered_frames(2)))
    info.path.unlink()
    with pytest.raises(UnreadableVideo, match=r"^video: gone.mp4 is no longer there$"):
        next(read_frames(info))
