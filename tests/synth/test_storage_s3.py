"""Datasets on an object store: a real S3 server, real shards, the stub worker."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import pickle
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from synth import lock, storage
from synth.collect import make_collection, plan_collection
from synth.dataset import Dataset
from synth.dataset_report import describe, verify
from synth.errors import DatasetMismatch, InputError, RecordError
from synth.launch import render_shard
from synth.lock import Holder, exclusive
from synth.record import ShardReader
from synth.report import contact_sheet
from synth.sample import DatasetConfig, ViewsConfig
from synth.storage import ObjectPath, place

HERE = Path(__file__).parent
CONFIG = DatasetConfig(heads=5, size=16, samples=1, heads_per_shard=2, views=ViewsConfig(random=0))


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"headloom_test_{name}", HERE / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stub(**behaviour) -> tuple[str, ...]:
    return (sys.executable, str(HERE / "stub_worker.py"), json.dumps(behaviour))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with load("s3_server").serve(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    """rclone answers with a 500 when Arrow, having deleted, makes an object for the directory."""
    monkeypatch.setattr(storage, "_S3_ATTEMPTS", 2)


@pytest.fixture
def root(server, request) -> ObjectPath:
    return place(server.url(f"tests/{request.node.name}"))


def overwrite(path: ObjectPath, data: bytes) -> None:
    with storage.write(path) as file:
        file.write(data)


def render(dataset: Dataset, count: int | None = None) -> None:
    for plan in dataset.plan()[:count]:
        specs = plan.specs(dataset.config)
        render_shard(specs, plan.path, dataset_id=dataset.dataset_id, command=stub())


@pytest.fixture
def full(root) -> Dataset:
    dataset = Dataset.create(root, CONFIG)
    render(dataset)
    return dataset


def test_a_dataset_is_rendered_resumed_read_and_verified(root, server, tmp_path):
    dataset = Dataset.create(root, CONFIG)
    render(dataset, 1)
    again = Dataset.create(str(root) + server.query, CONFIG)
    assert [plan.shard for plan in again.plan()] == [1, 2]
    render(again)
    assert not again.plan(remember=True)
    assert not again.plan()
    report = verify(again)
    assert report.ok, report
    assert (report.heads, report.shards) == (5, 3)
    assert describe(again).identities == 5
    heads = list(again.heads())
    assert [head.index for head in heads] == list(range(5))
    assert pickle.loads(pickle.dumps(heads[0])).rgba(0).shape == (16, 16, 4)
    contact_sheet(again, root / "contact.png")
    assert storage.read(root / "contact.png").startswith(b"\x89PNG")
    with pytest.raises(DatasetMismatch, match="samples: 1 in the dataset, 2 given"):
        Dataset.create(root, dataclasses.replace(CONFIG, samples=2))

    local = Dataset.create(tmp_path / "heads", CONFIG)
    render(local)
    for ours, theirs in zip(local.heads(), heads):
        assert np.array_equal(ours.rgba(3), theirs.rgba(3))


def test_collections_are_made_from_a_store_and_on_one(full, root, tmp_path):
    local = Dataset.create(tmp_path / "heads", dataclasses.replace(CONFIG, seed=1))
    render(local)
    there = root / "all"
    plan = plan_collection([full, local], "merge", {})
    made = make_collection(there, plan)
    assert verify(Dataset.open(there)).ok and verify(made).heads == 10
    storage.remove(made.shard_paths()[1])
    assert verify(make_collection(there, plan)).ok  # what is missing is put again
    few = plan_collection(
        [made], "sample", {}, keep=lambda _, footer: [h for h in footer.heads if h.index % 2]
    )
    back = make_collection(tmp_path / "few", few)
    assert verify(back).ok and [head.index for head in back.heads()] == [1, 3, 6, 8]
    assert verify(make_collection(root / "few", few)).heads == 4


def test_a_damaged_object_is_found_put_aside_and_rendered_again(full, server):
    (first, second, _) = full.expected()
    flipped = bytearray(storage.read(first.path))
    flipped[flipped.index(b"\x89PNG") + 20] ^= 1
    overwrite(first.path, bytes(flipped))
    overwrite(second.path, storage.read(second.path)[:-3000])
    server.restart()
    report = verify(full)
    assert [problem.partition(": ")[0] for problem in report.problems] == [
        str(first.path), str(second.path),
    ]  # fmt: skip
    (damaged,) = full.plan().damaged  # planning reads no pixels
    assert damaged.path == second.path
    for plan in (first, second):
        full.quarantine(plan.path)
        server.restart()
    assert [plan.shard for plan in full.plan()] == [0, 1]
    render(full)
    assert verify(full).ok
    kept = {file.name[:16] for file in storage.list_files(full.root / "quarantine", ".*")}
    assert kept == {first.path.name, second.path.name}


def test_a_put_that_fails_half_way_changes_nothing(root, server, tmp_path):
    """The connection ends after some megabytes of a shard that should replace another."""
    target = root / "big.bin"
    overwrite(target, b"old")
    source = tmp_path / "big.bin"
    source.write_bytes(b"x" * 40_000_000)
    with Cut(server.port, after_bytes=12_000_000) as port:
        broken = f"?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
        with pytest.raises(OSError, match="AWS Error"):
            storage.put(source, ObjectPath(target.root, target.key, broken))
    assert source.exists()
    assert storage.read(target) == b"old"
    assert [file.name for file in storage.list_files(root, ".*")] == ["big.bin"]


def test_training_reads_from_a_store_through_a_bounded_cache(full, tmp_path):
    from synth.shardcache import ShardCache
    from train.data import HeadDataset

    size = next(storage.list_files(full.shard_directory, r".*000\.tar")).size
    cache = ShardCache(tmp_path / "cache", max_bytes=int(2.5 * size))
    data = HeadDataset(full.root, "all", cache=cache)
    assert len(data) == 5
    assert not cache.directory.exists()  # opening reads indices only
    for index in (0, 4, 2, 0, 1, 3):
        record = list(full.heads())[index]
        assert np.array_equal(data[index].rgba[2].permute(1, 2, 0).numpy(), record.rgba(2))
        copies = list(cache.directory.iterdir())
        assert sum(copy.stat().st_size for copy in copies) <= cache.max_bytes
    assert len(copies) == 2
    for copy in copies:  # as a power cut may leave them
        copy.write_bytes(copy.read_bytes()[:1000])
    assert np.array_equal(data[3].rgba[2].permute(1, 2, 0).numpy(), record.rgba(2))


class Cut:
    """A connection to the server that is cut after some bytes, and then refuses."""

    def __init__(self, port: int, after_bytes: int):
        self._target, self._left = port, after_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> int:
        threading.Thread(target=self._accept, daemon=True).start()
        return self._listener.getsockname()[1]

    def __exit__(self, *_) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self._target))
            for ends, counted in (((client, upstream), True), ((upstream, client), False)):
                threading.Thread(target=self._pump, args=(*ends, counted), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        try:
            while data := source.recv(65536):
                if counted:
                    self._left -= len(data)
                    if self._left < 0:
                        break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            end.close()


class Slow:
    """A store that says nothing for some time after a request, then that all is well."""

    def __init__(self, answers_after_s: float):
        self._answers_after_s = answers_after_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._clients: list[socket.socket] = []

    @property
    def requests(self) -> int:
        return len(self._clients)

    def __enter__(self) -> ObjectPath:
        threading.Thread(target=self._accept, daemon=True).start()
        port = self._listener.getsockname()[1]
        return place(
            f"s3://bucket/x?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
        )

    def __exit__(self, *_) -> None:
        for end in (self._listener, *self._clients):
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            timer = threading.Timer(self._answers_after_s, self._answer, [client])
            timer.daemon = True
            timer.start()

    def _answer(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client.recv(65536)
            client.sendall(b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture
def credentials(monkeypatch):
    for name, value in load("s3_server").CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def test_a_store_that_falls_silent_is_given_up(credentials, monkeypatch):
    monkeypatch.setattr(storage, "_S3_SILENCE_S", 1.0)
    store = Slow(answers_after_s=60.0)
    with store as path, pytest.raises(OSError, match="Operation too slow"):
        storage.read(path)
    assert store.requests == 2


def test_a_store_may_take_its_time(credentials, tmp_path):
    """Arrow's clients that come from a URL send everything again after three seconds."""
    source = tmp_path / "shard.tar"
    source.write_bytes(b"pixels")
    store = Slow(answers_after_s=3.6)
    with store as path:
        storage.put(source, path)
    assert store.requests == 1
    assert not source.exists()


