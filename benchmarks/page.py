"""How quickly does the page answer? `python -m benchmarks.page`, in headless Chromium on the sample.

Times are taken inside the page: from the mouse button or the key to the picture on the canvas. Above them
stands the part that cannot be saved: the same preview asked of the session in Python. With `--long` it makes a clip of
ten minutes at 1080p first, and takes the time from the address to its first frame.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from sam2_cog.engine.model import LoadedModel, load_model
from sam2_cog.page.desk import Desk
from sam2_cog.page.routes import page_application
from sam2_cog.session import Session
from tests.http_server import running
from tests.page.browser import User, chromium

SAMPLE = Path(__file__).parent.parent / "samples/two_birds.mp4"
RED, BLUE = (80, 222), (556, 96)
WATCH = """
window.taken = [];
for (const kind of ["pointerup", "keydown"]) addEventListener(kind, () => (window.begin = performance.now()), true);
addEventListener("DOMContentLoaded", () => {
  new MutationObserver((changes) => {
    for (const { attributeName } of changes) window.taken.push([attributeName, performance.now() - window.begin]);
  }).observe(document.body, { attributes: true, attributeFilter: ["data-answers", "data-frame"] });
});
"""
"""Notes what has been painted, and how long after the last button or key."""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clicks", type=int, default=15, help="how many of each kind (default: 15)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--long", action="store_true", help="a clip of ten minutes, too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = load_model("demo", device="cpu")
    desk = Desk(lambda: model)
    print(f"load of the machine at the beginning: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    print(f"{'ms':<44}{'median':>8}{'90 %':>8}{'most':>8}")
    _print("the preview alone, in Python", _previews(model, arguments.clicks))
    with running(page_application(desk, "demo")) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.add_init_script(WATCH)
        user = User(page, address.url, desk)
        user.open(SAMPLE)
        _measure(user, arguments.clicks)
        if arguments.long:
            with tempfile.TemporaryDirectory() as folder:
                _print("address to first frame, 10 minutes of 1080p", [_first_frame(user, _long_clip(Path(folder)))])
        assert user.complaints == [], user.complaints
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f}")


def _print(name: str, seconds: list[float]) -> None:
    times = sorted(1000 * value for value in seconds)
    most = times[int(0.9 * (len(times) - 1))]
    print(f"{name:<44}{statistics.median(times):8.0f}{most:8.0f}{times[-1]:8.0f}", flush=True)


def _measure(user: User, count: int) -> None:
    user.click(*RED)
    user.press_for_answer("n")
    _print("click to overlay, warm", [_click(user, index) for index in range(count)])
    user.click(*BLUE)
    user.track()
    steps = [_taken(user, "data-frame", lambda: user.press("ArrowRight")) for _ in range(3 * count)]
    _print("next frame with its masks", steps)
    user.press("Home", "n")
    user.see_frame(0)
    user.click(300, 140)
    user.press("t")
    user.see("#status", "left")
    _print("click to overlay while it tracks", [_click(user, index) for index in range(min(count, 8))])
    assert user.data("working") == "Tracking", "it was over too soon to be measured"
    with user.until_more("worked"):
        user.press("Escape")


def _click(user: User, index: int) -> float:
    """A click on the blue bird, which is then taken back."""
    x, y = BLUE[0] + index % 5, BLUE[1] + index % 3
    seconds = _taken(user, "data-answers", lambda: user.page.mouse.click(*user.at(x, y)))
    user.press_for_answer("Control+z")
    user.page.wait_for_timeout(150)
    return seconds


def _taken(user: User, what: str, act: Callable[[], None]) -> float:
    user.settle()
    user.page.evaluate("() => (window.taken.length = 0)")
    act()
    user.wait("what => window.taken.some(([name]) => name === what)", what)
    milliseconds: float = user.page.evaluate("what => window.taken.find(([name]) => name === what)[1]", what)
    return milliseconds / 1000


def _previews(model: LoadedModel, count: int) -> list[float]:
    with Session(SAMPLE, model) as session:
        session.warm(0)
        taken = []
        for index in range(count):
            objects = session.parse(f"[{BLUE[0] + index % 5},{BLUE[1]}],[{RED[0]},{RED[1]}]")
            begin = time.perf_counter()
            session.preview(objects, 0)
            taken.append(time.perf_counter() - begin)
    return taken


def _long_clip(folder: Path) -> Path:
    path = folder / "long.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=25:duration=600"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "32", "-g", "250"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *coding, str(path)], check=True)
    return path


def _first_frame(user: User, clip: Path) -> float:
    """From asking for the page to the frame on the canvas; the model is loaded already."""
    user.desk.open(clip)
    begin = time.perf_counter()
    user.page.goto(user.url)
    user.wait("() => document.body.dataset.draws")
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
