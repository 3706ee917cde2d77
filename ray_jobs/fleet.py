"""The machines that a run may use: how many tasks they hold, which are unfit, which are gone.

Ray places tasks; this module says how many to give it, of which pool, and where not to place them.
Machines come and go while a run lasts: a new one is looked at and then used, one with another
version of Headloom or without the dataset is left alone, and a run whose machines stay away ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from ray_jobs.cluster import NODE_ID_LABEL, ClusterInfo, Node, alive_nodes
from ray_jobs.node_check import Expectation, start_probe
from ray_jobs.pools import ClusterConfig, WorkerPool, matches_labels
from synth.errors import ConfigError

REFRESH_S = 5.0
"""Machines are counted this often."""
RECONSIDER_S = 300.0
"""An unfit machine is looked at again after this time: its mount or driver may have come back."""
AHEAD_OF_AUTOSCALER = 8
"""Tasks that wait on a cluster that grows, beyond twice the present slots: its demand."""
_FIRST_PROBE_TIMEOUT_S = 120.0


@dataclass(eq=False)
class Lane:
    """A pool at work.

    Attributes:
        pool: what its workers are.
        memory_bytes: reserved for each task: the pool's at first, later what was measured.
        running: tasks that Ray has, placed or not.
        largest_bytes: memory of the largest machine that could hold one.
        capacity: how many the machines hold at once.
        unfit: machines that this pool does not use, by node id.
    """

    pool: WorkerPool
    memory_bytes: int = 0
    largest_bytes: int = 0
    running: int = 0
    capacity: int = 0
    unfit: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.memory_bytes = self.pool.memory_bytes

    def ray_options(self, avoid: Collection[str] = (), memory_factor: float = 1.0) -> dict:
        """Options of a Ray task: resources, and the machines it may go to.

        Args:
            avoid: ids of further machines; others are preferred.
            memory_factor: times the memory of other tasks; at most what some machine has.
        """
        memory_bytes = int(self.memory_bytes * memory_factor)
        options = {
            "num_cpus": self.pool.threads,
            "num_gpus": self.pool.gpus_each,
            "memory": min(memory_bytes, self.largest_bytes or memory_bytes),
            "label_selector": self._selector(self.unfit),
            "scheduling_strategy": "SPREAD",
        }
        if avoid:
            options["fallback_strategy"] = [{"label_selector": options["label_selector"]}]
            options["label_selector"] = self._selector({*self.unfit, *avoid})
        return options

    def _selector(self, away: Collection[str]) -> dict[str, str]:
        selector = dict(self.pool.labels)
        if away:
            selector[NODE_ID_LABEL] = f"!in({','.join(sorted(away))})"
        return selector


class Fleet:
    """The machines as the driver of a run sees them; use `refresh` at every tick.

    Args:
        cluster: that is connected.
        config: pools and patience.
        expectation: what a machine must share with the driver; None checks nothing.
        notify: is told what a person should know.
        nodes, clock: replaced by tests.
    """

    def __init__(
        self,
        cluster: ClusterInfo,
        config: ClusterConfig,
        expectation: Expectation | None,
        notify: Callable[[str], None],
        *,
        nodes: Callable[[], Sequence[Node]] = alive_nodes,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.lanes = tuple(Lane(pool) for pool in config.pools)
        self.nodes: tuple[Node, ...] = ()
        self.unfit: dict[str, str] = {}
        self._local, self._config = cluster.local, config
        self._patience_s = 0.0 if cluster.local else config.patience_s  # none will come
        self._expectation, self._notify = expectation, notify
        self._alive, self._clock = nodes, clock
        self._probes: dict[Any, Node] = {}
        self._reconsider: dict[str, float] = {}
        self._known: set[str] = set()
        self._refreshed = self._stuck_since = None
        self._look()
        self._take_probes(_FIRST_PROBE_TIMEOUT_S)
        self._count()
        self._require_room()

    # -------------------------------------------------------------------------------- placing

    def limit(self) -> int:
        """Tasks that may be in flight, over all pools."""
        return sum(self._limit_of(lane) for lane in self.lanes)

    def _limit_of(self, lane: Lane) -> int:
        if not lane.capacity and not self._config.autoscaling:
            return 0
        if lane.pool.workers is not None:
            return lane.pool.workers
        if self._local:
            return lane.capacity
        # One waits for every one that runs, so that no slot is idle between two tasks and a machine
        # that joins has work at once.
        return 2 * lane.capacity + (AHEAD_OF_AUTOSCALER if self._config.autoscaling else 0)

    def take(self) -> Lane:
        """The pool for the next task, in the order of the configuration; it counts as running."""
        for lane in self.lanes:
            if lane.running < self._limit_of(lane):
                break
        else:  # the limit shrank in between: a task more waits
            lane = max(self.lanes, key=lambda lane: lane.capacity)
        lane.running += 1
        return lane

    def release(self, lane: Lane) -> None:
        """A task of the pool ended."""
        lane.running -= 1

    def exclude(self, lane: Lane, node_id: str, reason: str) -> None:
        """Keep a pool away from a machine for a while, because of what a task met there."""
        if node_id not in lane.unfit:
            lane.unfit.add(node_id)
            self._set_unfit(node_id, reason)
            self._count()

    def distrust(self, lane: Lane, node_id: str, reason: str) -> None:
        """Keep a pool away from a machine where tasks only fail, if it can use another."""
        others = [node for node in self.nodes if node.node_id not in {*lane.unfit, node_id}]
        if any(lane.pool.fits_in(node, lane.memory_bytes) for node in others):
            self.exclude(lane, node_id, reason)

    def reserve(self, lane: Lane, memory_bytes: int) -> None:
        """Later tasks of a pool reserve so much memory; at most what its largest machine has."""
        lane.memory_bytes = min(memory_bytes, lane.largest_bytes or memory_bytes)
        self._count()

    def is_stranded(self, lane: Lane, options: dict) -> bool:
        """Whether a task that was submitted with these options fits no machine any more, although
        one submitted now would: the machines that it could use are gone, and one that it had to
        avoid is well again, or another pool has machines."""
        # where machines are made, a task that waits is a demand for one
        room = (lane,) if self._config.autoscaling else self.lanes
        needed = options.get("fallback_strategy", [options])[-1]["label_selector"]
        return any(other.capacity for other in room) and not any(
            lane.pool.fits_in(node, options["memory"]) and matches_labels(node, needed)
            for node in self.nodes
        )

    # ------------------------------------------------------------------------------- watching

    def refresh(self) -> bool:
        """Look at the machines, if the last look is old; tells whether it did.

        Raises:
            ConfigError: nothing could run for `patience_s`.
        """
        now = self._clock()
        if self._refreshed is not None and now - self._refreshed < REFRESH_S:
            return False
        self._look()
        self._take_probes(0.0)
        self._count()
        if any(lane.capacity for lane in self.lanes) or self._config.autoscaling:
            self._stuck_since = None
            return True
        if self._stuck_since is None:
            self._stuck_since = now
            if self._patience_s:
                self._notify(
                    "no machine is left that could render; waiting "
                    f"{self._patience_s / 60:.0f} min for one to come back"
                )
        if now - self._stuck_since >= self._patience_s:
            waited = f"for {self._patience_s / 60:.0f} min " if self._patience_s else ""
            raise ConfigError(
                f"{waited}no machine of the cluster could render: {self._offers()}. What is "
                "rendered is safe; run the same command again when that is mended"
            )
        return True

    def _look(self) -> None:
        """Find new machines and start to check them."""
        now = self._refreshed = self._clock()
        self.nodes = tuple(self._alive())
        self._forget_all_but({node.node_id for node in self.nodes})
        for node in self.nodes:
            again = self._reconsider.get(node.node_id)
            if node.node_id in self._known and (again is None or again > now):
                continue
            self._known.add(node.node_id)
            self._reconsider.pop(node.node_id, None)
            self.unfit.pop(node.node_id, None)
            for lane in self.lanes:
                lane.unfit.discard(node.node_id)
            if self._expectation is not None:
                self._probes[start_probe(node.node_id, self._expectation)] = node

    def _forget_all_but(self, alive: set[str]) -> None:
        """A machine that returns has a new id; each old one would lengthen every selector."""
        self._known &= alive
        for lane in self.lanes:
            lane.unfit &= alive
        for of_nodes in (self.unfit, self._reconsider):
            for node_id in of_nodes.keys() - alive:
                del of_nodes[node_id]

    def _take_probes(self, timeout_s: float) -> None:
        """Read the checks that have ended; a machine that fails is used by no pool."""
        if not self._probes:
            return
        import ray

        done, _ = ray.wait(list(self._probes), num_returns=len(self._probes), timeout=timeout_s)
        for ref in done:
            node = self._probes.pop(ref)
            try:
                reason = ray.get(ref)
            except ray.exceptions.RayError as error:  # it died, or cannot even read the question
                reason = f"cannot be checked: {str(error).strip().splitlines()[-1]}"
            if reason:
                for lane in self.lanes:
                    lane.unfit.add(node.node_id)
                self._set_unfit(node.node_id, reason)

    def _set_unfit(self, node_id: str, reason: str) -> None:
        self.unfit[node_id] = reason
        self._reconsider[node_id] = self._clock() + RECONSIDER_S
        self._notify(f"not used: {self._name(node_id)} {reason}")

    def _count(self) -> None:
        for lane in self.lanes:
            usable = [node for node in self.nodes if node.node_id not in lane.unfit]
            fitting = [lane.pool.fits_in(node, lane.memory_bytes) for node in usable]
            before, lane.capacity = lane.capacity, sum(fitting)
            able = [node.memory_bytes for node in usable if lane.pool.fits_in(node, 1)]
            lane.largest_bytes = int(max(able, default=0))
            if before and not lane.capacity:
                self._notify(f"no machine is left for {lane.pool}")

    def _require_room(self) -> None:
        """Raises ConfigError for a pool that no machine could ever hold; Ray would wait forever."""
        for lane in self.lanes:
            if lane.capacity or self._config.autoscaling:
                continue
            raise ConfigError(
                f"no machine of the cluster can run a worker on {lane.pool}; there are: "
                f"{self._offers()}. Ask for less, start such a machine, or set autoscaling: true "
                "in the file of --cluster if the cluster adds machines by itself"
            )

    def _offers(self) -> str:
        texts = []
        for node in self.nodes:
            reason = self.unfit.get(node.node_id)
            texts.append(f"{node}{f' ({reason})' if reason else ''}")
        return "; ".join(texts) or "no machines"

    def _name(self, node_id: str) -> str:
        return next((node.name for node in self.nodes if node.node_id == node_id), node_id[:8])
