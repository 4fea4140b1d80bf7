"""What all tests share: one thread, so that results repeat and nothing waits for cores; the demo model, loaded once."""

import errno
import os
import shutil
import signal

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded, here and in the processes that tests start

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import hypothesis
import pytest
import torch

from sam2_cog import held
from sam2_cog.engine import tracker
from sam2_cog.engine.checkpoints import fetch_checkpoint
from sam2_cog.engine.model import LoadedModel, build_network, load_model, load_weights, place_network
from tests.clip_table import CASES
from tests.clips import numbered_frames, write_clip

torch.set_num_threads(1)
hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no fault
hypothesis.settings.load_profile("untimed")
# a shell's job in the background ignores it, and so would all programs that tests start
signal.signal(signal.SIGINT, signal.default_int_handler)


LONG = (  # seconds in a few tests each: begun first, so that no process is left alone with one of them at the end
    *("test_main.py", "page/test_browser.py", "fleet/test_batch.py", "server/test_faults.py", "test_gpu_benchmark.py"),
    *("media/test_video.py", "test_pipeline.py", "outputs/test_sound.py", "test_benchmarks.py", "test_end_to_end.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take long first, the others as they are: see the Makefile's `--no-loadscope-reorder`."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(here).as_posix() not in LONG)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Put back what a command sets where it is called: a fork would have it, too, and not end by SIGTERM."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGHUP)]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def demo_model() -> LoadedModel:
    return load_model("demo", device="cpu")


@pytest.fixture
def small_model(at_64_pixels: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    """The demo model at 64 pixels: quicker, with poor masks; for what does not depend on their quality.

    So few pixels are rounded otherwise in a batch than alone, which 192 and more are not: objects run one by one.
    """
    monkeypatch.setattr(tracker, "MAX_OBJECTS_AT_ONCE", 1)
    return at_64_pixels


@pytest.fixture(scope="session")
def at_64_pixels() -> LoadedModel:
    network = build_network("demo", image_size=64)
    load_weights(network, fetch_checkpoint("demo"), "demo")
    return place_network("demo", network, "cpu")


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames of 96x64 at 24 a second, with a second of sound."""
    path = tmp_path_factory.mktemp("clip") / "small.mp4"
    return write_clip(path, numbered_frames(6, 96, 64), audio_seconds=1)


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network file system that has none, on which nothing was said of that yet."""

    def none(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(held.fcntl, "flock", none)
    monkeypatch.setattr(held, "_said_of", set())


@pytest.fixture(scope="session")
def table_clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], Path]:
    """Copies a row of the table of clips into a folder; it is written once for all files of tests."""

    @cache
    def written(name: str) -> Path:
        return CASES[name].make(tmp_path_factory.mktemp("row") / CASES[name].file)

    return lambda name, folder: Path(shutil.copy(written(name), folder / CASES[name].file))
