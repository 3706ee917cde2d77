"""Checks shards one by one, in this process or in several: `synth.dataset_report.verify`."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context
from typing import Literal

from synth.collection import CollectedShard
from synth.errors import RecordError
from synth.record import ShardReader
from synth.sample import DatasetConfig, sample_head
from synth.shardlayout import Footer
from synth.storage import Place, is_local

_TASKS_PER_JOB = 64
"""Shards handed to the processes at a time."""

FindingKind = Literal["missing", "unfinished", "damaged", "foreign", "dataset"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a dataset; `str` says it in one sentence.

    Attributes:
        kind: "missing", "unfinished": a shard is to be rendered; "damaged": its bytes are wrong;
            "foreign": it is whole, and holds what does not belong there (other heads, heads that
            are elsewhere too, heads of another dataset); "dataset": no shard is at fault.
        message: what, where and what to do.
        path: the shard, or None.
    """

    kind: FindingKind
    message: str
    path: Place | None = None

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Wanted:
    """What a shard must hold.

    Attributes:
        indices: of its heads.
        spec_ids: of them, in the same order; None if they are drawn, or cannot be told.
        config: draws them; None if they are given, or cannot be told.
    """

    indices: Sequence[int]
    spec_ids: tuple[str, ...] | None = None
    config: DatasetConfig | None = None

    @classmethod
    def of_collection(cls, shard: CollectedShard) -> Wanted:
        heads = sorted(shard.heads, key=lambda head: head.index)
        return cls([head.index for head in heads], tuple(head.spec_id for head in heads))

    def heads(self, there: Mapping[int, str]) -> dict[int, str]:
        """Spec id by index; that of a shard which is `there`, where it cannot be told."""
        if self.config is not None:
            return {i: sample_head(self.config, i).spec_id for i in self.indices}
        return dict(zip(self.indices, self.spec_ids or [there.get(i, "?") for i in self.indices]))


@dataclass(frozen=True)
class Context:
    """What checking a shard needs to know of its dataset; it travels to other processes."""

    dataset_ids: frozenset[str]
    dataset_id: str
    expected_heads: int
    maker: str


@dataclass(frozen=True)
class Task:
    """A shard to check: every byte of it, or its index only."""

    context: Context
    path: Place
    wanted: Wanted | None
    every_byte: bool


Checked = tuple[Footer | None, list[Finding]]
"""The footer of a shard that can be read, and what is wrong with it."""


def check_all(tasks: Iterator[Task], jobs: int) -> Iterator[Checked]:
    """Check shards in their order, several at a time, and never hold many of the results."""
    if jobs == 1:
        yield from map(_check, tasks)
        return
    # spawn: a client of an object store does not survive a fork
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        while batch := list(islice(tasks, _TASKS_PER_JOB * jobs)):
            yield from pool.map(_check, batch, chunksize=4)


def _check(task: Task) -> Checked:
    path, wanted, context = task.path, task.wanted, task.context
    try:
        reader = ShardReader(path)
        if task.every_byte:
            reader.verify()
    except FileNotFoundError:
        return None, [Finding("missing", f"{path}: missing; run {context.maker} again", path)]
    except RecordError as error:
        return None, [Finding("damaged", str(error), path)]
    except OSError as error:
        if not (is_local(path) and error.errno == errno.EIO):
            raise  # a store that does not answer says nothing of the shard; a broken disk does
        return None, [Finding("damaged", f"{path}: {error.strerror}", path)]
    footer = reader.footer
    if wanted is None:
        message = f"{path}: not part of this dataset of {context.expected_heads} heads"
        return footer, [Finding("foreign", message, path)]
    if footer.dataset_id not in context.dataset_ids:
        message = f"{path}: rendered for dataset {footer.dataset_id}, not for {context.dataset_id}"
        return footer, [Finding("foreign", message, path)]
    if not task.every_byte:
        wanted = replace(wanted, config=None)
    settled = footer.settled
    expected = wanted.heads(settled)
    if settled == expected:
        return footer, []
    kind = "unfinished" if settled.items() < expected.items() else "foreign"
    message = (
        f"{path}: holds heads {', '.join(settled.values())}, "
        f"expected {', '.join(expected.values())}"
    )
    return footer, [Finding(kind, message, path)]


def seen_before(path: Place, footer: Footer, seen: dict[int, Place]) -> list[Finding]:
    """Heads of a shard that are in another one too; `seen` collects them."""
    first = [(index, seen.setdefault(index, path)) for index in footer.settled]
    return [
        Finding("foreign", f"{path}: head {index} is also in {other}", path)
        for index, other in first
        if other != path
    ]
