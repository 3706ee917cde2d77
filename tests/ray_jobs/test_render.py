"""`render_dataset` on a real Ray, with a stand-in for Blender."""

from __future__ import annotations

import dataclasses
import json
import pickle
import sys
from pathlib import Path

import imageio.v3 as iio
import pyarrow.parquet as parquet
import pytest

from ray_jobs import index
from ray_jobs import render as render_module
from ray_jobs.cluster import ClusterInfo, Node, connect
from ray_jobs.render import render_dataset
from ray_jobs.render_task import time_limit_s
from synth.asset_store import AssetRecord, AssetStore
from synth.dataset import Dataset
from synth.dataset_report import verify
from synth.errors import ConfigError, DatasetMismatch, RecordError, RenderCrashed, RenderStopped
from synth.sample import DatasetConfig, ViewsConfig, sample_head
from synth.sample_assets import AssetsConfig
from synth.sample_light import LightConfig

STUB = Path(__file__).parents[1] / "synth" / "stub_worker.py"
CONFIG = DatasetConfig(heads=7, size=16, samples=1, heads_per_shard=2, views=ViewsConfig(random=1))


def stub(**behaviour) -> tuple[str, ...]:
    return (sys.executable, str(STUB), json.dumps(behaviour))


@pytest.fixture(scope="module")
def cluster():
    with connect(num_cpus=2) as info:
        yield info


def render(config, out, **options):
    options = {"memory_bytes": 10_000_000, "quiet": True, "command": stub(), **options}
    return render_dataset(config, out, **options)


def test_selected_assets_are_named_before_anything_is_drawn(tmp_path):
    """`own:*` becomes ids in dataset.yaml; a store that grows is then a mismatch, no surprise."""
    store = AssetStore(tmp_path / "store")
    (tmp_path / "a.exr").write_bytes(b"map")
    for item in ("dawn", "dusk"):
        record = AssetRecord(f"own:{item}", "hdri", "a.exr", (), "CC0-1.0")
        store.add(record, {"a.exr": tmp_path / "a.exr"})
    light = LightConfig(kinds={"hdri": 1}, hdris={"own:*": 2.0})
    config = dataclasses.replace(CONFIG, light=light, assets=AssetsConfig(store=store.root))
    with pytest.raises(ConfigError, match="nobody"):
        render(config, tmp_path / "heads", address="nobody")
    made = Dataset.open(tmp_path / "heads").config
    assert made.light.hdris == {"own:dawn": 1.0, "own:dusk": 1.0}


@pytest.mark.ray
def test_a_dataset_is_rendered_resumed_and_extended(cluster, tmp_path, capfd):
    out = tmp_path / "heads"
    first = render(CONFIG, out)
    assert (first.heads, first.rendered, first.expected, first.failed) == (7, 7, 7, ())
    assert first.peak_rss_bytes > 0
    assert verify(Dataset.open(out)).ok

    (out / "shards" / "shard-000001.tar").unlink()
    second = render(CONFIG, out)
    assert (second.heads, second.rendered) == (7, 2)
    assert (out / "known_shards.bin").exists()
    third = render(dataclasses.replace(CONFIG, heads=10), out)
    assert (third.heads, third.rendered, third.expected) == (10, 3, 10)
    assert verify(Dataset.open(out)).ok
    made = third.index.stat().st_mtime_ns, third.contact_sheet.stat().st_mtime_ns
    fourth = render(dataclasses.replace(CONFIG, heads=10), out)
    assert (fourth.rendered, fourth.heads) == (0, 10)
    assert (fourth.index.stat().st_mtime_ns, fourth.contact_sheet.stat().st_mtime_ns) == made
    assert "10 of 10 heads, 0 rendered now" in str(fourth)

    rows = parquet.read_table(fourth.index).to_pylist()
    assert [row["index"] for row in rows] == list(range(10))
    spec = sample_head(CONFIG, 3)
    assert rows[3]["spec_id"] == spec.spec_id
    assert rows[3]["hair.style"] == spec.hair.style
    assert rows[3]["identity.age_years"] == spec.identity.age_years
    assert {asset.asset_id for asset in Dataset.open(out).assets} >= {spec.assets[0].asset_id}
    assert iio.imread(fourth.contact_sheet).shape[2] == 3
    assert capfd.readouterr() == ("", "")


@pytest.mark.ray
def test_a_failed_head_costs_no_other_and_is_tried_again_when_asked(cluster, tmp_path, capfd):
    out = tmp_path / "heads"
    (tmp_path / "once").mkdir()
    behaviour = {"invalid": [4], "crash": [1, 2], "once": str(tmp_path / "once")}
    behaviour |= {"crash_always": [6]}  # alone in its shard
    summary = render(CONFIG, out, command=stub(**behaviour), quiet=False)
    failed = {failure.index: failure for failure in summary.failed}
    assert sorted(failed) == [4, 6]  # crashes of heads 1 and 2 were chance and are retried
    assert (summary.heads, summary.rendered) == (5, 5)
    assert failed[4].error == "RenderInvalid"
    assert failed[4].message == f"head {sample_head(CONFIG, 4).spec_id} is black"
    assert failed[6].error == "RenderCrashed" and "signal 11" in failed[6].message
    assert "about to crash" in failed[6].log_tail
    assert failed[6].attempts == 3 and failed[6].node
    assert failed[6].spec_id == sample_head(CONFIG, 6).spec_id
    assert "2 heads are missing because they failed" in str(summary)
    lines = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert lines == [dataclasses.asdict(failure) for failure in summary.failed]
    captured = capfd.readouterr()
    assert captured.out == ""  # results belong to stdout, also when Ray has something to say
    assert "RenderCrashed" in captured.err and "tried again without head" in captured.err
    status = json.loads((out / "status.json").read_text())
    assert status["state"] == "finished"
    assert (status["heads"]["done"], status["heads"]["failed"]) == (5, 2)

    (out / "failures.jsonl").unlink()  # the shards know it too, but for Blender's log
    second = render(CONFIG, out)  # not asked: nothing is tried, but they are named
    assert [f.spec_id for f in second.failed] == [f.spec_id for f in summary.failed]
    assert [f.message for f in second.failed] == [f.message for f in summary.failed]
    assert (second.rendered, second.heads) == (0, 5)
    third = render(CONFIG, out, retry_failed=True)
    assert (third.failed, third.heads, third.rendered) == ((), 7, 2)
    assert not (out / "failures.jsonl").exists()
    assert verify(Dataset.open(out)).ok


