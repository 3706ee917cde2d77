"""What is in a dataset and whether it holds: `headloom dataset info` and `dataset verify`."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from synth.collection import Collection
from synth.config import to_dict
from synth.dataset import Dataset
from synth.errors import AssetError, DatasetMismatch, RecordCorrupt
from synth.rng import stream
from synth.shardcheck import Context, Finding, Task, Wanted, check_all
from synth.shardlayout import read_footers
from synth.splits import SPLITS
from synth.storage import Place, exists, list_files, read
from synth.survey import REJECTS, SHARD_PATTERN, shard_name, shard_number

Progress = Callable[[str, int, int], None]
"""Called with the stage, the steps done and the steps in all."""

REPORT_PAGE = Path("report", "index.html")
"""Where `headloom dataset report` writes, below the dataset, unless told otherwise."""


_VARIES = re.compile(r"\b[0-9a-f]{16}\b|[-+]?\d+(\.\d+)?")
"""Ids and numbers of a reason, which hide that it is the same for many heads."""


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found; `str` prints it for a person.

    Attributes:
        root: the dataset.
        heads, shards: how many are there and whole.
        expected_heads: how many the configuration asks for.
        absent: heads that their shards do without, by kind ("failed", "rejected").
        findings: what is wrong; empty means everything holds.
        notes: remarkable, but harmless.
        rejects: rejected heads whose pictures are kept beside the shards.
    """

    root: Place
    heads: int
    shards: int
    expected_heads: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    absent: dict[str, int] = field(default_factory=dict)
    rejects: int = 0

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def problems(self) -> tuple[str, ...]:
        """The findings, one sentence each."""
        return tuple(map(str, self.findings))

    def summary(self) -> dict[str, Any]:
        """For scripts."""
        return {**to_dict(self), "ok": self.ok}

    def __str__(self) -> str:
        lines = [f"note: {note}" for note in self.notes]
        lines += [f"problem: {problem}" for problem in self.problems]
        verdict = "every head is accounted for once, every digest holds"
        if self.problems:
            verdict = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        count = f"{self.heads} of {self.expected_heads} heads{absent_text(self.absent)} in "
        count += f"{self.shards} shards"
        if self.rejects:
            count += f", {self.rejects} rejected ones in {REJECTS}/"
        return "\n".join([*lines, f"{self.root}: {count}; {verdict}"])


@dataclass(frozen=True)
class HeadCounts:
    """What is counted over the heads of a dataset.

    Attributes:
        views_per_head: of the last head; all have the same unless a spec was edited by hand.
        splits: heads by split.
        bytes_by_kind: stored bytes by what they are, `synth.record.HeadRecord.bytes_by_kind`; empty
            if nobody counted them.
    """

    heads: int
    identities: int
    views_per_head: int
    splits: Mapping[str, int]
    bytes_by_kind: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetInfo:
    """A summary of a dataset; `str` prints it for a person.

    Attributes:
        views_per_head, splits, bytes_by_kind: see `HeadCounts`.
        failures: lines of `failures.jsonl`.
        absent: heads that their shards do without, by kind ("failed", "rejected").
        reasons: why, and how many heads; numbers and ids in a reason are left out.
        origin: what the heads were imported or collected from; "" if they were rendered here.
    """

    root: Place
    dataset_id: str
    heads: int
    expected_heads: int
    shards: int
    size_bytes: int
    image_sizes: tuple[int, ...]
    views_per_head: int
    identities: int
    splits: dict[str, int]
    failures: int
    bytes_by_kind: dict[str, int]
    absent: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    origin: str = ""

    def __str__(self) -> str:
        page = self.root / REPORT_PAGE
        splits = ", ".join(f"{count} {name}" for name, count in self.splits.items() if count)
        rows = {
            "dataset": f"{self.root} (id {self.dataset_id})",
            "from": self.origin,
            "heads": f"{self.heads} of {self.expected_heads}{absent_text(self.absent)}, "
            f"{self.identities} identities",
            "views": f"{self.views_per_head} per head, "
            f"{' and '.join(map(str, self.image_sizes))} px",
            "splits": splits or "none",
            "shards": f"{self.shards}, {self.size_bytes / 1e6:.1f} MB",
            "files": ", ".join(
                f"{kind} {size / 1e6:.1f} MB"
                for kind, size in sorted(self.bytes_by_kind.items(), key=lambda item: -item[1])
            ),
            "absent": ("\n" + 10 * " ").join(
                f"{count} {reason}"
                for reason, count in sorted(self.reasons.items(), key=lambda item: -item[1])
            ),
            "failures": "" if self.origin else f"{self.failures} lines in failures.jsonl",
            "report": f"{page}" if exists(page) else f"headloom dataset report {self.root}",
        }
        return "\n".join(f"{name:<9} {value}" for name, value in rows.items() if value)


