"""The bounded window, with a cluster that a test can steer."""

from __future__ import annotations

import itertools

import pytest

from ray_jobs.window import Backend, run_window


class FakeCluster:
    """Tasks end when `order` says so; a task whose item is in `failing` raises."""

    def __init__(self, failing=(), order=lambda refs: refs[:1]):
        self.failing, self.order = failing, order
        self.running: dict[int, int] = {}
        self.most_running = 0
        self.cancelled: list[int] = []
        self._numbers = itertools.count()
        self.backend = Backend(self.wait, self.get, self.cancelled.append)

    def submit(self, item: int) -> int:
        ref = next(self._numbers)
        self.running[ref] = item
        self.most_running = max(self.most_running, len(self.running))
        return ref

    def wait(self, refs, timeout_s):
        assert sorted(refs) == sorted(self.running)
        return self.order(list(refs))

    def get(self, ref):
        item = self.running.pop(ref)
        if item in self.failing:
            raise ValueError(f"item {item}")
        return 10 * item


def test_every_item_ends_exactly_once_and_the_window_is_kept():
    cluster = FakeCluster(order=lambda refs: refs[-2:])
    done = list(run_window(range(57), cluster.submit, 5, backend=cluster.backend))
    assert sorted(f.item for f in done) == list(range(57))
    assert all(f.value == 10 * f.item and f.error is None for f in done)
    assert cluster.most_running == 5
    assert cluster.cancelled == []


def test_items_are_taken_only_when_there_is_room():
    taken = []

    def items():
        for number in range(1_000_000):
            taken.append(number)
            yield number

    cluster = FakeCluster()
    window = run_window(items(), cluster.submit, 3, backend=cluster.backend)
    for _ in range(10):
        next(window)
    assert len(taken) <= 13


def test_a_failed_task_does_not_stop_the_others():
    cluster = FakeCluster(failing={2, 3})
    done = {f.item: f for f in run_window(range(6), cluster.submit, 2, backend=cluster.backend)}
    assert sorted(done) == list(range(6))
    assert str(done[2].error) == "item 2"
    assert [i for i, f in done.items() if f.error] == [2, 3]


def test_stopping_early_cancels_what_runs():
    cluster = FakeCluster()
    window = run_window(range(9), cluster.submit, 4, backend=cluster.backend)
    next(window)
    window.close()
    assert sorted(cluster.cancelled) == sorted(cluster.running)
    assert len(cluster.cancelled) == 3


def test_it_ticks_while_nothing_ends():
    quiet = iter([[], [], []])
    ticks = []
    cluster = FakeCluster(order=lambda refs: next(quiet, refs))
    run = run_window([7], cluster.submit, 2, backend=cluster.backend, on_tick=ticks.append)
    assert [f.item for f in run] == [7]
    assert ticks == [1, 1, 1, 1, 0]


def test_no_items_and_no_room():
    cluster = FakeCluster()
    assert list(run_window([], cluster.submit, 1, backend=cluster.backend)) == []
    with pytest.raises(ValueError, match="at least 1 task, got 0"):
        list(run_window([1], cluster.submit, 0, backend=cluster.backend))
