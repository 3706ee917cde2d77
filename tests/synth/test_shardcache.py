"""Copies of shards on the local disk, with a stand-in for the store that they come from."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from synth import shardcache
from synth.shardcache import ShardCache
from synth.storage import ObjectPath, StoredFile
from synth.unfinished import machine

SIZE = 100


@pytest.fixture
def cache(tmp_path, monkeypatch) -> ShardCache:
    """Room for two shards; `fetched` lists what was fetched."""
    cache = ShardCache(tmp_path / "cache", max_bytes=2 * SIZE)
    cache.fetched = []

    def download(path: ObjectPath, copy: Path) -> None:
        cache.fetched.append(path.name)
        copy.write_bytes(b"x" * SIZE)
        if path.name == "shard-000666.tar":
            raise OSError("no answer")

    monkeypatch.setattr(shardcache, "download", download)
    return cache


def fetch(cache: ShardCache, shard: int, modified_ns: int = 1) -> Path:
    name = f"shard-{shard:06d}.tar"
    time.sleep(0.02)  # some file systems keep times to hundredths of a second
    return cache.fetch(ObjectPath("s3://b", f"shards/{name}"), StoredFile(name, SIZE, modified_ns))


def test_a_copy_is_used_until_the_shard_is_replaced(cache):
    first = fetch(cache, 0)
    assert fetch(cache, 0) == first and cache.fetched == ["shard-000000.tar"]
    assert fetch(cache, 0, modified_ns=2) != first
    assert len(cache.fetched) == 2


def test_the_copy_that_was_not_used_for_longest_goes(cache):
    used, old = fetch(cache, 0), fetch(cache, 1)
    assert fetch(cache, 0) == used
    assert set(cache.directory.iterdir()) == {used, old}
    new = fetch(cache, 2)
    assert set(cache.directory.iterdir()) == {used, new}


def test_nothing_half_is_left(cache):
    """Neither by a fetch that fails nor, once another one starts, by a process that was killed."""
    with pytest.raises(OSError, match="no answer"):
        fetch(cache, 666)
    assert list(cache.directory.iterdir()) == []
    left = cache.directory / f".a-shard-000000.tar.{machine()}.999999999.1.abcdef.tmp"
    left.write_bytes(b"half")
    copy = fetch(cache, 1)
    assert list(cache.directory.iterdir()) == [copy]
