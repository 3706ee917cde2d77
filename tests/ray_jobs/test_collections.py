"""Merged, sampled and split datasets: every head once, on its side of the split, read by all."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections import Counter

import numpy as np
import pytest
import yaml

from ray_jobs.collecting import copy_selection, merge, split_by_identity, split_into_parts
from ray_jobs.index import INDEX_NAME, write_index
from ray_jobs.sampling import ready_index, select
from synth import collect
from synth.collection import Collection, collection_id
from synth.config import digest
from synth.dataset import Dataset
from synth.dataset_report import describe, verify
from synth.errors import ConfigError, DatasetMismatch, InputError, RecordCorrupt
from synth.imported import ImportedIdentity, ImportedSpec
from synth.record import ShardReader, ShardWriter
from synth.repair import repair
from synth.splits import split_of


def spec_ids(dataset) -> list[str]:
    return [head.spec_id for head in dataset.heads()]


def merged(sources, out, **options) -> Collection:
    merge(sources, out, **options)
    return Dataset.open(out)


@pytest.fixture
def both(heads, other, tmp_path) -> Collection:
    return merged([heads, other], tmp_path / "all")


def test_a_merged_dataset_has_every_head_once(both, heads, other):
    assert isinstance(both, Collection)
    assert spec_ids(both) == [*spec_ids(heads), *spec_ids(other)]
    assert [head.index for head in both.heads()] == list(range(18))
    assert verify(both).ok and verify(both).heads == 18
    info = describe(both)
    assert (info.heads, info.expected_heads, info.shards) == (18, 18, 8)
    assert info.identities == 13  # the five are known by name
    assert "8 and 16 px" in str(info) and f"merge of {heads.root}, {other.root}" in str(info)


def test_it_says_what_it_was_made_of(both, heads, other):
    made = both.collected
    assert (made.made_by, made.heads, made.shards, made.duplicates) == ("merge", 18, 8, 0)
    assert [source.config for source in made.sources] == [heads.config, other.config]
    assert [source.dataset_id for source in made.sources] == [heads.dataset_id, other.dataset_id]
    assert [source.roots for source in made.sources] == [(str(heads.root),), (str(other.root),)]
    used = {ref for head in both.heads() for ref in head.spec.assets}
    assert used == set(both.assets) and all(row.source for row in both.licences)


def test_shards_are_links_unless_asked_or_impossible(both, heads, other, tmp_path, monkeypatch):
    first, *_, last = both.shard_paths()
    assert first.samefile(heads.shard_paths()[0]) and last.samefile(other.shard_paths()[-1])
    copied = merged([heads, other], tmp_path / "copied", copy=True)
    assert copied.dataset_id == both.dataset_id
    assert not copied.shard_paths()[0].samefile(heads.shard_paths()[0])
    assert copied.shard_paths()[0].read_bytes() == first.read_bytes()

    def cannot(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", cannot)
    with pytest.raises(InputError, match=r"cannot be linked .*give --copy"):
        merge([heads, other], tmp_path / "linked")


def test_no_head_changes_its_split_and_no_identity_is_in_two(both, heads, other):
    sides = {head.spec_id: head.split for one in (heads, other) for head in one.heads()}
    assert {head.spec_id: head.split for head in both.heads()} == sides
    of_identity: dict[str, set[str]] = {}
    for head in both.heads():
        of_identity.setdefault(head.identity_id, set()).add(head.split)
    assert all(len(splits) == 1 for splits in of_identity.values())


def test_an_import_whose_lists_would_leak_is_refused(heads, tmp_path):
    """A split of a list, not of the hash; the identity bears the name of a rendered one."""
    identity = next(heads.heads()).identity_id
    wrong = "val" if split_of(identity) == "test" else "test"
    imported = tmp_path / "imported"
    shutil.copytree(heads.root, imported)
    shutil.rmtree(imported / "shards")
    (imported / "shards").mkdir()
    head = next(heads.heads())
    spec = ImportedSpec(0, ImportedIdentity(identity), wrong, "facelift", "0000", "0" * 64, ())
    with ShardWriter(imported / "shards" / "shard-000000.tar") as writer:
        writer.add_head(spec, head.cameras, [head.rgba(view) for view in range(6)])
    with pytest.raises(DatasetMismatch, match=rf"identity '{identity}' is in .* and in {wrong}"):
        merge([heads, Dataset.open(imported)], tmp_path / "all")


def test_heads_that_are_there_twice_are_left_out(heads, render, tmp_path):
    """Two sites rendered the same configuration, one of them further."""
    shutil.copytree(heads.root, tmp_path / "site")
    larger = render(tmp_path / "site", dataclasses.replace(heads.config, heads=17))
    both = merged([heads, larger], tmp_path / "all")
    assert both.collected.duplicates == 13
    assert sorted(spec_ids(both)) == sorted(spec_ids(larger))
    assert sorted(head.index for head in both.heads()) == list(range(17))
    (source,) = both.collected.sources
    assert source.config.heads == 17 and len(source.roots) == 2
    assert verify(both).ok
    again = merged([both, larger], tmp_path / "again")
    assert spec_ids(again) == spec_ids(both) and again.collected.duplicates == 17


def without(dataset, path, index: int) -> None:
    """Write a shard again without one of its heads, which its footer then accounts for."""
    records = ShardReader(path).heads()
    with ShardWriter(path, dataset_id=dataset.dataset_id) as writer:
        for head in records:
            if head.index == index:
                writer.add_absent(head.spec, "failed", "RenderCrashed: no")
            else:
                writer.copy_head(head)


def test_a_head_that_failed_is_missing_nowhere(heads, other, tmp_path):
    """A shard taken whole accounts for a head that the collection has from another site, or not
    at all: both are as they should be."""
    shutil.copytree(heads.root, tmp_path / "site")
    site = Dataset.open(tmp_path / "site")
    without(heads, heads.shard_paths()[0], 1)
    alone = merged([heads, other], tmp_path / "alone")
    report = verify(alone)
    assert report.ok and (report.heads, report.absent) == (17, {})
    assert repair(alone.root).moved == ()
    both = merged([heads, site], tmp_path / "both")
    assert both.collected.duplicates == 12 and verify(both).ok
    assert sorted(head.index for head in both.heads()) == list(range(13))


def test_part_of_a_shard_is_copied_byte_for_byte(heads, tmp_path):
    chosen = select(ready_index(heads), where="index in (0, 1, 4, 8, 10)")
    copy_selection(heads, chosen, {"where": "..."}, tmp_path / "few")
    few = Dataset.open(tmp_path / "few")
    assert [head.index for head in few.heads()] == [0, 1, 4, 8, 10]
    assert few.collected.choice == {"where": "..."} and few.collected.shards == 2
    originals = {head.spec_id: head for head in heads.heads()}
    for head in few.heads():
        assert all(head.read(name) == originals[head.spec_id].read(name) for name in head.members)
    assert verify(few).ok


def test_splits_are_datasets_of_their_own(both, tmp_path):
    made = split_by_identity(both, tmp_path / "splits")
    present = Counter(head.split for head in both.heads())
    found = []
    for split, line in zip(("train", "val", "test"), made):
        if not present[split]:
            assert "not written" in line and not (tmp_path / "splits" / split).exists()
            continue
        part = Dataset.open(tmp_path / "splits" / split)
        assert {head.split for head in part.heads()} == {split} and verify(part).ok
        found += spec_ids(part)
    assert sorted(found) == sorted(spec_ids(both)) and len(present) > 1


def test_parts_merged_again_are_the_dataset(heads, tmp_path):
    made = split_into_parts(heads, tmp_path / "parts", 3)
    assert len(made) == 3
    parts = [Dataset.open(tmp_path / "parts" / f"part-{number}") for number in range(3)]
    assert [part.collected.shards for part in parts] == [1, 2, 2]
    again = merged(parts, tmp_path / "again")
    assert spec_ids(again) == spec_ids(heads) and again.collected.duplicates == 0
    assert again.dataset_id == merged([heads], tmp_path / "whole").dataset_id
    for count in (0, 6):
        with pytest.raises(ConfigError, match=r"give 1 \.\.\. 5"):
            split_into_parts(heads, tmp_path / "more", count)


def test_an_interrupted_merge_is_finished(heads, other, tmp_path, monkeypatch):
    out, written = tmp_path / "all", []
    write = collect._write

    def dies(piece, path, copy):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path)
        write(piece, path, copy)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(collect, "_write", dies)
        merge([heads, other], out, copy=True)
    assert not (out / "dataset.yaml").exists() and len(list((out / "shards").iterdir())) == 3
    before = {path: path.stat().st_mtime_ns for path in written}
    both = merged([heads, other], out, copy=True)
    assert verify(both).ok and all(path.stat().st_mtime_ns == t for path, t in before.items())
    yaml_before = (out / "dataset.yaml").read_bytes()
    merge([heads, other], out)
    assert (out / "dataset.yaml").read_bytes() == yaml_before


def test_what_is_in_the_way_is_refused(both, heads, other, tmp_path):
    with pytest.raises(DatasetMismatch, match="holds a rendered dataset"):
        merge([heads], other.root)
    with pytest.raises(DatasetMismatch, match="holds another collection"):
        merge([heads], both.root)
    shutil.copytree(other.root / "shards", tmp_path / "half" / "shards")
    with pytest.raises(DatasetMismatch, match="holds other heads than this collection"):
        merge([heads], tmp_path / "half")


def test_what_another_merge_began_is_no_part_of_it(both, heads):
    """Killed before its `dataset.yaml`; the first shards are the same."""
    (both.root / "dataset.yaml").unlink()
    with pytest.raises(DatasetMismatch, match=r"3 shards that .* \(shard-000005.tar \.\.\.\)"):
        merge([heads], both.root)


def test_nothing_is_rendered_into_it(both, heads, other):
    for make in (Dataset.create, Dataset.preview):
        with pytest.raises(DatasetMismatch, match="nothing is rendered into it") as caught:
            make(both.root, heads.config)
        assert str(heads.root) in str(caught.value) and str(other.root) in str(caught.value)
    with pytest.raises(DatasetMismatch, match="has a configuration for each of its 2 sources"):
        _ = both.config


def test_other_heads_of_the_same_configuration_are_refused(heads, tmp_path):
    """Rendered by another version of the sampler."""
    newer = tmp_path / "newer"
    shutil.copytree(heads.root, newer)
    data = yaml.safe_load((newer / "dataset.yaml").read_text())
    (newer / "dataset.yaml").write_text(yaml.safe_dump({**data, "first_spec_id": "0" * 16}))
    with pytest.raises(DatasetMismatch, match=r"same configuration .* and other heads"):
        merge([heads, Dataset.open(newer)], tmp_path / "all")


def test_one_index_with_two_heads_is_refused(heads, tmp_path):
    edited = tmp_path / "edited"
    shutil.copytree(heads.root, edited)
    path = edited / "shards" / "shard-000004.tar"
    (head,) = ShardReader(path).heads()
    spec = dataclasses.replace(head.spec, gaze=dataclasses.replace(head.spec.gaze, yaw_deg=7.5))
    with ShardWriter(path, dataset_id=heads.dataset_id) as writer:
        writer.add_head(spec, head.cameras, [np.zeros((16, 16, 4), np.uint8)] * 6)
    with pytest.raises(DatasetMismatch, match=r"head 12 of dataset .* in another source"):
        merge([heads, Dataset.open(edited)], tmp_path / "all")


def test_models_train_on_it(both):
    from train.data import HeadDataset

    data = HeadDataset(both.root, "all", size=8)
    assert len(data) == 18 and data[17].rgba.shape == (6, 4, 8, 8)


def test_its_index_has_its_numbers_and_every_dataset(both, heads, other):
    write_index(both)
    rows = select(both.root / INDEX_NAME, where="dataset_id is not None").rows
    assert [row["index"] for row in rows] == list(range(18))
    assert Counter(row["dataset_id"] for row in rows) == {
        heads.dataset_id: 13,
        other.dataset_id: 5,
    }


def test_damage_is_found_put_aside_and_taken_from_the_source_again(both, heads, other):
    first, second, *_ = both.shard_paths()
    data = bytearray(first.read_bytes())
    data[data.index(b"\x89PNG") + 20] ^= 1
    first.unlink()  # a link: the source stays whole
    first.write_bytes(data)
    second.unlink()
    shutil.copy(other.shard_paths()[0], both.shard_directory / "shard-000099.tar")
    kinds = {found.path.name: found.kind for found in verify(both).findings}
    assert kinds == {
        "shard-000000.tar": "damaged",
        "shard-000001.tar": "missing",
        "shard-000099.tar": "foreign",
    }
    assert verify(both).heads == 12
    done = repair(both.root)
    assert done.ok and "headloom dataset merge" in done.remedy and len(done.moved) == 2
    merge([heads, other], both.root)
    assert verify(both).ok


def test_the_id_of_a_collection_is_the_digest_of_all_its_heads(both):
    shards = list(both.manifest())
    whole = digest([[shard.dataset_id, *shard.heads] for shard in shards])
    assert collection_id(shards) == whole[:16] == both.dataset_id
    assert collection_id([]) == digest([])[:16]


def test_a_shard_of_a_stranger_is_named(both, render, tmp_path):
    config = dataclasses.replace(both.sources[0].config, heads=1, seed=9)
    stranger = render(tmp_path / "stranger", config)
    shutil.copy(stranger.shard_paths()[0], both.shard_directory / "shard-000099.tar")
    with pytest.raises(RecordCorrupt, match=r"shard-000099.*headloom dataset repair"):
        list(both.heads())
    repair(both.root)
    assert len(list(both.heads())) == 18


def test_a_changed_manifest_is_found(both):
    path = both.root / "shards.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]))
    with pytest.raises(RecordCorrupt, match=r"shards\.jsonl describes the collection"):
        verify(both)
