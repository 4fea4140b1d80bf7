"""Stages of a pipeline at the same time: what is read ahead and what is written behind runs in a thread of its own.

Each queue has an owner at either end and a bound. An error of either side reaches the other at once, and both waits are
short ones, so that an exception from outside (a cancel) is never held up by a full or an empty queue.
"""

import os
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from queue import Empty, Full, Queue
from threading import Event, Thread
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_WAIT_SECONDS = 0.1
_LET_GO_SECONDS = 1.0  # for what is in work when the other side gives up
_END = object()


class _Failure:
    """What went wrong on the other side."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def read_ahead(items: Generator[T, None, None], depth: int) -> Generator[T, None, None]:
    """Yield what `items` yields, of which up to `depth` (at least 1) wait. Closing this closes `items`, too."""
    queue: Queue[Any] = Queue(depth)
    stop = Event()

    def read() -> None:
        last: object = _END
        try:
            with closing(items):
                for item in items:
                    if not _offer(queue, item, stop):
                        return
        except BaseException as error:
            last = _Failure(error)
        _offer(queue, last, stop)

    thread = Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (item := _next(queue)) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        stop.set()
        _join(thread)


class WriteBehind(Generic[T]):
    """`with WriteBehind(consume, depth) as writer: writer.put(item)` calls `consume` with each item, in order.

    Up to `depth` (at least 1) items wait. What `consume` raises is raised by the next `put`, or when the `with` ends,
    which waits for the last item. After an error inside the `with`, what waits is dropped.
    """

    def __init__(self, consume: Callable[[T], None], depth: int) -> None:
        self._consume = consume
        self._queue: Queue[Any] = Queue(depth)
        self._stop = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="write-behind", daemon=True)

    def put(self, item: T) -> None:
        """Hand an item over; waits while `depth` of them wait."""
        if not _offer(self._queue, item, self._stop):
            self._raise()

    def __enter__(self) -> "WriteBehind[T]":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stop.set()
            self._thread.join(_LET_GO_SECONDS)  # what hangs longer ends when its file is let go of
            return
        _offer(self._queue, _END, self._stop)
        _join(self._thread)
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                item = self._queue.get(timeout=_WAIT_SECONDS)
            except Empty:
                continue
            if item is _END:
                return
            try:
                self._consume(item)
            except BaseException as error:
                self._error = error
                self._stop.set()


class OrderedPool(Generic[T]):
    """Does pieces of work in several threads, and hands their results to `consume` in the order of the pieces.

    `consume` is called by those who call `submit`, `put` and `finish`; there, too, is raised what a piece raises. Twice
    as many pieces as there are threads are begun or wait: one more has to wait for the oldest.
    """

    def __init__(self, consume: Callable[[T], None], threads: int) -> None:
        self._consume = consume
        self._most = 2 * threads
        self._pool = ThreadPoolExecutor(threads, "ordered-pool")
        self._waiting: deque[Future[T]] = deque()

    def submit(self, work: Callable[[], T]) -> None:
        """Hand a piece over."""
        while len(self._waiting) >= self._most:
            self._take()
        self._append(self._pool.submit(work))

    def put(self, result: T) -> None:
        """Hand over what needs no work; it waits for its turn."""
        done = Future[T]()
        done.set_result(result)
        self._append(done)

    def finish(self) -> None:
        """Wait for every piece, and consume what is left."""
        while self._waiting:
            self._take()

    def stop(self) -> None:
        """Drop what waits; what is in work ends by itself. Called last, also after `finish`."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _append(self, piece: Future[T]) -> None:
        self._waiting.append(piece)
        while self._waiting and (self._waiting[0].done() or len(self._waiting) > self._most):
            self._take()

    def _take(self) -> None:
        oldest = self._waiting.popleft()
        while not oldest.done():
            wait((oldest,), _WAIT_SECONDS)
        self._consume(oldest.result())


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _offer(queue: "Queue[Any]", item: object, stop: Event) -> bool:
    """Put an item into a queue as soon as there is room; False if the other side has stopped."""
    while not stop.is_set():
        try:
            queue.put(item, timeout=_WAIT_SECONDS)
            return True
        except Full:
            continue
    return False


def _next(queue: "Queue[Any]") -> Any:
    while True:
        try:
            return queue.get(timeout=_WAIT_SECONDS)
        except Empty:
            continue


def _join(thread: Thread) -> None:
    while thread.is_alive():
        thread.join(_WAIT_SECONDS)
