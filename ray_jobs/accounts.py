"""The accountant of a render: what was rendered, what failed and why (`failures.jsonl`)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ray_jobs.progress import RenderProgress
from ray_jobs.window import Finished
from synth.config import to_dict
from synth.dataset import ShardPlan
from synth.errors import HeadloomError
from synth.launch import ShardResult

FAILURES_NAME = "failures.jsonl"


@dataclass(frozen=True)
class ShardFailure:
    """A shard that could not be rendered, as written to `failures.jsonl`."""

    time: str
    shard: str
    start: int
    stop: int
    error: str
    message: str
    log_tail: str

    @property
    def head_count(self) -> int:
        return self.stop - self.start


class Accounts:
    """Counts what tasks return, writes down what they raise, and shows both.

    Args:
        root: the dataset.
        bar: told of every change.
    """

    def __init__(self, root: Path, bar: RenderProgress):
        self.rendered = 0
        self.peak_rss_bytes = 0
        self.failed: list[ShardFailure] = []
        self._root, self._bar = root, bar

    def add(self, finished: Finished[ShardPlan, ShardResult]) -> None:
        """Enter a shard that was committed, or that failed for good."""
        if finished.error is None:
            self.rendered += finished.value.head_count
            self.peak_rss_bytes = max(self.peak_rss_bytes, finished.value.peak_rss_bytes)
            self._bar.add(finished.item.head_count)
            return
        failure = _failure(finished)
        _append_line(self._root / FAILURES_NAME, failure)
        self.failed.append(failure)
        self._bar.add_failed(failure.head_count)
        self._bar.message(f"{failure.shard} failed: {failure.error}: {failure.message}")


def _failure(finished: Finished[ShardPlan, ShardResult]) -> ShardFailure:
    plan, error = finished.item, finished.error
    cause = getattr(error, "cause", None) or error  # Ray wraps what a task raised
    known = isinstance(cause, HeadloomError)
    return ShardFailure(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        shard=plan.path.name,
        start=plan.start,
        stop=plan.stop,
        error=type(cause).__name__,
        message=str(cause).removeprefix(f"{plan.path.name}: ") if known else _last_line(cause),
        log_tail=getattr(cause, "log_tail", ""),
    )


def _last_line(error: Exception) -> str:
    """Ray's own errors are pages of advice around one sentence."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else repr(error)


def _append_line(path: Path, failure: ShardFailure) -> None:
    """One JSON line, on the disk when this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(to_dict(failure)) + "\n")
        file.flush()
        os.fsync(file.fileno())
