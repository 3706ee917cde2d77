"""One line of progress on stderr while a model trains: steps, rate, time left, loss."""

from __future__ import annotations

import sys
import time
from typing import IO

from tqdm import tqdm

LINE_EVERY_S = 30.0
"""Without a terminal, a plain line this often instead of a bar."""


class StepProgress:
    """Shows how far a run is.

    Args:
        name: of the model.
        total: steps of the run.
        done: steps that were done before.
        enabled: False shows nothing.
        stream: where to; stderr by default, since results belong to stdout.
    """

    def __init__(
        self,
        name: str,
        total: int,
        done: int = 0,
        *,
        enabled: bool = True,
        stream: IO[str] | None = None,
    ):
        self._name, self._total, self._done = name, total, done
        self._first: tuple[float, int] | None = None
        self._stream = stream or sys.stderr
        self._loss: float | None = None
        self._last_line = time.monotonic()
        terminal = enabled and self._stream.isatty()
        self._lines = enabled and not terminal
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=f"train {name}",
            unit="step",
            file=self._stream,
            disable=not terminal,
            dynamic_ncols=True,
            smoothing=0.05,
        )

    def update(self, step: int, loss: float | None = None) -> None:
        """The run stands at `step`; `loss` is the last one logged, if it is known."""
        if loss is not None:
            self._loss = loss
            self._bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
        now = time.monotonic()
        if self._first is None and step > self._done:
            self._first = now, step  # the rate counts from here: starting workers is not training
            self._bar.unpause()
        finished = step == self._total != self._done
        self._bar.update(step - self._done)
        self._done = step
        if self._lines and (finished or now - self._last_line >= LINE_EVERY_S):
            self._last_line = now
            print(self.status(now), file=self._stream, flush=True)

    def status(self, now: float) -> str:
        """The plain line: `train vae: step 30/100, 5.0 steps/s, 14 s left, loss 0.12`."""
        parts = [f"train {self._name}: step {self._done}/{self._total}"]
        if self._first is not None and self._done > self._first[1]:
            rate = (self._done - self._first[1]) / max(now - self._first[0], 1e-9)
            parts.append(f"{rate:.2f} steps/s")
            parts.append(f"{(self._total - self._done) / rate:.0f} s left")
        if self._loss is not None:
            parts.append(f"loss {self._loss:.4g}")
        return ", ".join(parts)

    def close(self) -> None:
        """End the line."""
        self._bar.close()
