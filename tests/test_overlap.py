"""Two stages at once: order, bounds, errors and ends, from either side."""

import threading
import time
from collections.abc import Generator, Iterator

import pytest

from sam2_cog.overlap import WriteBehind, read_ahead


class Cancelled(BaseException):
    """As Cog's: not an Exception."""


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left)


class Source:
    """Yields the numbers below `count`, then raises `error` if there is one; notes how far it was read and its end."""

    def __init__(self, count: int, error: BaseException | None = None) -> None:
        self.count, self.error = count, error
        self.read, self.closed = 0, False

    def items(self) -> Generator[int, None, None]:
        try:
            for number in range(self.count):
                self.read = number + 1
                yield number
            if self.error:
                raise self.error
        finally:
            self.closed = True


def test_all_items_come_in_order() -> None:
    source = Source(100)
    assert list(read_ahead(source.items(), 3)) == list(range(100)) and source.closed


def test_no_more_is_read_ahead_than_the_bound() -> None:
    source = Source(100)
    items = read_ahead(source.items(), 2)
    assert next(items) == 0
    time.sleep(0.3)
    assert source.read <= 1 + 2 + 1, "one handed out, two waiting, one in hand"
    items.close()
    assert source.closed


@pytest.mark.parametrize("error", [ValueError("broken"), Cancelled()])
def test_an_error_of_the_reader_comes_after_what_it_has_read(error: BaseException) -> None:
    seen = []
    with pytest.raises(type(error)) as caught:
        for item in read_ahead(Source(3, error).items(), 2):
            seen.append(item)
    assert seen == [0, 1, 2] and caught.value is error


def test_items_are_consumed_in_order_and_before_the_end() -> None:
    seen: list[int] = []
    with WriteBehind(seen.append, 3) as writer:
        for number in range(50):
            writer.put(number)
    assert seen == list(range(50))


def test_no_more_waits_to_be_written_than_the_bound() -> None:
    release, seen, handed = threading.Event(), list[int](), list[int]()

    def consume(item: int) -> None:
        release.wait()
        seen.append(item)

    def produce() -> None:
        with WriteBehind(consume, 2) as writer:
            for number in range(10):
                writer.put(number)
                handed.append(number)

    producer = threading.Thread(target=produce)
    producer.start()
    time.sleep(0.3)
    assert len(handed) <= 2 + 1, "two waiting, one in work"
    release.set()
    producer.join()
    assert seen == list(range(10))


def test_an_error_of_the_writer_reaches_the_other_side_at_once() -> None:
    def consume(item: int) -> None:
        if item == 2:
            raise OSError("disk full")

    handed = 0
    with pytest.raises(OSError, match="disk full"), WriteBehind(consume, 1) as writer:
        for number in range(1000):
            writer.put(number)
            handed = number
    assert handed < 10


def test_an_error_with_the_last_item_is_not_lost() -> None:
    def consume(item: int) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), WriteBehind(consume, 5) as writer:
        writer.put(0)


def test_after_a_cancel_what_waits_is_dropped() -> None:
    seen: list[int] = []

    def consume(item: int) -> None:
        time.sleep(0.2)
        seen.append(item)

    with pytest.raises(Cancelled), WriteBehind(consume, 5) as writer:
        for number in range(5):
            writer.put(number)
        raise Cancelled
    assert len(seen) <= 1


def test_a_cancel_is_not_held_up_by_a_writer_that_hangs() -> None:
    release = threading.Event()

    def hang(item: int) -> None:
        release.wait()

    begin = time.monotonic()
    with pytest.raises(Cancelled), WriteBehind(hang, 1) as writer:
        writer.put(0)
        raise Cancelled
    assert time.monotonic() - begin < 5
    release.set()
