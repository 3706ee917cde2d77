"""Datasets: the plan is what is missing, they grow by heads only, verify finds what is wrong."""

from __future__ import annotations

import dataclasses
import errno
import gc
import itertools
import os
import runpy
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from synth import shardlayout, storage
from synth.dataset import Dataset, dataset_id
from synth.dataset_report import describe, verify
from synth.errors import DatasetMismatch, RecordCorrupt, RecordError, SchemaMismatch
from synth.record import ShardWriter
from synth.repair import repair
from synth.sample import DatasetConfig, FactorConfig, ViewsConfig, sample_head
from synth.shardcheck import Context, Task, Wanted, check_all
from synth.shardplan import ShardPlan
from synth.spec import AssetRef
from synth.splits import split_of
from synth.survey import KNOWN_NAME
from synth.unfinished import temporary_name

SIZE = 8
CONFIG = DatasetConfig(
    heads=5, size=SIZE, samples=1, heads_per_shard=2, views=ViewsConfig(random=0)
)


def grown(heads: int) -> DatasetConfig:
    return dataclasses.replace(CONFIG, heads=heads)


def write(path, dataset, indices, dataset_id=None, failed=()):
    with ShardWriter(path, dataset_id=dataset_id or dataset.dataset_id) as writer:
        for index in indices:
            spec = sample_head(dataset.config, index)
            if index in failed:
                writer.add_absent(spec, "failed", "RenderInvalid: black")
                continue
            cameras = spec.resolved_cameras()
            views = [np.full((SIZE, SIZE, 4), index, np.uint8)] * len(cameras)
            writer.add_head(spec, cameras, views)


def fill(dataset):
    for plan in dataset.plan():
        write(plan.path, dataset, range(plan.start, plan.stop))


@pytest.fixture
def full(tmp_path):
    dataset = Dataset.create(tmp_path / "heads", CONFIG)
    fill(dataset)
    return dataset


def test_a_new_dataset_plans_all_and_opens_again(tmp_path):
    dataset = Dataset.create(tmp_path / "heads", CONFIG)
    assert [(p.path.name, p.start, p.stop) for p in dataset.plan()] == [
        ("shard-000000.tar", 0, 2),
        ("shard-000001.tar", 2, 4),
        ("shard-000002.tar", 4, 5),
    ]
    again = Dataset.open(tmp_path / "heads")
    assert again.config == CONFIG
    assert again.dataset_id == dataset.dataset_id == dataset_id(CONFIG)
    assert Dataset.create(tmp_path / "heads", CONFIG).config == CONFIG


def test_the_plan_is_what_is_missing(full):
    assert not full.plan()
    full.expected()[1].path.unlink()
    (missing,) = full.plan()
    assert (missing.shard, missing.start, missing.stop) == (1, 2, 4)
    fill(full)
    assert verify(full).ok


def test_a_dataset_grows_and_rerenders_only_the_partial_shard(full):
    before = {path.name: path.stat().st_mtime_ns for path in full.shard_paths()}
    larger = Dataset.create(full.root, grown(8))
    plan = larger.plan()
    assert [(p.shard, p.start, p.stop, p.missing) for p in plan] == [(2, 4, 6, 1), (3, 6, 8, 2)]
    assert (plan.missing, plan.present) == (3, 5)
    assert "heads 4 of 4-5" in larger.plan()[0].reason
    fill(larger)
    assert verify(larger).ok
    assert Dataset.open(full.root).config.heads == 8
    after = {path.name: path.stat().st_mtime_ns for path in full.shard_paths()}
    untouched = ("shard-000000.tar", "shard-000001.tar")
    assert all(before[name] == after[name] for name in untouched)
    assert [head.index for head in larger.heads()] == list(range(8))


def test_a_shard_that_accounts_for_a_missing_head_is_committed(full):
    plan = full.expected()[1]
    write(plan.path, full, (2, 3), failed=(3,))
    assert not full.plan()
    assert [head.index for head in full.heads()] == [0, 1, 2, 4]
    assert full.head_count() == 4
    report, info = verify(full), describe(full)
    assert report.ok
    assert report.absent == info.absent == {"failed": 1}
    assert "4 of 5 heads (1 failed) in 3 shards" in str(report)
    assert "4 of 5 (1 failed)" in str(info)
    (again,) = full.plan(retry_failed=True)
    assert (again.shard, again.reason, again.missing) == (1, "failed heads are retried: 1", 1)
    write(plan.path, full, (2,))  # neither there nor accounted for
    assert "heads 2 of 2-3" in full.plan()[0].reason
    assert not verify(full).ok