def verify(
    dataset: Dataset,
    progress: Progress = lambda *_: None,
    *,
    jobs: int = 1,
    sample: float = 1.0,
) -> VerifyReport:
    """Check that every expected head is there exactly once and that every digest holds.

    Args:
        dataset: an unfinished one is told so in the problems. Its memory does not grow with the
            number of its heads.
        progress: told after each shard.
        jobs: processes that check shards, each one at a time.
        sample: share of the shards whose bytes are read, chosen anew by every call; of the others
            the index is read.
    """
    findings: list[Finding] = []
    absent: Counter[str] = Counter()
    heads = shards = rejects = 0
    count, wanted_at = _wanted(dataset, findings)
    listed = _listed(dataset.shard_directory)
    findings += _missing(dataset, np.setdiff1d(np.arange(count), listed))
    for number, checked in enumerate(
        check_all(_tasks(dataset, listed, count, wanted_at, sample), jobs), 1
    ):
        findings += checked.findings
        heads += checked.heads
        absent.update(checked.absent)
        rejects += checked.rejects
        shards += not checked.findings
        progress("shards", number, len(listed))
    unfinished = sorted(file.name for file in list_files(dataset.shard_directory, r"\..*\.tmp"))
    notes = [f"unfinished: {', '.join(unfinished)}"] if unfinished else []
    if sample < 1:
        notes.append(f"a sample: every byte of about {sample:.2%} of the shards, the index of all")
    return VerifyReport(
        dataset.root,
        heads,
        shards,
        dataset.expected_heads,
        tuple(findings),
        tuple(notes),
        dict(absent),
        rejects,
    )


def _tasks(
    dataset: Dataset,
    listed: np.ndarray,  # [N] numbers of the shards that are there
    count: int,
    wanted_at: Callable[[int], Wanted],
    sample: float,
) -> Iterator[Task]:
    """Every shard that is there, made when it is asked for: there may be a million."""
    context = Context(
        frozenset(source.dataset_id for source in dataset.sources),
        dataset.dataset_id,
        dataset.expected_heads,
        dataset.maker,
    )
    rejects = dataset.root / REJECTS
    with_rejects = np.isin(listed, _listed(rejects))
    chosen = stream(time.time_ns(), 0, "verify.sample")
    for shard, has_rejects in zip(listed, with_rejects):
        name = shard_name(int(shard))
        yield Task(
            context,
            dataset.shard_directory / name,
            wanted_at(int(shard)) if shard < count else None,
            sample >= 1 or chosen.random() < sample,
            rejects / name if has_rejects else None,
        )


def _listed(directory: Place) -> np.ndarray:
    """[N] int64: the numbers of the shards in a directory, rising."""
    numbers = [shard_number(file.name) for file in list_files(directory, SHARD_PATTERN)]
    return np.sort(np.array(numbers, np.int64))


def _missing(dataset: Dataset, numbers: np.ndarray) -> Iterator[Finding]:
    """One finding for every run of shards that are not there."""
    for run in np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1):
        if len(run) == 0:
            continue
        first, last = (dataset.shard_directory / shard_name(int(n)) for n in (run[0], run[-1]))
        if len(run) == 1:
            message, path = f"{first}: missing", first
        else:
            message, path = f"{first} ... {last.name}: {len(run)} shards are missing", None
        yield Finding("missing", f"{message}; run {dataset.maker} again", path)


