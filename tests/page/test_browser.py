"""The page in a real Chromium: exact pixels, every key, from a click to the result, refusals in their place."""

import json
import shlex
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from sam2_cog.__main__ import main
from sam2_cog.engine.model import LoadedModel
from sam2_cog.media.video import probe, read_frames
from sam2_cog.page.desk import Desk
from sam2_cog.page.open_clip import OpenClip
from sam2_cog.page.routes import page_application
from sam2_cog.painting.render import object_colour
from sam2_cog.request import Request
from sam2_cog.session import Session
from tests.clips import numbered_frames, set_rotation, write_clip
from tests.http_server import running
from tests.page.disc import LOSSLESS, disc_centre, disc_clip, disc_frames

pytest.importorskip("playwright", reason="the package playwright is not installed: pip install -e '.[dev]'")
from tests.page.browser import CHROMIUM, User, chromium

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium")

COUNT, WIDTH, HEIGHT = 12, 96, 64
CENTRE = disc_centre(0, WIDTH, HEIGHT)
CORNER = (5, 5)
SIZE = {"width": 1280, "height": 720}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A clip to work on, and test cards of every shape."""
    folder = tmp_path_factory.mktemp("clips")
    card, tall = numbered_frames(2, 64, 48), numbered_frames(2, 48, 80)
    return {
        "disc": disc_clip(folder / "disc.mp4", COUNT, WIDTH, HEIGHT),
        "wide": write_clip(folder / "wide.mp4", card, **LOSSLESS),
        "tall": write_clip(folder / "tall.mp4", tall, **LOSSLESS),
        "turned": set_rotation(write_clip(folder / "turned.mp4", np.rot90(tall, 1, (1, 2)), **LOSSLESS), 90),
        "oblong": write_clip(folder / "oblong.mp4", card, **{**LOSSLESS, "options": ("-qp", "0", "-aspect", "2:1")}),
    }


@pytest.fixture(scope="module")
def desk(demo_model: LoadedModel) -> Desk:
    return Desk(lambda: demo_model)


@pytest.fixture(scope="module")
def make_user(desk: Desk) -> Iterator[Callable[..., User]]:
    """One browser and one server for all; `make_user(viewport=..., device_scale_factor=...)` is a new person."""
    with running(page_application(desk, "demo")) as address, chromium() as browser:

        def make(**context: Any) -> User:
            given = {"viewport": SIZE, "permissions": ["clipboard-read", "clipboard-write"], **context}
            return User(browser.new_context(**given).new_page(), address.url, desk)

        yield make


@pytest.fixture
def user(make_user: Callable[..., User], clips: dict[str, Path]) -> Iterator[User]:
    """Somebody who has opened the clip of the disc."""
    one = make_user()
    one.open(clips["disc"])
    yield one
    assert one.complaints == []
    one.page.context.close()


def first_frame(path: Path) -> np.ndarray:
    with closing(read_frames(probe(path), 0, 1)) as frames:
        return next(frames).image


# Where things are.


@pytest.mark.parametrize(
    ("clip", "width", "height", "density"),
    [
        ("wide", 1280, 720, 1),
        ("wide", 1013, 777, 1),
        ("wide", 1280, 720, 2),
        ("tall", 1280, 720, 1),
        ("turned", 1280, 720, 1),
        ("oblong", 1280, 720, 1),
    ],
)
def test_a_pixel_is_where_it_is_seen(
    make_user: Callable[..., User], clips: dict[str, Path], clip: str, width: int, height: int, density: int
) -> None:
    user = make_user(viewport={"width": width, "height": height}, device_scale_factor=density)
    user.open(clips[clip])
    frame = first_frame(clips[clip])
    tall, wide = frame.shape[:2]
    left, top, sx, sy = user.place
    assert sx / sy == pytest.approx(1.5 if clip == "oblong" else 1)
    stage = user.page.locator("#stage").bounding_box()
    assert stage is not None
    assert stage["x"] <= left + 0.01 and left + wide * sx <= stage["x"] + stage["width"] + 0.01
    assert stage["y"] <= top + 0.01 and top + tall * sy <= stage["y"] + stage["height"] + 0.01
    assert stage["x"] + stage["width"] <= width and stage["y"] + stage["height"] <= height

    seen = user.picture(wide, tall)
    assert np.abs(seen.astype(int) - frame).mean() < 6  # a JPEG of the right pixels
    for index in range(16):
        x, y = index * 29 % wide, index * 17 % tall
        shift = (index % 5 - 2) * 0.2  # not only its middle
        user.page.mouse.move(*user.at(x + shift, y - shift))
        assert user.text("#pixel") == f"[{x},{y}]"
    user.click(wide - 1, tall - 1)
    assert user.strings()["click_coordinates"] == f"[{wide - 1},{tall - 1}]"
    user.page.mouse.wheel(0, -400)
    user.page.mouse.wheel(0, -400)
    user.wait("sy => Number(document.querySelector('#picture').dataset.place.split(',')[3]) > sy * 1.5", sy)
    x, y = wide - 3, tall - 2
    user.page.mouse.move(*user.at(x, y))
    assert user.text("#pixel") == f"[{x},{y}]"
    assert user.complaints == []
    user.page.context.close()


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (3840, 2160)])
def test_everything_fits_on_the_screen(
    make_user: Callable[..., User], clips: dict[str, Path], width: int, height: int
) -> None:
    user = make_user(viewport={"width": width, "height": height})
    user.open(clips["disc"])
    user.click(*CENTRE)
    user.press("n")
    user.click(*CORNER)
    for selector in ("#download", "#lanes", "#track", "[data-do=help]", "[data-line=Cog]"):
        box = user.page.locator(selector).bounding_box()
        assert box is not None
        assert box["x"] >= 0 and box["x"] + box["width"] <= width, selector
        assert box["y"] >= 0 and box["y"] + box["height"] <= height, selector
    stage = user.page.locator("#stage").bounding_box()
    assert stage is not None and stage["width"] * stage["height"] > 0.45 * width * height
    text = user.page.evaluate("() => parseFloat(getComputedStyle(document.body).fontSize)")
    assert 12.5 <= text <= 26 and (height < 2000 or text >= 22)
    user.page.context.close()


@pytest.mark.parametrize(("width", "height"), [(1024, 600), (844, 390), (390, 844)])
def test_in_a_small_window_no_control_is_cut_off(
    make_user: Callable[..., User], clips: dict[str, Path], width: int, height: int
) -> None:
    user = make_user(viewport={"width": width, "height": height}, has_touch=True)
    user.open(clips["disc"])
    user.click(*CENTRE)
    for control in user.page.locator("button:visible, input:visible, select:visible, textarea:visible").all():
        control.scroll_into_view_if_needed()
        box = control.bounding_box()
        assert box is not None
        assert box["x"] >= 0 and box["x"] + box["width"] <= width, control.evaluate("control => control.outerHTML")
        assert box["y"] >= 0 and box["y"] + box["height"] <= height, control.evaluate("control => control.outerHTML")
    stage = user.page.locator("#stage").bounding_box()
    assert stage is not None and stage["width"] > 0.6 * width
    for bar in user.page.locator("#bar, nav").all():
        assert bar.evaluate("bar => bar.scrollWidth <= bar.clientWidth && bar.scrollHeight <= bar.clientHeight + 1")


CONTRASTS = """() => {
  const light = (colour) => {
    const parts = colour.match(/[\\d.]+/g).map(Number);
    const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = parts.map((part) => linear(part / 255));
    return { value: 0.2126 * r + 0.7152 * g + 0.0722 * b, solid: parts.length < 4 || parts[3] === 1 };
  };
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const found = getComputedStyle(element).backgroundColor;
      if (light(found).solid) return light(found).value;
    }
    return 0;
  };
  const shown = [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility()
    && !element.disabled && !element.closest("#stage, :disabled, select, svg")
    && ([...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()) || element.value));
  return shown.map((element) => {
    const [text, back] = [light(getComputedStyle(element).color).value, ground(element)];
    const ratio = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
    return [ratio, element.tagName + " " + (element.id || element.className) + " " + element.textContent.slice(0, 20)];
  });
}"""
"""WCAG 2.2, 1.4.3: relative luminance and contrast ratio of each text that is shown."""


FOCUS = "() => [document.activeElement.tagName, getComputedStyle(document.activeElement).outline]"
NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea")]
  .filter((element) => element.checkVisibility() && !element.textContent.trim())
  .filter((element) => !element.getAttribute("aria-label") && !element.labels?.length)
  .map((element) => element.outerHTML)"""


