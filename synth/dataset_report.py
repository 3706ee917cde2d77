"""What is in a dataset and whether it holds: `headloom dataset info` and `dataset verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from synth.dataset import Dataset, ShardPlan
from synth.errors import AssetError, DatasetMismatch, HeadloomError
from synth.record import ShardReader
from synth.shardlayout import Footer, read_footer

Progress = Callable[[str, int, int], None]
"""Called with the stage, the steps done and the steps in all."""

REPORT_PAGE = Path("report", "index.html")
"""Where `headloom dataset report` writes, below the dataset, unless told otherwise."""


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found; `str` prints it for a person.

    Attributes:
        root: the dataset.
        heads, shards: how many are there and whole.
        expected_heads: how many the configuration asks for.
        absent: heads that their shards do without, by kind ("failed", "rejected").
        problems: one sentence each; empty means everything holds.
        notes: remarkable, but harmless.
    """

    root: Path
    heads: int
    shards: int
    expected_heads: int
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    absent: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        lines = [f"note: {note}" for note in self.notes]
        lines += [f"problem: {problem}" for problem in self.problems]
        verdict = "every head is accounted for once, every digest holds"
        if self.problems:
            verdict = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        count = f"{self.heads} of {self.expected_heads} heads{_absent_text(self.absent)} in "
        count += f"{self.shards} shards"
        return "\n".join([*lines, f"{self.root}: {count}; {verdict}"])


@dataclass(frozen=True)
class DatasetInfo:
    """A summary of a dataset; `str` prints it for a person.

    Attributes:
        views_per_head: of the last head; all have the same unless a spec was edited by hand.
        splits: heads by split.
        failures: lines of `failures.jsonl`.
        bytes_by_kind: stored bytes by what they are, `synth.record.HeadRecord.bytes_by_kind`.
        absent: heads that their shards do without, by kind ("failed", "rejected").
        imported: layout and folder that the heads were imported from; "" if they were rendered.
    """

    root: Path
    dataset_id: str
    heads: int
    expected_heads: int
    shards: int
    size_bytes: int
    image_size: int
    views_per_head: int
    identities: int
    splits: dict[str, int]
    failures: int
    bytes_by_kind: dict[str, int]
    absent: dict[str, int] = field(default_factory=dict)
    imported: str = ""

    def __str__(self) -> str:
        page = self.root / REPORT_PAGE
        splits = ", ".join(f"{count} {name}" for name, count in self.splits.items() if count)
        rows = {
            "dataset": f"{self.root} (id {self.dataset_id})",
            "imported": self.imported,
            "heads": f"{self.heads} of {self.expected_heads}{_absent_text(self.absent)}, "
            f"{self.identities} identities",
            "views": f"{self.views_per_head} per head, {self.image_size} px",
            "splits": splits or "none",
            "shards": f"{self.shards}, {self.size_bytes / 1e6:.1f} MB",
            "files": ", ".join(
                f"{kind} {size / 1e6:.1f} MB"
                for kind, size in sorted(self.bytes_by_kind.items(), key=lambda item: -item[1])
            ),
            "failures": "" if self.imported else f"{self.failures} lines in failures.jsonl",
            "report": f"{page}" if page.exists() else f"headloom dataset report {self.root}",
        }
        return "\n".join(f"{name:<9} {value}" for name, value in rows.items() if value)


def verify(dataset: Dataset, progress: Progress = lambda *_: None) -> VerifyReport:
    """Check that every expected head is there exactly once and that every digest holds.

    Args:
        dataset: an unfinished one is told so in the problems.
        progress: told after each shard.
    """
    problems: list[str] = []
    seen: dict[int, Path] = {}
    absent: Counter[str] = Counter()
    heads = shards = 0
    can_sample = not dataset.is_imported
    try:
        dataset.check_sampler()
    except DatasetMismatch as error:
        problems.append(str(error))
    except AssetError as error:
        can_sample = False
        problems.append(f"{dataset.root}: its specs cannot be drawn again: {error}")
    expected = {plan.path: plan for plan in dataset.expected()}
    paths = sorted({*expected, *dataset.shard_paths()})
    for number, path in enumerate(paths, 1):
        footer, shard_problems = _verify_shard(path, expected.get(path), dataset, seen, can_sample)
        problems += shard_problems
        if footer is not None:
            heads += len(footer.heads)
            absent.update(head.kind for head in footer.absent)
        shards += not shard_problems
        progress("shards", number, len(paths))
    unfinished = sorted(path.name for path in dataset.shard_directory.glob(".*.tmp"))
    notes = (f"unfinished: {', '.join(unfinished)}",) if unfinished else ()
    return VerifyReport(
        dataset.root, heads, shards, dataset.config.heads, tuple(problems), notes, dict(absent)
    )


def _verify_shard(
    path: Path,
    plan: ShardPlan | None,
    dataset: Dataset,
    seen: dict[int, Path],
    can_sample: bool,
) -> tuple[Footer | None, list[str]]:
    """The footer of a shard whose heads are whole, and what is wrong; `seen` collects indices."""
    try:
        reader = ShardReader(path)
        reader.verify()
    except FileNotFoundError:
        return None, [f"{path}: missing; run the command that made the dataset again"]
    except HeadloomError as error:
        return None, [str(error)]
    problems = []
    settled = reader.footer.settled
    for index in settled:
        if index in seen:
            problems.append(f"{path}: head {index} is also in {seen[index]}")
        seen.setdefault(index, path)
    if plan is None:
        problems.append(f"{path}: not part of this dataset of {dataset.config.heads} heads")
        return None, problems
    if can_sample:
        expected = {spec.index: spec.spec_id for spec in plan.specs(dataset.config)}
        if settled != expected:
            problems.append(
                f"{path}: holds heads {', '.join(settled.values())}, "
                f"expected {', '.join(expected.values())}"
            )
    return reader.footer, problems


def _absent_text(absent: Mapping[str, int]) -> str:
    counts = [f"{count} {kind}" for kind, count in sorted(absent.items()) if count]
    return f" ({', '.join(counts)})" if counts else ""


def describe(dataset: Dataset, progress: Progress = lambda *_: None) -> DatasetInfo:
    """Count heads, identities, views, splits and bytes; no picture is decoded.

    Args:
        dataset: an unfinished one is described as it is.
        progress: told after each head.

    Raises:
        RecordCorrupt: a shard or a record is damaged.
    """
    identities: set[str] = set()
    splits = dict.fromkeys(("train", "val", "test"), 0)
    views = heads = 0
    sizes: Counter[str] = Counter()
    paths = dataset.shard_paths()
    footers = [read_footer(path) for path in paths]
    absent = Counter(head.kind for footer in footers for head in footer.absent)
    total = sum(len(footer.heads) for footer in footers)
    for record in dataset.heads():
        identities.add(record.identity_id)
        splits[record.split] += 1
        views, heads = record.view_count, heads + 1
        sizes.update(record.bytes_by_kind)
        progress("heads", heads, total)
    failures, config = dataset.root / "failures.jsonl", dataset.config
    return DatasetInfo(
        root=dataset.root,
        dataset_id=dataset.dataset_id,
        heads=heads,
        expected_heads=dataset.config.heads,
        shards=len(paths),
        size_bytes=sum(path.stat().st_size for path in paths),
        image_size=dataset.config.size,
        views_per_head=views,
        identities=len(identities),
        splits=splits,
        failures=len(failures.read_text().splitlines()) if failures.exists() else 0,
        bytes_by_kind=dict(sizes),
        absent=dict(absent),
        imported=f"{config.layout}, from {config.source}" if dataset.is_imported else "",
    )
