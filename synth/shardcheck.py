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
from synth.errors import RecordError, SchemaMismatch
from synth.record import ShardReader
from synth.sample import DatasetConfig, sample_head
from synth.shardlayout import Footer
from synth.storage import Place, is_local

_TASKS_PER_JOB = 64
"""Shards handed to the processes at a time."""

FindingKind = Literal["missing", "unfinished", "damaged", "foreign", "unreadable", "dataset"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a dataset; `str` says it in one sentence.

    Attributes:
        kind: "missing", "unfinished": shards are to be rendered; "damaged": the bytes of one are
            wrong; "foreign": it is whole, and holds what does not belong there (other heads, heads
            of another dataset); "unreadable": a later version wrote it; "dataset": no shard is at
            fault.
        message: what, where and what to do.
        path: the shard; None for several, or none.
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
        may_lack_some: a head that its footer accounts for as absent will do, too. In a collection
            it will not: a shard that was taken whole accounts for heads that its source lacks,
            and that the collection may have from another one.
    """

    indices: Sequence[int]
    spec_ids: tuple[str, ...] | None = None
    config: DatasetConfig | None = None
    may_lack_some: bool = True

    @classmethod
    def of_collection(cls, shard: CollectedShard) -> Wanted:
        heads = sorted(shard.heads, key=lambda head: head.index)
        ids = tuple(head.spec_id for head in heads)
        return cls([head.index for head in heads], ids, may_lack_some=False)

    def of(self, footer: Footer) -> dict[int, str]:
        """What of a shard counts: spec id by index."""
        return footer.settled if self.may_lack_some else footer.present

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
    """A shard to check: every byte of it, or its index only.

    Attributes:
        wanted: what it must hold; None: it is not part of the dataset.
        rejects: where the rejected heads of its range lie, or None.
    """

    context: Context
    path: Place
    wanted: Wanted | None
    every_byte: bool
    rejects: Place | None = None


@dataclass(frozen=True)
class Checked:
    """What was found of a shard.

    Attributes:
        findings: what is wrong.
        heads: how many are there; 0 in a shard that does not belong where it is.
        absent: the kind of each head that it does without.
        rejects: rejected heads that are kept beside it.
    """

    findings: tuple[Finding, ...]
    heads: int = 0
    absent: tuple[str, ...] = ()
    rejects: int = 0


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
    path, wanted = task.path, task.wanted
    footer, findings = _read(path, task)
    if footer is None:
        return Checked(findings)
    if wanted is None:
        message = f"{path}: not part of this dataset of {task.context.expected_heads} heads"
        return Checked((Finding("foreign", message, path),))
    rejects, of_rejects = _check_rejects(task, footer)
    of_heads = _check_heads(footer, task)
    if any(found.kind == "foreign" for found in of_heads):
        return Checked(of_heads + of_rejects, rejects=rejects)
    return Checked(
        of_heads + of_rejects,
        len(footer.heads),
        tuple(head.kind for head in footer.absent if wanted.may_lack_some),
        rejects,
    )


def _read(path: Place, task: Task) -> tuple[Footer | None, tuple[Finding, ...]]:
    """The footer of a shard whose bytes are right, or what is wrong."""
    try:
        reader = ShardReader(path)
        if task.every_byte:
            reader.verify()
        return reader.footer, ()
    except FileNotFoundError:
        message = f"{path}: missing; run {task.context.maker} again"
        return None, (Finding("missing", message, path),)
    except SchemaMismatch as error:
        return None, (Finding("unreadable", str(error), path),)
    except RecordError as error:
        return None, (Finding("damaged", str(error), path),)
    except OSError as error:
        if not (is_local(path) and error.errno == errno.EIO):
            raise  # a store that does not answer says nothing of the shard; a broken disk does
        return None, (Finding("damaged", f"{path}: {error.strerror}", path),)


def _check_heads(footer: Footer, task: Task) -> tuple[Finding, ...]:
    """Whether a shard holds what it must."""
    path, wanted, context = task.path, task.wanted, task.context
    if footer.dataset_id not in context.dataset_ids:
        message = f"{path}: rendered for dataset {footer.dataset_id}, not for {context.dataset_id}"
        return (Finding("foreign", message, path),)
    if not task.every_byte:
        wanted = replace(wanted, config=None)
    there = wanted.of(footer)
    expected = wanted.heads(there)
    if there == expected:
        return ()
    kind = "unfinished" if there.items() < expected.items() else "foreign"
    message = (
        f"{path}: holds heads {', '.join(there.values())}, expected {', '.join(expected.values())}"
    )
    return (Finding(kind, message, path),)


def _check_rejects(task: Task, footer: Footer) -> tuple[int, tuple[Finding, ...]]:
    """How many rejected heads are kept, and what is wrong with them; they may all be missing."""
    if task.rejects is None:
        return 0, ()
    rejects, findings = _read(task.rejects, task)
    if rejects is None:
        return 0, tuple(found for found in findings if found.kind != "missing")
    absent = {head.index: head.spec_id for head in footer.absent}
    if rejects.dataset_id == footer.dataset_id and rejects.settled.items() <= absent.items():
        return len(rejects.heads), ()
    message = f"{task.rejects}: holds heads that {task.path} does not do without"
    return 0, (Finding("foreign", message, task.rejects),)
