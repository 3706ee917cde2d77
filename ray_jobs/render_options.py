"""What is rendered and how, and what came of it: the options of a render and its summary."""

from __future__ import annotations

from dataclasses import dataclass

from ray_jobs.events import Failure, format_duration
from ray_jobs.failures import FAILURES_NAME
from ray_jobs.node_check import Expectation
from synth.launch import WORKER_COMMAND
from synth.storage import Place

_NAMED_FAILURES = 5


@dataclass(frozen=True)
class RenderOptions:
    """How the shards are rendered, by whichever pool; nothing here changes a pixel.

    Attributes:
        timeout_s: limit for one shard; None derives a generous one from its pixels.
        command: starts the worker; tests replace it.
        expectation: what a machine must share with the driver; None checks nothing.
    """

    timeout_s: float | None = None
    command: tuple[str, ...] = WORKER_COMMAND
    expectation: Expectation | None = None


@dataclass(frozen=True)
class RenderSummary:
    """What `render_dataset` did; `str` prints it for a person.

    Attributes:
        root: the dataset.
        heads: heads that are there now.
        rendered: heads rendered by this run.
        rejected: heads that were rendered and kept apart by quality control, also by earlier runs.
        expected: heads the configuration asks for.
        failed: the heads and shards that are failed now, also by earlier runs.
        wall_s: seconds.
        peak_rss_bytes: largest memory of a Blender process in this run, or 0.
        contact_sheet: the picture, None if there is no head.
        index: the Parquet index, None if there is no head.
    """

    root: Place
    heads: int
    rendered: int
    rejected: int
    expected: int
    failed: tuple[Failure, ...]
    wall_s: float
    peak_rss_bytes: int
    contact_sheet: Place | None
    index: Place | None

    def __str__(self) -> str:
        rate = f", {60 * self.rendered / self.wall_s:.1f} heads/min" if self.rendered else ""
        lines = [
            f"{self.root}: {self.heads} of {self.expected} heads, {self.rendered} rendered now "
            f"in {format_duration(self.wall_s)}{rate}"
        ]
        if self.rejected:
            lines.append(f"{self.rejected} heads were rendered and rejected")
        if self.contact_sheet is not None:
            lines.append(f"contact sheet: {self.contact_sheet}")
        lines += [failure.line() for failure in self.failed[:_NAMED_FAILURES]]
        if self.failed:
            heads = sum(failure.head_count for failure in self.failed)
            lines.append(
                f"{heads} heads are missing because they failed, see {self.root / FAILURES_NAME}; "
                "the same command tries whole shards again, with --retry-failed single heads too"
            )
        return "\n".join(lines)