def test_a_second_writer_is_refused_while_the_first_lives(root, monkeypatch):
    monkeypatch.setattr(lock, "SETTLE_S", 0.0)
    with (
        exclusive(root),
        pytest.raises(RecordError, match="another process is writing into s3://"),
        exclusive(root),
    ):
        pass
    elsewhere = dataclasses.replace(Holder.here(), host="another", pid=7)
    overwrite(root / lock.LOCK_NAME, elsewhere.to_bytes())
    with pytest.raises(RecordError, match="pid 7 on another"), exclusive(root):
        pass
    monkeypatch.setattr(lock, "EXPIRY_S", 0.0)  # it has been silent for long enough
    with exclusive(root):
        pass
    with exclusive(root):
        pass


def test_signs_of_life_do_not_take_a_lock_back(root, monkeypatch):
    """It was silent for too long, and another host took over."""
    monkeypatch.setattr(lock, "SETTLE_S", 0.0)
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.02)
    other = dataclasses.replace(Holder.here(), host="another", pid=7)
    with exclusive(root):
        overwrite(root / lock.LOCK_NAME, other.to_bytes())
        time.sleep(0.5)
    assert Holder.from_bytes(storage.read(root / lock.LOCK_NAME)).is_same(other)


def test_of_two_writers_who_come_at_once_one_gives_way(root, monkeypatch):
    """The second writes after the first has looked and before it looks again."""
    monkeypatch.setattr(lock, "SETTLE_S", 0.0)
    other = dataclasses.replace(Holder.here(), host="another", pid=7)

    def meanwhile(_seconds: float) -> None:
        overwrite(root / lock.LOCK_NAME, other.to_bytes())

    monkeypatch.setattr(lock.time, "sleep", meanwhile)
    with pytest.raises(RecordError, match="pid 7 on another"), exclusive(root):
        pass


