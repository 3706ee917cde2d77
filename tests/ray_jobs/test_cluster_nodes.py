"""A cluster of several machines, with a stand-in for Blender: one is pulled out, another joins.

The machines are Ray nodes on this one (`ray.cluster_utils`), each with one CPU; two hosts with a
network between them are in `test_two_hosts.py`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ray_jobs import fleet
from ray_jobs.cluster import alive_nodes, connect, prepare_environment
from ray_jobs.fleet import Fleet
from ray_jobs.node_check import CHECKED_PACKAGES, Expectation
from ray_jobs.pools import ClusterConfig, WorkerPool
from ray_jobs.render import render_dataset
from synth.dataset import Dataset
from synth.dataset_report import verify
from synth.errors import ConfigError, DatasetMismatch
from synth.sample import DatasetConfig, ViewsConfig

pytestmark = pytest.mark.ray
STUB = Path(__file__).parents[1] / "synth" / "stub_worker.py"
CONFIG = DatasetConfig(heads=4, size=8, samples=1, heads_per_shard=1, views=ViewsConfig(random=0))
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "memory": 10**9,
        "include_dashboard": False}  # fmt: skip
SMALL = WorkerPool(memory_gb=0.01)


@pytest.fixture(scope="module")
def machines():
    """Three machines; the driver is connected to the first, which renders nothing."""
    prepare_environment()
    import ray
    from ray.cluster_utils import Cluster

    quick_to_notice = {"health_check_period_ms": 500, "health_check_failure_threshold": 3}
    cluster = Cluster()
    try:
        cluster.add_node(**{**NODE, "num_cpus": 0}, _system_config=quick_to_notice)
        for number in (1, 2):
            cluster.add_node(**NODE, labels={"rack": f"r{number}"})
        with connect(cluster.address) as info:
            assert len(info.nodes) == 3 and not info.local
            yield cluster
        assert not ray.is_initialized()
    finally:
        cluster.shutdown()


def stub(**behaviour) -> tuple[str, ...]:
    return (sys.executable, str(STUB), json.dumps(behaviour))


def render(config, out, *, command=None, pools=(SMALL,), quiet=True, **cluster):
    return render_dataset(
        config, out, cluster=ClusterConfig(None, pools, **cluster), quiet=quiet,
        command=command or stub(),
    )  # fmt: skip


def nodes_of(root: Path) -> Counter:
    """How many heads each machine rendered, by the first digits of its id."""
    metas = [head.meta for head in Dataset.open(root).heads()]
    return Counter(meta["node"].rpartition(", ")[2].rstrip(")") for meta in metas)


def processes_with(token: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
            if not zombie and token.encode() in (entry / "cmdline").read_bytes():
                found.append(entry.name)
    return found


def test_a_machine_is_pulled_out_and_another_joins_in_the_middle(machines, tmp_path):
    root, token = tmp_path / "heads", uuid.uuid4().hex
    config = dataclasses.replace(CONFIG, heads=18)
    before = {node.node_id for node in alive_nodes()}
    victim = next(iter(machines.worker_nodes))
    command = stub(sleep_s=0.3, token=token)
    with ThreadPoolExecutor(1) as beside:  # Ray starts nodes on the main thread only
        rendering = beside.submit(render, config, root, command=command)
        while len(list(root.glob("shards/shard-*.tar"))) < 4 and not rendering.done():
            time.sleep(0.05)
        machines.remove_node(victim, allow_graceful=False)
        added = machines.add_node(**NODE, labels={"rack": "r3"})
        summary = rendering.result()
    assert (summary.heads, summary.failed) == (18, ())
    report = verify(Dataset.open(root))
    assert report.ok, report
    assert [head.index for head in Dataset.open(root).heads()] == list(range(18))
    names = [path.name for path in (root / "shards").iterdir()]
    assert len(names) == 18 and not any(name.startswith(".") for name in names)
    rendered_by = nodes_of(root)
    (joined,) = {node.node_id for node in alive_nodes()} - before
    assert joined == added.node_id and rendered_by[joined[:8]] > 0
    assert rendered_by[victim.node_id[:8]] > 0 and len(rendered_by) == 3, rendered_by
    deadline = time.monotonic() + 10
    while processes_with(token) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_with(token) == []


def test_labels_choose_the_machines(machines, tmp_path):
    chosen = next(node for node in alive_nodes() if "rack" in node.labels)
    rack = chosen.labels["rack"]
    pool = dataclasses.replace(SMALL, labels={"rack": f"in({rack}, r8)"})
    assert render(CONFIG, tmp_path / "heads", pools=(pool,)).heads == 4
    assert nodes_of(tmp_path / "heads") == {chosen.node_id[:8]: 4}
    with pytest.raises(ConfigError, match=rf"no machine .* rack=r9\); there are: .*rack={rack}"):
        pool = dataclasses.replace(SMALL, labels={"rack": "r9"})
        render(CONFIG, tmp_path / "others", pools=(pool,))


def test_a_machine_without_the_device_is_left_alone_and_its_shards_go_elsewhere(machines, tmp_path):
    """One GPU host with a broken driver must not burn through the whole plan."""
    broken, fine = [node for node in alive_nodes() if node.cpus]
    behaviour = {"device_error_on": broken.node_id[:8]}
    root = tmp_path / "heads"
    summary = render(dataclasses.replace(CONFIG, heads=8), root, command=stub(**behaviour))
    assert (summary.heads, summary.failed) == (8, ())
    assert nodes_of(root) == {fine.node_id[:8]: 8}


def test_tasks_that_avoid_the_last_machine_go_there_when_it_is_well_again(
    machines, tmp_path, monkeypatch
):
    """Ray would keep them waiting for other machines for ever."""
    monkeypatch.setattr(fleet, "REFRESH_S", 0.5)
    monkeypatch.setattr(fleet, "RECONSIDER_S", 4.0)
    victim = next(iter(machines.worker_nodes))
    (unwell,) = {n.node_id for n in alive_nodes() if n.cpus} - {victim.node_id}
    root, back = tmp_path / "heads", tmp_path / "back"
    command = stub(sleep_s=0.3, device_error_on=unwell[:8], device_back=str(back))
    with ThreadPoolExecutor(1) as beside:
        rendering = beside.submit(render, CONFIG, root, command=command)
        while not list(root.glob("shards/shard-*.tar")) and not rendering.done():
            time.sleep(0.05)
        back.touch()
        machines.remove_node(victim, allow_graceful=False)
        summary = rendering.result(timeout=60)
    machines.add_node(**NODE, labels={"rack": "r4"})
    assert (summary.heads, summary.failed) == (4, ())
    assert set(nodes_of(root)) == {unwell[:8], victim.node_id[:8]}


ABSENT = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("ray_jobs", "synth"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


def test_a_machine_without_headloom_that_joins_costs_no_shard(machines, tmp_path, capfd):
    """Ray gives it the tasks that wait, before anyone has looked at it."""
    (tmp_path / "sitecustomize.py").write_text(ABSENT)
    root = tmp_path / "heads"
    config = dataclasses.replace(CONFIG, heads=16)
    with ThreadPoolExecutor(1) as beside:
        rendering = beside.submit(render, config, root, command=stub(sleep_s=0.5), quiet=False)
        while not list(root.glob("shards/shard-*.tar")) and not rendering.done():
            time.sleep(0.05)
        added = machines.add_node(**NODE, env_vars={"PYTHONPATH": str(tmp_path)})
        summary = rendering.result(timeout=90)
    machines.remove_node(added)
    assert (summary.heads, summary.failed) == (16, ())
    assert added.node_id[:8] not in nodes_of(root)
    assert "has no Headloom" in capfd.readouterr().err


def test_machines_with_other_versions_or_without_the_dataset_are_refused(machines, tmp_path):
    dataset = Dataset.create(tmp_path / "heads", CONFIG)
    with connect() as info:
        told: list[str] = []
        expectation = Expectation.of(dataset)
        assert [name for name, _ in expectation.versions] == list(CHECKED_PACKAGES)
        assert (
            not Fleet(info, ClusterConfig(pools=(SMALL,)), expectation, told.append).unfit
            and not told
        )

        other = dataclasses.replace(expectation, versions=(("headloom", "9.9"), ("bpy", "4.5.15")))
        with pytest.raises(ConfigError, match=r"headloom 0\.1\.0 instead of 9\.9 \(the dr"):
            Fleet(info, ClusterConfig(pools=(SMALL,)), other, told.append)
        absent = dataclasses.replace(expectation, root=tmp_path / "elsewhere")
        with pytest.raises(ConfigError, match=r"all machines must share: .*elsewhere is not a da"):
            Fleet(info, ClusterConfig(pools=(SMALL,)), absent, told.append)
        foreign = dataclasses.replace(expectation, dataset_id="0123")
        with pytest.raises(ConfigError, match="sees another dataset at"):
            Fleet(info, ClusterConfig(pools=(SMALL,)), foreign, told.append)


def test_a_second_kind_of_device_is_refused_by_a_dataset(machines, tmp_path):
    root = tmp_path / "heads"
    assert render(CONFIG, root).heads == 4
    larger = dataclasses.replace(CONFIG, heads=5)
    with pytest.raises(DatasetMismatch, match=r"was rendered on CPU, .* set mix_devices: true"):
        render(larger, root, pools=(WorkerPool("CUDA"),))
    with pytest.raises(ConfigError, match="no machine of the cluster can run a worker on CUDA"):
        render(larger, root, pools=(WorkerPool("CUDA"),), mix_devices=True)


def test_workers_on_cpus_and_halves_of_a_gpu_share_one_run(machines, tmp_path):
    """Ray is told of a GPU that is not there; the stand-in for Blender does not miss it."""
    added = machines.add_node(**{**NODE, "num_cpus": 2}, num_gpus=1, labels={"kind": "gpu"})
    root = tmp_path / "heads"
    pools = (dataclasses.replace(SMALL, device="OPTIX", gpus=0.5, labels={"kind": "gpu"}),
             dataclasses.replace(SMALL, labels={"kind": "!gpu"}))  # fmt: skip
    config = dataclasses.replace(CONFIG, heads=12)
    command = stub(env=1, sleep_s=0.2)
    try:
        assert render(config, root, pools=pools, mix_devices=True, command=command).heads == 12
    finally:
        machines.remove_node(added)
    metas = [head.meta for head in Dataset.open(root).heads()]
    masks = {"OPTIX": set(), "CPU": set()}
    for meta in metas:
        masks[meta["device"]].add(meta["environment"]["CUDA_VISIBLE_DEVICES"])
        assert (added.node_id[:8] in meta["node"]) == (meta["device"] == "OPTIX")
    assert masks == {"OPTIX": {"0"}, "CPU": {""}}
    assert "devices:\n- CPU\n- OPTIX" in (root / "dataset.yaml").read_text()
