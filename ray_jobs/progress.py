"""One line of progress on stderr: how much is done, at which rate, and the time left."""

from __future__ import annotations

import sys
import time
from typing import IO

from tqdm import tqdm

LINE_EVERY_S = 30.0
"""In a log (no terminal), a plain line this often instead of a bar."""


class RenderProgress:
    """Counts heads and shows them.

    Args:
        total: heads of the dataset.
        done: heads that were there before this run; the rate does not count them.
        enabled: False shows nothing.
        stream: where to; stderr by default, results belong to stdout.
    """

    def __init__(
        self, total: int, done: int = 0, *, enabled: bool = True, stream: IO[str] | None = None
    ):
        self.stream = stream or sys.stderr
        self.total = total
        self.done = done
        self.failed = 0
        self.running = 0
        self._before = done
        self._started = self._last_line = time.monotonic()
        terminal = enabled and self.stream.isatty()
        self._lines = enabled and not terminal
        self._bar = tqdm(
            total=total,
            initial=done,
            file=self.stream,
            disable=not terminal,
            dynamic_ncols=True,
            bar_format="render {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} heads{postfix}",
        )

    def add(self, heads: int) -> None:
        """Some heads were committed."""
        self.done += heads
        self._bar.update(heads)
        self.refresh()

    def add_failed(self, heads: int) -> None:
        """Some heads failed for good."""
        self.failed += heads
        self.refresh()

    def tick(self, running: int) -> None:
        """Called about once a second with the number of shards in flight."""
        self.running = running
        self.refresh()

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        if self._lines or not self._bar.disable:
            tqdm.write(text, file=self.stream)

    def refresh(self) -> None:
        """Redraw the bar, or print a line if the last one is old."""
        self._bar.set_postfix_str(self.status(), refresh=True)
        now = time.monotonic()
        if self._lines and now - self._last_line >= LINE_EVERY_S:
            self._last_line = now
            print(f"render: {self.done}/{self.total} heads, {self.status()}", file=self.stream)

    def status(self) -> str:
        """Rate, time left, running and failed, for a person."""
        elapsed_s = time.monotonic() - self._started
        rendered = self.done - self._before
        rate_per_s = rendered / elapsed_s if elapsed_s > 0 else 0.0
        left = self.total - self.done - self.failed
        parts = [f"{self.running} shards running"]
        if rate_per_s > 0:
            parts.insert(0, f"{format_duration(left / rate_per_s)} left")
            parts.insert(0, f"{60 * rate_per_s:.1f} heads/min")
        if self.failed:
            parts.append(f"{self.failed} heads failed")
        return ", ".join(parts)

    def close(self) -> None:
        """End the line."""
        self._bar.close()


class StageProgress:
    """Shows work that goes through stages, each with a number of steps; a context manager.

    Args:
        name: of the work.
        enabled: False shows nothing; so does a stream that is no terminal.
        stream: where to; stderr by default.
    """

    def __init__(self, name: str, *, enabled: bool = True, stream: IO[str] | None = None):
        stream = stream or sys.stderr
        self._name, self._stage = name, ""
        self._bar = tqdm(
            total=1,
            desc=name,
            file=stream,
            disable=not (enabled and stream.isatty()),
            dynamic_ncols=True,
            leave=False,
        )

    def update(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` steps of a stage are done; a new stage starts the clock again."""
        if stage != self._stage:
            self._stage = stage
            self._bar.reset(total)
            self._bar.set_description_str(f"{self._name}: {stage}", refresh=False)
        self._bar.update(done - self._bar.n)
        self._bar.refresh()

    def __enter__(self) -> StageProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def format_duration(seconds: float) -> str:
    """Seconds as `42 s`, `3 min 20 s` or `5 h 12 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
