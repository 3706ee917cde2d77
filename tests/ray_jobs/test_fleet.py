"""Pools of workers and the machines that hold them, with machines that are made up."""

from __future__ import annotations

import dataclasses

import pytest

from ray_jobs import cli, commands
from ray_jobs import fleet as fleets
from ray_jobs.cluster import NODE_ID_LABEL, ClusterInfo, Node, prepare_environment
from ray_jobs.fleet import AHEAD_OF_AUTOSCALER, RECONSIDER_S, REFRESH_S, Fleet
from ray_jobs.pools import PRESETS, ClusterConfig, WorkerPool, label_matches
from synth.config import load_config
from synth.errors import ConfigError

GB = 1e9
CPU_NODE = Node("cpu-1 (10.0.0.1)", 16, 0, 64 * GB, "a" * 56, {NODE_ID_LABEL: "a" * 56})
GPU_NODE = Node("gpu-1 (10.0.0.2)", 8, 2, 64 * GB, "b" * 56,
                {NODE_ID_LABEL: "b" * 56, "ray.io/accelerator-type": "L4"})  # fmt: skip
REMOTE, LOCAL = ClusterInfo("10.0.0.1:6379", False, ()), ClusterInfo("here", True, ())
GPU_POOL = WorkerPool("OPTIX", threads=2, gpus=0.5, memory_gb=4.0)


class Machines:
    """A cluster whose machines and clock are set by the test."""

    def __init__(self, *nodes: Node):
        self.nodes, self.now, self.told = list(nodes), 0.0, []

    def fleet(self, cluster: ClusterInfo = REMOTE, expectation=None, **config) -> Fleet:
        config = ClusterConfig("10.0.0.1:6379", **config)
        return Fleet(cluster, config, expectation, self.told.append,
                     nodes=lambda: self.nodes, clock=lambda: self.now)  # fmt: skip

    def later(self, fleet: Fleet, seconds: float = REFRESH_S) -> None:
        self.now += seconds
        fleet.refresh()


# ------------------------------------------------------------------------------------------ pools


@pytest.mark.parametrize(
    ("pool", "cpu_machine", "gpu_machine"),
    [
        (WorkerPool(), 16, 8),
        (WorkerPool(threads=3), 5, 2),
        (WorkerPool(memory_gb=20), 3, 3),
        (WorkerPool("OPTIX"), 0, 2),
        (GPU_POOL, 0, 4),  # two processes on each GPU
        (WorkerPool("OPTIX", gpus=0.3), 0, 6),
        (WorkerPool("OPTIX", gpus=0.4), 0, 4),  # two on each, and .2 of each unused
        (WorkerPool("OPTIX", gpus=0.125), 0, 8),  # as many as CPUs
        (WorkerPool("OPTIX", gpus=2), 0, 1),
        (WorkerPool(labels={"ray.io/accelerator-type": "L4"}), 0, 8),
        (WorkerPool(labels={"ray.io/accelerator-type": "!L4"}), 16, 0),
        (WorkerPool(threads=17), 0, 0),
    ],
)
def test_a_machine_holds_what_its_scarcest_resource_allows(pool, cpu_machine, gpu_machine):
    assert pool.fits_in(CPU_NODE) == cpu_machine
    assert pool.fits_in(GPU_NODE) == gpu_machine


@pytest.mark.parametrize(
    ("value", "selector", "matches"),
    [("L4", "L4", True), ("L4", "A10G", False), (None, "L4", False), (None, "!L4", True),
     ("T4", "in(L4, T4)", True), ("T4", "!in(L4,T4)", False), (None, "!in(L4)", True)],
)  # fmt: skip
def test_label_selectors_are_those_of_ray(value, selector, matches):
    prepare_environment()
    from ray._private.label_utils import validate_label_selector_value

    validate_label_selector_value(selector)
    assert label_matches(value, selector) == matches


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"memory_gb": 0}, "memory_gb is 0"),
        ({"gpus": 1}, "a worker on CPU with 1 GPUs"),
        ({"device": "CUDA", "gpus": 0}, "a worker on CUDA with 0 GPUs"),
        ({"device": "CUDA", "gpus": 1.5}, "gpus is 1.5; a fraction of one GPU, or whole ones"),
    ],
)
def test_an_impossible_pool_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        WorkerPool(**values)


def test_kinds_of_device_are_mixed_only_on_purpose():
    pools = (WorkerPool("OPTIX"), WorkerPool())
    with pytest.raises(ValueError, match=r"CPU and OPTIX .* set mix_devices: true"):
        ClusterConfig("auto", pools)
    assert ClusterConfig("auto", pools, mix_devices=True).devices == ("OPTIX", "CPU")


def test_a_private_ray_is_as_large_as_the_workers_asked_for():
    assert ClusterConfig(pools=(WorkerPool(workers=3, threads=2),)).slots == 6
    assert ClusterConfig(pools=(WorkerPool(workers=3), WorkerPool())).slots is None


# ------------------------------------------------------------------------------------------ fleet


