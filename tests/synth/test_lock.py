"""The lock: refused while the holder lives, taken over when it is gone, wherever the dataset is."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from synth import lock
from synth.errors import RecordError
from synth.lock import Holder, exclusive

HOLD = (
    "import sys\nfrom synth.lock import exclusive\n"
    "with exclusive(sys.argv[1]):\n    print('held', flush=True)\n    sys.stdin.read()"
)


@pytest.fixture
def elsewhere():
    """A holder on another host that gave a sign of life just now."""
    return dataclasses.replace(Holder.here(), host="another", pid=7, since="2026-01-01T00:00:00")


def test_only_one_process_may_write(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RecordError, match=rf"pid {holder.pid} on "), exclusive(tmp_path):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with exclusive(tmp_path):  # a killed holder leaves no stale lock
        pass


def test_a_holder_on_another_host_is_believed_while_it_gives_signs_of_life(tmp_path, elsewhere):
    """NFS without a lock server: the kernel's lock is had, and means nothing."""
    path = tmp_path / lock.LOCK_NAME
    path.write_bytes(elsewhere.to_bytes())
    with (
        pytest.raises(RecordError, match="pid 7 on another since 2026-01-01T00:00:00, last sign"),
        exclusive(tmp_path),
    ):
        pass
    silent = dataclasses.replace(elsewhere, seen_s=time.time() - lock.EXPIRY_S - 1)
    path.write_text(json.dumps(dataclasses.asdict(silent)))
    with exclusive(tmp_path):
        assert Holder.from_bytes(path.read_bytes()).pid == os.getpid()
    assert path.read_bytes() == b""


def test_a_file_system_without_locks_leaves_the_signs_of_life(tmp_path, monkeypatch):
    def no_locks(file, flags):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with (
        exclusive(tmp_path),
        pytest.raises(RecordError, match=rf"pid {os.getpid()} on"),
        exclusive(tmp_path),
    ):
        pass
    with exclusive(tmp_path):
        pass


def test_a_sign_of_life_that_cannot_be_written_ends_no_run(tmp_path, monkeypatch):
    """As when an NFS server has forgotten the lock: every write to the file is refused."""
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.01)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    refused = []
    replace = lock._replace

    def watch(file, data):
        try:
            replace(file, data)
        except OSError:
            refused.append(data)
            raise

    monkeypatch.setattr(lock, "_replace", watch)
    try:
        with exclusive(tmp_path):
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit[1]))
            deadline = time.monotonic() + 20
            while len(refused) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    assert len(refused) >= 2  # and it went on trying
    with exclusive(tmp_path):
        pass


def test_the_holder_goes_on_giving_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.02)
    with exclusive(tmp_path):
        path = tmp_path / lock.LOCK_NAME
        first = Holder.from_bytes(path.read_bytes())
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            now = Holder.from_bytes(path.read_bytes())
            if now.seen_s > first.seen_s:
                break
            time.sleep(0.01)
        else:
            pytest.fail("no sign of life in 20 s")
