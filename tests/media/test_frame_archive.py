"""Folders and zips of frames of every kind, animations and stacks: what is read, in which order, what is refused."""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sam2_cog.errors import UnreadableVideo
from sam2_cog.media import frame_archive, image_file
from sam2_cog.media.frame_archive import probe_images
from sam2_cog.media.video import probe, read_frames
from tests.clips import encode_image, frame_number, frame_zip, numbered_frames, write_zip

FRAMES = numbered_frames(4)


def fill(folder: Path, entries: dict[str, bytes]) -> Path:
    """A folder with these files."""
    folder.mkdir()
    for name, content in entries.items():
        (folder / name).write_bytes(content)
    return folder


def images_of(path: Path, start: int = 0, stop: int | None = None) -> np.ndarray:
    return np.stack([frame.image for frame in read_frames(probe(path), start, stop)])


def numbers(path: Path) -> list[int]:
    return [frame_number(image) for image in images_of(path)]


def laid_out(path: Path, entries: dict[str, bytes], container: str) -> Path:
    """A zip or a folder of these files."""
    if container == "zip":
        return write_zip(path, list(entries.items()))
    for name, content in entries.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableVideo) as error:
        probe(path)
    message = str(error.value)
    assert message.startswith(f"video: {path.name} ") and "\n" not in message and str(path) not in message
    return message.removeprefix(f"video: {path.name} ")


# Folders


def test_a_folder_is_read_as_a_zip_is(tmp_path: Path) -> None:
    entries = {f"frame{number}.png": encode_image(FRAMES[number]) for number in (2, 0, 3, 1)}
    folder = fill(tmp_path / "shot", entries)
    (folder / "more").mkdir()
    info = probe(folder, Fraction(12))
    assert (info.container, info.codec, info.frame_count, info.frame_rate) == ("folder", "png", 4, 12)
    assert numbers(folder) == [0, 1, 2, 3]
    assert np.array_equal(images_of(folder, 1, 3), FRAMES[1:3])
    assert (info.duration_seconds, info.notes) == (pytest.approx(1 / 3), ())
    assert numbers(write_zip(tmp_path / "shot.zip", list(entries.items()))) == [0, 1, 2, 3]


@pytest.mark.parametrize("container", ["zip", "folder"])
def test_frames_may_lie_in_a_folder_of_their_own(tmp_path: Path, container: str) -> None:
    """As in a zip that was made of their folder, and in what it is unpacked to."""
    entries = {f"bear/{number:05}.png": encode_image(FRAMES[number]) for number in (2, 0, 1)} | {"README.md": b"x"}
    path = laid_out(tmp_path / "bears", entries, container)
    assert (numbers(path), probe(path).frame_count) == ([0, 1, 2], 3)
    assert np.array_equal(images_of(path, 1, 2), FRAMES[1:2])
    assert probe(path).notes == ("video: bears holds 1 other file, which was ignored (README.md)",)


@pytest.mark.parametrize("container", ["zip", "folder"])
def test_frames_in_several_folders_are_refused(tmp_path: Path, container: str) -> None:
    image = encode_image(FRAMES[0])
    path = laid_out(
        tmp_path / "JPEGImages", {"bear/0.png": image, "bus/0.png": image, ".thumbs/0.png": image}, container
    )
    assert refusal(path) == "holds images in more than one folder, but the frames must lie in a single one"


def test_beside_its_frames_a_folder_may_hold_others(tmp_path: Path) -> None:
    """Such as masks, results or another clip."""
    entries = {name: encode_image(FRAMES[0]) for name in ("0.png", "masks/0.png", "masks/1.png", ".thumbs/0.png")}
    assert probe(laid_out(tmp_path / "shot", entries, "folder")).frame_count == 1


def test_the_order_of_ten_and_two(tmp_path: Path) -> None:
    frames = numbered_frames(12)
    folder = fill(tmp_path / "shot", {f"{number}.png": encode_image(frame) for number, frame in enumerate(frames)})
    assert numbers(folder) == list(range(12))


def test_what_only_begins_as_an_image_is_refused_without_words_of_python(tmp_path: Path) -> None:
    (raw := tmp_path / "photo.cr2").write_bytes(b"II*\0\x10\0\0\0CR" + bytes(200))
    assert refusal(raw) == "cannot be decoded: cannot identify image file"


