"""`index.parquet`: one schema, every attribute, and only new shards are read."""

from __future__ import annotations

import dataclasses
import os

import pyarrow.parquet as parquet
import pytest

from ray_jobs import index as module
from ray_jobs.index import INDEX_NAME, is_current, write_index
from ray_jobs.index_schema import arrow_schema, columns, row, spec_columns
from ray_jobs.sampling import select
from synth.dataset import Dataset
from synth.errors import DatasetMismatch
from synth.record import ShardReader, ShardWriter
from synth.sample import sample_head
from synth.spec import Accessories, Glasses, UserParts
from synth.splits import split_of


def rows(dataset) -> list[dict]:
    return parquet.read_table(dataset.root / INDEX_NAME).to_pylist()


def read_again(dataset) -> list[dict]:
    """The rows without the times of the shards, which are not kept of files that are just made."""
    return [{**line, "shard_mtime_ns": None} for line in rows(dataset)]


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Names of the shards whose heads are read."""
    names = []

    class Counting(ShardReader):
        def heads(self):
            names.append(self.path.name)
            return super().heads()

    monkeypatch.setattr(module, "ShardReader", Counting)
    return names


def test_a_row_says_what_the_spec_and_the_shard_say(heads):
    summary = write_index(heads)
    assert (summary.heads, summary.read_shards, summary.kept_heads) == (13, 5, 0)
    found = rows(heads)
    assert [line["index"] for line in found] == list(range(13))
    for line in found:
        spec = sample_head(heads.config, line["index"])
        (record,) = [h for h in heads.heads() if h.spec_id == line["spec_id"]]
        assert line["spec_id"] == spec.spec_id and line["dataset_id"] == heads.dataset_id
        assert line["shard"] == record.shard.name
        assert line["split"] == split_of(spec.identity.identity_id)
        assert line["identity.age_years"] == line["age_years"] == spec.identity.age_years
        assert line["age_group"] == f"{str(int(spec.identity.age_years))[0]}0s"
        assert line["glasses"] == (spec.accessories.glasses is not None)
        assert line["beard"] == (spec.facial_hair.beard != "none")
        assert dict(line["expression.actions"]) == spec.expression.actions
        assert line["hair.colour.albedo"] == list(spec.hair.colour.albedo)
        assert line["light.areas.count"] == len(spec.light.areas)
        assert line["assets"] == [asset.asset_id for asset in spec.assets]
        assert line["view_count"] == 6 and line["device"] == "CPU"
        assert line["render_s"] == dict(line["timings_s"])["head_s"] > 0
        assert line["bytes"] == sum(record.bytes_by_kind.values())
    assert {asset.asset_id for asset in Dataset.open(heads.root).assets} == {
        asset_id for line in found for asset_id in line["assets"]
    }


def test_every_field_of_a_spec_has_a_column():
    """Also those of glasses, hats and skies that no head of a dataset may have."""
    names = {column.name for column in spec_columns()}
    assert {"accessories.glasses.shape", "light.sky.dust", "skin.makeup.lipstick"} <= names
    assert {"user_parts.hair", "render.passes", "identity.brows.lift_m", "seed"} <= names
    assert len(columns()) == len(arrow_schema()) > 150


def test_only_new_shards_are_read(heads, opened):
    write_index(heads)
    opened.clear()
    assert write_index(heads).read_shards == 0 and opened == []
    first = heads.shard_paths()[0]
    before = read_again(heads)
    moved = first.rename(heads.root / "away")
    assert write_index(heads).heads == 10 and opened == []
    moved.rename(first)
    summary = write_index(heads)
    assert (summary.read_shards, summary.kept_heads) == (1, 10) and opened == [first.name]
    assert read_again(heads) == before  # in order again


def test_a_shard_of_absent_heads_only_is_no_news_for_ever(heads, opened):
    path = heads.shard_paths()[1]
    specs = [head.spec for head in ShardReader(path).heads()]
    with ShardWriter(path, dataset_id=heads.dataset_id) as writer:
        for spec in specs:
            writer.add_absent(spec, "failed", "black")
    assert not is_current(heads)
    assert write_index(heads).heads == 10
    made = (heads.root / INDEX_NAME).stat().st_mtime_ns
    assert is_current(heads) and write_index(heads).read_shards == 0
    assert (heads.root / INDEX_NAME).stat().st_mtime_ns == made


def test_a_copied_dataset_is_told_by_its_digests(heads, opened, monkeypatch):
    write_index(heads)
    monkeypatch.setattr(module, "_FEW_MOVED", 0)
    opened.clear()
    for path in heads.shard_paths():
        os.utime(path, ns=(1, 10**18))
    assert not is_current(heads)
    assert write_index(heads).read_shards == 0 and opened == []
    assert is_current(heads) and {line["shard_mtime_ns"] for line in rows(heads)} == {10**18}


def test_another_shard_of_the_same_name_is_read(heads, opened):
    write_index(heads)
    first, second, third, *_ = heads.shard_paths()
    first.write_bytes(second.read_bytes())
    os.utime(third)  # of the same size, and the index notes another digest
    path = heads.root / INDEX_NAME
    table = parquet.read_table(path)
    lines = table.select(["shard", "shard_sha256"]).to_pylist()
    digests = ["0" * 64 if r["shard"] == third.name else r["shard_sha256"] for r in lines]
    place = table.schema.get_field_index("shard_sha256")
    parquet.write_table(table.set_column(place, "shard_sha256", [digests]), path)
    opened.clear()
    assert write_index(heads).read_shards == 2 and opened == [first.name, third.name]
    assert rows(heads)[0]["spec_id"] == sample_head(heads.config, 3).spec_id


def test_an_index_of_other_columns_or_no_parquet_is_made_anew(heads):
    write_index(heads)
    path = heads.root / INDEX_NAME
    whole = read_again(heads)
    parquet.write_table(parquet.read_table(path).drop(["sex"]), path)
    assert write_index(heads).read_shards == 5
    for broken in (b"no parquet", b"", b"PAR1 and then nothing"):
        path.write_bytes(broken)
        assert write_index(heads).read_shards == 5
    assert read_again(heads) == whole


def test_what_cannot_be_noted_is_not_indexed(heads, monkeypatch):
    """Nobody would look at the assets of an indexed shard again."""

    def changed(*_):
        raise DatasetMismatch("asset 'studio:bob' changed")

    with monkeypatch.context() as patched:
        patched.setattr(Dataset, "record_assets", changed)
        for _ in range(2):
            with pytest.raises(DatasetMismatch, match="studio:bob"):
                write_index(heads)
    assert not heads.assets and not is_current(heads)
    write_index(heads)
    assert heads.assets


def test_row_groups_are_streamed_and_in_order(heads, monkeypatch):
    monkeypatch.setattr(module, "_ROW_GROUP", 4)
    monkeypatch.setattr(module, "_BATCH", 2)
    write_index(heads)
    assert parquet.read_metadata(heads.root / INDEX_NAME).num_row_groups == 4
    for place in (1, 3):
        (heads.shard_paths()[place]).touch()
        os.utime(heads.shard_paths()[place])
    heads.shard_paths()[2].rename(heads.root / "away")
    write_index(heads)
    (heads.root / "away").rename(heads.shard_directory / "shard-000002.tar")
    write_index(heads)
    assert [line["index"] for line in rows(heads)] == list(range(13))


def test_labels_survive_an_update(heads):
    write_index(heads)
    heads.shard_paths()[0].rename(heads.root / "away")
    write_index(heads)
    (heads.root / "away").rename(heads.shard_directory / "shard-000000.tar")
    write_index(heads)
    labels = {label for head in heads.heads() for label in head.spec.identity.shape}
    for label in labels:
        select(heads.root / INDEX_NAME, where=f"identity.shape[{label!r}] < 9")


def test_what_does_not_apply_to_a_user_s_asset_is_null(heads):
    (head,) = ShardReader(heads.shard_paths()[-1]).heads()
    spec = dataclasses.replace(
        head.spec, accessories=Accessories(Glasses("round", (0.1, 0.1, 0.1), 0.002))
    )
    own_hair = dataclasses.replace(spec, user_parts=UserParts(hair="studio:bob"))
    line = row(head, "", own_hair.to_json_dict(), {})
    assert line["hair_style"] is None and line["glasses"] and line["sex"] == spec.identity.sex
    whole = dataclasses.replace(spec, user_parts=UserParts(head="studio:anna"))
    line = row(head, "", whole.to_json_dict(), {"exposure": {"stops": 0.5}})
    assert "sex" not in line and "glasses" not in line and line["light"] == spec.light.kind
    assert line["exposure_ev"] == spec.light.exposure_ev + 0.5
