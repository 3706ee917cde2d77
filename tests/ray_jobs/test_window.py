"""The bounded window, with tasks that a test can end."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from ray_jobs.window import Window


class Tasks:
    """Futures that end when the test says so."""

    def __init__(self):
        self.futures: dict[int, Future] = {}
        self.cancelled: list[Future] = []

    def submit(self, item: int) -> Future:
        self.futures[item] = Future()
        return self.futures[item]

    def window(self) -> Window[int]:
        return Window(self.submit, self.cancelled.append)


def test_each_task_is_handed_back_once_when_it_ends():
    tasks = Tasks()
    with tasks.window() as window:
        for item in range(4):
            window.start(item)
        tasks.futures[2].set_result("two")
        tasks.futures[0].set_result("zero")
        assert [(f.item, f.value, f.error) for f in window.wait(1.0)] == [
            (2, "two", None),
            (0, "zero", None),
        ]
        assert len(window) == 2
        assert window.wait(0.01) == []
        for item in (1, 3):
            tasks.futures[item].set_result(item)
        assert len(window.wait(1.0)) == 2
        assert not window
    assert tasks.cancelled == []


def test_an_error_belongs_to_its_task():
    tasks = Tasks()
    with tasks.window() as window:
        window.start(1)
        window.start(2)
        tasks.futures[1].set_exception(ValueError("item 1"))
        tasks.futures[2].set_result(20)
        first, second = window.wait(1.0)
    assert (first.item, str(first.error)) == (1, "item 1")
    assert (second.value, second.error) == (20, None)


def test_what_runs_is_cancelled_when_the_block_ends():
    tasks = Tasks()
    with pytest.raises(KeyboardInterrupt), tasks.window() as window:
        for item in range(3):
            window.start(item)
        tasks.futures[0].set_result(None)
        window.wait(1.0)
        raise KeyboardInterrupt
    assert tasks.cancelled == [tasks.futures[1], tasks.futures[2]]
