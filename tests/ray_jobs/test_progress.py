"""What a person and a log collector see while heads are rendered."""

from __future__ import annotations

import io
import json

import pytest

from ray_jobs import progress
from ray_jobs.events import Failure, Notice, Progressed, ShardCommitted, format_duration
from ray_jobs.progress import RunLog, StageProgress

FAILURE = Failure("shard-000001.tar", 2, 4, "RenderCrashed", "signal 11", index=3, spec_id="ab")


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progressed(done: int = 0, **more) -> Progressed:
    values = {"working": 0, "failed": 0, "rejected": 0, "running": 1}
    return Progressed(10, done, **{**values, "heads_per_min": None, "eta_s": None, **more})


def test_progress_is_one_sentence():
    assert progressed().line() == "1 shards running"  # nothing to estimate from yet
    event = progressed(heads_per_min=10.04, eta_s=180, running=3, failed=10, rejected=2)
    assert event.line() == (
        "10.0 heads/min, 3 min 00 s left, 3 shards running, 10 heads failed, 2 heads rejected"
    )


def test_a_log_gets_a_line_now_and_then(monkeypatch):
    clock, stream = Clock(monkeypatch), io.StringIO()
    log = RunLog(stream=stream)
    for second in range(100):
        clock.now += 1
        log(progressed(second // 50, working=2))
    log(FAILURE)
    log.close()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "render: 2/10 heads, 1 shards running"
    assert len(lines) == 4
    assert lines[3] == "head 3 (ab) failed: RenderCrashed: signal 11"


def test_a_terminal_gets_a_bar_that_counts_heads_of_unfinished_shards():
    stream = Terminal()
    log = RunLog(stream=stream)
    log(progressed(3, working=1))
    log(Notice("a machine is gone"))
    log.close()
    assert "4/10 heads" in stream.getvalue()
    assert "a machine is gone" in stream.getvalue()


def test_a_collector_gets_every_event_as_json(monkeypatch):
    clock, stream = Clock(monkeypatch), Terminal()
    log = RunLog(log_format="json", stream=stream)
    log(ShardCommitted("shard-000000.tar", 2, 0, 0, 1, "here", 9.0, 8.0, 10**9))
    for _ in range(25):
        clock.now += 1
        log(progressed(2))
    log(FAILURE)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    names = ["shard_committed", "progressed", "progressed", "failure"]
    assert [line["event"] for line in lines] == names
    assert lines[0]["wall_s"] == 9.0 and lines[0]["time"].endswith("+00:00")
    assert (lines[3]["index"], lines[3]["spec_id"]) == (3, "ab")


def test_quiet_is_quiet(capfd):
    log = RunLog(quiet=True)
    log(progressed(4))
    log(FAILURE)
    log.close()
    assert capfd.readouterr() == ("", "")


def test_a_log_that_nobody_reads_any_more_stops_nothing(monkeypatch):
    clock = Clock(monkeypatch)

    class Broken(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    for log_format in ("text", "json"):
        log = RunLog(stream=Broken(), log_format=log_format)
        clock.now += 100
        log(progressed(3))
        log(FAILURE)
        log.close()


def test_stages_are_shown_on_a_terminal_only():
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        with StageProgress("lift", stream=stream) as bar:
            bar.update("six views", 3, 50)
            bar.update("turntable", 0, 1)
        assert ("lift: six views" in stream.getvalue()) == shown
        assert ("3/50" in stream.getvalue()) == shown
        assert ("lift: turntable" in stream.getvalue()) == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (18720, "5 h 12 min"),
        (530_000, "6 d 3 h"),
    ],
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text
