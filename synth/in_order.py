"""`map` on several threads, for what waits (for files, a network, code that lets go of the GIL)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

S, T = TypeVar("S"), TypeVar("T")


def in_order(function: Callable[[S], T], items: Iterable[S], threads: int) -> Iterator[T]:
    """The results for the items, in their order.

    Args:
        function: called in the threads.
        items: taken one by one, at most `2 * threads` ahead of the reader.
        threads: 1 calls it in this one.
    """
    if threads == 1:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[T]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # an error, or a reader that has seen enough
