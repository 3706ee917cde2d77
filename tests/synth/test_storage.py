"""Files of a directory: in one step, whatever disks and network file systems do meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest

from synth import shardcache, storage


@pytest.fixture
def finished(tmp_path) -> Path:
    (tmp_path / "scratch").mkdir()
    path = tmp_path / "scratch" / "shard.tar"
    path.write_bytes(b"pixels")
    return path


@pytest.fixture
def target(tmp_path) -> Path:
    (tmp_path / "heads").mkdir()
    path = tmp_path / "heads" / "shard.tar"
    path.write_bytes(b"before")
    return path


def fail(code: int):
    def raises(*_):
        raise OSError(code, os.strerror(code))

    return raises


@pytest.fixture
def another_disk(monkeypatch):
    replace = os.replace

    def within_a_directory(source, target):
        if source.parent != target.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(source))
        replace(source, target)

    monkeypatch.setattr(os, "replace", within_a_directory)


def test_a_file_is_renamed_into_its_place(finished, target, monkeypatch):
    monkeypatch.setattr(shutil, "copyfileobj", None)
    storage.put(finished, target)
    assert target.read_bytes() == b"pixels"
    assert not finished.exists()


def test_a_file_of_another_disk_is_copied_first(finished, target, another_disk):
    storage.put(finished, target)
    assert target.read_bytes() == b"pixels"
    assert not finished.exists()
    assert list(target.parent.iterdir()) == [target]


def test_a_copy_that_does_not_fit_leaves_what_was_there(
    finished, target, another_disk, monkeypatch
):
    monkeypatch.setattr(shutil, "copyfileobj", fail(errno.ENOSPC))
    with pytest.raises(OSError, match=r"No space left on device: .*heads/shard.tar"):
        storage.put(finished, target)
    assert (finished.read_bytes(), target.read_bytes()) == (b"pixels", b"before")
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("renamed", [True, False])
def test_a_rename_whose_answer_is_lost_has_happened(finished, target, monkeypatch, renamed):
    """NFS: the client asks again, and the server says that the old name is not there."""
    replace = os.replace

    def answer_is_lost(source, target):
        if renamed:
            replace(source, target)
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(source))

    monkeypatch.setattr(os, "replace", answer_is_lost)
    if renamed:
        storage.put(finished, target)
        assert target.read_bytes() == b"pixels"
    else:
        with pytest.raises(FileNotFoundError):
            storage.put(finished, target)
        assert target.read_bytes() == b"before"


@pytest.mark.parametrize(
    ("read", "call", "there"),
    [
        (lambda path: storage.read(path), (Path, "read_bytes"), b"pixels"),
        (lambda path: storage.read_range(path, 2, 4), (Path, "open"), b"xe"),
        (lambda path: storage.read_end(path, 3), (os, "pread"), (b"els", 6)),
    ],
)
def test_a_file_that_was_replaced_on_its_server_is_read_again(
    finished, monkeypatch, read, call, there
):
    real, left = getattr(*call), [1]

    def stale_once(*arguments):
        if left:
            fail(left.pop() and errno.ESTALE)()
        return real(*arguments)

    monkeypatch.setattr(*call, stale_once)
    assert read(finished) == there
    left += [1, 1]
    with pytest.raises(OSError, match="Stale file handle"):
        read(finished)


def test_what_is_removed_while_it_is_listed_is_left_out(finished):
    (finished.parent / "gone.tar").symlink_to(finished.parent / "nowhere")
    assert [file.name for file in storage.list_files(finished.parent, r".*\.tar")] == ["shard.tar"]
    ends = storage.read_ends(finished.parent, ["gone.tar", "shard.tar"], 2)
    assert list(ends) == [("shard.tar", b"ls", 6)]
    assert list(storage.list_files(finished.parent / "nowhere", ".*")) == []


def test_the_ends_of_many_files_come_in_their_order(tmp_path):
    names = [f"{number:04d}" for number in range(1500)]  # more than are read at a time
    for name in names:
        (tmp_path / name).write_text(name)
    assert [end[:2] for end in storage.read_ends(tmp_path, names, 4)] == [
        (name, name.encode()) for name in names
    ]


def test_a_file_is_moved_out_of_the_way(finished, tmp_path):
    storage.move(finished, tmp_path / "quarantine" / "shard.tar.1")
    assert not finished.exists()
    assert (tmp_path / "quarantine" / "shard.tar.1").read_bytes() == b"pixels"


def test_the_cache_lets_go_of_what_was_used_longest_ago(tmp_path, monkeypatch):
    fetched = []

    def download(path, copy):
        fetched.append(path.name)
        copy.write_bytes(10 * b"x")

    monkeypatch.setattr(shardcache, "download", download)
    cache = shardcache.ShardCache(tmp_path, max_bytes=25)

    def fetch(shard: int, modified_ns: int = 1) -> None:
        time.sleep(0.01)  # times of files have the kernel's ticks
        name = f"shard-{shard:06d}.tar"
        file = storage.StoredFile(name, 10, modified_ns)
        cache.fetch(storage.place("s3://bucket/heads/shards") / name, file)

    for shard in (0, 1, 0, 2):
        fetch(shard)
    assert {path.name[-10:] for path in tmp_path.iterdir()} == {"000000.tar", "000002.tar"}
    fetch(0)
    assert len(fetched) == 3
    fetch(0, modified_ns=2)  # it was rendered again
    assert len(fetched) == 4
