"""The accountant: status.json, failures.jsonl, rate and time left."""

from __future__ import annotations

import dataclasses
import gc
import json
from pathlib import Path

import pytest

from ray_jobs import accounts, failures
from ray_jobs.accounts import LISTED_TASKS, RATE_WINDOW_S, STATUS_EVERY_S, Accounts
from ray_jobs.events import Failure, RunStarted
from ray_jobs.failures import failed_head, load_failures
from ray_jobs.retries import STORAGE_STREAK, TaskError, Verdict, Work
from synth.dataset import Dataset, ShardPlan
from synth.errors import RecordCorrupt, RenderStopped
from synth.launch import ShardResult
from synth.record import ShardWriter
from synth.sample import DatasetConfig
from synth.shardlayout import AbsentHead, read_footer

CRASH = TaskError("head", "RenderCrashed", "signal 11", log_tail="last words", spec_id="id1")


class Books:
    """Accounts of a dataset of 100 heads, 20 of them there before, and what they told."""

    def __init__(self, root: Path, known: tuple[Failure, ...] = ()):
        self.now, self.told, self.root = 0.0, [], root
        args = (100, 80, 20, 0, known, self.told.append, lambda: self.now)
        self.accounts = Accounts(root, "d", *args)

    def tick(self, seconds: float = 1.0, heads_done: tuple[int, ...] = ()) -> None:
        self.now += seconds
        running = [
            {"shard": str(i), "node": "n", "since": str(i), "head": 0, "heads_done": done}
            for i, done in enumerate(heads_done)
        ]
        self.accounts.tick(running, len(running))

    def status(self) -> dict:
        return json.loads((self.root / "status.json").read_text())


def work(shard: int = 0, **more) -> Work:
    name = f"shard-{shard:06d}.tar"
    return Work(ShardPlan(shard, 4 * shard, 4 * shard + 4, Path(name)), **more)


def result(heads: int, *absent: AbsentHead, **more) -> ShardResult:
    return ShardResult(Path("x"), tuple("abcdefgh"[:heads]), absent, **more)


def test_the_rate_is_that_of_the_last_minutes_and_counts_unfinished_shards(tmp_path):
    books = Books(tmp_path)
    assert books.accounts.progress().heads_per_min is None
    for _ in range(60):
        books.tick(heads_done=(1, 2))
    progress = books.accounts.progress()
    assert (progress.done, progress.working, progress.heads_per_min) == (20, 3, 3.0)
    assert progress.eta_s == pytest.approx((100 - 23) * 20)
    for _ in range(6):
        books.accounts.committed(work(), result(4), "n")
    for _ in range(int(RATE_WINDOW_S) + 10):
        books.tick()  # everything hangs
    progress = books.accounts.progress()
    assert (progress.done, progress.heads_per_min, progress.eta_s) == (44, None, None)


def test_failures_are_what_is_failed_now(tmp_path):
    old = Failure("shard-000001.tar", 4, 8, "RenderInvalid", "black", index=5, spec_id="id5")
    books = Books(tmp_path, (old,))
    shard = work(attempts=2, blamed={"id1": CRASH})
    absent = (
        AbsentHead("id1", 1, "failed", "RenderCrashed: signal 11"),
        AbsentHead("id2", 2, "rejected", "too alike"),
    )
    books.accounts.committed(shard, result(2, *absent, cpu_s=3.0), "host")
    books.accounts.given_up(work(3, attempts=3), CRASH, "")
    books.accounts.end("finished")
    first, second, third = load_failures(tmp_path)
    assert first == old
    assert (second.index, second.spec_id, second.log_tail) == (1, "id1", "last words")
    assert (second.attempts, second.node, second.message) == (3, "host", "signal 11")
    assert (third.shard, third.index, third.head_count) == ("shard-000003.tar", None, 4)
    assert books.status()["heads"] == {
        "expected": 100, "done": 22, "rendered_now": 2, "working": 0, "failed": 6,
        "rejected": 1,
    }  # fmt: skip
    assert books.status()["cpu_s"] == 3.0

    again = Books(tmp_path, tuple(load_failures(tmp_path)))
    for shard in (0, 1, 3):
        again.accounts.committed(work(shard), result(4), "n")
    again.accounts.end("finished")
    assert not (tmp_path / "failures.jsonl").exists() and load_failures(tmp_path) == []


def test_a_shard_that_is_completed_counts_what_is_new(tmp_path):
    """Three of its four heads were there before, and are among the 20; the other had failed."""
    books = Books(tmp_path, (Failure("shard-000000.tar", 0, 4, "E", "m", index=1, spec_id="id1"),))
    shard = work(0, attempts=3)
    shard = dataclasses.replace(shard, plan=dataclasses.replace(shard.plan, kept=3))
    books.accounts.given_up(shard, CRASH, "")
    assert (books.accounts.done, books.accounts.failed_heads) == (20, 1)
    books.accounts.committed(shard, result(4), "n")
    assert (books.accounts.done, books.accounts.rendered) == (21, 1)
    assert books.accounts.failed_heads == 0


def test_time_is_left_for_what_this_run_renders(tmp_path):
    """Heads that failed before and are tried again are still to come; others will not."""
    old = [Failure("shard-000001.tar", 4, 8, "E", "m", index=i, spec_id="x") for i in (4, 5)]
    books = Books(tmp_path, tuple(old))
    books.accounts.committed(work(0), result(4), "n")
    books.tick(60.0)
    assert books.accounts.progress().eta_s == pytest.approx((80 - 4) * 15)
    books.accounts.given_up(work(1), CRASH, "n")
    assert books.accounts.progress().eta_s == pytest.approx((80 - 8) * 15)