def test_text_has_the_contrast_and_focus_the_outline_that_wcag_aa_asks_for(user: User) -> None:
    user.click(*CENTRE)
    user.track()
    user.go(4)
    user.page.locator("summary").click()
    found = user.page.evaluate(CONTRASTS)
    assert len(found) > 40
    assert [line for line in found if line[0] < 4.5] == []
    user.press("?")
    assert [line for line in user.page.evaluate(CONTRASTS) if line[0] < 4.5] == []
    user.press("Escape")
    for _ in range(30):
        user.press("Tab")
        name, outline = user.page.evaluate(FOCUS)
        assert name == "BODY" or ("2px" in outline and "solid" in outline), name  # after the last one comes the body
    assert user.page.evaluate(NAMELESS) == []


# From a click to a result.


def shown_mask(user: User) -> np.ndarray:
    """What the page paints white in the view of the matte."""
    user.page.locator("#views button[value=matte]").click()
    mask = user.picture(WIDTH, HEIGHT)[:, :, 0] > 127
    user.page.locator("#views button[value=overlay]").click()
    return np.asarray(mask)


def archived_masks(path: Path) -> dict[str, np.ndarray]:
    """Every mask of an archive by its path within."""
    with zipfile.ZipFile(path) as archive:
        files = {name: np.frombuffer(archive.read(name), np.uint8) for name in archive.namelist() if "masks/" in name}
    return {name: np.asarray(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE)) > 127 for name, file in files.items()}


