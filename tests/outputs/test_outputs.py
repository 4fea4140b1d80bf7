"""Real files of every output kind, written from small generated clips and read back by ffprobe, OpenCV and zipfile."""

import json
import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_cog import __version__
from sam2_cog.masks import mask_union, no_masks
from sam2_cog.media.to_bt709 import Colours
from sam2_cog.media.video import Frame, VideoInfo, probe, read_frames
from sam2_cog.outputs import OUTPUTS, base, output_for
from sam2_cog.outputs.folder_names import LONGEST_BYTES, safe_names
from sam2_cog.outputs.mp4 import COPIED_SOUND, Mp4Output, constant_rate_factor
from sam2_cog.painting.render import Painter, object_colour
from sam2_cog.prompts import FramePrompt, ObjectPrompts
from sam2_cog.request import Request
from tests.clips import CARD, LOSSLESS, children, numbered_frames, probe_times, set_rotation, write_clip, write_raw
from tests.outputs.written import NAMES, copy_clip, decoded, masks_of, packets, spec_for, stream, unpacked, write
from tests.wide_colours import KINDS, PHONE, write_wide_clip

BY_COLOURS = pytest.mark.parametrize("colours", KINDS, ids=lambda kind: f"{kind.transfer} {kind.primaries}")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    """A clip of nine frames, exact to the pixel, with sound."""
    path = tmp_path_factory.mktemp("plain") / "clip é.mkv"
    return probe(write_clip(path, numbered_frames(9, 65, 49), audio_seconds=0.5, start_ms=125, **LOSSLESS))


# --- MP4: frames, times, size, colours -------------------------------------------------------------------------------

Make = Callable[[Path], Path]
CLIPS: dict[str, Make] = {
    "24 fps": lambda folder: write_clip(folder / "s.mp4", numbered_frames(12)),
    "29.97 fps": lambda folder: write_clip(folder / "s.mp4", numbered_frames(9), rate=Fraction(30000, 1001)),
    "variable": lambda folder: write_clip(
        folder / "s.mp4", numbered_frames(9), times_ms=(0, 33, 34, 70, 500, 540, 541, 1900, 1933)
    ),
    "variable and late": lambda folder: write_clip(
        folder / "s.mkv", numbered_frames(4), times_ms=(0, 10, 400, 433), start_ms=700, audio_seconds=2
    ),
    "late": lambda folder: write_clip(folder / "s.mp4", numbered_frames(6), start_ms=500, audio_seconds=1),
    "one frame": lambda folder: write_clip(folder / "s.mp4", numbered_frames(1)),
    "odd size": lambda folder: write_clip(folder / "s.mp4", numbered_frames(4, 65, 49), pix_fmt="yuv444p"),
    "avi": lambda folder: write_clip(
        folder / "s.avi", numbered_frames(5), rate=Fraction(30000, 1001), codec="mpeg4", options=("-bf", "0")
    ),
    "gif": lambda folder: write_clip(folder / "s.gif", numbered_frames(5), rate=10, codec="gif", pix_fmt="rgb8"),
    "transport stream": lambda folder: write_clip(folder / "s.ts", numbered_frames(8), audio_seconds=1),
}


def from_beginning(path: Path) -> list[float]:
    """The times of a clip's frames, from when picture or sound begins, as ffprobe says."""
    times = probe_times(path)
    begins = min(float(stream(path, kind).get("start_time", times[0])) for kind in ("v:0", "a:0"))
    return [time - max(0, begins) for time in times]


@pytest.fixture(params=CLIPS)
def clip(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return CLIPS[request.param](tmp_path)


def test_every_frame_comes_back_at_its_own_time(clip: Path) -> None:
    source = probe(clip)
    result = write(spec_for(source, clip.parent / "out.mp4", mask_type="greenscreen"))
    header = stream(result)
    assert int(header["nb_frames"]) == source.frame_count
    assert probe_times(result) == pytest.approx(from_beginning(clip), abs=0.001)
    if "mp4" in source.container and len(set(np.diff(source.pts))) <= 1:
        assert Fraction(header["r_frame_rate"]) == Fraction(header["avg_frame_rate"]) == source.frame_rate
    command = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(result)]
    end = float(subprocess.run(command, capture_output=True, check=True).stdout)
    average = np.mean(np.diff(source.frame_times)) if source.frame_count > 1 else source.duration_seconds
    assert source.has_audio or end == pytest.approx(source.frame_times[-1] + average, abs=0.002)


