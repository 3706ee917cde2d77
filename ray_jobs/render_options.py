"""What is rendered and how, and what came of it: the options of a render and its summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ray_jobs.accounts import FAILURES_NAME, ShardFailure
from ray_jobs.node_check import Expectation
from ray_jobs.progress import format_duration
from synth.launch import WORKER_COMMAND


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
        expected: heads the configuration asks for.
        failed: the shards that stayed failed.
        wall_s: seconds.
        peak_rss_bytes: largest memory of a Blender process in this run, or 0.
        contact_sheet: the picture, None if there is no head.
        index: the Parquet index, None if there is no head.
    """

    root: Path
    heads: int
    rendered: int
    expected: int
    failed: tuple[ShardFailure, ...]
    wall_s: float
    peak_rss_bytes: int
    contact_sheet: Path | None
    index: Path | None

    def __str__(self) -> str:
        rate = f", {60 * self.rendered / self.wall_s:.1f} heads/min" if self.rendered else ""
        lines = [
            f"{self.root}: {self.heads} of {self.expected} heads, {self.rendered} rendered now "
            f"in {format_duration(self.wall_s)}{rate}"
        ]
        if self.contact_sheet is not None:
            lines.append(f"contact sheet: {self.contact_sheet}")
        for failure in self.failed[:5]:
            lines.append(f"failed: {failure.shard}: {failure.error}: {failure.message}")
        if self.failed:
            lines.append(
                f"{len(self.failed)} shards failed, see {self.root / FAILURES_NAME}; "
                "the same command tries them again"
            )
        return "\n".join(lines)