def copied(user: User, title: str) -> str:
    user.page.locator(f"[data-copy='{title}']").click()
    text: str = user.page.evaluate("() => navigator.clipboard.readText()")
    return text


def test_click_track_correct_and_take_the_result(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clips: dict[str, Path]
) -> None:
    user.see("#hint", "Click the thing to follow")
    user.click(*CENTRE)
    user.press("n")
    user.click(*CORNER)
    user.track()
    user.see("#status", f"Tracked {COUNT} frames in ")
    tracked = user.strings()

    # a foreground click on a tracked frame corrects, and the page says so
    user.press("1")
    user.go(6)
    user.see("#kind-text", "corrects the tracked mask")
    user.click(*disc_centre(7, WIDTH, HEIGHT))
    assert user.strings()["click_corrections"] == "0,1,0"
    user.see("#hint", "object_1 changed: T tracks again from frame 6.")
    preview = shown_mask_without_marks(user)
    user.track()
    user.see("#status", f"Tracked {COUNT - 6} frames in ")
    assert np.array_equal(shown_mask_without_marks(user), preview)
    corrected = {frame: frame_mask(user, frame) for frame in (3, 6, 9)}

    # the way back, and forth, without the network
    user.press_for_answer("Control+z")
    assert user.strings() == tracked
    assert not user.text("#hint").endswith("again from frame 6.")
    user.press_for_answer("Control+Shift+z")
    assert "changed" not in user.text("#hint")
    assert all(np.array_equal(frame_mask(user, frame), mask) for frame, mask in corrected.items())

    # what was copied gives the masks that the page shows
    user.page.locator("select[name=mask_type]").select_option("binary")
    user.page.locator("select[name=output_format]").select_option("png")
    line = shlex.split(copied(user, "Command line"))
    monkeypatch.chdir(tmp_path)
    assert main(line[1:]) == 0
    masks = archived_masks(tmp_path / "disc_result.zip")
    for frame, mask in corrected.items():
        union = masks[f"masks/object_1/{frame:05}.png"] | masks[f"masks/object_2/{frame:05}.png"]
        assert np.array_equal(union, mask), frame
        assert mask.any() and not mask.all()
    check_other_lines(user, line, clips["disc"])

    # and so does the file that is downloaded
    with user.page.expect_download() as download, user.until_more("worked"):
        user.press("d")
    assert download.value.suggested_filename == "disc_result.zip"
    found = archived_masks(Path(download.value.path()))
    assert found.keys() == masks.keys()
    assert all(np.array_equal(found[name], masks[name]) for name in masks)


def shown_mask_without_marks(user: User) -> np.ndarray:
    user.press("h")
    mask = shown_mask(user)
    user.press("h")
    return mask


def frame_mask(user: User, frame: int) -> np.ndarray:
    user.go(frame)
    return shown_mask_without_marks(user)


