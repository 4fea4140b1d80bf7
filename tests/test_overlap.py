"""Two stages at once: order, bounds, errors and ends, from either side."""

import threading
import time
from collections.abc import Generator, Iterator
from functools import partial

import pytest

from sam2_cog.overlap import OrderedPool, WriteBehind, cores, read_ahead


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


@pytest.fixture
def taken() -> list[int]:
    return []


def test_a_pool_keeps_the_order_whichever_piece_is_done_first(taken: list[int]) -> None:
    def slowly(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number

    pool = OrderedPool(taken.append, 4)
    for number in range(60):
        if number % 5:
            pool.submit(partial(slowly, number))
        else:
            pool.put(number)
    pool.finish()
    pool.stop()
    assert taken == list(range(60))


def test_a_pool_works_at_several_pieces_at_a_time_but_no_more_than_it_may(taken: list[int]) -> None:
    together, most, lock = 0, 0, threading.Lock()

    def work() -> int:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        time.sleep(0.02)
        with lock:
            together -= 1
        return 0

    pool = OrderedPool(taken.append, 3)
    for _ in range(12):
        pool.submit(work)
    pool.finish()
    pool.stop()
    assert most == 3 and len(taken) == 12


def test_no_more_waits_in_a_pool_than_the_bound(taken: list[int]) -> None:
    release, submitted = threading.Event(), list[int]()
    pool = OrderedPool(taken.append, 2)

    def produce() -> None:
        for number in range(12):
            pool.submit(lambda: bool(release.wait()) + 0)
            submitted.append(number)
            pool.put(number)

    producer = threading.Thread(target=produce)
    producer.start()
    time.sleep(0.3)
    assert len(submitted) == 2, "of them two are in work; with what was put behind each, that is twice the threads"
    release.set()
    producer.join()
    pool.finish()
    pool.stop()
    assert taken == [value for number in range(12) for value in (1, number)]


def test_an_error_of_a_piece_is_raised_where_the_next_ones_are_handed_over(taken: list[int]) -> None:
    def fail() -> int:
        raise OSError("disk full")

    pool = OrderedPool(taken.append, 2)
    pool.submit(lambda: 0)
    pool.submit(fail)
    with pytest.raises(OSError, match="disk full"):
        for _ in range(5):
            pool.submit(lambda: 1)
    pool.stop()
    assert taken == [0]


def test_a_stopped_pool_drops_what_waits(taken: list[int]) -> None:
    release, begun = threading.Event(), list[int]()

    def work() -> int:
        begun.append(0)
        release.wait()
        return 0

    pool = OrderedPool(taken.append, 1)
    pool.submit(work)
    pool.submit(work)
    begin = time.monotonic()
    pool.stop()
    assert time.monotonic() - begin < 1, "it does not wait for what is in work"
    release.set()
    time.sleep(0.1)
    assert len(begun) == 1 and taken == []


def test_there_is_a_core_to_work_on() -> None:
    assert cores() >= 1
