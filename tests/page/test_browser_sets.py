"""Separate images and shots in a real Chromium: each frame in its own size, from a click to the result."""

import io
import json
import shlex
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sam2_cog.__main__ import main
from sam2_cog.engine.model import LoadedModel
from sam2_cog.page.desk import Desk
from sam2_cog.page.routes import page_application
from tests.clips import encode_image, write_clip, write_zip
from tests.http_server import running
from tests.page.disc import LOSSLESS
from tests.page.test_browser import copied

pytest.importorskip("playwright", reason="the package playwright is not installed: pip install -e '.[dev]'")
from tests.page.browser import CHROMIUM, User, chromium

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium")

SIDES = {"bay.png": (96, 64), "cliff.png": (48, 80), "dune é.png": (120, 40)}
NAMES = tuple(SIDES)


def disc(width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8 RGB: a bright disc in the middle of a dark ground."""
    picture = np.full((height, width, 3), (30, 50, 70), np.uint8)
    cv2.circle(picture, (width // 2, height // 2), min(width, height) // 3, (240, 200, 60), -1)
    return picture


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A zip of images, one of shots, and a clip."""
    folder = tmp_path_factory.mktemp("sets")
    clips = [
        write_clip(folder / f"{number}.mp4", np.stack([disc(*side)] * 3), **LOSSLESS)
        for number, side in enumerate([(96, 64), (48, 80)])
    ]
    return {
        "images": write_zip(folder / "photos.zip", [(name, encode_image(disc(*side))) for name, side in SIDES.items()]),
        "shots": write_zip(folder / "shots.zip", [(clip.name, clip.read_bytes()) for clip in clips]),
        "clip": clips[0],
    }


@pytest.fixture(scope="module")
def user(demo_model: LoadedModel) -> Iterator[User]:
    desk = Desk(lambda: demo_model)
    with running(page_application(desk, "demo")) as address, chromium() as browser:
        context = browser.new_context(
            viewport={"width": 1280, "height": 720}, permissions=["clipboard-read", "clipboard-write"]
        )
        one = User(context.new_page(), address.url, desk)
        yield one
        assert one.complaints == []


def see_size(user: User, width: int, height: int) -> None:
    """The frame that is shown has this size, lies within the stage, and its last pixel is where it is seen."""
    user.see("#clip", f"{width}\N{MULTIPLICATION SIGN}{height}")
    user.settle()
    left, top, sx, sy = user.place
    stage = user.page.locator("#stage").bounding_box()
    assert stage is not None and sx == pytest.approx(sy)
    assert stage["x"] <= left + 0.01 and left + width * sx <= stage["x"] + stage["width"] + 0.01
    assert stage["y"] <= top + 0.01 and top + height * sy <= stage["y"] + stage["height"] + 0.01
    seen = user.picture(width, height)
    assert np.abs(seen[::7, ::7].astype(int) - disc(width, height)[::7, ::7]).mean() < 8
    user.page.mouse.move(*user.at(width - 1, height - 1))
    assert user.text("#pixel") == f"[{width - 1},{height - 1}]"


def download(user: User) -> bytes:
    with user.page.expect_download() as coming, user.until_more("worked"):
        user.press("d")
    return Path(coming.value.path()).read_bytes()


def by_command(user: User, folder: Path) -> bytes:
    """What the copied command writes."""
    (word, *arguments) = shlex.split(copied(user, "Command line"))
    output = folder / arguments[-1]
    assert word == "sam2-cog" and main([*arguments[:-1], str(output)]) == 0
    return output.read_bytes()


def test_images_are_gone_through_clicked_on_and_written(user: User, files: dict[str, Path], tmp_path: Path) -> None:
    user.open(files["images"])
    assert "3 images" in user.text("#clip") and "fps" not in user.text("#clip")
    assert user.page.locator("#play").is_disabled()
    for number, (name, side) in enumerate(SIDES.items()):
        user.see("#of", f"of 2 · {name}")
        see_size(user, *side)
        if number < 2:
            user.press("ArrowRight")
            user.see_frame(number + 1)
    user.press("ArrowLeft")
    user.see_frame(1)
    user.click(24, 40)
    user.see("#hint", "Each click counts for its image alone")
    user.press_for_answer("Tab")
    user.see("#hint", "Tab")
    user.press("Enter")
    user.press("ArrowLeft")
    user.see_frame(0)
    user.rest()
    user.drag((26, 10), (70, 54))
    user.press("n")
    user.click(5, 5)
    assert user.page.locator("#kind").is_hidden()  # nothing is tracked up to here, so nothing can be corrected
    user.page.locator("select[name=mask_type]").select_option("binary")
    assert user.page.locator("select[name=output_format]").input_value() == "png"
    assert user.page.locator("select[name=output_format] option[value=mp4]").is_disabled()
    user.rest()
    user.see("#download", "Download .zip")
    got = download(user)
    assert got == by_command(user, tmp_path)
    with zipfile.ZipFile(io.BytesIO(got)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert [frame["image"] for frame in manifest["frames"]] == ["bay.png", "cliff.png"]
        mask = np.asarray(Image.open(io.BytesIO(archive.read("masks/object_1/cliff.png"))))
    user.go(1)
    user.page.locator("#views button[value=matte]").click()
    user.press("h")
    seen = user.picture(48, 80)[:, :, 0] > 127
    user.press("h")
    user.page.locator("#views button[value=overlay]").click()
    assert np.array_equal(seen, mask > 127)


def test_track_finds_what_was_not_looked_at(user: User, files: dict[str, Path]) -> None:
    user.open(files["images"])
    for name, text in (
        ("click_coordinates", "[48,32],[24,40],[60,20]"),
        ("click_frames", "0,1,2"),
        ("click_object_ids", "disc,disc,disc"),
    ):
        with user.until_more("answers"):
            user.type(f"#{name}", text)
    user.see("#hint", "finds them on the images")
    user.track()
    user.see("#status", "Tracked 2 images")
    user.see("#hint", "what you see is the result")
    user.track()
    user.see("#status", "Nothing to track")
    user.go(1)
    user.click(2, 2, button="right")
    user.press_for_answer("Backspace")
    user.page.mouse.click(*user.at(2, 2), button="right")
    user.see("#click_corrections-refusal", "is corrected on image 1 (cliff.png)")
    user.press_for_answer("Control+z")
    user.load()
    assert user.strings()["click_frames"] == "0,2"


def test_shots_are_one_clip_on_the_page(user: User, files: dict[str, Path], tmp_path: Path) -> None:
    user.open(files["shots"])
    assert "6 frames" in user.text("#clip")
    assert not user.page.locator("#play").is_disabled()
    assert not user.page.locator("select[name=output_format] option[value=mp4]").is_disabled()
    see_size(user, 96, 64)
    user.click(48, 32)
    user.track()
    user.go(4)
    user.see("#of", "of 5 · 1:1 1.mp4")
    see_size_of_masked(user, 48, 80)
    user.page.locator("select[name=output_format]").select_option("mp4")
    user.rest()
    user.see("#download", "Download .zip")
    got = download(user)
    assert got == by_command(user, tmp_path)
    assert zipfile.ZipFile(io.BytesIO(got)).namelist() == ["0.mp4", "1.mp4"]
    user.open(files["clip"])
    user.see("#of", "of 2 · 0.00 s")


def see_size_of_masked(user: User, width: int, height: int) -> None:
    user.see("#clip", f"{width}\N{MULTIPLICATION SIGN}{height}")
    user.page.mouse.move(*user.at(width - 1, height - 1))
    assert user.text("#pixel") == f"[{width - 1},{height - 1}]"


def test_images_that_are_dropped_together_are_a_set(user: User, files: dict[str, Path], tmp_path: Path) -> None:
    user.open(files["clip"])
    for name, side in SIDES.items():
        (tmp_path / name).write_bytes(encode_image(disc(*side)))
    user.drop(*(tmp_path / name for name in reversed(NAMES)))
    user.see("#clip", "images.zip")
    user.see("#clip", "3 images")
    for number, (name, side) in enumerate(SIDES.items()):
        user.go(number)
        user.see("#of", f"of 2 · {name}")
        see_size(user, *side)


def test_videos_that_are_dropped_together_are_shots(user: User, files: dict[str, Path]) -> None:
    user.open(files["clip"])
    user.drop(files["clip"].with_name("1.mp4"), files["clip"])
    user.see("#clip", "shots.zip")
    user.see("#clip", "6 frames")
    user.go(3)
    user.see("#of", "1:0 1.mp4")


def test_several_files_that_are_no_set_are_refused_in_a_sentence(
    user: User, files: dict[str, Path], tmp_path: Path
) -> None:
    user.open(files["clip"])
    (tmp_path / "more").mkdir()
    photo, twin, mask, other = (tmp_path / name for name in ("photo.jpg", "more/photo.jpg", "mask.png", "other.png"))
    for path in (photo, twin, mask, other):
        Image.new("RGB" if path.suffix == ".jpg" else "L", (9, 8)).save(path)
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("0,thing,1,1,5,5\n")
    for sentence, given in {
        "all are images or all are videos": [photo, files["clip"]],
        "drop others one by one": [boxes, photo],
        "one file at a time": [mask, other],
        "Two of the files are called photo.jpg": [photo, twin],
    }.items():
        user.drop(*given)
        user.see("#refusal", sentence)
    assert "0.mp4" in user.text("#clip")