def check_other_lines(user: User, line: list[str], clip: Path) -> None:
    """The strings, the line for Cog and the body for curl are the same request."""
    flags = {name[2:].replace("-", "_"): value for name, value in zip(line[3::2], line[4::2], strict=True)}
    inputs: dict[str, Any] = {name: value for name, value in flags.items() if name not in ("model", "output")}
    assert {name: copied(user, name) for name, text in user.strings().items() if text}.items() <= inputs.items()
    cog = shlex.split(copied(user, "Cog"))
    pairs = dict(word.split("=", 1) for word in cog if "=" in word)
    assert pairs == {"SAM2_MODEL": "demo", "video": f"@{clip}", **inputs}
    curl = shlex.split(copied(user, "HTTP (curl)"))
    body: dict[str, Any] = json.loads(curl[curl.index("-d") + 1])["input"]
    assert body == {"video": str(clip), **inputs}
    assert Request(**body) == Request(clip, **inputs)


def test_a_click_on_a_tracked_frame_can_be_a_new_prompt(user: User) -> None:
    user.click(*CENTRE)
    user.track()
    user.go(5)
    user.page.locator("#kinds button[value=prompts]").click()
    user.see("#kind-text", "starts the mask anew")
    user.click(*disc_centre(5, WIDTH, HEIGHT))
    assert user.strings()["click_corrections"] == ""
    user.see("#hint", "from frame 0.")
    user.press_for_answer("c")  # the same click as a correction
    assert user.strings()["click_corrections"] == "0,1"
    user.see("#hint", "from frame 5.")
    user.drag((20, 10), (60, 50))  # a box is never one
    assert user.strings()["click_corrections"] == ""


def test_tab_goes_through_the_masks_of_a_click(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clips: dict[str, Path]
) -> None:
    user.click(50, 32)  # on the ground, where the masks differ
    user.see("#choice", "Mask 1/3")
    best = user.strings()
    seen = [shown_mask_without_marks(user)]
    for place in (2, 3):
        user.press_for_answer("Tab")
        user.see("#hint", f"Mask {place} of 3 for this click, score ")
        seen.append(shown_mask_without_marks(user))
    third = user.strings()
    scores = user.desk.clip(user.desk.facts()["id"]).candidates(third, 0, "object_1")["scores"]
    order = sorted(range(3), key=lambda number: -scores[number])
    assert third["click_candidates"] == str(order[2] + 1)
    user.see("#hint", f"score {scores[order[2]]:.2f}")
    with user.until_more("answers"):
        user.page.locator("#choice").click()
    user.see("#choice", "Mask 1/3")
    assert user.strings() == best and np.array_equal(shown_mask_without_marks(user), seen[0])
    user.press_for_answer("Shift+Tab")
    assert user.strings() == third and np.array_equal(shown_mask_without_marks(user), seen[2])

    # undo takes it back at once, and the masks differ, or there would be no choice
    user.press_for_answer("Control+z")
    assert user.strings() == best
    user.press_for_answer("Control+Shift+z")
    assert user.strings() == third
    assert len({mask.tobytes() for mask in seen}) > 1

    # Enter takes it, and Tab is then what it is elsewhere; further clicks refine it
    user.press("Enter")
    user.see("#hint", "Click where the mask lacks something")
    user.press("Tab")
    assert user.page.evaluate("() => document.activeElement.tagName") != "BODY"
    assert user.strings() == third
    user.click(*CORNER, button="right")
    assert user.strings()["click_candidates"] == f"{order[2] + 1},0"
    assert user.page.locator("#choice").is_hidden()

    # the copied line gives the masks of the page
    user.track()
    user.page.locator("select[name=mask_type]").select_option("binary")
    user.page.locator("select[name=output_format]").select_option("png")
    line = shlex.split(copied(user, "Command line"))
    monkeypatch.chdir(tmp_path)
    assert main(line[1:]) == 0
    masks = archived_masks(tmp_path / "disc_result.zip")
    for frame in (0, 5):
        assert np.array_equal(masks[f"masks/object_1/{frame:05}.png"], frame_mask(user, frame))
    check_other_lines(user, line, clips["disc"])


