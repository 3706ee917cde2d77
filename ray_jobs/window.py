"""A bounded window over tasks: at most `limit` are in flight, whatever the length of the list.

Submitting a million tasks at once would fill the driver's memory and leave nothing to adapt; a
window keeps the driver flat and starts a task whenever one ends.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Finished(Generic[Item]):
    """A task that ended: its item, and either a value or an error."""

    item: Item
    value: Any = None
    error: Exception | None = None


class Window(Generic[Item]):
    """The tasks in flight; when the block ends, those still there are cancelled.

    Each task tells the window when it ends, so waiting costs the same for ten and for ten thousand.

    Args:
        submit: starts the task of an item; returns its future (of Ray: `ref.future()`).
        cancel: ends the task of a future.
    """

    def __init__(
        self, submit: Callable[[Item], Future], cancel: Callable[[Future], None] = lambda _: None
    ):
        self._submit, self._cancel = submit, cancel
        self._running: dict[Future, Item] = {}
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()

    def __enter__(self) -> Window[Item]:
        return self

    def __exit__(self, *_: object) -> None:
        for future in self._running:
            self._cancel(future)

    def __len__(self) -> int:
        return len(self._running)

    def start(self, item: Item) -> None:
        """Start the task of an item."""
        future = self._submit(item)
        self._running[future] = item
        future.add_done_callback(self._ended.put)

    def wait(self, timeout_s: float) -> list[Finished[Item]]:
        """The tasks that have ended, as soon as there is one; none when the time is over."""
        finished = []
        try:
            finished.append(self._collect(self._ended.get(timeout=timeout_s)))
            while True:
                finished.append(self._collect(self._ended.get_nowait()))
        except queue.Empty:
            return finished

    def _collect(self, future: Future) -> Finished[Item]:
        item = self._running.pop(future)
        error = future.exception()
        if error is not None:  # whatever the task raised belongs to its item
            return Finished(item, error=error)
        return Finished(item, value=future.result())
