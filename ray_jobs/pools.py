"""Who renders: pools of Blender processes, on CPUs and on GPUs, and the cluster they run on.

A pool is one kind of worker; a run may have several, and each takes a shard when it has room.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ray_jobs.cluster import Node
from synth.launch import Device

PRESETS = Path(__file__).parent / "configs"
MEMORY_GB = 1.6
"""Reserved per Blender process; without it Ray would start more than the memory holds."""

LEAST_LIMIT_BYTES = 4_000_000_000
"""No process is limited to less, however little is reserved."""


@dataclass(frozen=True)
class WorkerPool:
    """Blender processes of one kind.

    Attributes:
        device: what Cycles renders on.
        workers: processes at a time; None: as many as the machines hold.
        threads: CPU threads of each, which are also the CPUs reserved for it.
        gpus: GPUs reserved for each; None: none for the CPU, else one. A fraction lets several
            processes share a GPU: 0.5 is two.
        memory_gb: memory reserved for each, in 10^9 bytes.
        labels: only machines with these labels (`ray start --labels`, or Ray's own such as
            `ray.io/accelerator-type`). A value may be `!x`, `in(x, y)` or `!in(x, y)`.
    """

    device: Device = "CPU"
    workers: int | None = None
    threads: int = 1
    gpus: float | None = None
    memory_gb: float = MEMORY_GB
    labels: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers is {self.workers}, give 1 or more")
        if self.threads < 1:
            raise ValueError(f"threads is {self.threads}, give 1 or more")
        if self.memory_gb <= 0:
            raise ValueError(f"memory_gb is {self.memory_gb}, give what one process needs")
        gpus = self.gpus_each
        if (self.device == "CPU") != (gpus == 0):
            raise ValueError(f"a worker on {self.device} with {gpus:g} GPUs")
        if gpus < 0 or (gpus > 1 and gpus != int(gpus)):
            raise ValueError(f"gpus is {gpus:g}; a fraction of one GPU, or whole ones")

    @property
    def gpus_each(self) -> float:
        """GPUs reserved for each process."""
        if self.gpus is not None:
            return self.gpus
        return 0.0 if self.device == "CPU" else 1.0

    @property
    def memory_bytes(self) -> int:
        return int(self.memory_gb * 1e9)

    @property
    def memory_limit_bytes(self) -> int | None:
        """What each process may allocate, generous beside what is reserved: it stops a head that
        would take the machine down. None on a GPU, whose driver and compiler allocate at will."""
        return max(2 * self.memory_bytes, LEAST_LIMIT_BYTES) if self.device == "CPU" else None

    def fits_in(self, node: Node, memory_bytes: int | None = None) -> int:
        """How many of these processes a machine holds, at `memory_bytes` each or the pool's."""
        if not matches_labels(node, self.labels):
            return 0
        by_cpus = int(node.cpus // self.threads)
        by_memory = int(node.memory_bytes // (memory_bytes or self.memory_bytes))
        return min(by_cpus, by_memory, self._by_gpus(node.gpus) if self.gpus_each else by_cpus)

    def _by_gpus(self, gpus: float) -> int:
        if self.gpus_each >= 1:
            return int(gpus // self.gpus_each)
        return int(gpus) * int(1 / self.gpus_each + 1e-9)  # none has parts of two

    def __str__(self) -> str:
        parts = [f"{self.threads} CPUs", f"{self.memory_gb:g} GB"]
        if self.gpus_each:
            parts.append(f"{self.gpus_each:g} GPUs")
        parts += [f"{key}={value}" for key, value in self.labels.items()]
        return f"{self.device} ({', '.join(parts)})"


@dataclass(frozen=True)
class ClusterConfig:
    """Where a dataset is rendered; nothing here changes a pixel but the kinds of device.

    Attributes:
        address: of a Ray cluster, `auto` or HOST:PORT; None starts one on this machine.
        pools: the kinds of workers; a shard goes to whichever has room.
        autoscaling: the cluster adds machines when tasks wait for them. Without it, a pool that no
            machine can hold is an error; with it, it is a demand.
        mix_devices: the dataset may hold pixels of several kinds of device, which differ a little.
        patience_s: a run ends when its tasks wait this long for machines that are gone.
    """

    address: str | None = None
    pools: tuple[WorkerPool, ...] = (WorkerPool(),)
    autoscaling: bool = False
    mix_devices: bool = False
    patience_s: float = 900.0

    def __post_init__(self) -> None:
        if not self.pools:
            raise ValueError("pools is empty: nobody would render")
        devices = sorted({pool.device for pool in self.pools})
        if len(devices) > 1 and not self.mix_devices:
            raise ValueError(
                f"pools on {' and '.join(devices)} would give one dataset pixels that differ a "
                "little between them; if that is meant, set mix_devices: true"
            )
        if self.address is None and self.autoscaling:
            raise ValueError("autoscaling needs the address of a cluster")

    @property
    def devices(self) -> tuple[Device, ...]:
        """The kinds of device, each once."""
        return tuple(dict.fromkeys(pool.device for pool in self.pools))

    @property
    def slots(self) -> int | None:
        """CPUs of a private Ray that holds exactly the workers asked for; None: all there are."""
        if any(pool.workers is None for pool in self.pools):
            return None
        return sum(pool.workers * pool.threads for pool in self.pools if pool.workers)


def matches_labels(node: Node, selectors: Mapping[str, str]) -> bool:
    """Whether a machine's labels fulfil Ray's selectors, by label."""
    return all(label_matches(node.labels.get(key), want) for key, want in selectors.items())


def label_matches(value: str | None, want: str) -> bool:
    """Whether a label fulfils Ray's selector: `x`, `!x`, `in(x, y)` or `!in(x, y)`.

    Args:
        value: of the label; None if the machine has no such label.
        want: the selector.
    """
    negated = want.startswith("!")
    text = want.removeprefix("!")
    if text.startswith("in(") and text.endswith(")"):
        found = value in [word.strip() for word in text[3:-1].split(",")]
    else:
        found = value == text
    return found != negated