def test_a_photo_is_cut_out_as_one_picture(make_user: Callable[..., User], tmp_path: Path) -> None:
    user = make_user()
    photo = tmp_path / "photo.png"
    Image.fromarray(disc_frames(1, WIDTH, HEIGHT)[0]).save(photo)
    user.open(photo)
    user.click(*CENTRE)
    user.page.locator("select[name=output_format]").select_option("webp")
    user.page.locator("select[name=mask_type]").select_option("cutout")
    user.see("#download", "download .webp")
    assert copied(user, "Command line").endswith("--output photo_result.webp")
    with user.page.expect_download() as download, user.until_more("worked"):
        user.press("d")
    assert download.value.suggested_filename == "photo_result.webp"
    cut = Image.open(download.value.path())
    assert (cut.format, cut.mode, cut.size) == ("WEBP", "RGBA", (WIDTH, HEIGHT))
    user.page.locator("select[name=mask_type]").select_option("binary")
    assert copied(user, "Command line").endswith("--output photo_result.png")
    user.press("n")
    user.click(*CORNER)
    assert copied(user, "Command line").endswith("--output photo_result.zip")
    assert user.complaints == []
    user.page.context.close()


def test_background_clicks_boxes_and_objects(user: User) -> None:
    user.drag((10, 12), (40, 50))
    user.click(30, 40, button="right")
    user.shift_click(31, 41)
    user.press("n")
    user.click(*CORNER)
    assert user.strings() == {
        "click_coordinates": "[10,12,41,51],[30,40],[31,41],[5,5]",
        "click_labels": "1,0,0,1",
        "click_frames": "0,0,0,0",
        "click_object_ids": "object_1,object_1,object_1,object_2",
        "click_corrections": "",
        "click_candidates": "",
    }
    user.drag((11, 12), (40, 50))  # of the second object, since that is chosen
    user.press("1")
    user.drag((60, 50), (12, 14))  # an object has one box on a frame: the new one
    assert user.strings()["click_coordinates"].startswith("[30,40],[31,41],[12,14,61,51],[5,5],[11,12,41,51]")


def test_objects_have_the_colours_of_the_result_and_can_be_hidden(user: User) -> None:
    user.press("n")
    user.click(*CENTRE)  # the second one of the page is the first one of the request
    swatches = user.page.locator("#objects .swatch")
    colour = "rgb({}, {}, {})".format
    assert swatches.nth(1).evaluate("e => e.style.background") == colour(*object_colour(0))
    assert swatches.nth(0).evaluate("e => e.style.background") == colour(*object_colour(1))
    user.press("h")
    tinted = user.picture(WIDTH, HEIGHT)[CENTRE[1], CENTRE[0]]
    assert np.abs(tinted.astype(int) - (0.45 * np.array(object_colour(0)) + 0.55 * np.array((240, 200, 60)))).max() < 9
    assert shown_mask(user).any()
    user.press("e")
    assert not shown_mask(user).any()
    user.press("e")
    for view, ground in (("green", (0, 255, 0)), ("matte", (0, 0, 0))):
        user.page.locator(f"#views button[value={view}]").click()
        assert tuple(user.picture(WIDTH, HEIGHT)[HEIGHT - 2, WIDTH - 2]) == ground
    user.page.locator("#views button[value=cutout]").click()
    picture = user.picture(WIDTH, HEIGHT)
    assert np.abs(picture[CENTRE[1], CENTRE[0]].astype(int) - (240, 200, 60)).max() < 9
    assert len(np.unique(picture[HEIGHT - 8 :, WIDTH - 24 :].reshape(-1, 3), axis=0)) == 2  # squares


def test_names_are_the_requests(user: User) -> None:
    user.press("n")
    user.click(*CENTRE)
    user.press("r")
    user.page.keyboard.type("the disc")
    with user.until_more("answers"):
        user.press("Enter")
    assert user.strings()["click_object_ids"] == "the disc"
    for wrong, says in (("a,b", "no commas"), ("object_1", "already"), (" ", "needs a name")):
        user.type("#objects li:nth-child(2) input", wrong)
        user.see("#name-refusal", says)
        assert user.names() == ["object_1", "the disc"]


# Refusals, in their place.


