"""What all tests share: one thread, so that results repeat and nothing waits for cores; the demo model, loaded once."""

import errno
import os
import signal

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded, here and in the processes that tests start

from pathlib import Path

import hypothesis
import pytest
import torch

from sam2_cog import held
from sam2_cog.engine import tracker
from sam2_cog.engine.checkpoints import fetch_checkpoint
from sam2_cog.engine.model import LoadedModel, build_network, load_model, load_weights, place_network
from tests.clips import numbered_frames, write_clip

torch.set_num_threads(1)
hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no fault
hypothesis.settings.load_profile("untimed")
# a shell's job in the background ignores it, and so would all programs that tests start
signal.signal(signal.SIGINT, signal.default_int_handler)


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
