"""When Blender renders and when Cycles samples, in whatever script: told by Blender's handlers.

The same few lines run in every process that a bench compares, so "inside Cycles" means the same for
all of them. It imports nothing but Blender: also a peer's interpreter can use it.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass
class Moment:
    """A point in time: seconds since 1970, and CPU seconds of this process until then."""

    wall_s: float
    cpu_s: float

    @classmethod
    def now(cls) -> Moment:
        return cls(time.time(), time.process_time())


@dataclass
class TimedRender:
    """One picture.

    Attributes:
        begin, end: Blender's render of it, with everything that Cycles needs and leaves: transfer
            of the scene, sampling, denoising, compositing, writing the file.
        sampling: Cycles takes its first sample; None if it never said so.
        sampled: Cycles has its last sample.
    """

    begin: Moment
    sampling: Moment | None = None
    sampled: Moment | None = None
    end: Moment | None = None


class CyclesClock:
    """Notes every render of this process from now on; `bpy` is imported.

    Attributes:
        renders: one entry a picture.
    """

    def __init__(self) -> None:
        import bpy

        self.renders: list[TimedRender] = []

        @bpy.app.handlers.persistent
        def begin(*_: object) -> None:
            self.renders.append(TimedRender(Moment.now()))

        @bpy.app.handlers.persistent
        def end(*_: object) -> None:
            self.renders[-1].end = Moment.now()

        @bpy.app.handlers.persistent
        def progress(*arguments: object) -> None:
            self._note(next((text for text in arguments if isinstance(text, str)), ""))

        bpy.app.handlers.render_pre.append(begin)
        bpy.app.handlers.render_post.append(end)
        bpy.app.handlers.render_stats.append(progress)

    def _note(self, line: str) -> None:
        """A line of progress; the last column is Cycles' own word for what it does."""
        now = self.renders[-1] if self.renders else None
        word = line.rpartition("|")[2].strip()
        if now is None or now.end is not None:
            return
        if now.sampling is None and word.startswith("Sample "):
            now.sampling = Moment.now()
        elif now.sampled is None and word == "Finished":
            now.sampled = Moment.now()

    def write(self, path: Path) -> None:
        """Leave all renders and the CPU seconds of this process in a JSON file."""
        data = {
            "process_started_s": process_started_s(),
            "ended": asdict(Moment.now()),
            "renders": [asdict(render) for render in self.renders],
        }
        path.write_text(json.dumps(data))


def process_started_s() -> float:
    """When this process was started, seconds since 1970, to a hundredth."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - uptime_s + ticks / os.sysconf("SC_CLK_TCK")
