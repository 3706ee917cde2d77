"""The order of heads and the background threads that load them.

Nothing here has hidden state: which heads a batch holds, and every random choice in it, follow from
the seed and from the number of samples seen before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np

from synth.rng import stream

Work = TypeVar("Work")
Result = TypeVar("Result")


class SampleOrder:
    """The endless sequence of heads: every epoch is its own permutation.

    Args:
        count: heads in the dataset.
        seed: seed of the run.
    """

    def __init__(self, count: int, seed: int):
        self._count, self._seed = count, seed
        self._epoch, self._permutation = -1, np.zeros(0, dtype=np.int64)

    def indices(self, first: int, count: int) -> tuple[int, ...]:
        """Heads number `first` to `first + count - 1` of the sequence."""
        return tuple(self._index(position) for position in range(first, first + count))

    def _index(self, position: int) -> int:
        epoch, offset = divmod(position, self._count)
        if epoch != self._epoch:
            self._permutation = stream(self._seed, epoch, "train.order").permutation(self._count)
            self._epoch = epoch
        return int(self._permutation[offset])


class Prefetch(Generic[Work, Result]):
    """Runs `load` ahead of its use in background threads and hands the results out in order.

    Args:
        load: from a work item to its result; must not depend on when it runs.
        items: work items; consumed lazily.
        threads, ahead: threads, and results kept ready.
    """

    def __init__(
        self, load: Callable[[Work], Result], items: Iterator[Work], threads: int, ahead: int
    ):
        self._load, self._items, self._ahead = load, items, ahead
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="load-batch")
        self._pending: deque[Future[Result]] = deque()
        self._fill()

    def _fill(self) -> None:
        while len(self._pending) < self._ahead:
            item = next(self._items, None)
            if item is None:
                return
            self._pending.append(self._pool.submit(self._load, item))

    def next(self) -> Result:
        """The next result; raises what `load` raised.

        Raises:
            StopIteration: no items are left.
        """
        if not self._pending:
            raise StopIteration
        result = self._pending.popleft().result()
        self._fill()
        return result

    def close(self) -> None:
        """Drop what was not used and end the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
