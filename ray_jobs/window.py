"""A bounded window over tasks: at most `limit` are in flight, whatever the length of the list.

Submitting a million tasks at once would fill the driver's memory and leave nothing to adapt; a
window keeps the driver flat and starts a task whenever one ends.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Ref = Any
"""Handle of a running task, hashable: a `ray.ObjectRef`, or a stand-in in tests."""

_END: Any = object()

Wait = Callable[[Sequence[Ref], float], Sequence[Ref]]
"""(handles, seconds) -> those that have ended, possibly none when the time is over."""


@dataclass(frozen=True)
class Finished(Generic[Item, Result]):
    """A task that ended: its item, and either a value or an error."""

    item: Item
    value: Result | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class Backend:
    """How tasks are waited for, read and cancelled; `ray_backend` is the real one."""

    wait: Wait
    get: Callable[[Ref], Any]
    cancel: Callable[[Ref], None]
    sleep: Callable[[float], None] = time.sleep


def ray_backend() -> Backend:
    """Ray's `wait`, `get` and `cancel`."""
    import ray

    def wait(refs: Sequence[Ref], timeout_s: float) -> Sequence[Ref]:
        return ray.wait(list(refs), num_returns=1, timeout=timeout_s)[0]

    # force: the worker process ends, and with it, by its death signal, its Blender.
    return Backend(wait, ray.get, lambda ref: ray.cancel(ref, force=True))


def run_window(
    items: Iterable[Item],
    submit: Callable[[Item], Ref],
    limit: int | Callable[[], int],
    *,
    again: deque[Item] | None = None,
    backend: Backend | None = None,
    tick_s: float = 1.0,
    on_tick: Callable[[int], None] | None = None,
) -> Iterator[Finished[Item, Any]]:
    """Run a task per item and yield each as it ends, in any order.

    A failed task is yielded with its error; the others go on. When the caller stops early, or is
    interrupted, the tasks in flight are cancelled.

    Args:
        items: consumed lazily, one when a task is started.
        submit: starts the task of an item and returns its handle.
        limit: number of tasks in flight; a function is asked every time, and may say 0 for a while.
        again: the caller may put items here, for another try, while it handles what was yielded;
            they come before `items`.
        backend: None for Ray.
        tick_s: `on_tick` is called at least this often (seconds), with the number in flight.
    """
    if not callable(limit) and limit < 1:
        raise ValueError(f"the window must hold at least 1 task, got {limit}")
    room = limit if callable(limit) else lambda: limit
    backend = backend or ray_backend()
    again = deque() if again is None else again
    waiting = iter(items)
    running: dict[Ref, Item] = {}
    exhausted = False
    try:
        while True:
            while (again or not exhausted) and len(running) < room():
                if again:
                    item = again.popleft()
                else:
                    item = next(waiting, _END)
                    if item is _END:
                        exhausted = True
                        break
                running[submit(item)] = item
            if on_tick is not None:
                on_tick(len(running))
            if running:
                for ref in backend.wait(list(running), tick_s):
                    yield _collect(backend, ref, running.pop(ref))
            elif exhausted and not again:
                return
            else:
                backend.sleep(tick_s)
    finally:
        for ref in running:
            backend.cancel(ref)


def _collect(backend: Backend, ref: Ref, item: Item) -> Finished[Item, Any]:
    try:
        return Finished(item, value=backend.get(ref))
    except Exception as error:  # whatever the task raised belongs to its item
        return Finished(item, error=error)
