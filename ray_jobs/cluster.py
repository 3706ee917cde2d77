"""Starts a Ray on this machine, or joins one that runs, and always leaves cleanly."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from synth.errors import ConfigError

NAMESPACE = "headloom"
NODE_ID_LABEL = "ray.io/node-id"
"""The label by which Ray knows each machine; a selector `!in(...)` on it keeps tasks away."""
LOCAL_OBJECT_STORE_BYTES = 512 * 2**20
"""Pixels go straight to storage; only small results and training blocks pass through Ray."""
TOKEN_REMEDY = (
    "the Ray at {address} wants its token, and none or another one was found here; copy the file "
    "~/.ray/auth_token of its head node to the same place, and unset RAY_AUTH_MODE, RAY_AUTH_TOKEN "
    "and RAY_AUTH_TOKEN_PATH"
)

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
    """One machine of the cluster.

    Attributes:
        name: for people: host name and address.
        cpus, gpus, memory_bytes: what Ray may hand out there.
        node_id: Ray's id, 56 hexadecimal digits.
        labels: of `ray start --labels`, and Ray's own (`ray.io/accelerator-type` and such).
    """

    name: str
    cpus: float
    gpus: float
    memory_bytes: float
    node_id: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        own = [f"{k}={v}" for k, v in self.labels.items() if k != NODE_ID_LABEL]
        labels = f", {', '.join(own)}" if own else ""
        memory_gb = self.memory_bytes / 1e9
        return f"{self.name}: {self.cpus:g} CPUs, {self.gpus:g} GPUs, {memory_gb:.1f} GB{labels}"


@dataclass(frozen=True)
class ClusterInfo:
    """The cluster that is connected.

    Attributes:
        address: of the Ray head.
        local: whether it was started by `connect` and ends with it.
        nodes: the machines that were alive when it was connected.
        dashboard: its web page, or "".
    """

    address: str
    local: bool
    nodes: tuple[Node, ...]
    dashboard: str = ""

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
        offers = "; ".join(map(str, self.nodes))
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
    prepare_environment()
    import ray

    if ray.is_initialized():
        yield _describe(local=False)
        return
    if address is not None and "://" in address:
        raise ConfigError(
            f"--address {address}: give HOST:PORT of a cluster that this machine belongs to, "
            "or 'auto' on one of its nodes; to send work to a cluster from outside: "
            "headloom submit --address http://HEAD:8265 -- render ..."
        )
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
    try:
        if address is not None:
            options["address"] = _located(address)
            _show_token(options["address"])
        ray.init(**options)
    except ray.exceptions.AuthenticationError as error:
        raise ConfigError(TOKEN_REMEDY.format(address=address)) from error
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"cannot connect to Ray at {address or 'this machine'}: {error}"
        ) from error
    _handle_sigterm()
    try:
        yield _describe(local=address is None)
    finally:
        ray.shutdown()


def _handle_sigterm() -> None:
    """Ray's own handler prints a stack and aborts the process three seconds later, however far it
    has come with ending its tasks and writing its state; this one unwinds it like Ctrl-C."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def _located(address: str) -> str:
    """HOST:PORT of a cluster, also of `auto`, which may still name a head that is gone."""
    from ray._private.services import canonicalize_bootstrap_address

    located = canonicalize_bootstrap_address(address) or address
    check_reachable(located if address == "auto" else address)
    return located


def _show_token(address: str) -> None:
    """Use the token of this machine if the cluster wants one, as Ray does for `auto` only.

    Ray cannot be told to do so in any case: a driver with a token refuses the questions of workers
    without one.

    Raises:
        AuthenticationError: this machine has no token, or another one.
    """
    from ray._private.authentication import authentication_token_setup as tokens
    from ray._raylet import InnerGcsClient
    from ray.exceptions import AuthenticationError

    def ask() -> None:
        tokens.ensure_token_if_auth_enabled(create_token_if_missing=False)
        InnerGcsClient.standalone(address, None, int(1000 * _KNOCK_TIMEOUT_S))

    try:
        ask()
    except AuthenticationError:
        chosen = tokens.AUTH_MODE_ENV_VAR in os.environ
        if chosen or not tokens.maybe_enable_token_auth_if_token_available(warn_if_disabled=False):
            raise
        ask()


def prepare_environment() -> None:
    """Settings that must be in place before `ray` is imported for the first time."""
    for name, value in _RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def check_reachable(address: str) -> None:
    """Knock at the door first: Ray tries a wrong address for 200 s and then ends the process.

    Raises:
        ConfigError: nobody opens.
    """
    host, separator, port = address.rpartition("://")[2].strip("/").rpartition(":")
    if not separator or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_TIMEOUT_S).close()
    except OSError as error:
        raise ConfigError(
            f"no Ray answers at {address}: {error}; start one there with `ray start --head`, "
            "or leave --address away to use this machine"
        ) from error


def _describe(*, local: bool) -> ClusterInfo:
    import ray

    dashboard = ray._private.worker.get_dashboard_url()
    return ClusterInfo(
        address=ray.get_runtime_context().gcs_address,
        local=local,
        nodes=alive_nodes(),
        dashboard=f"http://{dashboard}" if dashboard else "",
    )


def alive_nodes() -> tuple[Node, ...]:
    """The machines that Ray can use now."""
    import ray

    return tuple(
        Node(
            name=f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})",
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
            memory_bytes=node["Resources"].get("memory", 0.0),
            node_id=node["NodeID"],
            labels=node["Labels"],
        )
        for node in ray.nodes()
        if node["Alive"]
    )


def this_node() -> str:
    """The machine that a task runs on, for people: host name, address and the start of its id."""
    import ray

    node_id = ray.get_runtime_context().get_node_id()
    address = ray.util.get_node_ip_address()
    return f"{socket.gethostname()} ({address}, {node_id[:8]})"
