"""The shards to be rendered, as a list that is made while it is walked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from synth.sample import DatasetConfig, sample_head
from synth.spec import HeadSpec
from synth.storage import Place
from synth.survey import NO_ROWS, ShardRange, Survey, shard_name, span


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """One shard to be rendered: the heads [start, stop).

    Attributes:
        kept: how many of them are in place already and stay as they are.
    """

    shard: int
    start: int
    stop: int
    path: Place
    reason: str = "not rendered yet"
    damaged: bool = False
    kept: int = 0

    @property
    def missing(self) -> int:
        """Heads that are still to be rendered."""
        return self.stop - self.start - self.kept

    def specs(self, config: DatasetConfig) -> list[HeadSpec]:
        """Sample the specs of the shard."""
        return [sample_head(config, index) for index in range(self.start, self.stop)]


class Plan(Sequence[ShardPlan]):
    """Shards of a dataset by rising number, each `ShardPlan` made when it is asked for.

    It holds four bytes a shard, so that a driver may walk over a million of them.

    Args:
        directory: of the shards.
        wanted: which heads belong where.
        shards: numbers of the shards.
        reasons: by number, why those are to be rendered (again) that are not simply missing.
        damaged: numbers of those whose file is damaged.
        kept: by number, how many heads are in place of those that are to be completed.
        settled: of the other shards, what is known of them.

    Attributes:
        settled: [N] rows of `synth.survey.Survey` of the shards that there is nothing to do for.
    """

    def __init__(
        self,
        directory: Place,
        wanted: ShardRange,
        shards: np.ndarray,  # [N] uint32, rising
        reasons: Mapping[int, str] | None = None,
        damaged: Collection[int] = (),
        kept: Mapping[int, int] | None = None,
        settled: np.ndarray = NO_ROWS,
    ):
        self._directory, self._wanted, self._shards = directory, wanted, shards
        self._reasons, self._damaged, self._kept = reasons or {}, frozenset(damaged), kept or {}
        self.settled = settled

    def __len__(self) -> int:
        return len(self._shards)

    @overload
    def __getitem__(self, position: int) -> ShardPlan: ...
    @overload
    def __getitem__(self, position: slice) -> list[ShardPlan]: ...
    def __getitem__(self, position):
        if isinstance(position, slice):
            return [self._make(int(shard)) for shard in self._shards[position]]
        return self._make(int(self._shards[position]))

    @property
    def shards(self) -> np.ndarray:
        """[N] uint32: the numbers of the shards, rising."""
        return self._shards

    @property
    def missing(self) -> int:
        """Heads that are still to be rendered."""
        if not len(self):
            return 0
        last = len(self._wanted.of(int(self._shards[-1])))
        return (len(self) - 1) * self._wanted.size + last - sum(self._kept.values())

    @property
    def present(self) -> int:
        """Heads that are in place, in the shards of the plan and in the settled ones."""
        return int(self.settled["heads"].sum(dtype=np.int64)) + sum(self._kept.values())

    @property
    def rejected(self) -> int:
        """Heads that quality control rejected, in the settled shards."""
        return int(self.settled["rejected"].sum(dtype=np.int64))

    @property
    def damaged(self) -> list[ShardPlan]:
        """The shards in whose place is a file that cannot be read."""
        return [self._make(shard) for shard in sorted(self._damaged)]

    def _make(self, shard: int) -> ShardPlan:
        heads = self._wanted.of(shard)
        return ShardPlan(
            shard,
            heads.start,
            heads.stop,
            self._directory / shard_name(shard),
            self._reasons.get(shard, "not rendered yet"),
            shard in self._damaged,
            self._kept.get(shard, 0),
        )


def every_shard(directory: Place, wanted: ShardRange) -> Plan:
    """All shards, rendered or not."""
    return Plan(directory, wanted, np.arange(wanted.shard_count, dtype=np.uint32))


def missing_shards(
    directory: Place, wanted: ShardRange, found: Survey, *, retry_failed: bool = False
) -> Plan:
    """The shards that are not settled: not there, not readable, or short of heads of their range.

    Args:
        directory: of the shards.
        wanted: which heads belong where.
        found: what is there.
        retry_failed: also those with heads that could not be rendered.
    """
    rows = found.rows
    start = rows["shard"].astype(np.int64) * wanted.size
    stop = start + rows["heads"] + rows["failed"] + rows["rejected"]
    short = stop < np.minimum(start + wanted.size, wanted.heads)
    again = (rows["failed"] > 0) & retry_failed
    have = {int(rows["shard"][i]): range(start[i], stop[i]) for i in np.flatnonzero(short)}
    reasons = {
        shard: f"has heads {span(indices)} of {span(wanted.of(shard))}"
        for shard, indices in (have | found.gaps).items()
    }
    for row in rows[again & ~short]:
        reasons[int(row["shard"])] = f"failed heads are retried: {row['failed']}"
    settled = rows[~short & ~again]
    kept = {int(row["shard"]): int(row["heads"]) for row in rows[short | again]}
    todo = np.ones(wanted.shard_count, bool)
    todo[settled["shard"]] = False
    shards = np.flatnonzero(todo).astype(np.uint32)
    reasons |= found.damaged
    return Plan(directory, wanted, shards, reasons, found.damaged.keys(), kept, settled)
