"""One writer per directory: an advisory lock that the kernel releases when its holder ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from synth.errors import RecordError

LOCK_NAME = ".lock"


@contextmanager
def exclusive(root: str | Path) -> Iterator[None]:
    """Hold the lock of a dataset or a run, whose directory is created if needed.

    The lock is `flock`: a killed holder leaves no stale lock, and on NFS it holds between hosts.

    Raises:
        RecordError: another process holds it; names host, pid and since when.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    with (root / LOCK_NAME).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordError(
                f"another process is writing into {root} ({_holder(file)}); "
                "wait for it, end it, or choose another --out"
            ) from None
        holder = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        file.truncate(0)
        file.write(json.dumps(holder))
        file.flush()
        yield


def _holder(file) -> str:
    file.seek(0)
    try:
        holder = json.loads(file.read())
        return f"pid {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError):
        return "it has not said who it is yet"
