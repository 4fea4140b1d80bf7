"""Label Studio's editor in Chromium, with a mouse as people use it: draw, select, click the label, boxes appear."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.integrations.label_studio import BLUE, EMAIL, HEIGHT, PASSWORD, RED, WIDTH, Project, Studio
from tests.integrations.processes import ROOT, Door
from tests.integrations.test_label_studio import mean_iou, shown

PICTURE = ROOT / "outputs" / "label_studio_editor.png"


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
        browser.close()


class Editor:
    """The editor on one task."""

    def __init__(self, page: Page, project: Project) -> None:
        self.page = page
        studio = project.studio
        page.route(lambda url: not url.startswith((studio.url, "blob:", "data:")), lambda route: route.abort())
        page.goto(studio.url + "/user/login/", wait_until="domcontentloaded")
        page.fill("input[name=email]", EMAIL)
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_load_state("domcontentloaded")
        page.goto(f"{studio.url}/projects/{project.number}/data?task={project.tasks[0]}", wait_until="domcontentloaded")
        page.wait_for_function(f"() => {VIDEO} && {VIDEO}.length == {project.frames}", timeout=60_000)
        page.wait_for_timeout(3000)  # its stage is laid out once more when the clip is there

    def auto_annotation(self) -> None:
        self.page.locator("[data-testid=bottombar-auto-annotation-toggle]").check(force=True)
        self.page.wait_for_timeout(1000)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the clip is on the page: the stage shows the clip in its middle, shrunk if need be."""
        stage = self.page.locator("canvas").nth(1).bounding_box()
        assert stage
        scale = min(stage["width"] / WIDTH, stage["height"] / HEIGHT, 1)
        left = stage["x"] + (stage["width"] - WIDTH * scale) / 2
        top = stage["y"] + (stage["height"] - HEIGHT * scale) / 2
        return left + x * scale, top + y * scale

    def draw(self, box: tuple[int, int, int, int]) -> None:
        """Drag a box, then click into it, which selects it."""
        mouse = self.page.mouse
        mouse.move(*self.at(*box[:2]))
        mouse.down()
        self.page.wait_for_timeout(200)
        mouse.move(*self.at((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), steps=6)
        mouse.move(*self.at(*box[2:]), steps=6)
        self.page.wait_for_timeout(200)
        mouse.up()
        self.page.wait_for_timeout(1000)
        mouse.click(*self.at((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
        self.page.wait_for_timeout(500)

    def label(self, name: str) -> None:
        """Click a label and wait for the boxes."""
        with self.page.expect_response(
            lambda answer: "interactive-annotating" in answer.url, timeout=100_000
        ) as answer:
            self.page.locator(f".lsf-label:has-text('{name}')").first.click()
        assert answer.value.ok
        self.page.wait_for_timeout(1000)

    def unselect(self) -> None:
        self.page.keyboard.press("Escape")
        self.page.wait_for_timeout(500)

    def frame(self, number: int) -> None:
        self.page.evaluate(f"() => {VIDEO}.setFrame({number})")
        self.page.wait_for_timeout(1500)

    def regions(self) -> list[dict[str, Any]]:
        """What the editor would save."""
        code = "() => JSON.parse(JSON.stringify(Htx.annotationStore.selected.serializeAnnotation()))"
        found: list[dict[str, Any]] = self.page.evaluate(code)
        return [region for region in found if region["type"] == "videorectangle"]


VIDEO = "window.Htx?.annotationStore?.selected?.names.get('clip')"


def test_draw_select_and_click_the_label_and_boxes_appear(page: Page, studio: Studio, door: Door) -> None:
    project = studio.project()
    project.connect(door.url)
    editor = Editor(page, project)
    editor.auto_annotation()
    for box, label in ((RED, "Red"), (BLUE, "Blue")):
        editor.draw(box)
        editor.label(label)
        editor.unselect()
    red, blue = editor.regions()
    assert (red["value"]["labels"], blue["value"]["labels"]) == (["Red"], ["Blue"])
    assert min(mean_iou(red, "bird_1"), mean_iou(blue, "bird_2")) >= 0.8
    editor.frame(40)
    PICTURE.parent.mkdir(exist_ok=True)
    page.screenshot(path=PICTURE)
    editor.frame(100)
    corrected = drag_and_track_again(editor, blue)
    own = [item["frame"] for item in corrected["value"]["sequence"] if item["sam2cog"]["box"] is None]
    assert own == [1, 100], "the first box and the one that was dragged"
    submit(page)
    saved = studio.ask("GET", f"/api/tasks/{project.tasks[0]}")["annotations"][0]["result"]
    assert [region["value"]["labels"] for region in saved] == [["Red"], ["Blue"]]


def test_what_is_wrong_is_read_in_the_regions_details(page: Page, studio: Studio, door: Door) -> None:
    project = studio.project(25)
    project.connect(door.url)
    editor = Editor(page, project)
    editor.auto_annotation()
    editor.draw(RED)
    editor.label("Red")
    page.screenshot(path=PICTURE.with_name("label_studio_details.png"))
    assert page.get_by_text('with framerate="24" in its Video tag every frame is shown once').first.is_visible()


def drag_and_track_again(editor: Editor, region: dict[str, Any]) -> dict[str, Any]:
    """Move the region's box a little on the frame that is shown, and click its label: off, and on again."""
    x0, y0, x1, y1 = shown(region)[100]
    mouse, middle = editor.page.mouse, ((x0 + x1) / 2, (y0 + y1) / 2)
    mouse.click(*editor.at(*middle))
    editor.page.wait_for_timeout(500)
    mouse.move(*editor.at(*middle))
    mouse.down()
    mouse.move(*editor.at(middle[0] + 4, middle[1] + 2), steps=5)
    mouse.up()
    editor.page.wait_for_timeout(1000)
    editor.label("Blue")
    editor.label("Blue")
    found: dict[str, Any] = editor.regions()[1]
    return found


def submit(page: Page) -> None:
    with page.expect_response(lambda answer: "/annotations" in answer.url and answer.request.method == "POST"):
        page.locator("[data-testid=bottombar-submit-button]").click()
