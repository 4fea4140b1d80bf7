"""Take the pictures of the page that docs/page.md shows: `python -m tools.page_pictures docs`."""

import argparse
from pathlib import Path

from PIL import Image
from playwright.sync_api import ViewportSize

from sam2_cog.engine.model import load_model
from sam2_cog.page.desk import Desk
from sam2_cog.page.routes import page_application
from tests.http_server import running
from tests.page.browser import User, chromium

ROOT = Path(__file__).parent.parent
SAMPLE = Path("samples/two_birds.mp4")
SIZE: ViewportSize = {"width": 1280, "height": 720}


def main() -> None:
    """Click, track and correct on the sample; a picture after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where page_click.png, page_tracked.png and page_corrected.png go")
    folder = parser.parse_args().folder
    model = load_model("demo", device="cpu")
    desk = Desk(lambda: model)
    with running(page_application(desk, "demo")) as address, chromium() as browser:
        user = User(browser.new_page(viewport=SIZE), address.url, desk)
        user.desk.open(ROOT / SAMPLE, str(SAMPLE))
        user.load()
        _click(user)
        _take(user, folder / "page_click.png")
        user.track()
        user.go(84)
        _take(user, folder / "page_tracked.png")
        _correct(user)
        _take(user, folder / "page_corrected.png")
        assert user.complaints == [], user.complaints


def _click(user: User) -> None:
    user.click(80, 222)
    _name(user, "red bird")
    user.press("n")
    user.click(556, 96)
    _name(user, "blue bird")
    user.page.mouse.move(*user.at(556, 96))


def _name(user: User, name: str) -> None:
    user.press("r")
    user.page.keyboard.type(name)
    user.press_for_answer("Enter")


def _correct(user: User) -> None:
    user.go(63)
    user.press("2")
    user.click(300, 175)


def _take(user: User, path: Path) -> None:
    user.page.wait_for_timeout(500)
    user.page.screenshot(path=str(path))
    Image.open(path).convert("RGB").save(path, optimize=True)
    print(f"{path}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
