"""What `headloom dataset verify` and `headloom dataset info` answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

REPORT_PAGE = Path("report", "index.html")
"""Where `headloom dataset report` writes, below the dataset, unless told otherwise."""


@dataclass(frozen=True)
class VerifyReport:
    """What `Dataset.verify` found; `str` prints it for a person.

    Attributes:
        root: the dataset.
        heads, shards: how many are there and whole.
        expected_heads: how many the configuration asks for.
        problems: one sentence each; empty means everything holds.
        notes: remarkable, but harmless.
    """

    root: Path
    heads: int
    shards: int
    expected_heads: int
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        lines = [f"note: {note}" for note in self.notes]
        lines += [f"problem: {problem}" for problem in self.problems]
        verdict = "every head is there once, every digest holds"
        if self.problems:
            verdict = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        count = f"{self.heads} of {self.expected_heads} heads in {self.shards} shards"
        return "\n".join([*lines, f"{self.root}: {count}; {verdict}"])


@dataclass(frozen=True)
class DatasetInfo:
    """A summary of a dataset; `str` prints it for a person.

    `bytes_by_kind` counts the stored files by what they hold, `synth.record.bytes_by_kind`.
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
    bytes_by_kind: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        page = self.root / REPORT_PAGE
        splits = ", ".join(f"{count} {name}" for name, count in self.splits.items() if count)
        rows = {
            "dataset": f"{self.root} (id {self.dataset_id})",
            "heads": f"{self.heads} of {self.expected_heads}, {self.identities} identities",
            "views": f"{self.views_per_head} per head, {self.image_size} px",
            "splits": splits or "none",
            "shards": f"{self.shards}, {self.size_bytes / 1e6:.1f} MB",
            "files": ", ".join(
                f"{kind} {size / 1e6:.1f} MB"
                for kind, size in sorted(self.bytes_by_kind.items(), key=lambda item: -item[1])
            ),
            "failures": f"{self.failures} lines in failures.jsonl",
            "report": f"{page}" if page.exists() else f"headloom dataset report {self.root}",
        }
        return "\n".join(f"{name:<9} {value}" for name, value in rows.items() if value)
