"""What happens while a dataset is rendered: one frozen dataclass for each kind of event.

A person reads `line()`, a log collector the JSON of `as_json()`; both come from the same values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from synth.config import to_dict


def utc_now() -> str:
    """The time in ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def format_duration(seconds: float) -> str:
    """Seconds as `42 s`, `3 min 20 s`, `5 h 12 min` or `6 d 3 h`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    if seconds < 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
    return f"{seconds // 86400} d {seconds % 86400 // 3600} h"


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        time: when, ISO 8601 in UTC.
    """

    time: str = field(default_factory=utc_now, kw_only=True)

    def line(self) -> str:
        """What a person should read; "" for what only a log keeps."""
        return ""

    def as_json(self) -> dict[str, Any]:
        """Plain data: the name of the event as `event`, and its values."""
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        return {"event": name, **to_dict(self)}


@dataclass(frozen=True)
class RunStarted(Event):
    """The driver is connected and starts to render.

    Attributes:
        dataset: the root.
        expected, missing: heads of the dataset, and those of them to be rendered.
        shards: to be rendered.
        slots: Blender processes at a time.
        address: of Ray's head.
        dashboard_url: of Ray's dashboard, or "".
    """

    dataset: str
    dataset_id: str
    expected: int
    missing: int
    shards: int
    slots: int
    address: str
    dashboard_url: str

    def line(self) -> str:
        return f"Ray dashboard: {self.dashboard_url}" if self.dashboard_url else ""


@dataclass(frozen=True)
class Progressed(Event):
    """How far the run is.

    Attributes:
        expected: heads of the dataset.
        done: heads in committed shards.
        working: heads that tasks in flight are through with, not committed yet.
        failed, rejected: heads that the dataset lacks and why; failed ones with their shards.
        running: tasks in flight.
        heads_per_min: over the last minutes; None before anything can be said.
        eta_s: seconds to the end at this rate, or None.
    """

    expected: int
    done: int
    working: int
    failed: int
    rejected: int
    running: int
    heads_per_min: float | None
    eta_s: float | None

    def line(self) -> str:
        parts = []
        if self.heads_per_min:
            parts.append(f"{self.heads_per_min:.1f} heads/min")
        if self.eta_s is not None:
            parts.append(f"{format_duration(self.eta_s)} left")
        parts.append(f"{self.running} shards running")
        for count, what in ((self.failed, "failed"), (self.rejected, "rejected")):
            if count:
                parts.append(f"{count} heads {what}")
        return ", ".join(parts)


@dataclass(frozen=True)
class ShardCommitted(Event):
    """A shard is in place.

    Attributes:
        shard: file name.
        heads, failed, rejected: heads in it, and absent from it.
        attempt: 1 for the first.
        node: the machine.
        wall_s, cpu_s: seconds and CPU seconds of the Blender process.
        peak_rss_bytes: its largest resident memory.
    """

    shard: str
    heads: int
    failed: int
    rejected: int
    attempt: int
    node: str
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int


@dataclass(frozen=True)
class ShardRetried(Event):
    """An attempt failed and the shard will be tried again.

    Attributes:
        shard: file name.
        attempt: the one that failed, from 1.
        node: the machine, "" if nobody knows.
        error, message: type and text.
        spec_id: the head that may be the cause, or None.
        skipped: that head will not be tried again.
        delay_s: seconds until the next attempt.
    """

    shard: str
    attempt: int
    node: str
    error: str
    message: str
    spec_id: str | None
    skipped: bool
    delay_s: float

    def line(self) -> str:
        what = f"without head {self.spec_id}" if self.skipped else f"in {self.delay_s:.0f} s"
        return f"{self.shard}: {self.error}: {self.message}; tried again {what}"


@dataclass(frozen=True)
class Failure(Event):
    """A head or a whole shard that failed for good: a line of `failures.jsonl`.

    Attributes:
        shard: file name.
        start, stop: the heads [start, stop) of the shard.
        kept: of a whole shard, how many of its heads are in place from an earlier run.
        error, message: type and text of the last error.
        log_tail: the last lines of Blender's log, or "".
        index, spec_id: the head; None for a whole shard.
        node: the machine of the last attempt, "" if nobody knows.
        attempts: how often the shard was tried.
    """

    shard: str
    start: int
    stop: int
    error: str
    message: str
    log_tail: str = ""
    index: int | None = None
    spec_id: str | None = None
    node: str = ""
    attempts: int = 1
    kept: int = 0

    @property
    def head_count(self) -> int:
        """Heads that are missing because of it."""
        return self.stop - self.start - self.kept if self.index is None else 1

    @property
    def what(self) -> str:
        """Names the head or the shard."""
        return self.shard if self.index is None else f"head {self.index} ({self.spec_id})"

    def line(self) -> str:
        return f"{self.what} failed: {self.error}: {self.message}"


@dataclass(frozen=True)
class MemoryReserved(Event):
    """What tasks of a pool reserve from now on.

    Attributes:
        pool: the kind of worker.
        reserved_bytes: for each Blender process from now on.
        peak_rss_bytes: the largest that was measured.
    """

    pool: str
    reserved_bytes: int
    peak_rss_bytes: int


@dataclass(frozen=True)
class Notice(Event):
    """Anything else that a person should know.

    Attributes:
        message: a sentence.
    """

    message: str

    def line(self) -> str:
        return self.message


@dataclass(frozen=True)
class RunEnded(Event):
    """The run is over.

    Attributes:
        state: "finished", "interrupted" (Ctrl-C, SIGTERM), "stopped" (the same trouble hit
            everything) or "error".
        message: why, if it is not finished.
        rendered: heads rendered by this run.
        failed: heads that are failed now.
        wall_s: seconds.
    """

    state: str
    message: str
    rendered: int
    failed: int
    wall_s: float