def test_a_folder_is_refused_as_a_zip_is(tmp_path: Path) -> None:
    small = encode_image(FRAMES[0][:40])
    folder = fill(tmp_path / "shot", {})
    assert refusal(folder) == "is a folder without a video or a JPEG, PNG, WebP, BMP, TIFF or AVIF image"
    (folder / "0.png").write_bytes(encode_image(FRAMES[0]))
    (folder / "1.png").write_bytes(small)
    assert refusal(folder) == "holds an image of 64x40 (1.png), but its first is 64x48; all must be equal"
    (folder / "1.png").write_bytes(b"no image")
    assert refusal(folder).startswith("holds an image that cannot be decoded (1.png)")


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    """A pipe would wait for a writer for ever."""
    folder = fill(tmp_path / "shot", {"0.png": encode_image(FRAMES[0])})
    os.mkfifo(folder / "1.png")
    (folder / "2.png").symlink_to(folder / "nowhere.png")
    assert numbers(folder) == [0]


# Formats


@pytest.mark.parametrize("suffix", ["bmp", "tif", "TIFF", "avif", "webp", "jpeg"])
def test_frames_of_other_formats(tmp_path: Path, suffix: str) -> None:
    kind = str(image_file.kind_by_name(f"a.{suffix}"))
    exact: dict[str, Any] = {"quality": 100} if kind in ("JPEG", "AVIF") else {"lossless": True}
    path = write_zip(
        tmp_path / "a.zip",
        [(f"{index}.{suffix}", encode_image(frame, kind, **exact)) for index, frame in enumerate(FRAMES)],
    )
    assert numbers(path) == [0, 1, 2, 3]
    assert probe(path).codec == kind.lower()
    (tmp_path / "one").write_bytes(encode_image(FRAMES[2], kind, **exact))
    assert numbers(tmp_path / "one") == [2]
    if kind in ("BMP", "TIFF", "WEBP"):
        assert np.array_equal(images_of(path), FRAMES)


def test_formats_may_be_mixed(tmp_path: Path) -> None:
    """Every second frame of such a folder was once dropped without a word."""
    kinds = ("PNG", "BMP", "TIFF", "WEBP")
    folder = fill(
        tmp_path / "shot",
        {
            f"{index}.{kind.lower()}": encode_image(FRAMES[index], kind, lossless=True)
            for index, kind in enumerate(kinds)
        },
    )
    assert numbers(folder) == [0, 1, 2, 3] and probe(folder).notes == ()


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64).round().astype(np.uint16)[None].repeat(48, axis=0)
    grey = (ramp / 257).round().astype(np.uint8)
    for kind in ("TIFF", "PNG"):
        Image.fromarray(ramp).save(tmp_path / "deep", kind)
        assert np.array_equal(images_of(tmp_path / "deep")[0], np.repeat(grey[..., None], 3, axis=2)), kind
    tifffile = pytest.importorskip("tifffile")
    colours = FRAMES[0].astype(np.uint16) * 257
    for order in "<>":
        tifffile.imwrite(tmp_path / "deep", colours, byteorder=order, photometric="rgb")
        assert np.array_equal(images_of(tmp_path / "deep")[0], FRAMES[0]), order


@pytest.mark.parametrize("values", [np.float32, np.int32])
def test_values_without_a_range_are_refused(tmp_path: Path, values: type) -> None:
    Image.fromarray(FRAMES[0][..., 0].astype(values)).save(tmp_path / "a.tif")
    assert "values of 32 bits have no known range; save it with 8 or 16 bits" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("name", "head", "called"),
    [
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC image"),
        ("a.jxl", b"\xff\x0a" + b"\0" * 20, "a JPEG XL image"),
        ("b.jxl", b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 20, "a JPEG XL image"),
    ],
)
def test_a_format_that_cannot_be_read_is_named_with_the_way_out(
    tmp_path: Path, name: str, head: bytes, called: str
) -> None:
    sentence = f"{called}, which cannot be read here; save it as JPEG or PNG"
    (tmp_path / name).write_bytes(head)
    assert refusal(tmp_path / name) == f"is {sentence}"
    path = write_zip(tmp_path / "a.zip", [("0.png", encode_image(FRAMES[0])), (name, head)])
    assert refusal(path) == f"holds {sentence} ({name})"