def test_a_refusal_stands_at_its_field_until_it_is_mended(user: User) -> None:
    user.click(*CENTRE)
    frames, refusal = user.page.locator("#click_frames"), user.page.locator("#click_frames-refusal")
    user.type("#click_frames", "99")
    user.see("#click_frames-refusal", "click_frames: ")
    assert refusal.inner_text() == f"click_frames: point 1 is on frame 99, but the video has frames 0 to {COUNT - 1}"
    assert frames.get_attribute("aria-invalid") == "true"
    assert user.text("#refusal") == ""
    with user.until_more("answers"):
        user.type("#click_frames", "3")
    assert refusal.inner_text() == ""
    assert user.strings()["click_frames"] == "3"

    user.page.locator("summary").click()
    quality = user.page.locator("input[name=output_quality]")
    user.type("input[name=output_quality]", "500")
    quality.blur()
    user.page.get_by_text("output_quality: 500 is not allowed, it must be a whole number from 1 to 100").wait_for()
    quality.fill("80")
    with user.until_more("answers"):
        quality.blur()
    assert (
        user.page.locator("#result .refusal").all_inner_texts() == [""] * user.page.locator("#result .refusal").count()
    )

    user.press("Home", "Control+z", "Control+z")
    user.page.mouse.click(*user.at(*CENTRE), button="right")  # refused, so that no answer is to be waited for
    user.see("#click_labels-refusal", "every point has label 0")
    user.see("#hint", "too")


