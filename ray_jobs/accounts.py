"""The accountant of a render: what is done, what failed and why, how fast it goes.

    failures.jsonl   what is failed now, a line for each head or shard
    status.json      the state of the run, for people and monitors

Both are replaced in one step, `status.json` every few seconds while the driver lives. Results are
added up and forgotten, so the driver's memory does not grow with the dataset.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any

from ray_jobs.events import (
    Event,
    Failure,
    MemoryReserved,
    Notice,
    Progressed,
    RunEnded,
    RunStarted,
    ShardCommitted,
    ShardRetried,
    utc_now,
)
from ray_jobs.failures import failed_head, write_failures
from ray_jobs.retries import STORAGE_STREAK, MemoryReservation, TaskError, Verdict, Work
from synth import storage
from synth.config import to_dict
from synth.errors import RenderStopped
from synth.launch import ShardResult
from synth.storage import Place

STATUS_NAME = "status.json"
STATUS_SCHEMA = 1
STATUS_EVERY_S = 5.0
RATE_WINDOW_S = 600.0
LISTED_TASKS = 200
"""Tasks that `status.json` lists, those that run longest; it counts all of them."""
_TAIL_CHARACTERS = 2000


class Accounts:
    """Counts what tasks return and writes it down.

    Args:
        root: the dataset.
        dataset_id: its id.
        expected: heads of the dataset.
        missing: those that this run is to render.
        done, rejected: heads that were there, or kept apart, before it.
        known_failures: of earlier runs, not yet overcome.
        log: is told of every event.
        clock: seconds that only grow; tests replace it.
    """

    def __init__(
        self,
        root: Place,
        dataset_id: str,
        expected: int,
        missing: int,
        done: int,
        rejected: int,
        known_failures: Iterable[Failure],
        log: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        self.rendered = self.retries = self.shards = 0
        self.rejected = rejected
        self.cpu_s = 0.0
        self.peak_rss_bytes = 0
        self._memory: dict[str, MemoryReserved] = {}
        self._failures: dict[str, list[Failure]] = {}
        for failure in known_failures:
            self._failures.setdefault(failure.shard, []).append(failure)
        self._root, self._dataset_id = root, dataset_id
        self._expected, self._left, self._before = expected, missing, done
        self._log, self._clock = log, clock
        self._started, self._started_at = clock(), utc_now()
        self._run: RunStarted | None = None
        self._working = 0
        self._running: list[dict[str, Any]] = []
        self._in_flight = 0
        self._rates: deque[tuple[float, int]] = deque([(self._started, 0)])
        self._status_due = self._failures_due = self._started
        self._failures_changed, self._write_errors = False, 0

    # ------------------------------------------------------------------------------- entering

    def start(self, event: RunStarted) -> None:
        """The driver is connected."""
        self._run = event
        self._log(event)
        self.write_status("running")

    def committed(self, work: Work, result: ShardResult, node: str) -> None:
        """A shard is in place."""
        plan = work.plan
        failed = [head for head in result.absent if head.kind == "failed"]
        self.shards += 1
        self._left -= plan.missing
        self.rendered += result.head_count - plan.kept
        self.rejected += len(result.absent) - len(failed)
        self.cpu_s += result.cpu_s
        self.peak_rss_bytes = max(self.peak_rss_bytes, result.peak_rss_bytes)
        self._forget(plan.path.name)  # what was said of it before is history
        self._log(
            ShardCommitted(
                shard=plan.path.name,
                heads=result.head_count,
                failed=len(failed),
                rejected=len(result.absent) - len(failed),
                attempt=work.attempts + 1,
                node=node,
                wall_s=result.wall_s,
                cpu_s=result.cpu_s,
                peak_rss_bytes=result.peak_rss_bytes,
            )
        )
        for head in failed:
            blamed = work.blamed.get(head.spec_id)
            log_tail = blamed.log_tail[-_TAIL_CHARACTERS:] if blamed else ""
            attempts = work.attempts + 1
            self._enter(failed_head(plan, head, log_tail=log_tail, node=node, attempts=attempts))

    def retried(self, work: Work, error: TaskError, node: str, verdict: Verdict) -> None:
        """An attempt failed; another one follows."""
        self.retries += 1
        self._log(
            ShardRetried(
                shard=work.plan.path.name,
                attempt=work.attempts,
                node=node,
                error=error.error,
                message=error.message,
                spec_id=error.spec_id,
                skipped=verdict.skipped,
                delay_s=verdict.delay_s or 0.0,
            )
        )

    def given_up(self, work: Work, error: TaskError, node: str) -> None:
        """A shard failed for good."""
        plan = work.plan
        self._left -= plan.missing
        self._forget(plan.path.name)
        self._enter(
            Failure(
                shard=plan.path.name,
                start=plan.start,
                stop=plan.stop,
                kept=plan.kept,
                error=error.error,
                message=error.message,
                log_tail=error.log_tail[-_TAIL_CHARACTERS:],
                node=node,
                attempts=work.attempts,
            )
        )

    def memory(self, pool: str, reservation: MemoryReservation) -> None:
        """The memory that later tasks of a pool reserve."""
        event = MemoryReserved(pool, reservation.reserved_bytes, reservation.peak_bytes)
        self._memory[pool] = event
        self._log(event)

    def _enter(self, failure: Failure) -> None:
        self._failures.setdefault(failure.shard, []).append(failure)
        self._failures_changed = True
        self._log(failure)

    def _forget(self, shard: str) -> None:
        if self._failures.pop(shard, None):
            self._failures_changed = True

    # -------------------------------------------------------------------------------- telling

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What is failed now."""
        return tuple(failure for shard in self._failures.values() for failure in shard)

    @property
    def failed_heads(self) -> int:
        return sum(failure.head_count for failure in self.failures)

    @property
    def done(self) -> int:
        """Heads in committed shards."""
        return self._before + self.rendered

    def progress(self) -> Progressed:
        """How far it is."""
        rate_per_s = self._rate_per_s()
        left = max(0, self._left - self._working)
        return Progressed(
            expected=self._expected,
            done=self.done,
            working=self._working,
            failed=self.failed_heads,
            rejected=self.rejected,
            running=self._in_flight,
            heads_per_min=60 * rate_per_s if rate_per_s else None,
            eta_s=left / rate_per_s if rate_per_s else None,
        )

    def _rate_per_s(self) -> float:
        """Over the last minutes: a farm that grew or shrank is told by what it does now."""
        (then, before), now = self._rates[0], self._clock()
        return max(0, self.rendered + self._working - before) / (now - then) if now > then else 0.0

    def tick(self, running: Collection[dict[str, Any]], in_flight: int) -> None:
        """Call about once a second.

        Args:
            running: of the tasks that have begun: `shard`, `node`, `since`, `heads_done`, ...
            in_flight: all tasks that Ray has.
        """
        now = self._clock()
        self._in_flight = in_flight
        self._working = sum(task["heads_done"] for task in running)
        self._running = sorted(running, key=lambda task: task["since"])
        if now - self._rates[-1][0] >= STATUS_EVERY_S:
            self._rates.append((now, self.rendered + self._working))
            while now - self._rates[0][0] > RATE_WINDOW_S:
                self._rates.popleft()
        self._log(self.progress())
        if now >= self._status_due:
            self._write_or_stop()

    def _write_or_stop(self) -> None:
        """A hiccup of the storage is survived; a storage that is gone or full ends the run.

        Raises:
            RenderStopped: `STORAGE_STREAK` writes in a row failed.
        """
        try:
            self.write_status("running")
            self._write_errors = 0
        except OSError as error:
            self._write_errors += 1
            self._status_due = self._clock() + STATUS_EVERY_S
            if self._write_errors >= STORAGE_STREAK:
                raise RenderStopped(f"{self._root} cannot be written: {error}") from error
            self._log(Notice(f"{STATUS_NAME} could not be written: {error}"))

    # -------------------------------------------------------------------------------- writing

    def write_status(self, state: str, message: str = "") -> None:
        """Write `status.json`, and `failures.jsonl` if it changed and was not just written."""
        started = self._clock()
        if self._failures_changed and (state != "running" or started >= self._failures_due):
            self._write_failures()
            # a long list costs at most a twentieth of the time
            self._failures_due = self._clock() + 20 * (self._clock() - started)
        progress = self.progress()
        run = self._run
        body = {
            "schema": STATUS_SCHEMA,
            "state": state,
            "message": message,
            "dataset_id": self._dataset_id,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": self._started_at,
            "updated": utc_now(),
            "finished": None if state == "running" else utc_now(),
            "heads": {
                "expected": progress.expected,
                "done": progress.done,
                "rendered_now": self.rendered,
                "working": progress.working,
                "failed": progress.failed,
                "rejected": progress.rejected,
            },
            "shards": {"planned": run.shards if run else 0, "committed": self.shards}
            | {"retried": self.retries, "in_flight": self._in_flight},
            "heads_per_min": progress.heads_per_min,
            "eta_s": progress.eta_s,
            "cpu_s": self.cpu_s,
            "memory": [to_dict(event) for event in self._memory.values()],
            "address": run.address if run else "",
            "dashboard_url": run.dashboard_url if run else "",
            "running": self._running[:LISTED_TASKS],
            "last_failures": [f.line() for f in self.failures[-10:]],
        }
        with storage.write(self._root / STATUS_NAME) as file:
            file.write(json.dumps(body, indent=1).encode() + b"\n")
        self._status_due = self._clock() + STATUS_EVERY_S

    def _write_failures(self) -> None:
        write_failures(self._root, self.failures)
        self._failures_changed = False

    def end(self, state: str, message: str = "") -> None:
        """The run is over: write down how, tell it."""
        self._running, self._working, self._in_flight = [], 0, 0
        wall_s = self._clock() - self._started
        try:
            self.write_status(state, message)
        except OSError as error:  # why the run ends is more important
            self._log(Notice(f"{STATUS_NAME} could not be written: {error}"))
        self._log(RunEnded(state, message, self.rendered, self.failed_heads, wall_s))
