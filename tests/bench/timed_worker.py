"""The worker of the farm with a clock in it; given to `render_dataset` as its command.

python tests/bench/timed_worker.py TIMES_DIRECTORY JOB_DIRECTORY PARENT_PID
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cycles_clock import CyclesClock

from synth.blender_scenes import worker, worker_job
from synth.blender_scenes.start import import_blender


def main(times: str, *arguments: str) -> None:
    clocks: list[CyclesClock] = []

    def render(spec, job):
        import_blender(job.threads)
        if not clocks:
            clocks.append(CyclesClock())
        return worker_job.render_with_blender(spec, job)

    end = os._exit

    def write_and_end(code: int) -> None:
        for clock in clocks:
            clock.write(Path(times) / f"{os.getpid()}.json")
        end(code)

    os._exit = write_and_end  # how a worker ends, see `worker.main`
    worker.main(list(arguments), render_head=render)


if __name__ == "__main__":
    main(*sys.argv[1:])