def test_a_partial_last_shard_with_a_failed_head_grows(full):
    write(full.expected()[2].path, full, (4,), failed=(4,))
    assert not full.plan()
    assert [plan.shard for plan in Dataset.create(full.root, grown(6)).plan()] == [2]


def test_planning_for_more_heads_changes_nothing(full):
    assert [p.shard for p in full.plan(heads=7)] == [2, 3]
    assert Dataset.open(full.root).config.heads == 5


def test_a_preview_plans_and_writes_nothing(full, tmp_path):
    assert [p.shard for p in Dataset.preview(full.root, grown(7)).plan()] == [2, 3]
    assert Dataset.open(full.root).config.heads == 5
    fresh = Dataset.preview(tmp_path / "none", CONFIG)
    assert len(fresh.plan()) == 3
    assert not (tmp_path / "none").exists()
    with pytest.raises(DatasetMismatch, match="seed: 0 in the dataset, 1 given"):
        Dataset.preview(full.root, dataclasses.replace(CONFIG, seed=1))


def test_a_dataset_does_not_shrink(full):
    with pytest.raises(DatasetMismatch, match="made for 5 heads and does not shrink to 4"):
        Dataset.create(full.root, grown(4))


def test_every_difference_is_listed_with_both_values(full):
    views = dataclasses.replace(CONFIG.views, random=3)
    other = dataclasses.replace(CONFIG, size=16, seed=7, views=views)
    with pytest.raises(DatasetMismatch) as caught:
        Dataset.create(full.root, other)
    message = str(caught.value)
    assert "size: 8 in the dataset, 16 given" in message
    assert "seed: 0 in the dataset, 7 given" in message
    assert "views.random: 0 in the dataset, 3 given" in message
    assert "samples" not in message
    assert dataset_id(CONFIG) in message
    assert dataset_id(other) in message
    assert Dataset.open(full.root).config == CONFIG


def test_a_changed_sampler_is_refused(full):
    path = full.root / "dataset.yaml"
    data = yaml.safe_load(path.read_text())
    data["first_spec_id"] = "0" * 16
    path.write_text(yaml.safe_dump(data))
    for make in (Dataset.create, Dataset.preview):
        with pytest.raises(DatasetMismatch, match="the sampler or an asset changed"):
            make(full.root, CONFIG)
    assert not verify(Dataset.open(full.root)).ok


def test_a_damaged_shard_is_planned_again_and_marked(full):
    path = full.expected()[0].path
    path.write_bytes(path.read_bytes()[:-3000])
    (plan,) = full.plan()
    assert plan.shard == 0
    assert plan.damaged
    assert "shard-000000.tar" in plan.reason


def age(dataset, seconds=60.0):
    """As if the shards had been written that long ago."""
    for path in dataset.shard_paths():
        status = path.stat()
        os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds))


@pytest.fixture
def counted(monkeypatch):
    """Counts the listings and the shards whose ends were read."""
    counts = Counter()

    def counting(module, name, amount):
        original = getattr(module, name)

        def call(*arguments):
            counts[name] += amount(*arguments)
            return original(*arguments)

        monkeypatch.setattr(module, name, call)

    counting(storage, "list_files", lambda *_: 1)
    counting(shardlayout, "read_ends", lambda directory, names, length: len(names))
    return counts


def test_a_known_shard_is_not_opened_again(full, counted):
    """A million heads are planned by one listing; only what is new or changed is read."""
    age(full)
    counted.clear()
    assert not full.plan(remember=True)
    assert counted == {"list_files": 1, "read_ends": 3}
    assert not full.plan()
    assert counted == {"list_files": 2, "read_ends": 3}
    path = full.expected()[1].path
    path.write_bytes(path.read_bytes()[:-1000])
    (plan,) = full.plan()
    assert plan.damaged
    assert counted["read_ends"] == 4
    larger = Dataset.create(full.root, grown(6))
    assert [plan.shard for plan in larger.plan()] == [1, 2]  # the last one is short now