def test_avif_without_its_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.avif").write_bytes(encode_image(FRAMES[0], "AVIF"))
    monkeypatch.setattr(image_file.features, "check", lambda name: False)
    assert refusal(tmp_path / "a.avif") == "is an AVIF image, which cannot be read here; save it as JPEG or PNG"


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", ["TIFF", "AVIF"])
def test_a_turned_image_stands_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    """How many quarters anticlockwise the stored picture has to be turned to stand upright: EXIF 2.32, 4.6.4."""
    quarters = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(np.rot90(FRAMES[3], -quarters))
    (tmp_path / "a").write_bytes(encode_image(stored, kind, exif=exif, quality=100))
    assert probe(tmp_path / "a").width == 64
    assert numbers(tmp_path / "a") == [3]


# Many pictures in one file


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_an_animation_is_a_clip_with_its_own_times(tmp_path: Path, kind: str) -> None:
    first, *rest = (Image.fromarray(frame) for frame in FRAMES)
    path = tmp_path / "a"
    first.save(path, kind, save_all=True, append_images=rest, duration=[40, 100, 20, 40], quality=100, lossless=True)
    info = probe(path, Fraction(60))
    assert (info.container, info.frame_count, info.frame_rate) == ("image", 4, 20)
    assert list(info.frame_times) == pytest.approx([0, 0.04, 0.14, 0.16])
    assert info.duration_seconds == pytest.approx(0.2)
    assert numbers(path) == [0, 1, 2, 3]
    assert [frame_number(image) for image in images_of(path, 2, 4)] == [2, 3]


def test_a_stack_of_pages_is_a_clip(tmp_path: Path) -> None:
    first, *rest = (Image.fromarray(frame) for frame in FRAMES)
    first.save(tmp_path / "a.tif", save_all=True, append_images=rest)
    info = probe(tmp_path / "a.tif", Fraction(8))
    assert (info.frame_count, info.frame_rate, info.duration_seconds) == (4, 8, 0.5)
    assert np.array_equal(images_of(tmp_path / "a.tif"), FRAMES)
    assert np.array_equal(images_of(tmp_path / "a.tif", 1, 3), FRAMES[1:3])


def test_an_animation_in_a_zip_is_refused(tmp_path: Path) -> None:
    first, *rest = (Image.fromarray(frame) for frame in FRAMES)
    first.save(tmp_path / "a.webp", save_all=True, append_images=rest)
    path = write_zip(tmp_path / "a.zip", [("a.webp", (tmp_path / "a.webp").read_bytes())])
    assert refusal(path) == "holds an animated WEBP image (a.webp), but only still ones are allowed here"


def test_the_second_picture_of_a_photo_is_no_frame(tmp_path: Path) -> None:
    """Telephones put a preview or a depth map behind the photo (MPO); the photo was refused for that once."""
    photo, preview = Image.fromarray(FRAMES[1]), Image.fromarray(FRAMES[2])
    photo.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[preview], quality=95)
    assert numbers(tmp_path / "a.jpg") == [1]


