"""What a person or a log collector sees on stderr while something long is going on."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import IO, Literal

from tqdm import tqdm

from ray_jobs.events import Event, Progressed
from synth.config import canonical_json

LogFormat = Literal["text", "json"]
LINE_EVERY_S = 30.0
"""In a log (no terminal), a plain line this often instead of a bar."""
JSON_EVERY_S = 10.0


class RunLog:
    """Shows the events of a render on stderr; results belong to stdout.

    As text on a terminal: a bar that updates, and a line above it for what a person should know. As
    text elsewhere: the same lines, and one of progress every `LINE_EVERY_S`. As JSON: a line for
    every event, with progress every `JSON_EVERY_S`.

    Args:
        quiet: show nothing.
        log_format: "text" or "json".
        stream: where to; stderr by default.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        log_format: LogFormat = "text",
        stream: IO[str] | None = None,
    ):
        self._stream = stream or sys.stderr
        self._json, self._quiet = log_format == "json", quiet
        self._terminal = not self._json and self._stream.isatty()
        self._bar: tqdm | None = None
        self._shown_at = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if self._quiet:
            return
        with suppress(OSError):  # whoever read it is gone, or its disk is full: the render goes on
            self._show(event)

    def _show(self, event: Event) -> None:
        if isinstance(event, Progressed):
            self._progress(event)
        elif self._json:
            self._print(canonical_json(event.as_json()))
        elif line := event.line():
            tqdm.write(line, file=self._stream)

    def _progress(self, event: Progressed) -> None:
        if self._terminal:
            self._update_bar(event)
            return
        now = time.monotonic()
        if now - self._shown_at < (JSON_EVERY_S if self._json else LINE_EVERY_S):
            return
        self._shown_at = now
        if self._json:
            self._print(canonical_json(event.as_json()))
        else:
            heads = f"{event.done + event.working}/{event.expected} heads"
            self._print(f"render: {heads}, {event.line()}")

    def _update_bar(self, event: Progressed) -> None:
        if self._bar is None:
            self._bar = tqdm(
                total=event.expected,
                initial=event.done,
                file=self._stream,
                dynamic_ncols=True,
                bar_format="render {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} heads{postfix}",
            )
        self._bar.n = event.done + event.working
        self._bar.set_postfix_str(event.line(), refresh=True)

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """End the line."""
        if self._bar is not None:
            with suppress(OSError):
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