@pytest.mark.parametrize("cut", [0, 1000])
def test_a_shard_of_another_time_or_size_is_looked_at_again(full, counted, cut):
    age(full)
    full.plan(remember=True)
    path = full.expected()[1].path
    status = path.stat()
    path.write_bytes(path.read_bytes()[: status.st_size - cut])
    earlier_ns = 0 if cut else 1_000_000_000
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - earlier_ns))
    assert [plan.shard for plan in full.plan()] == ([1] if cut else [])
    assert counted["read_ends"] == 4


def test_a_shard_that_was_just_written_is_looked_at_again(full, counted):
    """Another write within the same tick of the clock would bear the same size and time."""
    full.plan(remember=True)
    full.plan()
    assert counted["read_ends"] == 6


@pytest.mark.parametrize("spoil", ["damaged", "of another dataset", "gone"])
def test_what_is_known_may_be_lost(full, counted, spoil):
    age(full)
    full.plan(remember=True)
    known = full.root / KNOWN_NAME
    data = known.read_bytes()
    if spoil == "damaged":
        known.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif spoil == "gone":
        known.unlink()
    else:
        known.write_bytes(data.replace(full.dataset_id.encode(), b"0" * 16))
    full.expected()[2].path.unlink()
    assert [plan.shard for plan in full.plan()] == [2]
    assert counted["read_ends"] == 5


def test_a_foreign_shard_is_found_although_its_place_is_known(full):
    age(full)
    full.plan(remember=True)
    path = full.expected()[0].path
    write(path, full, (0, 1), dataset_id="elsewhere")
    with pytest.raises(DatasetMismatch, match="of dataset elsewhere"):
        full.plan()
    assert "shard-000000.tar: rendered for dataset elsewhere, not for" in problems(full)


def test_a_plan_of_a_million_heads_is_made_while_it_is_walked(tmp_path):
    plan = Dataset.create(tmp_path / "heads", grown(1_000_000)).plan()
    assert (len(plan), plan.missing) == (500_000, 1_000_000)
    assert (plan[-1].start, plan[-1].stop) == (999_998, 1_000_000)
    assert [shard.shard for shard in plan[10:12]] == [10, 11]
    assert next(iter(plan)) == plan[0]
    walked = iter(plan)
    assert sum(shard.missing for shard in itertools.islice(walked, 30_000)) == 60_000
    assert sum(type(item) is ShardPlan for item in gc.get_objects()) < 10
    assert next(walked).shard == 30_000