def test_a_task_waits_for_every_one_that_runs():
    fleet = Machines(CPU_NODE, GPU_NODE).fleet()
    assert fleet.limit() == 2 * (16 + 8)
    assert Machines(CPU_NODE).fleet(LOCAL).limit() == 16
    assert Machines(CPU_NODE).fleet(pools=(WorkerPool(workers=5),)).limit() == 5


def test_pools_take_shards_in_their_order_while_they_have_room():
    fleet = Machines(CPU_NODE, GPU_NODE).fleet(pools=(GPU_POOL, WorkerPool()), mix_devices=True)
    lanes = [fleet.take() for _ in range(fleet.limit())]
    assert [lane.pool.device for lane in lanes] == ["OPTIX"] * 8 + ["CPU"] * 48
    fleet.release(lanes[0])
    assert fleet.take().pool == GPU_POOL
    options = lanes[0].ray_options()
    assert (options["num_cpus"], options["num_gpus"], options["memory"]) == (2, 0.5, 4_000_000_000)


def test_a_machine_that_joins_is_counted_and_one_that_leaves_is_not():
    machines = Machines(CPU_NODE)
    fleet = machines.fleet()
    machines.nodes.append(GPU_NODE)
    machines.later(fleet, REFRESH_S / 2)
    assert fleet.limit() == 32  # not looked yet
    machines.later(fleet)
    assert fleet.limit() == 48
    machines.nodes.clear()
    machines.later(fleet)
    assert fleet.limit() == 0
    assert machines.told[0].startswith("no machine is left for CPU (1 CPUs, 1.6 GB)")


def test_an_unfit_machine_is_avoided_told_once_and_looked_at_again():
    machines = Machines(CPU_NODE, GPU_NODE)
    fleet = machines.fleet()
    lane = fleet.take()
    assert NODE_ID_LABEL not in lane.ray_options()["label_selector"]
    for _ in range(2):
        fleet.exclude(lane, GPU_NODE.node_id, "has no driver")
    assert machines.told == ["not used: gpu-1 (10.0.0.2) has no driver"]
    assert lane.ray_options()["label_selector"] == {NODE_ID_LABEL: f"!in({'b' * 56})"}
    preferred = lane.ray_options(["c"])
    assert preferred["label_selector"] == {NODE_ID_LABEL: f"!in({'b' * 56},c)"}
    assert preferred["fallback_strategy"] == [
        {"label_selector": {NODE_ID_LABEL: f"!in({'b' * 56})"}}
    ]
    assert fleet.limit() == 32
    machines.later(fleet, RECONSIDER_S + 1)
    assert fleet.limit() == 48 and not fleet.unfit


def test_a_machine_is_checked_once_and_again_when_it_is_reconsidered(monkeypatch):
    probed = []
    monkeypatch.setattr(fleets, "start_probe", lambda node_id, _: probed.append(node_id))
    monkeypatch.setattr(fleets.Fleet, "_take_probes", lambda *_: None)
    machines = Machines(CPU_NODE)
    fleet = machines.fleet(expectation="what all share")
    machines.nodes.append(GPU_NODE)
    for _ in range(3):
        machines.later(fleet)
    assert probed == [CPU_NODE.node_id, GPU_NODE.node_id]
    fleet.exclude(fleet.take(), GPU_NODE.node_id, "has no driver")
    machines.later(fleet)
    for _ in range(3):
        machines.later(fleet, RECONSIDER_S / 2)
    assert probed == [CPU_NODE.node_id, GPU_NODE.node_id, GPU_NODE.node_id]


def test_a_machine_where_tasks_only_fail_is_avoided_while_there_is_another():
    machines = Machines(CPU_NODE, GPU_NODE)
    fleet = machines.fleet()
    lane = fleet.take()
    fleet.distrust(lane, GPU_NODE.node_id, "failed 3 times in a row")
    assert fleet.limit() == 32
    fleet.distrust(lane, CPU_NODE.node_id, "failed 3 times in a row")  # the last one
    assert fleet.limit() == 32


def test_memory_that_was_measured_changes_what_the_machines_hold():
    fleet = Machines(CPU_NODE).fleet(LOCAL)
    lane = fleet.take()
    fleet.reserve(lane, int(CPU_NODE.memory_bytes / 4))
    assert fleet.limit() == 4
    assert lane.ray_options(memory_factor=1.5)["memory"] == int(1.5 * CPU_NODE.memory_bytes / 4)
    fleet.reserve(lane, int(CPU_NODE.memory_bytes * 2))  # a task that could never start
    assert lane.ray_options()["memory"] == CPU_NODE.memory_bytes
    assert fleet.limit() == 1


def test_memory_is_bounded_by_the_machines_of_the_pool():
    """More than any of them has would wait for ever, however large other machines are."""
    for pool in (GPU_POOL, WorkerPool(labels={"ray.io/accelerator-type": "L4"})):
        larger = dataclasses.replace(CPU_NODE, memory_bytes=256 * GB)
        lane = Machines(larger, GPU_NODE).fleet(pools=(pool,)).take()
        assert lane.ray_options(memory_factor=100.0)["memory"] == GPU_NODE.memory_bytes