def test_two_writers_of_one_shard_leave_one_whole_shard(root):
    """What happens where the lock did not hold."""
    dataset = Dataset.create(root, CONFIG)
    plan = dataset.plan()[0]
    specs = plan.specs(CONFIG)
    results = []

    def work() -> None:
        results.append(
            render_shard(specs, plan.path, dataset_id=dataset.dataset_id, command=stub())
        )

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    ShardReader(plan.path).verify()


def test_a_store_that_refuses_is_no_empty_store(credentials):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    query = f"?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    with pytest.raises(OSError, match="NETWORK_CONNECTION"):
        Dataset.create(f"s3://heads-bucket/x{query}", CONFIG)
    with pytest.raises(OSError, match="NETWORK_CONNECTION"):
        storage.remove(place(f"s3://heads-bucket/x/rejects/shard-000000.tar{query}"))


@pytest.mark.parametrize("url", ["foo://bucket/x", Path("s3://bucket/x")])
def test_what_is_no_place_is_refused(url):
    with pytest.raises(InputError):
        storage.exists(place(url))


def test_a_bucket_is_not_asked_before_it_is_used():
    """A command may be submitted from a machine that has no access to the store."""
    assert place("s3://nobody-has-this-bucket/heads").name == "heads"


def test_places_join_compare_and_travel():
    here = ObjectPath("s3://bucket", "heads", "?region=x")
    shard = here / "shards" / "shard-000001.tar"
    assert (str(shard), shard.name) == (
        "s3://bucket/heads/shards/shard-000001.tar",
        "shard-000001.tar",
    )
    assert shard.parent.parent == here
    assert pickle.loads(pickle.dumps(shard)) == shard
    assert str(ObjectPath("s3://bucket", "") / "x") == "s3://bucket/x"