def test_the_frames_are_the_painted_ones_in_their_order(plain: VideoInfo, tmp_path: Path) -> None:
    info, (width, height) = plain, (plain.width, plain.height)
    painter = Painter(NAMES, info.width, info.height, "highlighted", "both")
    painted = [painter.paint(frame.image, masks_of(info, frame.index).objects) for frame in read_frames(info)]
    result = decoded(write(spec_for(info, tmp_path / "out.mp4", annotation_type="both", quality=100)))
    for index, image in enumerate(result):
        differences = [np.abs(picture.astype(int) - image[:height, :width]).mean() for picture in painted]
        assert np.argmin(differences) == index
        assert differences[index] < 9  # fine colours lose to 4:2:0


def test_a_clock_that_begins_far_from_zero_begins_at_zero_with_its_sound(tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / "s.ts", numbered_frames(12), start_ms=250, audio_seconds=1, options=("-output_ts_offset", "5000")
    )
    start = float(stream(source, "a")["start_time"])
    assert start > 4000
    result = copy_clip(source, tmp_path / "out.mp4")
    assert probe_times(result) == pytest.approx([time - start for time in probe_times(source)], abs=0.001)
    sound = packets(source)
    assert [time for time, _ in packets(result)] == pytest.approx([time - start for time, _ in sound], abs=0.001)


def test_frames_days_apart_keep_their_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MAX_VIDEO_SECONDS", "9000000")
    source = write_raw(tmp_path / "s.mkv", numbered_frames(4), [0, 864e6, 864e6 + 40, 2.6e9])  # the last after 30 days
    result = copy_clip(source, tmp_path / "out.mp4")
    assert probe_times(result) == pytest.approx([0, 864e3, 864e3 + 0.04, 2.6e6], abs=0.001)