def test_a_task_that_fits_no_machine_any_more_is_told_from_one_that_waits():
    machines = Machines(CPU_NODE, GPU_NODE)
    fleet = machines.fleet(autoscaling=True)
    lane = fleet.take()
    anywhere, large = lane.ray_options(), lane.ray_options(memory_factor=20.0)
    fleet.exclude(lane, CPU_NODE.node_id, "has no mount")
    elsewhere, rather_elsewhere = lane.ray_options(), lane.ray_options([GPU_NODE.node_id])

    def stranded() -> list[bool]:
        tasks = (anywhere, large, elsewhere, rather_elsewhere)
        return [fleet.is_stranded(lane, options) for options in tasks]

    assert stranded() == [False] * 4
    machines.nodes = [dataclasses.replace(CPU_NODE, memory_bytes=16 * GB)]
    machines.later(fleet)
    assert stranded() == [False] * 4  # nor could another task run now
    machines.later(fleet, RECONSIDER_S + 1)
    assert stranded() == [False, True, True, True]


def test_tasks_of_a_pool_without_machines_go_to_another_unless_machines_are_made():
    pools = (GPU_POOL, WorkerPool())
    for autoscaling in (False, True):
        machines = Machines(CPU_NODE, GPU_NODE)
        fleet = machines.fleet(pools=pools, mix_devices=True, autoscaling=autoscaling)
        lane = fleet.take()
        assert lane.pool == GPU_POOL
        machines.nodes.remove(GPU_NODE)
        machines.later(fleet)
        assert fleet.is_stranded(lane, lane.ray_options()) == (not autoscaling)


def test_machines_that_are_gone_are_forgotten():
    """Spot machines come and go for weeks, and each id in a selector travels with every task."""
    machines = Machines(CPU_NODE, GPU_NODE)
    fleet = machines.fleet()
    lane = fleet.take()
    fleet.exclude(lane, GPU_NODE.node_id, "has no driver")
    machines.nodes = [CPU_NODE]
    machines.later(fleet)
    assert lane.unfit == set() and fleet.unfit == {}
    assert lane.ray_options()["label_selector"] == {}


def test_a_machine_that_is_alone_is_not_waited_for():
    machines = Machines(CPU_NODE)
    fleet = machines.fleet(LOCAL)
    fleet.exclude(fleet.take(), CPU_NODE.node_id, "has no OPTIX")
    with pytest.raises(ConfigError, match=r"^no machine of the cluster could render: .*no OPTIX"):
        machines.later(fleet)


def test_what_no_machine_holds_is_refused_unless_machines_are_made():
    pools = (WorkerPool("HIP"),)
    with pytest.raises(ConfigError, match=r"worker on HIP .*1 GPUs.* there are: cpu-1 .*16 CPUs"):
        Machines(CPU_NODE).fleet(pools=pools)
    fleet = Machines(CPU_NODE).fleet(pools=pools, autoscaling=True)
    assert fleet.limit() == AHEAD_OF_AUTOSCALER


def test_a_run_does_not_wait_for_ever_for_machines_that_are_gone():
    machines = Machines(CPU_NODE)
    fleet = machines.fleet(patience_s=60.0)
    fleet.take()
    machines.nodes.clear()
    machines.later(fleet)
    machines.later(fleet, 50.0)
    machines.nodes.append(CPU_NODE)  # back in time
    machines.later(fleet)
    machines.nodes.clear()
    machines.later(fleet)
    machines.later(fleet, 50.0)
    with pytest.raises(ConfigError, match=r"for 1 min no machine .* could render: no machines"):
        machines.later(fleet, 20.0)
    assert sum("waiting 1 min" in text for text in machines.told) == 2


# ------------------------------------------------------------------------------------ command line


def parsed(*flags: str) -> ClusterConfig:
    return commands.cluster_config(cli.build_parser().parse_args(["render", "--out", "x", *flags]))


def test_flags_make_one_pool():
    assert parsed() == ClusterConfig()
    config = parsed("--address", "auto", "--workers", "4", "--threads", "2", "--device", "HIP")
    assert config == ClusterConfig("auto", (WorkerPool("HIP", 4, 2),))


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_presets_are_valid_and_yield_to_the_address(preset):
    config = load_config(ClusterConfig, preset, presets=PRESETS)
    assert (config == ClusterConfig()) == (preset == "local")
    assert parsed("--cluster", preset, "--address", "head:6379").address == "head:6379"
    with pytest.raises(ConfigError, match=f"--threads: give it in the pools of --cluster {preset}"):
        parsed("--cluster", preset, "--threads", "2")


def test_a_process_on_cpus_may_allocate_twice_what_is_reserved():
    """And 4 GB however little that is; drivers and compilers of GPUs allocate at will."""
    assert WorkerPool(memory_gb=3.0).memory_limit_bytes == 6_000_000_000
    assert WorkerPool(memory_gb=0.01).memory_limit_bytes == 4_000_000_000
    assert WorkerPool(device="OPTIX").memory_limit_bytes is None
