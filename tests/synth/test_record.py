"""Shards: what goes in comes out, in one step, and no damaged byte goes unseen."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import resource
import signal
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset

from synth import record, unfinished
from synth.config import canonical_json, digest
from synth.errors import RecordCorrupt, RecordError, SchemaMismatch
from synth.ground_truth import DEPTH_STEP, encode, pixel_centres
from synth.landmarks import DENSE_COUNT, SPARSE_NAMES, HeadLandmarks, Landmarks
from synth.record import ShardReader, ShardWriter
from synth.sample import DatasetConfig, ViewsConfig, sample_head
from synth.shardlayout import (
    FOOTER_NAME,
    MEMBERS_NAME,
    Person,
    read_footer,
    read_footers,
    tar_header,
)
from synth.spec import HeadSpec, spec_id_of
from synth.splits import split_of

SIZE = 12
CONFIG = DatasetConfig(size=SIZE, samples=1, views=ViewsConfig(random=0))


def pictures(seed: int, count: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (SIZE, SIZE, 4), dtype=np.uint8) for _ in range(count)]


def write_shard(path, indices=(0, 1), meta=None, **kwargs):
    with ShardWriter(path, dataset_id="0123") as writer:
        for index in indices:
            spec = sample_head(CONFIG, index)
            writer.add_head(spec, spec.resolved_cameras(), pictures(index), meta=meta, **kwargs)
    return path


@pytest.fixture
def shard(tmp_path):
    return write_shard(tmp_path / "shard-000000.tar")


def test_what_goes_in_comes_out(tmp_path):
    rng = np.random.default_rng(3)
    height = [rng.random((SIZE, SIZE), dtype=np.float32) for _ in range(6)]
    mask = [rng.integers(0, 60_000, (SIZE, SIZE), dtype=np.uint16) for _ in range(6)]
    normal = [record.encode_png(picture[..., :3]) for picture in pictures(9)]
    passes = {"height": height, "mask": mask, "normal": normal}
    path = write_shard(tmp_path / "s.tar", (4,), meta={"device": "CPU"}, passes=passes)

    (head,) = ShardReader(path).heads()
    spec = sample_head(CONFIG, 4)
    assert head.spec == spec
    assert (head.spec_id, head.index) == (spec.spec_id, 4)
    assert head.view_count == 6
    assert head.passes == ("height", "mask", "normal")
    assert head.meta["device"] == "CPU"
    for view, expected in enumerate(spec.resolved_cameras()):
        assert np.array_equal(head.rgba(view), pictures(4)[view])
        assert np.array_equal(head.pass_image("height", view), height[view])
        assert np.array_equal(head.pass_image("mask", view), mask[view])
        assert np.array_equal(head.pass_image("normal", view), pictures(9)[view][..., :3])
        assert np.array_equal(head.cameras[view].cam_from_world, expected.cam_from_world)
        assert head.cameras[view].name == expected.name
    assert head.pass_image("mask", 0).dtype == np.uint16
    assert head.pass_image("height", 0).dtype == np.float32


def test_passes_come_back_in_their_units(tmp_path):
    """Files are integers; the reader gives units, and `position` although it has no file."""
    spec = sample_head(CONFIG, 4)
    rng = np.random.default_rng(5)
    depths = [rng.uniform(2, 3, (SIZE, SIZE)).astype(np.float32) for _ in range(6)]
    stored = [encode("depth", d, c) for d, c in zip(depths, spec.resolved_cameras())]
    path = write_shard(tmp_path / "s.tar", (4,), passes={"depth": stored})
    (head,) = ShardReader(path).heads()
    for view, depth in enumerate(depths):
        assert np.abs(head.pass_image("depth", view) - depth).max() <= DEPTH_STEP / 2 + 1e-6
        position = head.pass_image("position", view).reshape(-1, 3).astype(float)
        pixels, there = head.cameras[view].project(position)
        assert (
            np.abs(pixels.reshape(SIZE, SIZE, 2) - pixel_centres(head.cameras[view])).max() < 1e-3
        )
        assert np.abs(there - depth.ravel()).max() < DEPTH_STEP


def test_a_pass_that_was_not_rendered_is_named(shard):
    head = ShardReader(shard).heads()[0]
    with pytest.raises(
        RecordError, match=r"has no pass 'albedo', it has none; .*passes=\[albedo\]"
    ):
        head.pass_image("albedo", 0)
    with pytest.raises(RecordError, match="has no pass 'landmarks'"):
        _ = head.landmarks


def test_landmarks_are_a_file_of_the_head(tmp_path):
    counts = len(SPARSE_NAMES), DENSE_COUNT
    rng = np.random.default_rng(6)
    located = Landmarks(*(rng.normal(size=(n, 3)) for n in (*counts, *counts)))
    seen = rng.integers(0, 4, (6, sum(counts)), dtype=np.uint8)
    data = HeadLandmarks.of(located, seen).to_bytes()
    path = write_shard(tmp_path / "s.tar", (4,), files={"landmarks.npz": data})
    ShardReader(path).verify()
    (head,) = ShardReader(path).heads()
    assert head.passes == ()
    assert tuple(head.landmarks.sparse_names) == SPARSE_NAMES
    assert np.array_equal(head.landmarks.sparse, located.sparse.astype(np.float32))
    assert np.array_equal(head.landmarks.dense_visibility, seen[:, counts[0] :])
    assert head.bytes_by_kind["landmarks"] == len(data)
    assert set(head.bytes_by_kind) == {"rgba", "landmarks", "records"}


def test_a_head_record_travels_to_other_processes(shard):
    head = pickle.loads(pickle.dumps(ShardReader(shard).heads()[1]))
    assert np.array_equal(head.rgba(5), pictures(1)[5])
    with pytest.raises(IndexError, match=r"views 0 ... 5"):
        head.rgba(6)


def test_the_shard_is_a_webdataset(shard):
    """Grouping as the webdataset package does it: its regular expressions, its skip rule."""
    samples: dict[str, set[str]] = {}
    with tarfile.open(shard) as archive:
        for member in archive:
            if re.match(r"__[^/]*__($|/)", member.name):
                continue
            match = re.match(r"^((?:.*/|)[^.]+)[.]([^/]*)$", member.name)
            samples.setdefault(match[1], set()).add(match[2])
            assert (member.mtime, member.uid, member.isfile()) == (0, 0, True)
        names = archive.getnames()
        image = archive.extractfile(f"{names[0].split('.')[0]}.rgba_000.png").read()
    assert names[-2:] == [MEMBERS_NAME, FOOTER_NAME]
    assert set(samples) == {sample_head(CONFIG, i).spec_id for i in (0, 1)}
    views = {f"rgba_{i:03d}.png" for i in range(6)}
    assert all(s == views | {"spec.json", "cameras.json", "meta.json"} for s in samples.values())
    assert image.startswith(b"\x89PNG")


def test_equal_content_gives_equal_bytes(tmp_path, shard):
    assert write_shard(tmp_path / "again.tar").read_bytes() == shard.read_bytes()


def test_every_flipped_bit_is_found(tmp_path, shard):
    data = shard.read_bytes()
    rng = np.random.default_rng(0)
    edges = [0, 100, 156, 511, len(data) - 1, len(data) - 1025]
    positions = [*edges, *rng.integers(0, len(data), 120)]
    for position in positions:
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        path = tmp_path / "damaged.tar"
        path.write_bytes(damaged)
        with pytest.raises(RecordCorrupt, match=r"damaged.tar"):
            ShardReader(path).verify()


def test_every_changed_byte_of_the_footer_is_found(tmp_path, shard):
    """The heads and the dataset id of the footer stand in no other digest."""
    data = shard.read_bytes()
    start = data.rindex(FOOTER_NAME.encode()) + 512
    for position in range(start, data.index(b"\0", start)):
        damaged = bytearray(data)
        damaged[position] ^= 1
        path = tmp_path / "damaged.tar"
        path.write_bytes(damaged)
        with pytest.raises(RecordCorrupt, match=r"damaged.tar"):
            read_footer(path)


def test_a_spec_of_fewer_fields_is_whole(tmp_path, monkeypatch):
    """A version that adds a field with a default reads and checks what was written before."""
    before = sample_head(CONFIG, 0).to_json_dict()
    del before["user_parts"]
    append = ShardWriter._append

    def write_as_then(self, name, data):
        then = canonical_json(before).encode()
        append(self, name, then if name.endswith(".spec.json") else data)

    monkeypatch.setattr(ShardWriter, "_append", write_as_then)
    monkeypatch.setattr(HeadSpec, "spec_id", property(lambda _: spec_id_of(before)))
    monkeypatch.setattr(record, "check_head", lambda *_: None)
    path = write_shard(tmp_path / "s.tar", indices=(0,))
    monkeypatch.undo()
    reader = ShardReader(path)
    reader.verify()
    (head,) = reader.heads()
    assert head.spec == sample_head(CONFIG, 0) and head.spec.spec_id != head.spec_id


def test_a_spec_under_the_wrong_name_is_found(tmp_path, monkeypatch):
    """Every digest holds, but the spec is that of another head."""
    append = ShardWriter._append

    def swap(self, name, data):
        if name.endswith(".spec.json"):
            data = canonical_json({**json.loads(data), "seed": 99}).encode()
        append(self, name, data)

    monkeypatch.setattr(ShardWriter, "_append", swap)
    path = write_shard(tmp_path / "s.tar", indices=(0,))
    with pytest.raises(RecordCorrupt, match=r"its spec\.json hashes to"):
        ShardReader(path).verify()


def test_a_head_at_the_wrong_place_is_found(tmp_path, monkeypatch):
    entry = record.HeadEntry
    monkeypatch.setattr(record, "HeadEntry", lambda spec_id, index: entry(spec_id, index + 5))
    path = write_shard(tmp_path / "s.tar", indices=(0,))
    with pytest.raises(RecordCorrupt, match="listed as index 5, spec says 0"):
        ShardReader(path).verify()


def test_damage_is_named_by_shard_and_member_when_read(shard):
    spec_id = sample_head(CONFIG, 1).spec_id
    with tarfile.open(shard) as archive:
        offset = archive.getmember(f"{spec_id}.rgba_003.png").offset_data
    data = bytearray(shard.read_bytes())
    data[offset + 40] ^= 4
    shard.write_bytes(data)
    head = ShardReader(shard).heads()[1]
    head.rgba(2)
    with pytest.raises(RecordCorrupt, match=rf"shard-000000.tar: member {spec_id}.rgba_003.png"):
        head.rgba(3)


def test_every_truncation_is_found(tmp_path, shard):
    data = shard.read_bytes()
    cuts = [0, 1, 511, 512, len(data) // 2, len(data) - 1, len(data) - 512, len(data) - 1024]
    for cut in cuts:
        path = tmp_path / "cut.tar"
        path.write_bytes(data[:cut])
        with pytest.raises(RecordCorrupt, match=r"cut.tar"):
            ShardReader(path)
    path.write_bytes(data + b"\0" * 512)
    with pytest.raises(RecordCorrupt, match="not the clean end"):
        ShardReader(path)
    path.write_bytes(data[:1024] + data[1536:])  # from the middle: no digest is read to notice
    with pytest.raises(RecordCorrupt, match=r"starts at byte \d+, expected"):
        ShardReader(path)


def test_a_shard_of_another_schema_is_refused(tmp_path, shard, monkeypatch):
    monkeypatch.setattr("synth.shardlayout.SCHEMA", 999)
    future = write_shard(tmp_path / "future.tar")
    monkeypatch.undo()
    with pytest.raises(SchemaMismatch, match=r"future.tar: shard schema 999"):
        ShardReader(future)


def test_pixels_are_checked_against_their_own_digest(tmp_path, monkeypatch):
    """Digests of members cannot see an encoder that loses colours; the pixel digest does."""
    wrong = record.encode_png(np.zeros((SIZE, SIZE, 4), np.uint8))
    monkeypatch.setattr(record, "encode_png", lambda image: wrong)
    path = write_shard(tmp_path / "s.tar")
    with pytest.raises(RecordCorrupt, match="pixels of view 0"):
        ShardReader(path).verify()


def test_the_footer_lists_the_heads(shard):
    footer = read_footer(shard)
    assert footer.dataset_id == "0123"
    assert footer.indices == (0, 1)
    assert footer.spec_ids == tuple(sample_head(CONFIG, i).spec_id for i in (0, 1))


def test_the_footer_says_whose_the_heads_are(tmp_path, monkeypatch):
    """Who needs no more than that, needs no look at the specs: a request each on object stores."""
    path = write_shard(tmp_path / "s.tar")
    monkeypatch.setattr(record, "read_member", None)
    specs = [sample_head(CONFIG, index) for index in (0, 1)]
    for head, spec in zip(ShardReader(path).heads(), specs, strict=True):
        identity = spec.identity.identity_id
        assert (head.identity_id, head.split) == (identity, split_of(identity))
    monkeypatch.undo()
    with ShardWriter(tmp_path / "copy.tar") as writer:
        writer.copy_head(ShardReader(path).heads()[1])
    (person,) = read_footer(tmp_path / "copy.tar").people
    assert person == Person.of(specs[1].identity.identity_id, None)


def test_an_older_footer_does_not_say_whose_the_heads_are(tmp_path):
    with ShardWriter(tmp_path / "s.tar") as writer:
        spec = sample_head(CONFIG, 0)
        writer.add_head(spec, spec.resolved_cameras(), pictures(0))
        writer._people.clear()
    ShardReader(tmp_path / "s.tar").verify()
    (head,) = ShardReader(tmp_path / "s.tar").heads()
    assert head.listed_person is None
    assert head.person == Person.of(spec.identity.identity_id, None)


def test_a_footer_that_names_another_person_is_found(tmp_path):
    with ShardWriter(tmp_path / "s.tar") as writer:
        spec = sample_head(CONFIG, 0)
        writer.add_head(spec, spec.resolved_cameras(), pictures(0))
        writer._people[0] = Person("somebody", "test")
    with pytest.raises(RecordCorrupt, match=r"listed as of .*somebody"):
        ShardReader(tmp_path / "s.tar").verify()


def test_the_footer_says_which_heads_are_absent_and_why(tmp_path):
    specs = [sample_head(CONFIG, index) for index in range(3)]
    path = tmp_path / "s.tar"
    with ShardWriter(path) as writer:
        writer.add_absent(specs[0], "failed", "RenderInvalid: " + "black " * 200)
        writer.add_head(specs[1], specs[1].resolved_cameras(), pictures(1))
        writer.add_absent(specs[2], "rejected", "burnt")
        with pytest.raises(RecordError, match="already in this shard"):
            writer.add_absent(specs[1], "failed", "twice")
    ShardReader(path).verify()
    footer = read_footer(path)
    assert footer.indices == (1,)
    assert footer.settled == {spec.index: spec.spec_id for spec in specs}
    first, second = footer.absent
    assert (first.spec_id, first.index, first.kind) == (specs[0].spec_id, 0, "failed")
    assert len(first.reason) == 500
    assert (second.index, second.kind, second.reason) == (2, "rejected", "burnt")
    assert footer.failed == (first,)


def test_a_footer_that_knows_nothing_of_absent_heads_is_read(tmp_path):
    """As the first version wrote it."""
    body = {
        "schema": 1,
        "dataset_id": "0123",
        "heads": [["ab" * 8, 7]],
        "members_size": 2,
        "members_sha256": "00",
    }
    text = canonical_json({**body, "footer_sha256": digest(body)}).encode()
    footer = tar_header(FOOTER_NAME, len(text)) + text + b"\0" * (-len(text) % 512)
    (tmp_path / "old.tar").write_bytes(footer + b"\0" * 1024)
    assert read_footer(tmp_path / "old.tar").settled == {7: "ab" * 8}


def test_a_head_that_cannot_be_written_leaves_the_shard_whole(tmp_path):
    specs = [sample_head(CONFIG, index) for index in range(2)]
    with ShardWriter(tmp_path / "s.tar") as writer:
        bad = {"depth": [np.zeros((SIZE, SIZE), np.int64)] * 6}
        with pytest.raises(RecordError, match="no file format for arrays of int64"):
            writer.add_head(specs[0], specs[0].resolved_cameras(), pictures(0), bad)
        writer.add_head(specs[1], specs[1].resolved_cameras(), pictures(1))
    ShardReader(tmp_path / "s.tar").verify()


def test_a_thousand_heads_fit_the_footer(tmp_path):
    """The footer outgrows the first read from the end of the file."""
    spec = sample_head(CONFIG, 0)
    path = tmp_path / "s.tar"
    with ShardWriter(path) as writer:
        writer.add_head(spec, spec.resolved_cameras(), pictures(0))
        writer._heads += [record.HeadEntry(f"{i:016x}", i) for i in range(4000)]
    assert len(read_footer(path).heads) == 4001
    ((name, footer),) = read_footers(tmp_path, ["s.tar"])
    assert (name, len(footer.heads)) == ("s.tar", 4001)


def test_an_exception_leaves_nothing(tmp_path):
    spec = sample_head(CONFIG, 0)
    with pytest.raises(ZeroDivisionError), ShardWriter(tmp_path / "s.tar") as writer:
        writer.add_head(spec, spec.resolved_cameras(), pictures(0))
        assert len(list(tmp_path.iterdir())) == 1
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path):
    """Closing the file writes what its buffer still holds, and fails once more."""
    spec = sample_head(CONFIG, 0)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OSError, match="File too large"), ShardWriter(tmp_path / "s") as writer:
            writer.add_head(spec, spec.resolved_cameras(), pictures(0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (writer.temporary.stat().st_size, limit[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(tmp_path.iterdir()) == []


def test_the_shard_appears_in_one_step(tmp_path, monkeypatch):
    seen = []
    replace = os.replace

    def watch(source, target):
        seen.append((target.exists(), ShardReader(source).heads()[0].index))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watch)
    path = write_shard(tmp_path / "s.tar")
    assert seen == [(False, 0)]
    assert list(tmp_path.iterdir()) == [path]


def test_all_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def watch_fsync(handle):
        name = str(Path(f"/proc/self/fd/{handle}").readlink())
        events.append(("fsync", name, os.fstat(handle).st_size))
        fsync(handle)

    def watch_replace(source, target):
        events.append(("replace", str(source), source.stat().st_size))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(os, "replace", watch_replace)
    path = write_shard(tmp_path / "s.tar")
    assert [event[0] for event in events] == ["fsync", "replace", "fsync"]
    (_, synced, size), (_, renamed, _), (_, directory, _) = events
    assert synced == renamed
    assert size == path.stat().st_size
    assert directory == str(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, v: (c[:5], v), "6 pictures for 5 cameras"),
        (lambda c, v: (c, []), "0 pictures"),
        (lambda c, v: (c, [v[0].astype(np.float32), *v[1:]]), r"view 0: expected uint8"),
        (lambda c, v: (c, [*v[:5], v[5][:, :, :3]]), r"view 5: expected uint8 \[12, 12, 4\]"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(tmp_path, change, message):
    spec = sample_head(CONFIG, 0)
    cameras, views = change(spec.resolved_cameras(), pictures(0))
    with pytest.raises(RecordError, match=message), ShardWriter(tmp_path / "s.tar") as writer:
        writer.add_head(spec, cameras, views)


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ({"depth": [np.zeros((4, 4), np.float32)]}, "1 of 6 views"),
        ({"a.b": [b""] * 6}, "cannot be the name"),
        ({"mask": [np.zeros((4, 4), np.int64)] * 6}, "no file format for arrays of int64"),
        ({"mask": [b"GIF89a"] * 6}, "PNG or NPY"),
    ],
)
def test_passes_that_do_not_fit_are_refused(tmp_path, passes, message):
    with pytest.raises(RecordError, match=message):
        write_shard(tmp_path / "s.tar", passes=passes)


def test_a_head_is_added_once(tmp_path):
    with pytest.raises(RecordError, match="already in this shard"):
        write_shard(tmp_path / "s.tar", (3, 3))


def test_passes_may_be_encoded_npy(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.arange(6.0))
    path = write_shard(tmp_path / "s.tar", (0,), passes={"points": [buffer.getvalue()] * 6})
    assert ShardReader(path).heads()[0].pass_image("points", 0).tolist() == list(range(6))


def test_temporaries_of_dead_writers_go_and_those_of_living_stay(tmp_path):
    """`alike` has another pid namespace, as a container has that shares the name of its host."""
    code = (
        "from synth.unfinished import temporary_name as n; import pathlib, sys\n"
        "pathlib.Path(sys.argv[1], n('dead.tar')).touch()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    alive = tmp_path / unfinished.temporary_name("alive.tar")
    reused = tmp_path / alive.name.replace(".alive", ".reused").replace(
        f".{unfinished.start_time(os.getpid())}.", ".1."
    )
    alike = tmp_path / alive.name.replace(".alive", ".alike").replace(
        unfinished.machine(), f"{socket.gethostname().replace('.', '-')}-01234567"
    )
    elsewhere = tmp_path / ".other.tar.some-host.77.88.abcdef.tmp"
    stranger = tmp_path / ".notes.tmp"
    for path in (alive, reused, alike, elsewhere, stranger):
        path.touch()
    removed = unfinished.remove_stale_temporaries(tmp_path)
    assert sorted(path.name.split(".")[1] for path in removed) == ["dead", "reused"]
    assert sorted(tmp_path.iterdir()) == sorted([alive, alike, elsewhere, stranger])
    os.utime(elsewhere, (0, 0))
    assert unfinished.remove_stale_temporaries(tmp_path) == [elsewhere]


def test_the_footer_digest_is_what_it_says(shard):
    """Frozen: another reader could check it."""
    with tarfile.open(shard) as archive:
        footer = json.loads(archive.extractfile(FOOTER_NAME).read())
    claimed = footer.pop("footer_sha256")
    assert claimed == digest(footer)
    assert json.loads(canonical_json(footer)) == footer


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # leaves files open
def test_webdataset_reads_a_shard_as_it_is(shard):
    """An independent reader, from the file and through a pipe, as it would read from a store."""
    heads = ShardReader(shard).heads()
    for url in (str(shard), f"pipe:cat {shard}"):
        samples = list(webdataset.WebDataset(url, shardshuffle=False).decode("rgba8"))
        assert [sample["__key__"] for sample in samples] == [head.spec_id for head in heads]
        for sample, head in zip(samples, heads):
            assert sample["spec.json"] == head.spec_data
            assert len(sample["cameras.json"]) == head.view_count
            for view in range(head.view_count):
                assert np.array_equal(sample[f"rgba_{view:03d}.png"], head.rgba(view))
