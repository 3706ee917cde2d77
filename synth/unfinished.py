"""Names of unfinished files, and how to tell that nobody will finish them.

A writer that is killed cannot clean up. Its temporary files carry its machine, pid and start time,
so that a later run removes exactly those whose writer is gone and never one that is being written.

A pid means something within one boot and one pid namespace only: containers share the name of their
host but not its pids, and machines made from one image share their name.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOREIGN_TEMPORARY_AGE_S = 24 * 3600.0
"""Age after which a temporary file of another machine counts as abandoned."""


def temporary_name(final_name: str) -> str:
    """A name for unfinished work that says which process writes it: machine, pid and start."""
    token = os.urandom(3).hex()
    return f".{final_name}.{machine()}.{os.getpid()}.{start_time(os.getpid())}.{token}.tmp"


def is_stale(path: Path) -> bool:
    """Whether the process that wrote a temporary file or directory is gone.

    On this machine the process is looked up, and a reused pid is told by its start time; of another
    one only age tells, so what a machine left that lost its power goes a day later.
    """
    parts = path.name.rsplit(".", 5)
    if len(parts) != 6 or parts[5] != "tmp" or not (parts[2] + parts[3]).isdigit():
        return False
    _, writer, pid, start, _, _ = parts
    if writer == machine():
        return not is_running(int(pid), int(start))
    try:
        return time.time() - path.stat().st_mtime > FOREIGN_TEMPORARY_AGE_S
    except FileNotFoundError:
        return False


@contextmanager
def scratch_directory(what: str) -> Iterator[Path]:
    """A directory on local disk, gone when the block ends; those that killed processes of Headloom
    left are removed on the way.

    Args:
        what: it is for.

    Raises:
        OSError: none can be made.
    """
    parent = Path(tempfile.gettempdir())
    remove_stale_temporaries(parent, ".headloom-*.tmp")
    directory = parent / temporary_name(f"headloom-{what}")
    directory.mkdir(mode=0o700)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def remove_stale_temporaries(directory: str | Path, pattern: str = ".*.tmp") -> list[Path]:
    """Delete what writers that are gone left in a directory; returns what was deleted."""
    stale = [path for path in Path(directory).glob(pattern) if is_stale(path)]
    for path in stale:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return stale


@functools.cache
def machine() -> str:
    """The hostname, for people, and a digest of what a pid is unique in: boot and namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    digest = hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:8]
    return f"{socket.gethostname().replace('.', '-') or 'localhost'}-{digest}"


def is_running(pid: int, started: int) -> bool:
    """Whether a process of this machine still runs; its start time tells a reused pid."""
    return start_time(pid) == started


def start_time(pid: int) -> int:
    """Start of a process in clock ticks since boot, or -1 if there is none (or it is a zombie)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return -1
    fields = stat.rpartition(")")[2].split()
    return -1 if fields[0] in "ZX" else int(fields[19])
