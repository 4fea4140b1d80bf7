"""A run that was broken off goes on from its folder to the same masks; what is in there otherwise is not used."""

import hashlib
import os
import pickle
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sam2_cog.engine import run_checkpoint as module
from sam2_cog.engine import tracker
from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.run_checkpoint import RunCheckpoint
from sam2_cog.engine.tracker import Run, Tracker
from sam2_cog.errors import InvalidRequest
from sam2_cog.masks import FrameMasks
from sam2_cog.prompts import FramePrompt, ObjectPrompts
from tests.scenarios import MemoryClip, moving_blocks

CPU = torch.device("cpu")
CLIP = moving_blocks(4, 24, 96, 64)
ALWAYS, NEVER = 0.0, 1e9


class Killed(BaseException):
    """Ends a run somewhere."""


def click(frame: int, x: float, y: float, label: int = 1) -> FramePrompt:
    return FramePrompt(frame, ((x, y),), (label,), None)


OBJECTS = (
    ObjectPrompts("a", 0, (click(8, 40, 30),), (click(3, 10, 10, label=0), click(18, 60, 20))),
    ObjectPrompts("b", 1, (click(11, 70, 40),), ()),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".out.mp4.checkpoint"


def checkpoint(folder: Path, seconds: float = ALWAYS, **belongs_to: str) -> RunCheckpoint:
    return RunCheckpoint(folder, seconds, belongs_to, CPU)


def track(
    model: LoadedModel, one: RunCheckpoint | None, propagation: str = "both", *, soft: bool = False
) -> Iterator[FrameMasks]:
    for frame, masks in Tracker(model).track(CLIP, OBJECTS, propagation, soft=soft, checkpoint=one):
        assert frame.index == masks.frame_index
        yield masks


@cache
def whole(model: LoadedModel, propagation: str = "both", soft: bool = False) -> list[FrameMasks]:
    """The masks of a run that nothing interrupts."""
    return list(track(model, None, propagation, soft=soft))


def break_off(model: LoadedModel, one: RunCheckpoint, steps: int, **how: Any) -> None:
    """Track so many steps, and end in an error."""
    add, left = one.add, [steps]

    def count(*told: Any, **more: Any) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        add(*told, **more)

    one.add = count  # type: ignore[method-assign]
    with pytest.raises(Killed), one:
        list(track(model, one, **how))


def assert_same(found: list[FrameMasks], expected: list[FrameMasks]) -> None:
    assert len(found) == len(expected) == CLIP.frame_count
    for one, other in zip(found, expected, strict=True):
        assert (one.frame_index, one.objects) == (other.frame_index, other.objects)
        assert np.array_equal(one.scores, other.scores) and np.array_equal(one.presence, other.presence)
        assert (one.soft is None) == (other.soft is None)
        assert one.soft is None or other.soft is None or one.soft.tobytes() == other.soft.tobytes()


@pytest.mark.parametrize(
    ("steps", "propagation", "soft"),
    [
        *[(1, "both", False), (7, "both", True), (9, "both", False), (10, "both", True), (20, "both", False)],
        *[(24, "both", True), (1, "forward", False), (12, "forward", True)],
    ],
)
def test_a_broken_off_run_goes_on_to_the_same_masks(
    small_model: LoadedModel, folder: Path, steps: int, propagation: str, soft: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In either pass and between the two; only what is left is tracked."""
    how: dict[str, Any] = {"propagation": propagation, "soft": soft}
    expected = whole(small_model, **how)
    break_off(small_model, checkpoint(folder), steps, **how)
    tracked, step = list[int](), Run._track

    def seen(self: Run, index: int, *more: Any, **others: Any) -> Any:
        tracked.append(index)
        return step(self, index, *more, **others)

    monkeypatch.setattr(Run, "_track", seen)
    with checkpoint(folder) as again:
        assert_same(list(track(small_model, again, **how)), expected)
    assert len(tracked) == (25 if propagation == "both" else 16) - steps
    assert not folder.exists()


def test_broken_off_again_and_again(small_model: LoadedModel, folder: Path) -> None:
    expected = whole(small_model)
    for _ in range(4):
        break_off(small_model, checkpoint(folder), 5)
    with checkpoint(folder) as again:
        assert again.state is not None and again.state.step == 20
        assert_same(list(track(small_model, again)), expected)


def test_broken_off_while_what_is_known_is_handed_out(small_model: LoadedModel, folder: Path) -> None:
    break_off(small_model, checkpoint(folder), 20)
    with pytest.raises(Killed), checkpoint(folder) as again:
        next(track(small_model, again))
        raise Killed
    with checkpoint(folder) as again:
        assert_same(list(track(small_model, again)), whole(small_model))


def test_the_last_step_is_saved_when_the_run_ends_early(small_model: LoadedModel, folder: Path) -> None:
    """Nothing was due to be saved, but whoever is told to stop still saves."""
    break_off(small_model, checkpoint(folder, NEVER), 13)
    with checkpoint(folder) as again:
        assert again.state is not None and again.state.step == 13


def test_masks_that_come_a_step_behind_the_state(
    small_model: LoadedModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU."""
    monkeypatch.setitem(tracker._FRAMES_BEHIND, "cpu", 1)
    break_off(small_model, checkpoint(folder), 7)
    with checkpoint(folder) as again:
        assert again.state is not None and again.state.step == 7
        assert_same(list(track(small_model, again)), whole(small_model))


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_kill_while_it_is_written_leaves_the_one_before(
    small_model: LoadedModel, folder: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(small_model, checkpoint(folder, NEVER), 6)

    def die(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError) as error:
        patched.setattr(os, moment, die)
        with checkpoint(folder) as again:
            list(track(small_model, again))
    assert str(error.value) == "the checkpoint .out.mp4.checkpoint cannot be written: No space left on device"
    with checkpoint(folder) as again:
        assert again.state is not None and again.state.step == 6
        assert_same(list(track(small_model, again)), whole(small_model))


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip(folder / "state", 5),
        lambda folder: flip(folder / "state", -500),
        lambda folder: cut(folder / "state"),
        lambda folder: (folder / "state").write_bytes(b""),
        lambda folder: flip(folder / "masks", 200),
        lambda folder: cut(folder / "masks"),
        lambda folder: (folder / "masks").unlink(),
    ],
)
def test_a_damaged_one_is_not_used_and_that_is_said(
    small_model: LoadedModel, folder: Path, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    break_off(small_model, checkpoint(folder), 12)
    damage(folder)
    with checkpoint(folder) as again:
        assert again.state is None
        assert_same(list(track(small_model, again)), whole(small_model))
    said = "out.mp4: its checkpoint is damaged and is not used, the clip begins anew"
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [said]


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_strangers_file_runs_nothing(folder: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "owned"),)

    folder.mkdir()
    for payload in (pickle.dumps(Evil()), _saved(Evil()), _saved({"step": 3}), _saved([1, 2])):
        (folder / "state").write_bytes(hashlib.sha256(payload).digest() + payload)
        with checkpoint(folder) as again:
            assert again.state is None
        assert not (tmp_path / "owned").exists()
        folder.mkdir()


def _saved(thing: Any) -> bytes:
    data = BytesIO()
    torch.save(thing, data)
    return data.getvalue()


def test_one_of_something_else_is_not_used_and_that_is_said(
    small_model: LoadedModel, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    break_off(small_model, checkpoint(folder, request="1", video="1", model="1"), 12)
    with checkpoint(folder, request="1", video="2", model="2") as again:
        assert again.state is None
    words = "another video and another model"
    assert f"out.mp4: its checkpoint is of {words} and is not used, the clip begins anew" in caplog.messages


def test_only_one_may_hold_it(folder: Path) -> None:
    with checkpoint(folder):
        with pytest.raises(InvalidRequest) as refusal, checkpoint(folder):
            pass
        assert str(refusal.value) == "output: out.mp4 is in work by another run, wait for it or stop it"
    with checkpoint(folder):
        pass
    assert not folder.exists()


def test_nothing_stays_of_a_run_without_a_step(folder: Path) -> None:
    with pytest.raises(Killed), checkpoint(folder):
        raise Killed
    assert not folder.exists()


def test_a_file_in_its_place_is_one_sentence(folder: Path) -> None:
    folder.write_text("")
    with pytest.raises(OSError, match=r"^the checkpoint .out.mp4.checkpoint cannot be written: ") as error:
        checkpoint(folder).__enter__()
    assert "\n" not in str(error.value)


def test_the_state_does_not_grow_with_the_clip(small_model: LoadedModel, folder: Path) -> None:
    clip = MemoryClip(CLIP.images * 4)
    sizes = []
    with checkpoint(folder) as one:
        tracked = Tracker(small_model).track(clip, OBJECTS[:1], "forward", checkpoint=one)
        sizes = [(folder / "state").stat().st_size for frame, _ in tracked if frame.index >= 30]
    assert max(sizes) - min(sizes) < 4096 and len(sizes) == 66


def test_it_is_saved_every_so_many_seconds(
    small_model: LoadedModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    saved = list[int]()
    with checkpoint(folder, 5) as one:
        for masks in track(small_model, one, "forward"):
            now[0] += 1
            if (folder / "state").exists():
                saved.append(module._read(folder / "state", CPU)["step"])
            assert masks
    assert sorted(set(saved)) == [1, 6, 11, 16]  # eight frames have gone by before the first step
