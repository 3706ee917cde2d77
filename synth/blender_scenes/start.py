"""Loads Blender with the threads it is meant to use, and none that burn a CPU beside them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


def import_blender(threads: int) -> None:
    """Import `bpy`; in a process that renders with one thread, without a pool of threads.

    While it is imported, Blender's pool (oneTBB) starts a thread for every further CPU that the
    process may use. Cycles with one thread then limits the pool to none of them, and one stays
    awake: it calls `sched_yield` for as long as anything renders, which took 47 % of a worker's
    CPU time on a machine with a core to spare, and that core from the worker beside it. A process
    that may use one CPU only gets no pool.

    Args:
        threads: CPU threads that Cycles will be given.
    """
    if threads > 1 or "bpy" in sys.modules:
        import bpy

        return
    allowed = os.sched_getaffinity(0)
    own = sorted(allowed)[os.getpid() % len(allowed)]  # workers that start together spread out
    os.sched_setaffinity(0, {own})
    try:
        import bpy  # noqa: F401
    finally:
        # Threads that read and write files were started meanwhile, and have inherited it.
        for task in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setaffinity(int(task.name), allowed)
