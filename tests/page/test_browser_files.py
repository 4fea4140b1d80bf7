"""Masks and boxes from files in a real Chromium: chosen, dropped, refined, taken off, saved, refused."""

import json
import shlex
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_cog.__main__ import main
from sam2_cog.engine.model import LoadedModel
from sam2_cog.page.desk import Desk
from sam2_cog.page.routes import page_application
from sam2_cog.painting.render import object_colour
from tests.http_server import running
from tests.page.disc import disc_centre, disc_clip, disc_mask
from tests.page.test_browser import archived_masks, copied, frame_mask, shown_mask_without_marks

pytest.importorskip("playwright", reason="the package playwright is not installed: pip install -e '.[dev]'")
from tests.page.browser import CHROMIUM, User, chromium

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium")

COUNT, WIDTH, HEIGHT = 12, 96, 64


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The clip, and what tells of its disc."""
    folder = tmp_path_factory.mktemp("files")
    disc_clip(folder / "disc.mp4", COUNT, WIDTH, HEIGHT)
    for index in (0, 4):
        Image.fromarray(np.uint8(255) * disc_mask(index, WIDTH, HEIGHT)).save(folder / f"disc {index}.png")
    labels = Image.fromarray(disc_mask(0, WIDTH, HEIGHT) + np.uint8(2) * (np.indices((HEIGHT, WIDTH)).sum(0) < 9))
    labels.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
    labels.save(folder / "labels.png")
    with zipfile.ZipFile(folder / "run.zip", "w") as archive:
        for index in (0, 4):
            archive.write(folder / f"disc {index}.png", f"masks/the disc/{index:05}.png")
    (folder / "found.csv").write_text("6,thing,40,18,70,46\n6,corner,1,1,12,12\n")
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(folder / "small.png")
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def everyone(demo_model: LoadedModel) -> Iterator[User]:
    desk = Desk(lambda: demo_model)
    with running(page_application(desk, "demo")) as address, chromium() as browser:
        context = browser.new_context(
            viewport={"width": 1280, "height": 720}, permissions=["clipboard-read", "clipboard-write"]
        )
        yield User(context.new_page(), address.url, desk)


@pytest.fixture
def user(everyone: User, files: dict[str, Path]) -> Iterator[User]:
    """Somebody who has opened the clip of the disc."""
    everyone.open(files["disc.mp4"])
    yield everyone
    assert everyone.complaints == []


def choose(user: User, path: Path) -> None:
    with user.until_more("answers"):
        user.page.locator("#prompt-file").set_input_files(path)


def shown_files(user: User) -> dict[str, str]:
    """The file of each row that is there."""
    rows = {name: user.page.locator(f"#{name}") for name in ("masks", "boxes")}
    return {name: row.inner_text() for name, row in rows.items() if row.is_visible()}


def likeness(found: np.ndarray, given: np.ndarray) -> float:
    return float((found & given).sum() / (found | given).sum())


def test_a_picture_is_on_the_frame_that_is_shown_and_is_refined_by_clicks(
    user: User, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.go(4)
    choose(user, files["disc 4.png"])
    assert user.names() == ["object_1"] and shown_files(user) == {"masks": "disc 4.png"}
    assert user.page.locator("#mask_frames").input_value() == "4"
    given = shown_mask_without_marks(user)
    assert likeness(given, disc_mask(4, WIDTH, HEIGHT)) > 0.9
    user.see("#hint", "T tracks")

    # a background click beside the mask refines it: it is no correction, and there is no choice of masks
    user.click(30, 30, button="right")
    assert user.page.locator("#choice").is_hidden() and user.page.locator("#kind").is_hidden()
    refined = shown_mask_without_marks(user)
    assert not np.array_equal(refined, given)
    user.press_for_answer("Control+z")
    assert np.array_equal(shown_mask_without_marks(user), given)
    user.press_for_answer("Control+Shift+z")
    assert np.array_equal(shown_mask_without_marks(user), refined)

    # what is copied names the file, and gives the masks that the page shows
    user.track()
    seen = {frame: frame_mask(user, frame) for frame in (0, 4, 9)}
    user.page.locator("select[name=mask_type]").select_option("binary")
    user.page.locator("select[name=output_format]").select_option("png")
    line = shlex.split(copied(user, "Command line"))
    assert line[line.index("--masks") + 1 : line.index("--mask-frames") + 2] == ["disc 4.png", "--mask-frames", "4"]
    assert "masks=@disc 4.png" in shlex.split(copied(user, "Cog"))
    curl = shlex.split(copied(user, "HTTP (curl)"))
    assert json.loads(curl[curl.index("-d") + 1])["input"]["masks"] == "disc 4.png"
    monkeypatch.chdir(files["disc.mp4"].parent)
    line[line.index("--output") + 1] = str(tmp_path / "result.zip")
    assert main(line[1:]) == 0
    masks = archived_masks(tmp_path / "result.zip")
    assert all(np.array_equal(masks[f"masks/object_1/{frame:05}.png"], mask) for frame, mask in seen.items())
    with user.page.expect_download() as download, user.until_more("worked"):
        user.press("d")
    assert archived_masks(Path(download.value.path())).keys() == masks.keys()


def test_a_zip_that_is_dropped_joins_what_is_clicked(user: User, files: dict[str, Path]) -> None:
    user.go(2)
    user.click(5, 60)
    with user.until_more("answers"):
        user.drop(files["run.zip"])
    user.see_frame(0)  # the first that it tells of
    assert user.names() == ["object_1", "the disc"] and shown_files(user) == {"masks": "run.zip"}
    assert user.page.locator("#objects li.on input").input_value() == "object_1"
    swatches = user.page.locator("#objects .swatch")
    for index in (0, 1):
        red, green, blue = object_colour(index)
        assert swatches.nth(index).evaluate("e => e.style.background") == f"rgb({red}, {green}, {blue})"
    user.go(COUNT - 1)
    user.press(",")
    user.see_frame(4)
    user.track()
    user.go(8)
    user.see("#hint", "Look through it")

    # the frames of the masks are chosen; what is refused stays at its field
    user.type("#mask_frames", "99")
    user.see("#mask_frames-refusal", f"mask_frames: it has frame 99, but the video has frames 0 to {COUNT - 1}")
    assert user.page.locator("#mask_frames").input_value() == "99"
    with user.until_more("answers"):
        user.type("#mask_frames", "4")
    assert user.text("#mask_frames-refusal") == "" and "--mask-frames 4" in copied(user, "Command line")
    user.see("#hint", "the disc changed")
    user.press_for_answer("Control+z")
    assert "--mask-frames" not in copied(user, "Command line") and "changed" not in user.text("#hint")

    # objects of a file are the file's
    user.type("#objects li:nth-child(2) input", "other")
    user.see("#name-refusal", "The name comes from run.zip.")
    user.press("2", "Delete")
    user.see("#name-refusal", "the disc is in run.zip: take the file off to remove it.")
    with user.until_more("answers"):
        user.page.locator("#files button").first.click()
    assert user.names() == ["object_1"] and shown_files(user) == {} and "--masks" not in copied(user, "Command line")
    user.press_for_answer("Control+z")
    assert user.names() == ["object_1", "the disc"] and shown_files(user) == {"masks": "run.zip"}
    assert "changed" not in user.text("#hint")


def test_a_numbered_object_makes_way_for_that_of_a_picture(user: User, files: dict[str, Path]) -> None:
    user.click(5, 60)
    choose(user, files["labels.png"])
    assert sorted(user.names()) == ["object_1", "object_2", "object_3"]
    assert user.strings()["click_object_ids"] == "object_3"
    user.click(*disc_centre(0, WIDTH, HEIGHT))  # of the one that was chosen before
    assert user.strings()["click_object_ids"] == "object_3,object_3"
    choose(user, files["run.zip"])  # in the place of the picture
    assert user.names() == ["object_3", "the disc"] and shown_files(user) == {"masks": "run.zip"}


def test_boxes_of_a_file_are_drawn_and_followed(user: User, files: dict[str, Path]) -> None:
    with user.until_more("answers"):
        user.drop(files["found.csv"])
    user.see_frame(6)
    user.rest()
    assert user.names() == ["thing", "corner"] and shown_files(user) == {"boxes": "found.csv"}
    assert not user.page.locator("#mask_frames").is_visible()
    red, green, blue = object_colour(0)
    rim = user.picture(WIDTH, HEIGHT)[40, 39:41].astype(int)
    assert np.abs(rim - (red, green, blue)).sum(1).min() < 120
    choose(user, files["disc 4.png"])
    assert shown_files(user) == {"masks": "disc 4.png", "boxes": "found.csv"}
    user.track()
    assert "--masks 'disc 4.png' --mask-frames 6 --boxes found.csv" in copied(user, "Command line")


def test_what_does_not_fit_is_refused_at_its_row_and_taken_off(user: User, files: dict[str, Path]) -> None:
    user.click(*disc_centre(0, WIDTH, HEIGHT))
    before = user.text("#lines")
    user.drop(files["small.png"])
    user.see("#masks-refusal", f"masks: 'small.png' is 9x8, but the video is {WIDTH}x{HEIGHT}, and a mask must be too")
    assert shown_files(user) == {"masks": "small.png"} and user.text("#refusal") == ""
    user.page.locator("#files button").first.click()
    user.settle()
    assert shown_files(user) == {} and user.text("#lines") == before
    choose(user, files["run.zip"])
    user.page.locator("#prompt-file").set_input_files(files["small.png"])
    user.see("#masks-refusal", "small.png")
    user.click(5, 60)  # going on leaves it
    assert shown_files(user) == {"masks": "run.zip"} and user.text("#masks-refusal") == ""


def test_a_saved_session_says_which_file_it_lacks_and_goes_on_with_it(
    user: User, files: dict[str, Path], tmp_path: Path
) -> None:
    choose(user, files["run.zip"])
    user.press("1")
    user.click(20, 60, button="right")
    with user.page.expect_download() as download:
        user.press("Control+s")
    saved = tmp_path / "saved.json"
    download.value.save_as(saved)
    assert json.loads(saved.read_text())["input"]["masks"] == "run.zip"
    lines, strings = user.text("#lines"), user.strings()

    user.load()  # the page anew: all is as it was
    user.wait("lines => document.querySelector('#lines').innerText === lines", lines)
    assert user.names() == ["the disc"] and user.strings() == strings

    user.open(files["disc.mp4"])  # the clip anew: the file is not here any more
    user.page.locator("#session-file").set_input_files(saved)
    user.see("#masks-refusal", "masks: 'run.zip' is not here, choose the file again")
    assert user.strings()["click_coordinates"] == strings["click_coordinates"]
    choose(user, files["run.zip"])
    assert (user.text("#lines"), user.strings(), user.names()) == (lines, strings, ["the disc"])

    user.open(files["disc.mp4"])
    user.page.locator("#session-file").set_input_files(saved)
    user.see("#masks-refusal", "is not here")
    user.page.locator("#files button").first.click()  # without it the click alone is no object
    user.see("#click_labels-refusal", "every point has label 0")
    assert shown_files(user) == {}


def test_a_photo_that_is_dropped_is_still_a_clip(user: User, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((20, 30, 3), (9, 90, 200), np.uint8)).save(photo)
    user.drop(photo)
    user.see("#clip", "photo.png")
    user.see("#clip", "30\u00d720")
