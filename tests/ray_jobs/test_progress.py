"""What a person sees while heads are rendered."""

from __future__ import annotations

import io

import pytest

from ray_jobs import progress
from ray_jobs.progress import RenderProgress, StageProgress, format_duration


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


def test_the_rate_counts_this_run_only(monkeypatch):
    clock = Clock(monkeypatch)
    bar = RenderProgress(total=100, done=40, stream=io.StringIO())
    assert bar.status() == "0 shards running"  # nothing to estimate from yet
    clock.now += 120
    bar.add(20)
    bar.tick(3)
    assert bar.status() == "10.0 heads/min, 4 min 00 s left, 3 shards running"
    bar.add_failed(10)
    assert bar.status() == "10.0 heads/min, 3 min 00 s left, 3 shards running, 10 heads failed"


def test_a_log_gets_a_line_now_and_then(monkeypatch):
    clock, stream = Clock(monkeypatch), io.StringIO()
    bar = RenderProgress(total=10, stream=stream)
    for _ in range(100):
        clock.now += 1
        bar.tick(1)
    bar.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0] == "render: 0/10 heads, 1 shards running"


def test_a_terminal_gets_a_bar():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    bar = RenderProgress(total=10, stream=stream)
    bar.add(4)
    bar.message("shard-000001.tar failed")
    bar.close()
    assert "4/10 heads" in stream.getvalue()
    assert "shard-000001.tar failed" in stream.getvalue()


def test_stages_are_shown_on_a_terminal_only():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        with StageProgress("lift", stream=stream) as bar:
            bar.update("six views", 3, 50)
            bar.update("turntable", 0, 1)
        assert ("lift: six views" in stream.getvalue()) == shown
        assert ("3/50" in stream.getvalue()) == shown
        assert ("lift: turntable" in stream.getvalue()) == shown


def test_quiet_is_quiet(capfd):
    bar = RenderProgress(total=10, enabled=False)
    bar.add(4)
    bar.message("hello")
    bar.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (18720, "5 h 12 min")],
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text