def test_a_full_disk_leaves_the_old_header(full):
    """A limit on the size of files, as the kernel sees it: half of the new text is written."""
    path = full.root / "dataset.yaml"
    before = path.read_bytes()
    script = (
        "import resource, signal, sys\n"
        "from synth.dataset import Dataset\n"
        "dataset = Dataset.open(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    dataset._save()\nexcept OSError as error:\n    print(error.errno)\n"
    )
    command = [sys.executable, "-c", script, str(full.root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == str(errno.EFBIG)
    assert path.read_bytes() == before
    assert [p.name for p in full.root.iterdir() if p.name.endswith(".tmp")] == []


def test_only_names_of_shards_are_shards(full):
    path = full.expected()[1].path
    for name in ("shard-0000001.tar", "shard-00001.tar", "shard-000001.tar.1", "shard-1000000.tar"):
        path.with_name(name).write_bytes(path.read_bytes())
    names = [path.name for path in full.shard_paths()]
    assert names == [plan.path.name for plan in full.expected()] + ["shard-1000000.tar"]


def test_a_foreign_shard_is_never_overwritten(full):
    plan = full.expected()[0]
    write(plan.path, full, (0, 1), dataset_id="elsewhere")
    with pytest.raises(DatasetMismatch, match="of dataset elsewhere"):
        full.plan()
    write(plan.path, full, (2, 3))
    with pytest.raises(DatasetMismatch, match="holds heads 2-3"):
        full.plan()


def problems(dataset) -> str:
    report = verify(dataset)
    assert not report.ok
    assert "problem" in str(report)
    return "\n".join(report.problems)


def test_verify_accepts_a_whole_dataset(full):
    report = verify(full)
    assert report.ok
    assert (report.heads, report.shards, report.expected_heads) == (5, 3, 5)
    assert "every head is accounted for once" in str(report)


def test_verify_names_a_missing_shard(full):
    full.expected()[1].path.unlink()
    assert "shard-000001.tar: missing" in problems(full)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_a_bad_sector_is_a_damaged_shard_and_no_end_of_verify(full, monkeypatch, number):
    """Only that: a mount that lost its rights says nothing of the shards."""
    broken = full.shard_paths()[1]

    def read(handle, *_, pread=os.pread):
        if Path(f"/proc/self/fd/{handle}").readlink() == broken.resolve():
            raise OSError(number, os.strerror(number))
        return pread(handle, *_)

    monkeypatch.setattr(os, "pread", read)
    if number == errno.EACCES:
        with pytest.raises(PermissionError):
            verify(full)
        return
    (finding,) = verify(full).findings
    assert (finding.kind, finding.path) == ("damaged", broken)
    assert str(finding) == f"{broken}: Input/output error"


def test_verify_names_a_damaged_picture(full):
    path = full.expected()[1].path
    data = bytearray(path.read_bytes())
    data[data.index(b"\x89PNG") + 20] ^= 1
    path.write_bytes(data)
    assert not full.plan()  # the cheap check does not read pixels
    found = problems(full)
    assert "shard-000001.tar: member " in found
    assert ".rgba_000.png" in found


def test_verify_names_heads_that_are_there_twice_or_not_wanted(full):
    plans = full.expected()
    copy = plans[0].path.read_bytes()
    (plans[0].path.parent / "shard-000009.tar").write_bytes(copy)
    plans[1].path.write_bytes(copy)
    found = problems(full)
    ids = ", ".join(sample_head(CONFIG, index).spec_id for index in (0, 1))
    assert f"shard-000001.tar: holds heads {ids}, expected" in found
    assert "shard-000009.tar: not part of this dataset" in found


def test_verify_names_a_shard_of_another_dataset(full):
    write(full.expected()[0].path, full, (0, 1), dataset_id="elsewhere")
    report = verify(full)
    (found,) = report.findings
    assert found.kind == "foreign"
    assert f"rendered for dataset elsewhere, not for {full.dataset_id}" in str(found)
    assert report.shards == 2


def test_what_killed_writers_left_goes_from_every_folder(full):
    name = temporary_name("a.tar").rsplit(".", 4)
    gone = ".".join([name[0], "999999999", "1", *name[3:]])
    left = [full.root / folder / gone for folder in (".", "shards", "rejects")]
    (full.root / "rejects").mkdir()
    for path in left:
        path.touch()
    assert full.clean() == left
    assert not any(path.exists() for path in left)


def test_what_is_put_aside_is_never_replaced(full):
    path = full.expected()[0].path
    data = path.read_bytes()
    first = full.quarantine(path)
    path.write_bytes(b"another")
    second = full.quarantine(path)
    assert (first.read_bytes(), second.read_bytes()) == (data, b"another")


def test_shards_that_are_missing_in_a_row_are_one_finding(full):
    larger = Dataset.create(full.root, grown(1_000_001))
    full.expected()[0].path.unlink()
    first, rest, short = verify(larger).findings
    assert (first.kind, first.path) == ("missing", full.expected()[0].path)
    assert (rest.kind, rest.path) == ("missing", None)
    assert "shard-000003.tar ... shard-500000.tar: 499998 shards are missing" in str(rest)
    assert (short.kind, short.path.name) == ("unfinished", "shard-000002.tar")


def test_the_memory_of_verify_does_not_grow_with_the_shards(tmp_path):
    bench = runpy.run_path(str(Path(__file__).parents[1] / "bench" / "bench_plan.py"))

    def peak(shards: int) -> int:
        dataset = Dataset.create(tmp_path / f"{shards}", grown(2 * shards))
        for plan in dataset.plan():
            data = bench["tiny_shard"](dataset.dataset_id, plan.start, plan.stop)
            plan.path.write_bytes(data)
        tracemalloc.start()
        try:
            report = verify(dataset, sample=0.0)
            assert report.ok and report.heads == 2 * shards
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # what is loaded once
    grown_by = peak(1010) - peak(10)
    assert grown_by < 150 * 1000, grown_by  # bytes for each shard: its number


@pytest.fixture
def with_rejects(full):
    """The second head of the first shard was rejected."""
    path = full.expected()[0].path
    (full.root / "rejects").mkdir()
    write(full.root / "rejects" / path.name, full, (1,))
    spec = sample_head(CONFIG, 1)
    with ShardWriter(path, dataset_id=full.dataset_id) as writer:
        kept = sample_head(CONFIG, 0)
        cameras = kept.resolved_cameras()
        writer.add_head(kept, cameras, [np.zeros((SIZE, SIZE, 4), np.uint8)] * len(cameras))
        writer.add_absent(spec, "rejected", "burnt")
    return full


def test_verify_reads_the_rejected_heads_too(with_rejects):
    report = verify(with_rejects)
    assert report.ok
    assert (report.heads, report.absent, report.rejects) == (4, {"rejected": 1}, 1)
    assert "4 of 5 heads (1 rejected) in 3 shards, 1 rejected ones in rejects/" in str(report)
    assert verify(with_rejects, jobs=2) == report
    (with_rejects.root / "rejects" / "shard-000000.tar").unlink()  # as whoever needs the space may
    assert verify(with_rejects).ok
    assert verify(with_rejects).rejects == 0


def test_rejects_that_go_while_they_are_checked_are_not_missed(with_rejects):
    """A driver renders the shard again, and now keeps the head."""
    shard = with_rejects.expected()[0]
    context = Context(frozenset([with_rejects.dataset_id]), with_rejects.dataset_id, 5, "render")
    gone = with_rejects.root / "rejects" / "shard-000009.tar"
    task = Task(context, shard.path, Wanted(range(2)), every_byte=False, rejects=gone)
    (checked,) = check_all(iter([task]), 1)
    assert (checked.findings, checked.rejects, checked.heads) == ((), 0, 1)


def test_damaged_and_foreign_rejects_are_put_aside(with_rejects):
    path = with_rejects.root / "rejects" / "shard-000000.tar"
    flipped = bytearray(path.read_bytes())
    flipped[flipped.index(b"\x89PNG") + 20] ^= 1
    whole = with_rejects.expected()[0].path.read_bytes()
    write(path, with_rejects, (1,), dataset_id="elsewhere")
    cases = (bytes(flipped), "damaged"), (whole, "foreign"), (path.read_bytes(), "foreign")
    for data, kind in cases:
        path.write_bytes(data)
        (found,) = verify(with_rejects).findings
        assert (found.kind, found.path) == (kind, path)
        done = repair(with_rejects.root)
        assert done.moved[0][0] == found and not path.exists()
        assert done.ok and not done.remedy  # no head of the dataset is missing
        assert verify(with_rejects).ok


def test_a_shard_of_a_later_version_is_no_damaged_one(full, monkeypatch):
    first, second, _ = (plan.path for plan in full.expected())
    first.unlink()
    monkeypatch.setattr("synth.shardlayout.SCHEMA", 999)
    write(second, full, (2, 3))
    monkeypatch.undo()
    found = verify(full).findings
    assert [(f.kind, f.path) for f in found] == [("missing", first), ("unreadable", second)]
    assert "schema 999" in str(found[1])
    done = repair(full.root)
    assert done.moved == () and not done.ok and second.exists()


def test_verify_compares_with_freshly_sampled_heads(full):
    """A shard with the right indices and the right dataset id, but other heads."""
    plan = full.expected()[2]
    other = Dataset(full.root, dataclasses.replace(CONFIG, seed=1), full._header)
    write(plan.path, other, (4,))
    assert not full.plan()
    assert f"expected {sample_head(CONFIG, 4).spec_id}" in problems(full)


def test_verify_with_several_processes_finds_the_same(full):
    plans = full.expected()
    damaged, doubled = plans[1].path, full.shard_directory / "shard-000009.tar"
    doubled.write_bytes(plans[0].path.read_bytes())
    damaged.write_bytes(damaged.read_bytes()[:-2000])
    plans[2].path.unlink()
    steps = []
    several = verify(full, lambda *step: steps.append(step), jobs=2)
    assert several == verify(full)
    assert [finding.kind for finding in several.findings] == ["missing", "damaged", "foreign"]
    assert steps == [("shards", number, 3) for number in range(1, 4)]


def test_a_sample_reads_the_index_of_all_and_every_byte_of_some(full):
    path = full.expected()[1].path
    data = bytearray(path.read_bytes())
    data[data.index(b"\x89PNG") + 20] ^= 1
    path.write_bytes(data)
    assert verify(full, sample=0.0).ok
    assert "a sample" in str(verify(full, sample=0.0))
    found = sum(not verify(full, sample=0.5).ok for _ in range(24))
    assert 0 < found < 24  # chosen anew each time; wrong once in ten million
    full.expected()[2].path.unlink()
    assert not verify(full, sample=0.0).ok


def test_verify_notes_unfinished_files(full):
    (full.shard_directory / ".shard-000000.tar.host.1.2.abc.tmp").touch()
    report = verify(full)
    assert report.ok
    assert "unfinished" in str(report)


def test_info_counts(full):
    info = describe(full)
    assert (info.heads, info.shards, info.identities, info.views_per_head) == (5, 3, 5, 6)
    assert sum(info.splits.values()) == 5
    assert "5 of 5" in str(info)
    assert set(info.bytes_by_kind) == {"rgba", "records"}
    assert 0 < sum(info.bytes_by_kind.values()) < info.size_bytes
    assert "rgba 0." in str(info)


def test_looks_of_one_person_are_one_identity(tmp_path):
    config = dataclasses.replace(CONFIG, factors=FactorConfig(looks=2))
    dataset = Dataset.create(tmp_path / "heads", config)
    fill(dataset)
    info = describe(dataset)
    assert (info.heads, info.identities) == (5, 3)
    assert {count % 2 for count in info.splits.values()} == {0, 1}  # 5 heads, of pairs but one


def test_splits_depend_on_the_identity_only():
    splits = [split_of(f"identity-{i}") for i in range(20_000)]
    assert splits == [split_of(f"identity-{i}") for i in range(20_000)]
    assert splits.count("test") == pytest.approx(1000, abs=120)
    assert splits.count("val") == pytest.approx(1000, abs=120)
    # Frozen: a change would leak test identities into training.
    assert [i for i in range(60) if split_of(f"id-{i:03d}") == "val"] == [5, 16, 17, 49, 55]
    assert [i for i in range(60) if split_of(f"id-{i:03d}") == "test"] == [13, 26, 31]


def test_assets_are_recorded_and_must_not_change(full):
    full.record_assets([AssetRef("b", "11", "CC0-1.0"), AssetRef("a", "22", "CC0-1.0")])
    full.record_assets([AssetRef("a", "22", "CC0-1.0")])
    assert [asset.asset_id for asset in Dataset.open(full.root).assets] == ["a", "b"]
    with pytest.raises(DatasetMismatch, match="asset 'a' changed from SHA-256 22 to 33"):
        full.record_assets([AssetRef("a", "33", "CC0-1.0")])


def test_what_is_not_a_dataset_is_named(tmp_path):
    with pytest.raises(RecordError, match=r"no dataset.yaml.*headloom render"):
        Dataset.open(tmp_path)
    (tmp_path / "dataset.yaml").write_text("a: [1")
    with pytest.raises(RecordCorrupt, match="not readable as YAML"):
        Dataset.open(tmp_path)
    (tmp_path / "dataset.yaml").write_text("schema: 99")
    with pytest.raises(SchemaMismatch, match="dataset schema 99"):
        Dataset.open(tmp_path)


def test_a_dataset_has_one_kind_of_device_unless_asked(full):
    full.record_devices(["CPU"])
    full.record_devices(["CPU"])
    with pytest.raises(DatasetMismatch, match="was rendered on CPU"):
        full.record_devices(["OPTIX"])
    full.record_devices(["OPTIX"], mix=True)
    Dataset.open(full.root).record_devices(["CPU", "OPTIX"])
