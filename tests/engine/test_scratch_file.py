"""Bytes on disk that give their room back."""

import gc
import os
import threading
from typing import Any

import pytest

from sam2_cog.engine.scratch_file import STEP, ScratchFile


def test_places_hold_what_was_put() -> None:
    with ScratchFile() as file:
        contents = [
            bytes([number]) * length for number, length in enumerate([0, 1, STEP - 1, STEP, STEP + 1, 5 * STEP])
        ]
        places = [file.put(content) for content in contents]
        assert [place.read() for place in reversed(places)] == contents[::-1]


def test_room_that_nobody_refers_to_is_used_again() -> None:
    with ScratchFile() as file:
        places = [file.put(bytes(STEP)) for _ in range(10)]
        assert file.size == 10 * STEP
        end = os.fstat(file._file.fileno()).st_size
        del places[3:]
        gc.collect()
        assert file.size == 3 * STEP
        places += [file.put(b"\1" * STEP) for _ in range(7)]
        assert os.fstat(file._file.fileno()).st_size == end
        assert [place.read()[0] for place in places] == [0] * 3 + [1] * 7


def test_several_threads_put_and_read() -> None:
    with ScratchFile() as file:

        def work(number: int) -> None:
            for length in range(1, 200):
                content = bytes([number]) * length * 7
                assert file.put(content).read() == content
            done.append(number)

        done: list[int] = []
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(done) == [0, 1, 2, 3]


def test_nothing_is_left_and_nothing_goes_on_after_the_end() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with ScratchFile() as file:
        place = file.put(b"abc")
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ValueError):
        place.read()
    with pytest.raises(ValueError):
        file.put(b"abc")


def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __getattr__(self, name: str) -> Any:
            return lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")) if name == "write" else None

    with ScratchFile() as file:
        real, file._file = file._file, Full()  # type: ignore[assignment]
        with pytest.raises(OSError, match=r"^a temporary file cannot be written: No space left on device$"):
            file.put(b"abc")
        file._file = real
        assert file.size == 0 and file.put(b"abc").read() == b"abc"
