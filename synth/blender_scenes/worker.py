"""The Blender process: renders the heads of one shard and ends. Run by `synth.launch` only.

    python -m synth.blender_scenes.worker JOB_DIRECTORY PARENT_PID

The job directory holds `job.json` and `specs.jsonl`. What the process leaves is the committed shard
and `result.json`, or no shard and `error.json`, or (killed, crashed) no shard and nothing. Blender
must run on the main thread of its own process, off the main thread it segfaults; the interpreter
may crash at shutdown after it, hence `os._exit`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

# Everything else is imported after the death signal is armed: see `main`.

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its parent ends, however that ends.

    A parent that ended before the signal was armed is told by the changed parent pid.

    Raises:
        OSError: the kernel refused; a worker that could be orphaned must not start.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        os._exit(1)


def main(arguments: list[str], render_head=None) -> None:
    """Run one job and end the process; never returns.

    Args:
        arguments: job directory and pid of the parent.
        render_head: renders one head; Blender's by default. Tests of the farm pass a stand-in, so
            that they exercise this very protocol without Blender.
    """
    job_directory, parent_pid = arguments
    die_with_parent(int(parent_pid))

    from synth.blender_scenes import worker_errors, worker_job

    code = 1
    try:
        code = worker_job.run(job_directory, render_head or worker_job.render_with_blender)
    except BaseException as error:
        print(f"worker: {error!r}", file=sys.stderr)
        raise
    finally:
        worker_errors.flush_output()
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
