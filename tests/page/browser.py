"""A headless Chromium that uses the page as a person does: it points, clicks, types and looks."""

import io
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from mimetypes import guess_type
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from sam2_cog.page.desk import Desk

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
REFUSED = re.compile(r"status of 4\d\d")

DROP = """async (given) => {
  const data = new DataTransfer();
  for (const [name, type, text] of given) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    data.items.add(new File([bytes], name, { type }));
  }
  document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium; nothing is downloaded."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class User:
    """Somebody in front of the page. What goes wrong unseen is kept in `complaints`."""

    def __init__(self, page: Page, url: str, desk: Desk) -> None:
        self.page, self.url, self.desk = page, url, desk
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)
        page.on("filechooser", lambda chooser: None)  # from the beginning, or the first one may come unseen
        page.on("request", self._check_address)

    def _note(self, line: ConsoleMessage) -> None:
        if line.type in ("error", "warning") and not REFUSED.search(line.text):  # of refusals the page tells itself
            self.complaints.append(line.text)

    def _check_address(self, request: Request) -> None:
        address = request.url
        if not address.startswith((self.url, "blob:", "data:")):
            self.complaints.append(f"a request left the machine: {address}")

    def open(self, clip: Path) -> None:
        """Open a clip as the command line does, and load the page."""
        self.desk.open(clip, str(clip))
        self.load()

    def load(self) -> None:
        self.page.goto(self.url)
        self.wait("() => document.body.dataset.ready && document.body.dataset.state === 'ready'")
        self.wait("() => document.body.dataset.frame === '0'")
        self.rest()

    def rest(self) -> None:
        """Wait until the page has drawn the last answer to what it has asked."""
        self.wait("() => !document.body.dataset.asking")
        self.settle()

    def wait(self, condition: str, arg: Any = None) -> None:
        self.page.wait_for_function(condition, arg=arg, timeout=60_000)

    def data(self, name: str) -> str:
        return self.page.locator("body").get_attribute(f"data-{name}") or ""

    @contextmanager
    def until_more(self, name: str) -> Iterator[None]:
        """Go on when the page has counted one more of something: answers, draws or things worked off."""
        self.rest()  # or an answer to an earlier question would be taken for this one's
        before = int(self.data(name) or 0)
        yield
        self.wait(f"before => Number(document.body.dataset.{name} ?? 0) > before", before)
        self.rest()

    def settle(self) -> None:
        """Let the page draw what it knows by now."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    # Pointing and clicking, in pixels of the frame.

    @property
    def place(self) -> tuple[float, float, float, float]:
        """Where on the page the frame's corner is, and CSS pixels a frame pixel, across and down."""
        canvas = self.page.locator("#picture")
        box = canvas.bounding_box()
        assert box is not None
        ox, oy, sx, sy = map(float, (canvas.get_attribute("data-place") or "").split(","))
        return box["x"] + ox, box["y"] + oy, sx, sy

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The middle of a frame's pixel, on the page as it is laid out by now."""
        self.settle()
        left, top, sx, sy = self.place
        return left + (x + 0.5) * sx, top + (y + 0.5) * sy

    def click(self, x: int, y: int, **how: Any) -> None:
        with self.until_more("answers"):
            self.page.mouse.click(*self.at(x, y), **how)

    def shift_click(self, x: int, y: int) -> None:
        self.page.keyboard.down("Shift")
        self.click(x, y)
        self.page.keyboard.up("Shift")

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(*end), steps=4)
        with self.until_more("answers"):
            self.page.mouse.up()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def press_for_answer(self, key: str) -> None:
        with self.until_more("answers"):
            self.press(key)

    def go(self, frame: int) -> None:
        self.type("#frame", str(frame))
        self.see_frame(frame)

    def see_frame(self, frame: int) -> None:
        self.wait("frame => document.body.dataset.frame === String(frame)", frame)

    def type(self, selector: str, text: str) -> None:
        """Replace what is in a field, key by key, and leave it."""
        self.page.locator(selector).click(click_count=3)
        self.page.keyboard.type(text)
        self.press("Enter")

    def drop(self, *paths: Path) -> None:
        """Drop files on the page; the browser tells their types by their names, as it does."""
        given = [[path.name, guess_type(path)[0] or "", b64encode(path.read_bytes()).decode()] for path in paths]
        self.page.evaluate(DROP, given)

    def track(self) -> None:
        with self.until_more("worked"):
            self.press("t")

    # Looking.

    def see(self, selector: str, text: str) -> None:
        """Wait until a place holds this text."""
        self.wait("([place, text]) => document.querySelector(place)?.textContent.includes(text)", [selector, text])

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def strings(self) -> dict[str, str]:
        """The fields of the request."""
        fields = self.page.locator("#strings textarea")
        return {
            fields.nth(index).get_attribute("id") or "": fields.nth(index).input_value()
            for index in range(fields.count())
        }

    def names(self) -> list[str]:
        fields = self.page.locator("#objects input")
        return [fields.nth(index).input_value() for index in range(fields.count())]

    def is_on(self, selector: str) -> bool:
        return self.page.locator(selector).get_attribute("aria-pressed") == "true"

    def picture(self, width: int, height: int) -> np.ndarray:
        """(height, width, 3) uint8: the colour of the screen at the middle of each of the frame's pixels."""
        self.page.mouse.move(0, 0)
        self.settle()
        screen = np.array(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))
        density = screen.shape[1] / (self.page.viewport_size or {"width": 1})["width"]
        left, top, sx, sy = self.place
        columns = ((left + (np.arange(width) + 0.5) * sx) * density).astype(int)
        rows = ((top + (np.arange(height) + 0.5) * sy) * density).astype(int)
        return screen[rows][:, columns]
