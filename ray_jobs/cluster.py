"""Starts a Ray on this machine, or joins one that runs, and always leaves cleanly."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from synth.errors import ConfigError

NAMESPACE = "headloom"
LOCAL_OBJECT_STORE_BYTES = 512 * 2**20
"""Pixels go straight to storage; only small results and training blocks pass through Ray."""

_KNOCK_TIMEOUT_S = 10.0
_RAY_ENVIRONMENT = {
    # Settings that Ray reads from the environment only, when it is imported.
    "RAY_USAGE_STATS_ENABLED": "0",  # no report to its makers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # no warning; `synth.launch` hides GPUs itself
    # Notes about what is retried anyway; Ray prints them on stdout, among the results.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "retr(y|ies) remaining|worker died or was killed|kernel OOM kill",
}


@dataclass(frozen=True)
class Node:
    """Resources of one machine of the cluster."""

    name: str
    cpus: float
    gpus: float
    memory_bytes: float


@dataclass(frozen=True)
class ClusterInfo:
    """The cluster that is connected.

    Attributes:
        address: of the Ray head.
        local: whether it was started by `connect` and ends with it.
        nodes: the machines that are alive now.
    """

    address: str
    local: bool
    nodes: tuple[Node, ...]

    @property
    def cpus(self) -> float:
        return sum(node.cpus for node in self.nodes)

    def require(self, *, cpus: float, memory_bytes: float, gpus: float = 0.0) -> None:
        """Check that some machine could ever run a task; Ray itself would wait for ever.

        Raises:
            ConfigError: none is large enough; says what the largest offers.
        """
        for node in self.nodes:
            enough = node.cpus >= cpus and node.gpus >= gpus and node.memory_bytes >= memory_bytes
            if enough:
                return
        offers = "; ".join(
            f"{n.name}: {n.cpus:g} CPUs, {n.gpus:g} GPUs, {n.memory_bytes / 1e9:.1f} GB"
            for n in self.nodes
        )
        raise ConfigError(
            f"no machine of the cluster has {cpus:g} CPUs, {gpus:g} GPUs and "
            f"{memory_bytes / 1e9:.1f} GB for one task ({offers or 'no machines'})"
        )


@contextmanager
def connect(
    address: str | None = None,
    num_cpus: int | None = None,
) -> Iterator[ClusterInfo]:
    """Connect to Ray for the length of the block.

    Without an address a private cluster is started on this machine and ended afterwards, also after
    an exception. A process that is connected already (a test, a notebook) is left connected.

    Args:
        address: of a running cluster (`auto` or `HOST:PORT`); None: this machine.
        num_cpus: CPUs of the private cluster; None for all of this machine.

    Raises:
        ConfigError: no Ray answers at the address.
    """
    for name, value in _RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield _describe(local=False)
        return
    if address is not None:
        _check_reachable(address)
    options: dict = {
        "namespace": NAMESPACE,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if address is None:
        options |= {
            "address": "local",  # None would join whatever RAY_ADDRESS names
            "num_cpus": num_cpus,
            "include_dashboard": False,
            "object_store_memory": LOCAL_OBJECT_STORE_BYTES,
        }
    else:
        options["address"] = address
    try:
        ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"cannot connect to Ray at {address or 'this machine'}: {error}"
        ) from error
    try:
        yield _describe(local=address is None)
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Knock at the door first: Ray tries a wrong address for 200 s and then ends the process."""
    host, separator, port = address.rpartition("://")[2].rpartition(":")
    if not separator or not port.isdigit():
        return  # "auto", which Ray looks up at once
    try:
        socket.create_connection((host, int(port)), timeout=_KNOCK_TIMEOUT_S).close()
    except OSError as error:
        raise ConfigError(
            f"no Ray answers at {address}: {error}; start one there with `ray start --head`, "
            "or leave --address away to use this machine"
        ) from error


def _describe(*, local: bool) -> ClusterInfo:
    import ray

    nodes = tuple(
        Node(
            name=node.get("NodeManagerHostname", node["NodeID"]),
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
            memory_bytes=node["Resources"].get("memory", 0.0),
        )
        for node in ray.nodes()
        if node["Alive"]
    )
    return ClusterInfo(ray.get_runtime_context().gcs_address, local, nodes)
