"""Names of unfinished files, and how to tell that nobody will finish them.

A writer that is killed cannot clean up. Its temporary files carry its host, pid and start time, so
that a later run removes exactly those whose writer is gone and never one that is being written.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path

FOREIGN_TEMPORARY_AGE_S = 24 * 3600.0
"""Age after which a temporary file of another host counts as abandoned."""


def temporary_name(final_name: str) -> str:
    """A name for unfinished work that says which process writes it: host, pid and start time."""
    token = os.urandom(3).hex()
    return f".{final_name}.{_host()}.{os.getpid()}.{_start_time(os.getpid())}.{token}.tmp"


def is_stale(path: Path) -> bool:
    """Whether the process that wrote a temporary file or directory is gone.

    On this host the process is looked up, and a reused pid is told by its start time; on another
    host only age tells.
    """
    parts = path.name.rsplit(".", 5)
    if len(parts) != 6 or parts[5] != "tmp" or not (parts[2] + parts[3]).isdigit():
        return False
    _, host, pid, start, _, _ = parts
    if host == _host():
        return _start_time(int(pid)) != int(start)
    try:
        return time.time() - path.stat().st_mtime > FOREIGN_TEMPORARY_AGE_S
    except FileNotFoundError:
        return False


def remove_stale_temporaries(directory: str | Path) -> list[Path]:
    """Delete what writers that are gone left in a directory; returns what was deleted."""
    stale = [path for path in Path(directory).glob(".*.tmp") if is_stale(path)]
    for path in stale:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return stale


def _host() -> str:
    return socket.gethostname().replace(".", "-") or "localhost"


def _start_time(pid: int) -> int:
    """Start of a process in clock ticks since boot, or -1 if there is none (or it is a zombie)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return -1
    fields = stat.rpartition(")")[2].split()
    return -1 if fields[0] in "ZX" else int(fields[19])