@pytest.mark.ray
def test_a_shard_that_fails_for_outer_reasons_is_tried_again_by_the_next_run(cluster, tmp_path):
    config = dataclasses.replace(CONFIG, heads=2)
    summary = render(config, tmp_path / "heads", command=stub(kill=[1]))
    (failure,) = summary.failed
    assert (failure.shard, failure.index, failure.head_count) == ("shard-000000.tar", None, 2)
    assert (failure.error, failure.attempts) == ("RenderCrashed", 3)
    assert "signal 9" in failure.message
    assert summary.contact_sheet is None
    assert list((tmp_path / "heads" / "shards").iterdir()) == []
    assert render(config, tmp_path / "heads").failed == ()


@pytest.mark.ray
def test_a_trouble_that_hits_everything_ends_the_run(cluster, tmp_path):
    config = dataclasses.replace(CONFIG, heads=1000)
    # slow enough for the driver to hear of heads that are done with, and were not rendered
    command = stub(asset=list(range(1000)), sleep_s=0.4)
    with pytest.raises(RenderStopped, match=r"the last 10 attempts failed \(10 x AssetError\)"):
        render(config, tmp_path / "heads", command=command)
    status = json.loads((tmp_path / "heads" / "status.json").read_text())
    assert status["state"] == "stopped" and "10 x AssetError" in status["message"]
    assert len((tmp_path / "heads" / "failures.jsonl").read_text().splitlines()) == 10


@pytest.mark.ray
def test_a_damaged_shard_is_put_aside_and_rendered_again(cluster, tmp_path):
    out = tmp_path / "heads"
    render(CONFIG, out)
    shard = out / "shards" / "shard-000000.tar"
    damaged = shard.read_bytes()[:-2000]
    shard.write_bytes(damaged)
    assert render(CONFIG, out).rendered == 2
    assert verify(Dataset.open(out)).ok
    (kept,) = (out / "quarantine").iterdir()
    assert kept.read_bytes() == damaged


@pytest.mark.ray
def test_a_task_that_fits_no_machine_is_refused(cluster, tmp_path):
    with pytest.raises(ConfigError, match=r"no machine of the cluster can run .*999 CPUs.*2 CPUs"):
        render(CONFIG, tmp_path / "heads", threads=999)


@pytest.mark.ray
def test_a_gpu_is_never_replaced_by_the_cpu(cluster, tmp_path):
    with pytest.raises(ConfigError, match="1 GPUs"):
        render(CONFIG, tmp_path / "heads", device="CUDA")


@pytest.mark.ray
def test_two_drivers_do_not_meet(cluster, tmp_path):
    from synth.lock import exclusive

    with exclusive(tmp_path / "heads"), pytest.raises(RecordError, match="another process"):
        render(CONFIG, tmp_path / "heads")


def test_another_configuration_is_refused_before_ray_starts(tmp_path):
    Dataset.create(tmp_path / "heads", CONFIG)
    with pytest.raises(DatasetMismatch, match="samples: 1 in the dataset, 2 given"):
        render(dataclasses.replace(CONFIG, samples=2), tmp_path / "heads", address="127.0.0.1:1")


def test_the_status_tells_of_the_end_of_a_run_which_takes_long_for_a_million_heads(
    heads, monkeypatch
):
    told = []

    def write_index(dataset):
        told.append(json.loads((heads.root / "status.json").read_text()))
        return index.write_index(dataset)

    monkeypatch.setattr(render_module, "write_index", write_index)
    assert render(heads.config, heads.root).heads == 13
    assert (told[0]["state"], told[0]["finished"]) == ("running", None)
    assert "the index" in told[0]["message"]
    assert json.loads((heads.root / "status.json").read_text())["state"] == "finished"


def test_the_time_limit_grows_with_the_work():
    small = time_limit_s([sample_head(CONFIG, 0)])
    large = time_limit_s([sample_head(dataclasses.replace(CONFIG, size=512, samples=64), 0)] * 4)
    assert 600 < small < 1800 < large


def test_a_task_needs_one_machine_not_the_sum():
    info = ClusterInfo("", False, (Node("a", 2, 0, 4e9), Node("b", 8, 0, 1e9)))
    info.require(cpus=2, memory_bytes=2e9)
    with pytest.raises(ConfigError, match=r"a: 2 CPUs, 0 GPUs, 4.0 GB; b: 8 CPUs"):
        info.require(cpus=8, memory_bytes=2e9)


def test_a_crash_survives_the_trip_through_pickle():
    error = pickle.loads(pickle.dumps(RenderCrashed("m", exit_code=-9, log_tail="tail")))
    assert (str(error), error.exit_code, error.log_tail) == ("m", -9, "tail")
