"""Exports as WebDataset: tar files of copied bytes, read here without Headloom as well."""

from __future__ import annotations

import gc
import json
import tarfile

import pytest

from synth.errors import InputError
from synth.export import export_dataset
from synth.export_frame import ExportRequest
from synth.record import ShardReader
from synth.unfinished import temporary_name


def run(dataset, out, **options):
    return export_dataset(dataset, out, ExportRequest("webdataset", **options), jobs=2)


def samples(out) -> dict[str, dict[str, bytes]]:
    """Key to files, as the package webdataset groups them: by what comes before the first dot."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted((out / "shards").iterdir()):
        with tarfile.open(path) as tar:
            for member in tar:
                if not member.name.startswith("__"):
                    key, _, suffix = member.name.partition(".")
                    found.setdefault(key, {})[suffix] = tar.extractfile(member).read()
    return found


def test_chosen_files_are_copied_and_the_rest_is_left(heads_dataset, tmp_path):
    summary = run(heads_dataset, tmp_path / "out", members=("rgba", "cameras", "landmarks"))
    assert (summary.heads, summary.written) == (3, 3)
    found = samples(tmp_path / "out")
    for head in heads_dataset.heads():
        kept = {name for name in head.members if name.startswith(("rgba", "cam", "land"))}
        assert set(found[head.spec_id]) == kept and len(kept) == 12
        assert all(data == head.read(name) for name, data in found[head.spec_id].items())


def test_shards_have_the_size_asked_for_and_all_files_by_default(heads_dataset, tmp_path):
    run(heads_dataset, tmp_path / "small", shard_size_mb=1e-6)
    assert len(list((tmp_path / "small" / "shards").iterdir())) == 3
    run(heads_dataset, tmp_path / "large")
    (only,) = (tmp_path / "large" / "shards").iterdir()  # from two shards of the dataset
    reader = ShardReader(only)
    reader.verify()
    before = {head.spec_id: head for head in heads_dataset.heads()}
    for head in reader.heads():
        assert set(head.members) == set(before[head.spec_id].members)
    sizes = sum(path.stat().st_size for path in heads_dataset.shard_paths())
    run(heads_dataset, tmp_path / "two", shard_size_mb=0.5 * sizes / 1e6)
    assert len(list((tmp_path / "two" / "shards").iterdir())) == 2


def test_it_is_finished_by_running_it_again(heads_dataset, tmp_path):
    run(heads_dataset, tmp_path / "out", shard_size_mb=1e-6)
    first, second, third = sorted((tmp_path / "out" / "shards").iterdir())
    second.unlink()
    third.write_bytes(third.read_bytes()[:-2000])
    kept = first.stat().st_mtime_ns
    summary = run(heads_dataset, tmp_path / "out", shard_size_mb=1e-6)
    assert (summary.heads, summary.written) == (3, 2)
    assert first.stat().st_mtime_ns == kept
    assert len(samples(tmp_path / "out")) == 3


def test_what_a_killed_export_left_is_removed(heads_dataset, tmp_path):
    (tmp_path / "out" / "shards").mkdir(parents=True)
    *others, start, token, end = temporary_name("shard-000000.tar").split(".")
    left = ".".join([*others, str(int(start) - 1), token, end])  # of an earlier process
    (tmp_path / "out" / "shards" / left).touch()
    run(heads_dataset, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "shards").iterdir()] == ["shard-000000.tar"]


def test_a_head_without_a_file_is_named_and_costs_no_other(heads_module, tmp_path):
    dataset = heads_module.make_dataset(tmp_path / "heads", poor=(1,))
    first, poor, last = dataset.heads()
    for written in (2, 0):
        summary = run(dataset, tmp_path / "out", members=("rgba", "depth"), shard_size_mb=1e-6)
        assert (summary.heads, summary.written, summary.failures.count) == (2, written, 1)
        assert f"head {poor.spec_id}" in summary.failures.first[0]
        assert "has no depth; it has cameras, meta, rgba, spec" in summary.failures.first[0]
    shards = [ShardReader(path) for path in sorted((tmp_path / "out" / "shards").iterdir())]
    assert [shard.footer.spec_ids for shard in shards] == [(first.spec_id,), (last.spec_id,)]
    assert [shard.path.name[-5:] for shard in shards] == ["0.tar", "1.tar"]
    nothing = heads_module.make_dataset(tmp_path / "nothing", passes=False)
    with pytest.raises(InputError, match=r"none of 3 heads .* has no depth"):
        run(nothing, tmp_path / "none", members=("depth",))
    assert list((tmp_path / "none" / "shards").iterdir()) == []


def test_no_head_is_left_in_two_shards_when_the_dataset_shrinks(heads_module, tmp_path):
    """A damaged shard was put aside; what follows moves up."""
    dataset = heads_module.make_dataset(tmp_path / "heads", passes=False)
    run(dataset, tmp_path / "out", shard_size_mb=1e-6)
    dataset.quarantine(dataset.shard_paths()[0])
    summary = run(dataset, tmp_path / "out", shard_size_mb=1e-6)
    assert (summary.heads, summary.written) == (1, 1)
    assert [path.name for path in (tmp_path / "out" / "shards").iterdir()] == ["shard-000000.tar"]
    assert list(samples(tmp_path / "out")) == [head.spec_id for head in dataset.heads()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": ("front",)}, "choose them with --members"),
        ({"background": "white"}, "choose them with --members"),
        ({"shard_size_mb": 0.0}, "--shard-size-mb 0: give more than 0"),
    ],
)
def test_what_copies_cannot_do_is_refused_before_anything_is_written(
    heads_dataset, tmp_path, options, message
):
    with pytest.raises(InputError, match=message):
        run(heads_dataset, tmp_path / "out", **options)
    with pytest.raises(InputError, match="--members belongs to --to webdataset"):
        export_dataset(heads_dataset, tmp_path / "out", ExportRequest("nerf", members=("rgba",)))
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_package_webdataset_reads_it(heads_dataset, tmp_path, monkeypatch):
    webdataset = pytest.importorskip("webdataset")
    run(heads_dataset, tmp_path / "out", members=("rgba", "cameras"), shard_size_mb=1e-6)
    shards = str(tmp_path / "out" / "shards" / "shard-{000000..000002}.tar")
    before = {head.spec_id: head for head in heads_dataset.heads()}
    found = {}
    for sample in webdataset.WebDataset(shards, shardshuffle=False).decode("rgba8"):
        found[sample["__key__"]] = sample
    assert set(found) == set(before)
    monkeypatch.setenv("WORLD_SIZE", "2")
    nodes = []
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        split = webdataset.WebDataset(
            shards, shardshuffle=False, nodesplitter=webdataset.split_by_node
        )
        nodes.append([sample["__key__"] for sample in split])
    assert nodes == [list(before)[::2], list(before)[1::2]]
    gc.collect()  # the package leaves its files to the garbage collector, which warns
    for key, sample in found.items():
        assert (sample["rgba_003.png"] == before[key].rgba(3)).all()
        assert sample["cameras.json"] == json.loads(before[key].read("cameras.json"))