def test_a_file_that_is_no_clip_is_told_and_another_one_opens(
    user: User, clips: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    user.page.locator("#video-file").set_input_files(broken)
    user.see("#refusal", "video: broken.mp4 cannot be read as a video")
    user.page.locator("#video-file").set_input_files(clips["tall"])
    user.see("#clip", "48\u00d780 \u00b7 2 frames")
    user.click(10, 70)
    assert user.strings()["click_coordinates"] == "[10,70]"
    user.see("[data-line='Command line']", "sam2-cog segment tall.mp4 ")


def test_a_page_without_a_clip_asks_for_one(make_user: Callable[..., User], clips: dict[str, Path]) -> None:
    user = make_user()
    empty = Desk(lambda: pytest.fail("nothing to load"))
    with running(page_application(empty, "demo")) as address:
        user.url = address.url
        user.page.goto(user.url)
        user.page.get_by_text("Drop a video here").wait_for()
        with user.page.expect_file_chooser():
            user.page.locator("#empty button").click()
        assert user.complaints == []
        user.page.context.close()


def test_a_part_of_the_clip_is_written(user: User) -> None:
    user.click(*CENTRE)
    user.page.locator("select[name=mask_type]").select_option("binary")
    user.page.locator("select[name=output_format]").select_option("png")
    user.page.locator("summary").click()
    for name, value in (("end_frame", "6"), ("frame_stride", "3")):
        field = user.page.locator(f"input[name={name}]")
        user.type(f"input[name={name}]", value)
        field.blur()
    assert "--end-frame 6 --frame-stride 3" in copied(user, "Command line")
    with user.page.expect_download() as download, user.until_more("worked"):
        user.press("d")
    with zipfile.ZipFile(Path(download.value.path())) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert [frame["frame"] for frame in manifest["frames"]] == [0, 3, 6]
    assert all(frame["objects"][0]["visible"] for frame in manifest["frames"])


# Sessions come back.


def test_a_saved_session_and_a_page_that_is_loaded_anew_show_the_same_request(user: User, tmp_path: Path) -> None:
    user.click(*CENTRE)
    user.click(40, 40, button="right")
    user.page.locator("select[name=mask_type]").select_option("greenscreen")
    with user.page.expect_download() as download:
        user.press("Control+s")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    strings, lines = user.strings(), user.text("#lines")
    assert json.loads(saved.read_text())["input"]["mask_type"] == "greenscreen"

    user.rest()
    user.load()
    user.wait("lines => document.querySelector('#lines').innerText === lines", lines)
    assert (user.strings(), user.text("#lines")) == (strings, lines)
    user.press_for_answer("Delete")
    assert user.strings()["click_coordinates"] == ""
    with user.until_more("answers"):
        user.page.locator("#session-file").set_input_files(saved)
    user.wait("lines => document.querySelector('#lines').innerText === lines", lines)
    assert (user.strings(), user.text("#lines")) == (strings, lines)
    other = tmp_path / "other.json"
    other.write_text("{}")
    user.page.locator("#session-file").set_input_files(other)
    user.see("#refusal", "is no saved session")


def test_a_page_that_is_loaded_anew_before_it_was_answered_has_lost_nothing(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change is asked about when the one before was answered: the page itself has to know the last ones."""
    answer, original = Event(), OpenClip.preview

    def slow(clip: OpenClip, inputs: dict[str, Any], frame: int) -> dict[str, Any]:
        answer.wait(60)
        return original(clip, inputs, frame)

    monkeypatch.setattr(OpenClip, "preview", slow)
    x, y = CENTRE
    user.page.mouse.click(*user.at(x, y))
    user.page.mouse.click(*user.at(*CORNER), button="right")
    user.page.locator("select[name=mask_type]").select_option("greenscreen")
    clicked, lines = user.strings(), user.text("#lines")
    assert clicked["click_coordinates"] == f"[{x},{y}],[{CORNER[0]},{CORNER[1]}]"
    user.page.reload()
    answer.set()
    user.wait("lines => document.querySelector('#lines').innerText === lines", lines)
    assert user.strings() == clicked
    user.rest()

    user.press("Delete")
    user.page.reload()
    user.wait("() => document.body.dataset.ready")
    assert user.strings()["click_coordinates"] == ""
    assert user.page.locator("select[name=mask_type]").input_value() == "greenscreen"

    user.page.mouse.click(*user.at(x, y), button="right")  # refused: there is nothing to take it from
    user.see("#click_labels-refusal", "every point has label 0")
    user.page.reload()
    user.see("#click_labels-refusal", "every point has label 0")
    assert user.strings()["click_coordinates"] == f"[{x},{y}]"


def test_a_clip_that_was_closed_for_idleness_opens_again_by_itself(
    user: User, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.click(*CENTRE)
    user.track()
    monkeypatch.setattr(desk, "_used", desk._used - 2000)
    desk.tend()
    user.click(30, 40, button="right")
    assert user.strings()["click_labels"] == "1,0"
    user.track()
    user.see("#status", f"Tracked {COUNT} frames")


# While it works.


def test_stop_go_on_and_click_meanwhile(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Session.track

    def slow(self: Session, *arguments: Any) -> Any:
        for masks in original(self, *arguments):
            user_may_go.append(masks.frame_index)
            yield masks
            time.sleep(0.25)

    user_may_go: list[int] = []
    monkeypatch.setattr(Session, "track", slow)
    user.click(*CENTRE)
    user.press("t")
    user.see("#status", "left")
    user.see("#status", "frames/s")
    user.see("#hint", "Tracking: Esc stops it")
    user.go(2)
    user.click(40, 20, button="right")  # answered while it tracks
    user.wait("() => document.body.dataset.working === 'Tracking'")
    with user.until_more("worked"):
        user.press("Escape")
    user.see("#status", "Stopped after ")
    user.press_for_answer("Control+z")
    begin = len(user_may_go)
    assert 0 < begin < COUNT
    user.track()
    assert user_may_go == list(range(COUNT))
    user.see("#status", f"Tracked {COUNT - begin} frames")


# Every key.


def test_every_key(user: User) -> None:
    page = user.page
    used: set[str] = set()

    def press(*keys: str) -> None:
        for key in keys:
            used.add(key.replace("Control", "Ctrl").replace("Space", " "))
            page.keyboard.press(key)

    def frame(number: int, *keys: str) -> None:
        press(*keys)
        user.see_frame(number)

    frame(1, "ArrowRight")
    frame(0, "ArrowLeft")
    frame(10, "Shift+ArrowRight")
    frame(0, "Shift+ArrowLeft")
    frame(COUNT - 1, "End")
    frame(0, "Home")

    # the cross, and clicks at it
    press("j", "i")
    assert user.text("#pixel") == f"[{WIDTH // 2},{HEIGHT // 2 - 1}]"
    press("l", "k", "Shift+j", "Shift+i", "Shift+l", "Shift+k")
    x, y = WIDTH // 2 + 1, HEIGHT // 2
    assert user.text("#pixel") == f"[{x},{y}]"
    with user.until_more("answers"):
        press("Enter")
    with user.until_more("answers"):
        press("l", "Shift+Enter")
    press("b", "Shift+l", "k")
    with user.until_more("answers"):
        press("b")
    assert user.strings()["click_coordinates"] == f"[{x},{y}],[{x + 1},{y}],[{x + 1},{y},{x + 12},{y + 2}]"
    assert user.strings()["click_labels"] == "1,0,1"
    with user.until_more("draws"):
        press("Escape")  # lets go of the cross

    # the way back
    for key, count in (("Control+z", 2), ("Control+Shift+z", 3), ("Control+z", 2), ("Control+y", 3)):
        with user.until_more("answers"):
            press(key)
        assert user.strings()["click_labels"].count(",") == count - 1
    with user.until_more("answers"):
        press("Backspace")
    assert user.strings()["click_coordinates"] == ""

    # objects
    for _ in range(8):
        press("n")
    user.wait("() => document.querySelectorAll('#objects li').length === 9")
    for number in range(1, 10):
        press(str(number))
        user.settle()
        assert page.locator("#objects li.on input").input_value() == f"object_{number}"
    press("r")
    assert page.evaluate("() => document.activeElement.value") == "object_9"
    page.keyboard.press("Escape")
    press("F2")
    page.keyboard.press("Escape")
    press("e")
    user.settle()
    assert not user.is_on("#objects li:nth-child(9) button[aria-pressed]")
    press("Delete")
    user.settle()
    assert len(user.names()) == 8

    # views
    for view in ("matte", "green", "cutout", "overlay"):
        press("v")
        user.settle()
        assert user.is_on(f"#views button[value={view}]")
    press("h")
    user.settle()
    assert not user.is_on("#markers")
    press("h")
    press("1")
    user.click(*CENTRE)
    press("m")
    assert not shown_mask_without_marks(user).any()
    press("m")
    assert shown_mask_without_marks(user).any()
    scale = user.place[3]
    for key, larger in (("+", 1.5), ("=", 2.25), ("-", 1.5), ("+", 2.25)):
        with user.until_more("draws"):
            press(key)
        assert user.place[3] == pytest.approx(scale * larger)
    for key, axis, sign in (
        ("Alt+ArrowLeft", 0, 1),
        ("Alt+ArrowRight", 0, -1),
        ("Alt+ArrowUp", 1, 1),
        ("Alt+ArrowDown", 1, -1),
    ):
        before = user.place[axis]
        with user.until_more("draws"):
            press(key)
        assert (user.place[axis] - before) * sign > 20, key
    with user.until_more("draws"):
        press("0")
    assert user.place[3] == pytest.approx(scale)

    # the masks of a click
    user.go(1)
    user.click(*CENTRE)
    for key in ("Tab", "Shift+Tab"):
        with user.until_more("answers"):
            press(key)
    for _ in ("the choice", "the click"):
        user.press_for_answer("Control+z")
    user.go(0)

    # tracking, corrections, clicks as places
    with user.until_more("worked"):
        press("t")
    frame(4, *["ArrowRight"] * 4)
    press("c")
    user.settle()
    assert user.is_on("#kinds button[value=prompts]")
    press("c")
    user.click(*disc_centre(4, WIDTH, HEIGHT))
    frame(0, ",")
    frame(4, ".")
    press("Space")
    user.see_frame(COUNT - 1)
    press("Home")

    # files and help
    with page.expect_file_chooser():
        press("o")
    with page.expect_file_chooser():
        press("f")
    with page.expect_file_chooser():
        press("Control+o")
    with page.expect_download():
        press("Control+s")
    with page.expect_download(), user.until_more("worked"):
        press("d")
    press("?")
    assert page.locator("dialog").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()

    listed = page.evaluate("() => import('/assets/keys.js').then(keys => keys.KEYS.flatMap(([names]) => names))")
    assert {key.lower() for key in used} == {key.lower() for key in listed}


def test_keys_that_are_typed_into_a_field_do_nothing_else(user: User) -> None:
    user.click(*CENTRE)
    field = user.page.locator("#click_coordinates")
    field.click()
    user.page.keyboard.type("nt")
    assert user.names() == ["object_1"]
    user.press("Escape")
    user.press("n")
    user.settle()
    assert user.names() == ["object_1", "object_2"]


def test_the_timeline_and_the_buttons_lead_to_frames(user: User) -> None:
    box = user.page.locator("#lanes").bounding_box()
    assert box is not None
    for frame in (7, 2):
        across = box["x"] + 8 + (frame + 0.5) * (box["width"] - 16) / COUNT
        user.page.mouse.click(across, box["y"] + box["height"] - 10)
        user.see_frame(frame)
    for button, frame in (("next", 3), ("back", 2), ("last", COUNT - 1), ("first", 0)):
        user.page.locator(f"[data-do={button}]").click()
        user.see_frame(frame)
    assert user.text("#of") == f"of {COUNT - 1} \u00b7 0.00 s"
    user.page.locator("[data-do=play]").click()
    user.see_frame(COUNT - 1)