def _wanted(dataset: Dataset, findings: list[Finding]) -> tuple[int, Callable[[int], Wanted]]:
    """How many shards there must be, and what each must hold by its number; why that cannot be told
    exactly is added to the findings."""
    if isinstance(dataset, Collection):
        manifest = dataset.manifest()
        return len(manifest), lambda shard: Wanted.of_collection(manifest[shard])
    config = None if dataset.is_imported else dataset.config
    try:
        dataset.check_sampler()
    except DatasetMismatch as error:
        config = None
        findings.append(Finding("dataset", str(error)))
    except AssetError as error:
        config = None
        message = f"{dataset.root}: its specs cannot be drawn again: {error}"
        findings.append(Finding("dataset", message))
    plan = dataset.expected()

    def wanted_at(shard: int) -> Wanted:
        at = plan[shard]
        return Wanted(range(at.start, at.stop), config=config)

    return len(plan), wanted_at


def absent_text(absent: Mapping[str, int]) -> str:
    """How many heads are absent, by kind, as an addition to how many there are."""
    counts = [f"{count} {kind}" for kind, count in sorted(absent.items()) if count]
    return f" ({', '.join(counts)})" if counts else ""


def _origin(dataset: Dataset) -> str:
    """Where heads that were not rendered here are from."""
    if isinstance(dataset, Collection):
        roots = ", ".join(root for source in dataset.sources for root in source.roots)
        choice = ", ".join(f"{name} {value}" for name, value in dataset.collected.choice.items())
        return f"{dataset.collected.made_by}{f' ({choice})' if choice else ''} of {roots}"
    config = dataset.config
    return f"{config.layout}, from {config.source}" if dataset.is_imported else ""


def describe(
    dataset: Dataset,
    progress: Progress = lambda *_: None,
    counts: HeadCounts | None = None,
) -> DatasetInfo:
    """Summarise a dataset; no picture is decoded.

    Args:
        dataset: an unfinished one is described as it is.
        progress: told after each head.
        counts: of its heads, where an index knows them; None reads every head's spec.

    Raises:
        RecordCorrupt: a shard or a record is damaged.
    """
    if counts is None:
        counts = count_heads(dataset, progress)
    files = list(list_files(dataset.shard_directory, SHARD_PATTERN))
    absent, reasons = absent_heads(dataset)
    failures = dataset.root / "failures.jsonl"
    return DatasetInfo(
        root=dataset.root,
        dataset_id=dataset.dataset_id,
        heads=counts.heads,
        expected_heads=dataset.expected_heads,
        shards=len(files),
        size_bytes=sum(file.size for file in files),
        image_sizes=tuple(sorted({source.config.size for source in dataset.sources})),
        views_per_head=counts.views_per_head,
        identities=counts.identities,
        splits=dict(counts.splits),
        failures=len(read(failures).splitlines()) if exists(failures) else 0,
        bytes_by_kind=dict(counts.bytes_by_kind),
        absent=dict(absent),
        reasons=dict(reasons),
        origin=_origin(dataset),
    )


def count_heads(dataset: Dataset, progress: Progress = lambda *_: None) -> HeadCounts:
    """Read the spec of every head."""
    identities: set[str] = set()
    splits = dict.fromkeys(SPLITS, 0)
    views = heads = 0
    sizes: Counter[str] = Counter()
    total = dataset.head_count()
    for record in dataset.heads():
        identities.add(record.identity_id)
        splits[record.split] += 1
        views, heads = record.view_count, heads + 1
        sizes.update(record.bytes_by_kind)
        progress("heads", heads, total)
    return HeadCounts(heads, len(identities), views, splits, sizes)


def absent_heads(dataset: Dataset) -> tuple[Counter[str], Counter[str]]:
    """The absent heads of a dataset by kind and by reason; a collection expects none."""
    kinds: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    if isinstance(dataset, Collection):
        return kinds, reasons
    rows = dataset.survey().rows
    numbers = rows["shard"][rows["failed"] + rows["rejected"] > 0].tolist()
    for _, footer in read_footers(dataset.shard_directory, list(map(shard_name, numbers))):
        if isinstance(footer, RecordCorrupt):
            raise footer
        for head in footer.absent:
            kinds[head.kind] += 1
            reasons[f"{head.kind}: {_VARIES.sub('...', head.reason.partition(chr(10))[0])}"] += 1
    return kinds, reasons