@pytest.mark.parametrize(("width", "height"), [(64, 48), (65, 48), (64, 49), (65, 49), (1, 1)])
def test_an_odd_size_gets_its_last_row_and_column_twice(width: int, height: int, tmp_path: Path) -> None:
    card = np.repeat(numbered_frames(2, 64, 48)[:, :1, :1] // 2 + 90, height, axis=1).repeat(width, axis=2)
    info = probe(write_clip(tmp_path / "s.mkv", card, **LOSSLESS))
    result = write(spec_for(info, tmp_path / "out.mp4", mask_type="greenscreen", quality=100))
    header = stream(result)
    assert (header["width"], header["height"]) == (width + width % 2, height + height % 2)
    assert header["codec_name"] == "h264" and header["pix_fmt"] == "yuv420p"
    kept = decoded(result)[0].astype(int)
    assert np.abs(kept[0] - kept[0, 0]).max() <= 6


@pytest.mark.parametrize(("stored", "turn", "shown"), [("4/3", 0, "4:3"), ("4/3", 90, "3:4"), ("1/1", 0, "1:1")])
def test_the_shape_of_the_pixels_is_kept(stored: str, turn: int, shown: str, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "plain.mp4", numbered_frames(3), options=["-aspect", str(Fraction(stored) * 64 / 48)])
    result = stream(copy_clip(set_rotation(clip, turn), tmp_path / "out.mp4"))
    assert result["sample_aspect_ratio"] == shown


CARD_CLIP = np.repeat(np.repeat(CARD[None, None], 32, axis=1), 32, axis=2)  # columns of 32 pixels


def test_colours_are_kept_and_the_file_says_which_they_are(tmp_path: Path) -> None:
    path = unpainted(write_clip(tmp_path / "s.mkv", CARD_CLIP.repeat(3, axis=0), **LOSSLESS), tmp_path / "out.mp4")
    header = stream(path)
    for tag in ("color_space", "color_primaries", "color_transfer"):
        assert header[tag] == "bt709"
    assert header["color_range"] == "tv"
    centres = np.arange(len(CARD)) * 32 + 16
    assert np.abs(decoded(path)[0][16, centres].astype(int) - CARD).max() <= 3
    assert np.abs(player_frame(path)[16, centres].astype(int) - CARD).max() <= 3


@BY_COLOURS
def test_nothing_of_hdr_is_left_in_a_result(colours: Colours, tmp_path: Path) -> None:
    phone = (*PHONE[:-1], f"{PHONE[-1]}:max-cll=1000,400:master-display=G(1,1)B(1,1)R(1,1)WP(1,1)L(10000000,1)")
    source = write_wide_clip(tmp_path / "s.mp4", CARD_CLIP, colours, phone)
    assert "mastering" in frame_side_data(source).lower()
    path = unpainted(source, tmp_path / "out.mp4")
    header = stream(path)
    for tag in ("color_space", "color_primaries", "color_transfer"):
        assert header[tag] == "bt709"
    assert "mastering" not in frame_side_data(path).lower() and "content light" not in frame_side_data(path).lower()
    centres = np.arange(len(CARD)) * 32 + 16
    assert np.abs(player_frame(path)[16, centres].astype(int) - CARD).max() <= 10


def unpainted(source: Path, path: Path) -> Path:
    """The clip as an MP4 of the best quality, with two objects that are nowhere."""
    info = probe(source)
    with OUTPUTS["mp4"](spec_for(info, path, quality=100)) as output:
        for frame in read_frames(info):
            output.write(frame, no_masks(frame.index, 2, (info.height, info.width)))
    return path


def frame_side_data(path: Path) -> str:
    command = ["ffprobe", "-v", "error", "-show_frames", "-show_streams", str(path)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def player_frame(path: Path) -> np.ndarray:
    """The first frame as ffmpeg converts it by the tags of the file: an opinion from outside the project."""
    info = probe(path)
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-frames:v", "1", "-f", "rawvideo"]
    command += ["-vf", "scale=flags=accurate_rnd+full_chroma_int,format=rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(info.height, info.width, 3)


def test_binary_is_black_and_white(plain: VideoInfo, tmp_path: Path) -> None:
    images = decoded(write(spec_for(plain, tmp_path / "out.mp4", mask_type="binary")))
    for index, image in enumerate(images):
        image = image[: plain.height, : plain.width]
        union = mask_union(masks_of(plain, index).objects, (plain.height, plain.width))
        inside, outside = cv2.erode(union, np.ones((5, 5))) == 255, cv2.dilate(union, np.ones((5, 5))) == 0
        assert image[inside].min() > 240 and image[outside].max() < 15


def test_quality_sets_the_rate_factor_and_so_the_size(plain: VideoInfo, tmp_path: Path) -> None:
    assert [constant_rate_factor(quality) for quality in (1, 50, 80, 100)] == [51, 32, 20, 12]
    sizes = [write(spec_for(plain, tmp_path / f"{q}.mp4", quality=q)).stat().st_size for q in (1, 50, 100)]
    assert sizes[0] < sizes[1] < sizes[2] * 0.9


def test_the_index_lies_before_the_pictures_so_that_playing_can_begin_at_once(plain: VideoInfo, tmp_path: Path) -> None:
    content = write(spec_for(plain, tmp_path / "out.mp4")).read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


# --- MP4: every n-th frame, another rate -----------------------------------------------------------------------------


def test_every_fourth_frame_keeps_its_time_and_the_sound_goes(plain: VideoInfo, tmp_path: Path) -> None:
    with output_for("mp4", spec_for(plain, tmp_path / "out.mp4", frame_interval=4)) as output:
        for frame in read_frames(plain):
            output.write(frame, masks_of(plain, frame.index))
    assert probe_times(output.spec.path) == pytest.approx(probe_times(plain.path)[::4], abs=0.001)
    assert not stream(output.spec.path, "a")
    assert output.notes == ["The sound is left out, because frames are left out or shown at another rate."]


@pytest.mark.parametrize(("interval", "rate"), [(1, Fraction(60000, 1001)), (2, Fraction(10))])
def test_a_rate_changes_the_times_but_not_the_frames(interval: int, rate: Fraction, tmp_path: Path) -> None:
    clip = CLIPS["variable and late"](tmp_path)
    result = copy_clip(clip, tmp_path / "out.mp4", frame_interval=interval, frame_rate=rate)
    count = len(range(0, 4, interval))
    assert probe_times(result) == pytest.approx([float(index / rate) for index in range(count)], abs=0.001)
    assert Fraction(stream(result)["avg_frame_rate"]) == rate
    assert not stream(result, "a")


def test_asking_for_the_rate_that_the_clip_has_changes_nothing(tmp_path: Path) -> None:
    clip = CLIPS["late"](tmp_path)
    result = copy_clip(clip, tmp_path / "out.mp4", frame_rate=Fraction(24))
    assert probe_times(result) == pytest.approx(probe_times(clip), abs=0.001)
    assert packets(result) == packets(clip)


@pytest.mark.parametrize("asked", [Request(Path("s.mp4"), "[1,1]", video_fps=29.97).frame_rate, Fraction(2997, 100)])
def test_a_long_clip_with_its_own_rate_keeps_its_sound(asked: Fraction, tmp_path: Path) -> None:
    frames = numbered_frames(35 * 30, 16, 12)
    clip = write_clip(tmp_path / "s.mp4", frames, rate=Fraction(30000, 1001), audio_seconds=35)
    result = copy_clip(clip, tmp_path / "out.mp4", frame_rate=asked)
    assert packets(result) == packets(clip)
    assert probe_times(result) == pytest.approx(probe_times(clip), abs=1e-5)


# --- MP4: sound ------------------------------------------------------------------------------------------------------

SOUNDS = [  # of a clip of half a second: shorter and longer than the picture
    ("mp4", "aac", 1.5),
    ("mp4", "libmp3lame", 0.3),
    ("mp4", "ac3", 1.5),
    ("mov", "alac", 0.3),
    ("mkv", "aac", 0.3),
    ("mkv", "libopus", 1.5),
    ("mkv", "flac", 0.3),
    ("mkv", "eac3", 0.3),
    ("mkv", "libvorbis", 1.5),
    ("avi", "libmp3lame", 1.5),
]


@pytest.mark.parametrize(("container", "codec", "sound_seconds"), SOUNDS)
def test_sound_is_copied_packet_for_packet(container: str, codec: str, sound_seconds: float, tmp_path: Path) -> None:
    if not Mp4Output.sound.keeps(codec):
        pytest.skip(f"this ffmpeg puts no {codec} into an MP4")
    source = write_clip(
        tmp_path / f"s.{container}",
        numbered_frames(12),
        audio_seconds=sound_seconds,
        options=("-c:a", codec, "-bf", "0"),
    )
    result = copy_clip(source, tmp_path / "out.mp4")
    before, after = packets(source), packets(result)
    assert [content for _, content in after] == [content for _, content in before]
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=0.001)
    assert stream(result, "a")["codec_name"] in COPIED_SOUND
    assert probe_times(result) == pytest.approx(probe_times(source), abs=0.001)


@pytest.mark.parametrize(("container", "codec"), [("mov", "pcm_s16le"), ("avi", "adpcm_ima_wav"), ("mkv", "wmav2")])
def test_sound_that_mp4_cannot_hold_becomes_aac(container: str, codec: str, tmp_path: Path) -> None:
    source = write_clip(tmp_path / f"s.{container}", numbered_frames(6), audio_seconds=1, options=("-c:a", codec))
    result = stream(copy_clip(source, tmp_path / "out.mp4"), "a")
    assert result["codec_name"] == "aac" and float(result["duration"]) == pytest.approx(1, abs=0.1)


def test_all_sound_tracks_are_kept(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "s.mkv", numbered_frames(6), audio_seconds=0.5, options=("-c:a", "aac"))
    both = tmp_path / "both.mkv"
    command = ["ffmpeg", "-v", "error", "-i", str(source), "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy"]
    subprocess.run([*command, "-c:a:1", "pcm_s16le", str(both)], check=True)
    result = copy_clip(both, tmp_path / "out.mp4")
    assert [content for _, content in packets(result, "a:0")] == [content for _, content in packets(both, "a:0")]
    assert stream(result, "a:1")["codec_name"] == "aac"


def test_a_clip_with_an_odd_name_is_opened_as_that_file_alone(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "s.mp4", numbered_frames(4), audio_seconds=0.5)
    odd = source.rename(tmp_path / "-i concat:%d 'x'.mp4")
    result = copy_clip(odd, tmp_path / "pipe:%03d: out.mp4")
    assert packets(result) == packets(odd)


# --- archives --------------------------------------------------------------------------------------------------------


def read_image(content: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return np.asarray(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


@pytest.mark.parametrize(("output_format", "interval"), [("png", 1), ("webp", 4), ("jpg", 1)])
def test_binary_archives_hold_exact_masks_by_object_and_frame(
    output_format: str, interval: int, plain: VideoInfo, tmp_path: Path
) -> None:
    spec = spec_for(plain, tmp_path / "out.zip", mask_type="binary", frame_interval=interval)
    with zipfile.ZipFile(write(spec, output_format)) as archive:
        assert archive.testzip() is None
        frames = range(0, 9, interval)
        files = {f"masks/{name}/{number:05d}.png" for name in NAMES for number in range(len(frames))}
        assert set(archive.namelist()) == files | {"manifest.json"}
        for number, index in enumerate(frames):
            for name, mask in zip(NAMES, masks_of(plain, index).array(), strict=True):
                image = read_image(archive.read(f"masks/{name}/{number:05d}.png"))
                assert image.ndim == 2 and (image == mask * np.uint8(255)).all()


@pytest.mark.parametrize(("output_format", "tolerance"), [("png", 0), ("webp", 12), ("jpg", 12)])
@pytest.mark.parametrize("mask_type", ["highlighted", "greenscreen"])
def test_other_archives_hold_the_painted_frames(
    output_format: str, tolerance: float, mask_type: Any, plain: VideoInfo, tmp_path: Path
) -> None:
    info = plain
    spec = spec_for(info, tmp_path / "out.zip", mask_type=mask_type, annotation_type="both", quality=95)
    painter = Painter(NAMES, info.width, info.height, mask_type, "both")
    with zipfile.ZipFile(write(spec, output_format)) as archive:
        for frame in read_frames(info):
            image = read_image(archive.read(f"frames/{frame.index:05d}.{output_format}"))
            painted = painter.paint(frame.image, masks_of(info, frame.index).objects)
            assert np.abs(image.astype(int) - painted).mean() <= tolerance


@pytest.mark.parametrize("output_format", ["webp", "jpg"])
def test_quality_sets_the_size_of_lossy_pictures(output_format: str, plain: VideoInfo, tmp_path: Path) -> None:
    sizes = []
    for quality in (1, 50, 100):
        spec = spec_for(plain, tmp_path / f"{quality}.zip", quality=quality)
        sizes.append(write(spec, output_format).stat().st_size)
    assert sizes == sorted(set(sizes))


def test_manifest_says_what_was_found_where(plain: VideoInfo, tmp_path: Path) -> None:
    info = replace(plain, frame_rate=Fraction(30000, 1001))
    click = FramePrompt(3, ((1.5, 2.0),), (1,), (0.0, 0.0, 9.0, 9.0))
    spec = replace(
        spec_for(info, tmp_path / "out.zip", mask_type="binary", frame_interval=2),
        model="demo",
        inputs={"output_quality": 80},
        prompts=(ObjectPrompts("a/b", 0, (click,), ()), ObjectPrompts("Änne", 1, (), ())),
    )
    with zipfile.ZipFile(write(replace(spec, names=("a/b", "Änne")), "png")) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["model"] == "demo" and manifest["request"] == {"output_quality": 80}
    assert manifest["versions"]["sam2-cog"] == __version__ and manifest["versions"]["ffmpeg"][0].isdigit()
    clicked = {
        "frame": 3,
        "correction": False,
        "points": [[1.5, 2.0]],
        "labels": [1],
        "box": [0, 0, 9, 9],
        "mask_area": None,
    }
    assert manifest["video"] == {
        "name": "clip é.mkv",
        "width": 65,
        "height": 49,
        "frame_rate": "30000/1001",
        "frame_count": 9,
        "duration_seconds": pytest.approx(9 / 24, abs=2e-3),
    }
    colours = ["#{:02x}{:02x}{:02x}".format(*object_colour(index)) for index in (0, 1)]
    assert manifest["objects"] == [
        {"index": 0, "name": "a/b", "colour": colours[0], "folder": "masks/a_b", "prompts": [clicked]},
        {"index": 1, "name": "Änne", "colour": colours[1], "folder": "masks/Änne", "prompts": []},
    ]
    assert [(frame["number"], frame["frame"]) for frame in manifest["frames"]] == list(enumerate(range(0, 9, 2)))
    for entry in manifest["frames"]:
        found = masks_of(info, entry["frame"])
        assert entry["time_seconds"] == pytest.approx(info.frame_times[entry["frame"]], abs=1e-5)
        for index, seen in enumerate(entry["objects"]):
            box = found.objects[index].box
            assert (seen["index"], seen["area"]) == (index, found.objects[index].area)
            assert seen["box"] == (None if box is None else list(box))
            assert seen["score"] == pytest.approx(float(found.scores[index]), abs=1e-4)
            assert {"visible", "centroid", "presence", "area_change", "iou_before"} < set(seen)
    assert any(entry["objects"][1]["box"] is None for entry in manifest["frames"])


def test_manifest_without_mask_folders_names_none(plain: VideoInfo, tmp_path: Path) -> None:
    with zipfile.ZipFile(write(spec_for(plain, tmp_path / "out.zip"), "jpg")) as archive:
        assert [entry["folder"] for entry in json.loads(archive.read("manifest.json"))["objects"]] == [None, None]


def test_the_same_request_gives_the_same_archive(plain: VideoInfo, tmp_path: Path) -> None:
    first, second = (write(spec_for(plain, tmp_path / name), "png").read_bytes() for name in ("1.zip", "2.zip"))
    assert first == second


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (("dog", "cat"), ("dog", "cat")),
        (("dog", "Dog", "dog_2"), ("dog", "Dog_2", "dog_2_2")),
        (("..", "../../etc/passwd", "a\\b"), ("object_1", "_.._etc_passwd", "a_b")),
        (("C:", " x. ", ".hidden"), ("C_", "x", "hidden")),
        (("CON", "nul.txt", "LPT1"), ("CON_", "nul.txt_", "LPT1_")),
        (("犬", "Möwe", "\u202eevil", "a\x00b"), ("犬", "Möwe", "_evil", "a_b")),
        (("", " ", "..."), ("object_1", "object_2", "object_3")),
        (("object_2", ""), ("object_2", "object_2_2")),
    ],
)
def test_folder_names(names: tuple[str, ...], folders: tuple[str, ...]) -> None:
    assert safe_names(names) == folders


HARD_NAMES = ("../../etc/passwd", "CON", "\N{DOG FACE}" * 64, "dog", "Dog", "a/b", "a_b")


@pytest.mark.parametrize("output_format", ["png", "mp4"])
def test_hard_names_are_safe_and_distinct_and_told_in_the_manifest(
    output_format: str, plain: VideoInfo, tmp_path: Path
) -> None:
    spec = replace(spec_for(plain, tmp_path / "out.zip", mask_type="binary", separate_objects=True), names=HARD_NAMES)
    with output_for(output_format, spec) as output:
        for frame in read_frames(plain, 0, 1):
            output.write(frame, no_masks(frame.index, len(HARD_NAMES), (plain.height, plain.width)))
    folder = unpacked(spec.path)
    objects = json.loads((folder / "manifest.json").read_text())["objects"]
    assert [one["name"] for one in objects] == list(HARD_NAMES)
    places = [(folder / one["folder"]).resolve() for one in objects]
    assert len({str(place).casefold() for place in places}) == len(HARD_NAMES)
    assert all(place.exists() and folder.resolve() in place.parents for place in places)
    assert {path.name for path in tmp_path.iterdir()} == {"out.zip", "out"}


@given(st.lists(st.text(max_size=64), max_size=12))
def test_folder_names_are_safe_and_distinct_whatever_the_names_are(names: list[str]) -> None:
    folders = safe_names(names)
    assert len(folders) == len(names)
    assert len({folder.casefold() for folder in folders}) == len(names)
    for folder in folders:
        assert folder and folder not in (".", "..") and not set(folder) & set('/\\:*?"<>|\0')
        assert folder == folder.strip(". ") and len(folder.encode("utf-8")) <= LONGEST_BYTES + 4
        assert all(ord(c) >= 32 for c in folder)


# --- when something goes wrong ---------------------------------------------------------------------------------------


class Cancelled(BaseException):
    """What a runner throws to stop a prediction; not an `Exception`, so that nothing catches it on the way."""


@pytest.fixture
def no_process_left() -> Iterator[None]:
    yield
    assert children() == []


@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize("output_format", OUTPUTS)
@pytest.mark.parametrize(("error", "frames"), [(Cancelled(), 3), (ValueError("bad"), 0)])
def test_nothing_stays_behind_after_an_error_or_a_cancel(
    output_format: str, error: BaseException, frames: int, plain: VideoInfo, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    target.write_text("an earlier result")
    with pytest.raises(type(error)), OUTPUTS[output_format](spec_for(plain, target)) as output:
        for frame in read_frames(plain, 0, frames):
            output.write(frame, masks_of(plain, frame.index))
        raise error
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert target.read_text() == "an earlier result"


@pytest.mark.parametrize("output_format", ["mp4", "png"])
def test_of_two_runs_with_the_same_output_the_last_to_finish_wins(
    output_format: str, plain: VideoInfo, tmp_path: Path
) -> None:
    spec = spec_for(plain, tmp_path / f"out{OUTPUTS[output_format].suffix}")
    whole = write(spec, output_format).read_bytes()
    spec.path.unlink()
    frames = list(read_frames(plain))
    with OUTPUTS[output_format](spec) as last:
        with OUTPUTS[output_format](replace(spec, mask_type="binary")) as first:
            for frame in frames:
                for output in (first, last):
                    output.write(frame, masks_of(plain, frame.index))
        assert spec.path.exists() and spec.path.read_bytes() != whole
    assert spec.path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [spec.path]


@pytest.mark.skipif(not os.path.ismount("/sys"), reason="needs a folder that even root cannot write to")
def test_what_cannot_be_written_is_said_without_hidden_names(plain: VideoInfo) -> None:
    with pytest.raises(OSError) as error, OUTPUTS["png"](spec_for(plain, Path("/sys/out.zip"))):
        pass
    assert str(error.value).startswith("out.zip cannot be written: ")
    assert "Errno" not in str(error.value) and ".part" not in str(error.value)


@pytest.mark.parametrize("output_format", OUTPUTS)
def test_a_folder_that_does_not_exist_is_named(output_format: str, plain: VideoInfo, tmp_path: Path) -> None:
    spec = spec_for(plain, tmp_path / "missing" / "out.bin")
    with (
        pytest.raises(OSError, match=r"^out\.bin cannot be written: No such file"),
        OUTPUTS[output_format](spec) as o,
    ):
        for frame in read_frames(plain):
            o.write(frame, masks_of(plain, frame.index))


@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize("output_format", ["mp4", "png"])
def test_a_full_disk_is_said_so(
    output_format: str, plain: VideoInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (plain.height, plain.width, 3), dtype=np.uint8)
    monkeypatch.setattr(base, "token_hex", lambda length: "0")
    monkeypatch.setattr(base, "hold", lambda part: os.open(os.devnull, os.O_RDONLY))  # which follows no link
    (tmp_path / ".sam2-cog-0.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"^out\.bin cannot be written: .*No space left"):  # noqa: SIM117
        with OUTPUTS[output_format](spec_for(plain, tmp_path / "out.bin", quality=100)) as output:
            for frame in read_frames(plain):
                output.write(Frame(frame.index, frame.time_seconds, noise), masks_of(plain, frame.index))
    assert {path.name for path in tmp_path.iterdir()} == set()


@pytest.mark.usefixtures("no_process_left")
def test_an_ffmpeg_that_dies_is_reported(plain: VideoInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\ncase $* in *-h*) exec /usr/bin/env true;; esac\necho 'it hurts' >&2; exit 3\n")
    program.chmod(0o755)
    frames = list(read_frames(plain))
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    with pytest.raises(OSError, match=r"^out\.mp4 cannot be written: ffmpeg stopped: it hurts"):  # noqa: SIM117
        with OUTPUTS["mp4"](spec_for(replace(plain, has_audio=False), tmp_path / "out.mp4")) as output:
            for frame in frames:
                output.write(frame, masks_of(plain, frame.index))
    assert {path.name for path in tmp_path.iterdir()} == {"bin"}


def test_without_ffmpeg_the_message_says_so(plain: VideoInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    spec = spec_for(replace(plain, has_audio=False), tmp_path / "out.mp4")
    with pytest.raises(OSError, match="ffmpeg is not installed"):
        OUTPUTS["mp4"](spec).__enter__()