# Damage


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("container", ["zip", "folder", "image"])
def test_a_damaged_image_is_found_before_any_frame_is_read(tmp_path: Path, kind: str, container: str) -> None:
    content = encode_image(numbered_frames(1, 640, 480)[0], kind)
    names = {"0": content, "1": content[: len(content) * 3 // 5]}
    path = tmp_path / "a"
    if container == "zip":
        write_zip(path, [(f"{name}.{kind.lower()}", data) for name, data in names.items()])
    elif container == "folder":
        fill(path, {f"{name}.{kind.lower()}": data for name, data in names.items()})
    else:
        path.write_bytes(names["1"])
    assert "cannot be decoded" in refusal(path)


def test_headers_are_read_without_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(image: Image.Image) -> None:
        raise AssertionError("an image was decoded")

    path = frame_zip(tmp_path / "a.zip", FRAMES)
    whole = probe_images(path)
    monkeypatch.setattr(frame_archive, "require_usable", forbidden)
    assert probe_images(path, headers_only=True) == whole
    with pytest.raises(UnreadableVideo, match="an image was decoded"):
        probe_images(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF"])
def test_noise_in_an_image_never_raises_anything_else(tmp_path: Path, kind: str) -> None:
    source = np.random.default_rng(7)
    whole = np.frombuffer(encode_image(FRAMES[0], kind), np.uint8)
    for _ in range(60):
        data = whole.copy()
        places = source.integers(0, min(len(data), source.choice([64, 400, len(data)])), 6)
        data[places] = source.integers(0, 256, 6)
        (tmp_path / "a").write_bytes(data.tobytes())
        try:
            images_of(tmp_path / "a")
        except UnreadableVideo as error:
            assert "\n" not in str(error)


def test_frames_that_change_after_probing_are_no_shorter_clip(tmp_path: Path) -> None:
    """Such a run once ended early, with a whole file of fewer frames."""
    folder = fill(tmp_path / "shot", {f"{index}.png": encode_image(frame) for index, frame in enumerate(FRAMES)})
    info = probe(folder)
    changed = r"^video: shot was changed while it was read: frame {} is gone or of another size$"
    (folder / "3.png").write_bytes(encode_image(FRAMES[3][:40]))
    with pytest.raises(UnreadableVideo, match=changed.format(3)):
        list(read_frames(info))
    (folder / "0.png").unlink()
    (folder / "3.png").write_bytes(encode_image(FRAMES[3]))
    with pytest.raises(UnreadableVideo, match=changed.format(3)):
        list(read_frames(info))


# Names


@pytest.mark.parametrize(
    "names",
    [
        ["-10.png", "-2.png", "-1.png", "0.png", "1.png", "10.png"],
        ["shot_-0002.png", "shot_-0001.png", "shot_0000.png", "shot_0001.png"],
        ["2024-01-05.png", "2024-01-06.png", "2024-02-01.png"],
        ["f9.png", f"f{'9' * 250}.png"],
        ["1.png", f"1{'0' * 5000}.png", f"1{'0' * 4999}1.png", f"2{'0' * 5000}.png"],
        ["a.png", "a1.png", "A2.png", "a10.png"],
    ],
)
def test_names_sort_by_their_numbers(tmp_path: Path, names: list[str]) -> None:
    content = encode_image(FRAMES[0])
    path = write_zip(tmp_path / "a.zip", [(name, content) for name in reversed(names)])
    files = [frame_archive.PackedFile(name, 0, bytes) for name in reversed(names)]
    assert [file.name for file in frame_archive._numbered(path, "zip", files)] == names
    assert probe(path).frame_count == len(names)


@given(st.lists(st.text(min_size=1, max_size=30), max_size=6))
def test_any_names_can_be_sorted(names: list[str]) -> None:
    ordered = sorted(names, key=frame_archive.natural_key)
    assert sorted(ordered) == sorted(names)


@given(st.lists(st.integers(-(10**30), 10**30), unique=True), st.sampled_from(["", "shot_", "a1_"]))
def test_whole_numbers_sort_as_numbers(values: list[int], prefix: str) -> None:
    names = sorted((f"{prefix}{value}.png" for value in values), key=frame_archive.natural_key)
    assert names == [f"{prefix}{value}.png" for value in sorted(values)]


# What is passed over


@pytest.mark.parametrize("container", ["zip", "folder"])
def test_files_that_are_no_frames_are_counted(tmp_path: Path, container: str) -> None:
    entries = {"0.png": encode_image(FRAMES[0]), "notes.txt": b"x", ".DS_Store": b"x"}
    sentences = [
        "holds 1 other file, which was ignored (notes.txt)",
        "holds 2 other files, which were ignored (Me\n.md, ...)",
    ]
    for number, sentence in enumerate(sentences):
        path = tmp_path / f"{number}"
        if container == "zip":
            write_zip(path, [*entries.items(), ("__MACOSX/._0.png", b"x")])
        else:
            fill(path, entries)
        assert probe(path).notes == (f"video: {path.name} {sentence}".replace("\n", "?"),)
        entries["Me\n.md"] = b"x"


def test_a_clean_clip_has_nothing_to_say(tmp_path: Path) -> None:
    clip = probe_images(frame_zip(tmp_path / "a.zip", FRAMES))
    assert clip is not None and clip.notes == ()
