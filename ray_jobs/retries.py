"""What follows a failed attempt: another one, without the guilty head, or the end; pure rules.

An attempt is one Ray task on one shard. Ray itself retries nothing (`max_retries=0`): however a
task ends, by a killed worker or a lost machine too, it comes back here and is counted, so that
nothing is tried for ever (Ray counts tasks that it killed for lack of memory apart, and by default
retries them without end).

    an attempt ends with                          counts against   limit   then
    a crash or timeout that names a head          the head         2       the head is skipped
    a permanent error of the heads it tried       the head         1       the head is skipped
    a crash or timeout that names none            the shard        3       it is given up
    an error of the storage                       the shard        3       it is given up
    its worker or machine lost, out of memory     the shard, apart 5       it is given up (1)
    a permanent error (no such asset, device)     the shard        1       it is given up
    a machine that cannot take part               nothing          -       another machine
    the same, and nobody knows which machine      the shard, apart 5       it is given up

(1) That a machine is lost says nothing about what is rendered: it is no failure to the run, even if
hundreds of shards are lost with it at once, as when the spot machines of a region are taken.

A skipped head is noted as failed and its shard-mates are rendered. The run as a whole stops
(`RenderStopped`) when the same trouble hits everything: `MIN_STREAK` attempts in a row, and at
least as many as may be in flight at once, have failed without a single head rendered anywhere in
between; or `STORAGE_STREAK` in a row could not write, on more than one machine if there is another
(a full disk of one machine is its own trouble).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from synth.dataset import ShardPlan
from synth.errors import RenderStopped

MAX_HEAD_ATTEMPTS = 2
MAX_SHARD_ATTEMPTS = 3
MAX_LOST = 5
BACKOFF_S = (1.0, 5.0, 15.0, 60.0)
MIN_STREAK = 10
STORAGE_STREAK = 3
NODE_STREAK = 3
"""After so many failures in a row on one machine, none in between, others are used for a while."""

ErrorKind = Literal["head", "bad_head", "shard", "storage", "lost", "gone", "unfit", "permanent"]


@dataclass(frozen=True)
class TaskError:
    """Why an attempt failed.

    Attributes:
        kind: what it counts against, see the table above; "gone" is a lost machine.
        error, message: type and text.
        log_tail: the last lines of Blender's log.
        spec_id: the head that may be the cause, or None.
        out_of_memory: the process was killed, probably for lack of memory.
    """

    kind: ErrorKind
    error: str
    message: str
    log_tail: str = ""
    spec_id: str | None = None
    out_of_memory: bool = False

    def __str__(self) -> str:
        return f"{self.error}: {self.message}"


@dataclass(eq=False)
class Work:
    """A shard on its way through the farm.

    Attributes:
        plan: the shard.
        attempts: how often it was tried and failed.
        skip: by spec id, why a head is not tried any more.
        blamed: by spec id, the last error that named the head.
        avoid: ids of machines that the next attempt should keep away from.
        more_memory: times the usual reservation, after it was killed for lack of memory.
    """

    plan: ShardPlan
    attempts: int = 0
    skip: dict[str, str] = field(default_factory=dict)
    blamed: dict[str, TaskError] = field(default_factory=dict)
    avoid: tuple[str, ...] = ()
    more_memory: float = 1.0
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Verdict:
    """What to do with a shard whose attempt failed.

    Attributes:
        delay_s: seconds until it is tried again; None: it is given up.
        skipped: the head that the error named is skipped from now on.
    """

    delay_s: float | None
    skipped: bool = False


def judge(work: Work, error: TaskError, node_id: str) -> Verdict:
    """Count a failed attempt of a shard and decide what follows.

    Args:
        work: is told what to skip, whom to avoid and how much memory to ask for.
        error: of the attempt.
        node_id: where it ran, "" if nobody knows.
    """
    if error.kind == "unfit" and node_id:
        return Verdict(delay_s=0.0)
    work.attempts += 1
    work.avoid = (node_id,) if node_id else ()
    if error.out_of_memory:
        work.more_memory *= 1.5
    if error.kind in ("head", "bad_head"):
        return _judge_head(work, error)
    if error.kind == "permanent":
        return Verdict(delay_s=None)
    group = "lost" if error.kind in ("lost", "gone", "unfit") else "shard"
    work.counts[group] += 1
    if work.counts[group] >= (MAX_LOST if group == "lost" else MAX_SHARD_ATTEMPTS):
        return Verdict(delay_s=None)
    return Verdict(_backoff_s(work.counts[group]))


def _judge_head(work: Work, error: TaskError) -> Verdict:
    head = error.spec_id
    work.blamed[head] = error
    work.counts[head] += 1
    if head in work.skip:  # it was not even tried: the blame is wrong, the shard is what is broken
        return Verdict(delay_s=None)
    if error.kind == "head" and work.counts[head] < MAX_HEAD_ATTEMPTS:
        return Verdict(_backoff_s(work.counts[head]))
    work.skip[head] = str(error)
    return Verdict(0.0, skipped=True)


def _backoff_s(count: int) -> float:
    return BACKOFF_S[min(count, len(BACKOFF_S)) - 1]


class Breaker:
    """Stops a run that only burns through shards, and tells machines that only fail; for the rules
    see the docstring of the module."""

    def __init__(self) -> None:
        self._streak: list[str] = []
        self._unwritable: list[str] = []  # machines
        self._by_node: Counter[str] = Counter()

    def head_rendered(self) -> None:
        """Somewhere, a head was rendered since the last failure."""
        self._streak.clear()
        self._unwritable.clear()

    def shard_committed(self, node_id: str) -> None:
        """A shard is in place."""
        self.head_rendered()
        self._by_node.pop(node_id, None)

    def attempt_failed(self, error: TaskError, node_id: str, limit: int, machines: int) -> None:
        """An attempt failed.

        Args:
            limit: tasks that may be in flight at once.
            machines: of the cluster.

        Raises:
            RenderStopped: the same trouble hits everything.
        """
        if error.kind == "gone":
            return
        self._by_node[node_id] += 1
        self._streak.append(str(error))
        if error.kind == "storage":
            self._unwritable.append(node_id)
        else:
            self._unwritable.clear()
        met_by = len(set(self._unwritable))
        if len(self._unwritable) >= STORAGE_STREAK and met_by >= min(2, machines):
            raise RenderStopped(
                f"the storage fails: {error.message}. What is rendered is safe; mend it and run "
                "the same command again"
            )
        if len(self._streak) >= max(MIN_STREAK, limit):
            kinds = Counter(text.partition(":")[0] for text in self._streak)
            shown = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common(3))
            raise RenderStopped(
                f"the last {len(self._streak)} attempts failed ({shown}) and no head was rendered "
                f"in between; the last one: {error}. What is rendered is safe; mend the cause and "
                "run the same command again"
            )

    def distrusts(self, node_id: str) -> bool:
        """Whether a machine has only failed lately; asking forgives it."""
        if node_id and self._by_node[node_id] >= NODE_STREAK:
            del self._by_node[node_id]
            return True
        return False


class MemoryReservation:
    """Memory that tasks reserve: a guess at first, then 1.3 times the largest peak measured.

    Ray starts as many tasks as the reservations allow, so too high a guess leaves cores idle and
    too low a one ends in killed processes.

    Args:
        prior_bytes: the guess. A measurement lowers it to half of it at the least: the heaviest
            head may still come.
    """

    HEADROOM = 1.3
    ENOUGH_SHARDS = 8
    STEP_BYTES = 64 * 2**20
    """Each amount is a class of its own to Ray's scheduler: few of them."""

    def __init__(self, prior_bytes: int):
        self._prior = prior_bytes
        self._shards = 0
        self.peak_bytes = 0
        self.reserved_bytes = prior_bytes

    def measured(self, peak_rss_bytes: int) -> bool:
        """Take in the peak of a shard; tells whether the reservation changed. 0: not measured."""
        self._shards += peak_rss_bytes > 0
        self.peak_bytes = max(self.peak_bytes, peak_rss_bytes)
        wanted = int(self.peak_bytes * self.HEADROOM)
        wanted += -wanted % self.STEP_BYTES
        least = self._prior // 2 if self._shards >= self.ENOUGH_SHARDS else self._prior
        before, self.reserved_bytes = self.reserved_bytes, max(wanted, least)
        return self.reserved_bytes != before