def test_shards_are_asked_only_for_failures_that_no_line_tells(tmp_path, monkeypatch):
    config = DatasetConfig(heads=7, heads_per_shard=2)
    dataset = Dataset.create(tmp_path / "heads", config)
    for plan in dataset.expected()[:3]:
        with ShardWriter(plan.path, dataset_id=dataset.dataset_id) as writer:
            for spec in plan.specs(config):
                writer.add_absent(spec, "failed", "RenderInvalid: black")
    asked = []
    monkeypatch.setattr(
        failures, "read_footer", lambda path: asked.append(path.name) or read_footer(path)
    )
    every = dataset.expected()
    lines = [failed_head(every[1], head, node="n") for head in read_footer(every[1].path).absent]
    lines.append(failed_head(every[2], read_footer(every[2].path).absent[1], node="n"))
    for shard in (1, 3):  # that one was given up, and is there now; this one is to be tried
        lines.append(Failure(every[shard].path.name, 0, 2, "Lost", "m"))
    lines.append(Failure("shard-000009.tar", 18, 20, "Lost", "of a longer plan"))
    failures.write_failures(dataset.root, lines)
    found = failures.known_failures(dataset, dataset.plan())
    told = [(failure.shard[11:12], failure.index, failure.node) for failure in found]
    assert told == [
        ("0", 0, ""), ("0", 1, ""), ("1", 2, "n"), ("1", 3, "n"), ("2", 4, ""), ("2", 5, "n"),
        ("3", None, ""),
    ]  # fmt: skip
    assert [name[11:12] for name in asked] == ["0", "2"]


def test_a_failures_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "failures.jsonl").write_text('{"shard": 1\n')
    with pytest.raises(RecordCorrupt, match=r"failures.jsonl cannot be read.*may be deleted"):
        load_failures(tmp_path)


def test_lines_of_earlier_versions_are_read(tmp_path):
    line = {"time": "t", "shard": "s", "start": 0, "stop": 4, "error": "E", "message": "m"}
    (tmp_path / "failures.jsonl").write_text(json.dumps({**line, "log_tail": ""}) + "\n")
    assert load_failures(tmp_path)[0].head_count == 4


def test_the_status_is_written_every_few_seconds(tmp_path):
    books = Books(tmp_path)
    books.accounts.start(RunStarted("root", "d", 100, 80, 20, 2, "10.0.0.1:6379", "http://dash"))
    books.tick(1.0, heads_done=(3, 1))
    assert books.status()["heads"]["working"] == 0
    books.tick(STATUS_EVERY_S, heads_done=(3, 1))
    status = books.status()
    assert (status["state"], status["finished"], status["heads"]["working"]) == ("running", None, 4)
    assert status["dashboard_url"] == "http://dash" and status["shards"]["planned"] == 20
    assert [task["shard"] for task in status["running"]] == ["0", "1"]
    books.accounts.retried(work(attempts=1), CRASH, "n", Verdict(1.0))
    books.accounts.end("interrupted", "run it again")
    status = books.status()
    assert (status["state"], status["message"]) == ("interrupted", "run it again")
    assert status["finished"] and status["running"] == [] and status["shards"]["retried"] == 1


def test_the_status_lists_the_tasks_that_run_longest(tmp_path):
    books = Books(tmp_path)
    books.now = STATUS_EVERY_S
    tasks = [{"shard": i, "since": f"{i:03d}", "heads_done": 1} for i in range(LISTED_TASKS + 50)]
    books.accounts.tick(tasks[::-1], len(tasks))
    status = books.status()
    assert [task["shard"] for task in status["running"]] == list(range(LISTED_TASKS))
    assert status["heads"]["working"] == status["shards"]["in_flight"] == LISTED_TASKS + 50


def test_a_long_list_of_failures_is_not_written_all_the_time(tmp_path, monkeypatch):
    books, written = Books(tmp_path), []

    def write(root, failed):
        written.append(len(failed))
        books.now += 2.0

    monkeypatch.setattr(accounts, "write_failures", write)
    for shard in range(16):  # one every six seconds
        books.accounts.given_up(work(shard), CRASH, "")
        books.tick(STATUS_EVERY_S + 1.0)
    assert written == [1, 8, 15]
    books.accounts.end("finished")
    assert written[-1] == 16


def test_a_storage_that_is_gone_stops_the_run_and_a_hiccup_does_not(tmp_path):
    root = tmp_path / "mount"
    root.mkdir()
    books = Books(root)

    def unmount() -> None:
        root.rename(tmp_path / "gone")
        root.write_text("a file where the folder was")

    unmount()
    for _ in range(STORAGE_STREAK - 1):
        books.tick(STATUS_EVERY_S)
    root.unlink()
    (tmp_path / "gone").rename(root)
    books.tick(STATUS_EVERY_S)  # back in time
    unmount()
    for _ in range(STORAGE_STREAK - 1):
        books.tick(STATUS_EVERY_S)
    with pytest.raises(RenderStopped, match=r"mount cannot be written"):
        books.tick(STATUS_EVERY_S)
    books.accounts.end("stopped")  # says so instead of raising
    assert "could not be written" in books.told[-2].message


def test_the_books_do_not_grow_with_the_shards(tmp_path):
    import tracemalloc

    books = Books(tmp_path)
    books.accounts._log = lambda event: None
    tracemalloc.start()
    sizes = []
    for shard in range(4000):
        books.accounts.committed(work(shard % 100), result(4), "n")
        if shard % 2000 == 1000:
            books.tick(STATUS_EVERY_S, (1,))
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[1] - sizes[0] < 10_000
