"""`headloom dataset repair`: what `verify` found wrong is put aside, so that it is made again.

Nothing is deleted. A shard that is damaged or does not belong where it lies goes to `quarantine/`;
its place is then empty, and planning finds it missing. Only unfinished files whose writer is gone
are removed, as `render` does too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth.dataset import Dataset
from synth.dataset_report import Finding, Progress, VerifyReport, verify
from synth.errors import RecordError, SchemaMismatch
from synth.lock import exclusive
from synth.shardlayout import read_footer
from synth.storage import Place, place
from synth.survey import SHARDS, list_shards

_PUT_ASIDE = ("damaged", "foreign")
"""Findings after which a shard cannot stay where it is."""
_TO_MAKE = ("missing", "unfinished")
"""Findings after which there is a shard to be made."""
_BEYOND_REPAIR = ("unreadable", "dataset")


@dataclass(frozen=True)
class RepairSummary:
    """What `repair` did, or would do; `str` prints it for a person.

    Attributes:
        report: what was found before.
        moved: of each shard that was put aside why, and where it is now (None: dry run).
        stale: unfinished files that were removed.
        remedy: the command that makes again what is missing; empty if nothing is.
    """

    report: VerifyReport
    moved: tuple[tuple[Finding, Place | None], ...]
    stale: tuple[Path, ...]
    remedy: str

    @property
    def beyond_repair(self) -> tuple[Finding, ...]:
        """What putting a shard aside does not mend."""
        return tuple(found for found in self.report.findings if found.kind in _BEYOND_REPAIR)

    @property
    def ok(self) -> bool:
        """Whether the dataset is whole, or will be after `remedy`."""
        return not self.beyond_repair

    def summary(self) -> dict[str, Any]:
        """For scripts."""
        moved = [{"from": str(found.path), "to": str(target)} for found, target in self.moved]
        return {
            "ok": self.ok,
            "moved": moved,
            "stale": self.stale,
            "remedy": self.remedy,
            "before": self.report.summary(),
        }

    def __str__(self) -> str:
        lines = [f"problem: {found}" for found in self.beyond_repair]
        for found, target in self.moved:
            lines.append(f"{found}; " + (f"moved to {target}" if target else "would be moved"))
        lines += [f"removed {path}: its writer is gone" for path in self.stale]
        report = self.report
        count = f"{report.heads} of {report.expected_heads} heads are whole and in their place"
        if self.remedy:
            count += f"; to make the others: {self.remedy}"
        return "\n".join([*lines, f"{report.root}: {count}"])


def repair(
    root: str | Place,
    *,
    dry_run: bool = False,
    jobs: int = 1,
    progress: Progress = lambda *_: None,
) -> RepairSummary:
    """Verify a dataset and put aside every shard that is damaged or does not belong there.

    Args:
        root: of a rendered dataset, an import or a collection.
        dry_run: find, move nothing.
        jobs: processes that check shards.
        progress: told after each shard.

    Raises:
        RecordError: another process is writing to the dataset, or `dataset.yaml` is lost; says
            which datasets the shards are of and what to do.
    """
    root = place(root)
    dataset = _open(root)
    if dry_run:
        return _mend(dataset, verify(dataset, progress, jobs=jobs), dry_run=True)
    with exclusive(root):
        return _mend(dataset, verify(dataset, progress, jobs=jobs), dry_run=False)


def _mend(dataset: Dataset, report: VerifyReport, *, dry_run: bool) -> RepairSummary:
    whys: dict[Place, Finding] = {}
    for found in report.findings:
        if found.kind in _PUT_ASIDE and found.path is not None:
            whys.setdefault(found.path, found)
    moved = [(found, None if dry_run else dataset.quarantine(path)) for path, found in whys.items()]
    stale = () if dry_run else dataset.clean()
    to_make = any(found.kind in _TO_MAKE for found in report.findings)
    to_make |= any(path.parent == dataset.shard_directory for path in whys)  # not only rejects
    remedy = f"run the `{dataset.maker}` that made it again" if to_make else ""
    return RepairSummary(report, tuple(moved), tuple(stale), remedy)


def _open(root: Place) -> Dataset:
    try:
        return Dataset.open(root)
    except SchemaMismatch:  # of another version, and whole
        raise
    except RecordError as error:
        shards = [root / SHARDS / name for name in list_shards(root)]
        if not shards:
            raise
        raise RecordError(f"{error}\n{_whose(shards)}") from error


def _whose(shards: list[Place]) -> str:
    """Of a dataset without `dataset.yaml`: whose shards are there, and what to do."""
    ids: Counter[str] = Counter()
    damaged = 0
    for path in shards:
        try:
            ids[read_footer(path).dataset_id] += 1
        except RecordError:
            damaged += 1
    counts = ", ".join(f"{count} of dataset {name}" for name, count in ids.most_common())
    return (
        f"Its {len(shards)} shards are still there ({counts or 'none of them readable'}"
        f"{f', {damaged} damaged' if damaged else ''}). Move a damaged dataset.yaml away, then run "
        "the command that made the dataset again, with the same configuration and --out: it is "
        "told by its id, and every whole shard is taken as it is. A report that was written keeps "
        "the configuration in report/config.yaml"
    )
