"""The lock: refused while the holder lives, taken over when it is gone, wherever the dataset is."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import os
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
