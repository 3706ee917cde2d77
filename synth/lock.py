"""One writer per directory: a second one is refused while the first is alive.

Nothing but time hangs on it. Shards are the same whoever renders them and appear in one step, so
two writers that do not see each other (a store that is cut in two, a clock that is minutes off)
would do the same work twice and lose none.

The holder writes who it is into `.lock`, and every few seconds that it still is. On a file system
it also takes the kernel's lock (`flock`), which ends with the process and, where the server keeps
locks, holds between hosts over NFS; where it does not, and on object stores, the signs of life
decide alone. A holder on another host that was killed is forgotten after `EXPIRY_S`.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from synth import storage
from synth.errors import RecordError
from synth.storage import Place, place
from synth.unfinished import is_running, machine, start_time

LOCK_NAME = ".lock"
HEARTBEAT_S = 15.0
EXPIRY_S = 60.0
"""A holder that has been silent for so long is gone; clocks of hosts may differ by less."""
SETTLE_S = 1.0
"""Of two who write to an object store at once, the last one holds the lock; both look again."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a file system without locks answers."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        host, pid, started: the process, see `synth.unfinished`.
        since: when it took the lock, as text.
        seen_s: its last sign of life, seconds since 1970.
    """

    host: str
    pid: int
    started: int
    since: str
    seen_s: float

    @classmethod
    def here(cls) -> Holder:
        """This process."""
        since = datetime.now(UTC).isoformat(timespec="microseconds")
        pid = os.getpid()
        return cls(machine(), pid, start_time(pid), since, time.time())

    @classmethod
    def from_bytes(cls, data: bytes) -> Holder | None:
        """None if nobody holds the lock, or what is there cannot be read."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError):
            return None

    def to_bytes(self) -> bytes:
        """As `.lock` holds it, with a sign of life now."""
        return json.dumps({**asdict(self), "seen_s": time.time()}).encode()

    def is_same(self, other: Holder | None) -> bool:
        return other is not None and (self.host, self.pid, self.since) == (
            other.host,
            other.pid,
            other.since,
        )

    def is_alive(self) -> bool:
        """Looked up on this host; of another host, by its last sign of life."""
        if self.host == machine():
            return is_running(self.pid, self.started)
        return time.time() - self.seen_s < EXPIRY_S

    def __str__(self) -> str:
        silent_s = max(0.0, time.time() - self.seen_s)
        return (
            f"pid {self.pid} on {self.host} since {self.since[:19]}, "
            f"last sign of life {silent_s:.0f} s ago"
        )


@contextmanager
def exclusive(root: str | Place) -> Iterator[None]:
    """Hold the lock of a dataset or a run, whose directory is created if needed.

    Raises:
        RecordError: another process holds it; names host, pid, since when and its last sign of
            life.
    """
    root = place(root)
    me = Holder.here()
    if storage.is_local(root):
        root.mkdir(parents=True, exist_ok=True)
        (root / LOCK_NAME).touch()
        # unbuffered: what a server that forgot the lock refuses must not be written when it closes
        with (root / LOCK_NAME).open("r+b", buffering=0) as file:
            _lock_file(file, root)

            def say(data: bytes) -> None:
                _replace(file, data)

            say(me.to_bytes())
            with _signs_of_life(me, say):
                yield
        return
    path = root / LOCK_NAME
    _require_free(_holder_at(path), me, root)

    def put(data: bytes) -> None:
        # one that took over from a holder that seemed dead is left alone
        if me.is_same(_holder_at(path)):
            _write(path, data)

    _write(path, me.to_bytes())
    time.sleep(SETTLE_S)
    _require_free(_holder_at(path), me, root)
    with _signs_of_life(me, put):
        yield


def _lock_file(file: IO[bytes], root: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked = True
    except BlockingIOError:
        raise _refusal(root, _read(file)) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        locked = False
    holder = _read(file)
    if holder is None or (locked and holder.host == machine()):
        return  # one of this host that still lived would have the kernel's lock
    _require_free(holder, None, root)


def _require_free(holder: Holder | None, me: Holder | None, root: Place) -> None:
    if holder is not None and not holder.is_same(me) and holder.is_alive():
        raise _refusal(root, holder)


def _refusal(root: Place, holder: Holder | None) -> RecordError:
    return RecordError(
        f"another process is writing into {root} ({holder or 'it has not said who it is yet'}); "
        f"wait for it, end it, or choose another --out. One on another host that was killed is "
        f"forgotten after {EXPIRY_S:.0f} s"
    )


@contextmanager
def _signs_of_life(me: Holder, say: Callable[[bytes], None]) -> Iterator[None]:
    """Say every few seconds that the holder lives, and at the end that there is none."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_S):
            with suppress(OSError):  # a store that does not answer now may do so next time
                say(me.to_bytes())

    thread = threading.Thread(target=beat, name="lock-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        with suppress(OSError):  # the work is done; a lock that stays is forgotten by itself
            say(b"")


def _read(file: IO[bytes]) -> Holder | None:
    file.seek(0)
    return Holder.from_bytes(file.read())


def _replace(file: IO[bytes], data: bytes) -> None:
    """In place, as the kernel's lock is that of the open file, and never empty in between."""
    file.seek(0)
    file.write(data)
    file.truncate()
    os.fsync(file.fileno())


def _holder_at(path: Place) -> Holder | None:
    try:
        return Holder.from_bytes(storage.read(path))
    except FileNotFoundError:
        return None


def _write(path: Place, data: bytes) -> None:
    with storage.write(path) as file:
        file.write(data)
