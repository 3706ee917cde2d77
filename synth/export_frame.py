"""What every export holds beside its heads: the request, the table of heads, licences, a README."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth.assets import LicenceRow, describe
from synth.color import Background
from synth.config import atomic_write, from_dict, to_dict
from synth.dataset import Dataset
from synth.errors import DatasetMismatch, InputError, RecordCorrupt
from synth.record import HeadRecord
from synth.spec import AssetRef
from synth.splits import SPLITS, Split
from synth.storage import is_local, place

REQUEST_NAME, HEADS_NAME, LICENCES_NAME, README_NAME = (
    "export.json", "heads.jsonl", "LICENCES.txt", "README.md",
)  # fmt: skip
SCHEMA = 1
"""Version of `export.json`."""
_SHOWN_FAILURES = 10
"""Of a million heads all may fail; the first few tell why."""

_WORLD = """\
Units are those of the scene (a head is 1.13 from chin to crown); the head is at the origin and
looks along -Y, and +X is the subject's left."""
_IMPORTED_WORLD = "The heads were imported: place, direction and units are those of their source."


@dataclass(frozen=True)
class HeadChoice:
    """Which heads are exported; all by default.

    Attributes:
        wanted: whether a head is.
        shards: names of the only shards that hold such heads; the others are not opened, which
            matters where there are many. None means any.
    """

    wanted: Callable[[HeadRecord], bool] = lambda head: True
    shards: Collection[str] | None = None


@dataclass(frozen=True)
class ExportRequest:
    """What is exported, and how.

    Attributes:
        to: name of the layout.
        views: patterns of view names ("ring0_*"), or "canonical"; none means all.
        background: what pictures are laid over; None keeps alpha and copies the bytes.
        members: of WebDataset, the kinds of files that are kept; none means all.
        shard_size_mb: of WebDataset, a shard is closed once it is larger.
        selection: which heads, in words; only compared and printed.
    """

    to: str
    views: tuple[str, ...] = ()
    background: Background | None = None
    members: tuple[str, ...] = ()
    shard_size_mb: float = 1000.0
    selection: str = "all heads"


@dataclass(frozen=True)
class HeadLine:
    """One line of `heads.jsonl`.

    Attributes:
        id: name of the head's folder, or its key in a WebDataset.
        identity_id: who it is.
        split: None in a table made by hand leaves it to the hash of the identity.
        index: in the dataset; None in a table made by hand.
    """

    id: str
    identity_id: str
    split: Split | None = None
    index: int | None = None

    @classmethod
    def of(cls, head: HeadRecord) -> HeadLine:
        """The line of a head."""
        return cls(head.spec_id, head.identity_id, head.split, head.index)

    def to_bytes(self) -> bytes:
        """The line with its end."""
        return json.dumps(to_dict(self)).encode() + b"\n"


@dataclass(frozen=True)
class Exported:
    """What became of some heads.

    Attributes:
        lines: of the heads that are in place.
        assets: what these are made of.
        written: how many of them had to be written.
        failures: one sentence for each head that the layout cannot hold.
    """

    lines: tuple[HeadLine, ...] = ()
    assets: frozenset[AssetRef] = frozenset()
    written: int = 0
    failures: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, heads: Sequence[HeadRecord], *, written: int, failures: Sequence[str] = ()
    ) -> Exported:
        """Heads that are in place."""
        refs = {AssetRef(**asset) for head in heads for asset in head.spec_data["assets"]}
        lines = tuple(map(HeadLine.of, heads))
        return cls(lines, frozenset(refs), written, tuple(failures))


@dataclass
class Failures:
    """Heads that an export or import had to leave out.

    Attributes:
        count: how many.
        first: of the first few a sentence each.
    """

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, reasons: Sequence[str]) -> None:
        """Note further ones."""
        self.count += len(reasons)
        self.first += reasons[: _SHOWN_FAILURES - len(self.first)]

    def lines(self, what: str) -> list[str]:
        """For a person, `what` was done with the heads that did not fail."""
        lines = [f"not {what}: {reason}" for reason in self.first]
        more = self.count - len(self.first)
        return [*lines, f"and {more} more"] if more else lines

    def total(self, what: str) -> str:
        """The end of a sentence on the heads that did not fail."""
        return f"; {self.count} NOT {what}" if self.count else ""


@dataclass(frozen=True)
class ExportSummary:
    """What an export did; `str` prints it for a person.

    Attributes:
        heads: how many are there now.
        written: how many of them this run wrote.
        failures: heads that the layout cannot hold.
    """

    out: Path
    to: str
    heads: int
    written: int
    failures: Failures

    def __str__(self) -> str:
        there = self.heads - self.written
        known = f", {there} of them were there" if there else ""
        total = f"{self.heads} heads as {self.to}{known}{self.failures.total('exported')}"
        return "\n".join([*self.failures.lines("exported"), f"{self.out}: {total}"])


def local_path(where: str | Path) -> Path:
    """A file or folder of this machine (NFS included), as programs need that know no stores.

    Raises:
        InputError: the URL of an object store.
    """
    path = place(where)
    if not is_local(path):
        raise InputError(
            f"{where} is on an object store; use a folder of this machine, and copy from or to it"
        )
    return path


def read_lines(root: Path) -> Iterator[HeadLine]:
    """The lines of `heads.jsonl` of an export.

    Raises:
        RecordCorrupt: a line is not JSON.
        ConfigError: it is, and no such line.
    """
    path = root / HEADS_NAME
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield from_dict(HeadLine, json.loads(line), f"{path}, line {number}")
            except ValueError as error:
                raise RecordCorrupt(f"{path}, line {number}: not JSON: {error}") from error


def record_request(dataset: Dataset, out: Path, request: ExportRequest) -> bool:
    """Note what is exported, or check that it is what was exported here before.

    Returns:
        Whether it is the first export here.

    Raises:
        DatasetMismatch: it is not; lists the differences.
    """
    given: dict[str, Any] = {
        "schema": SCHEMA,
        "dataset_id": dataset.dataset_id,
        **to_dict(request),
    }
    path = out / REQUEST_NAME
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        with atomic_write(path) as file:
            file.write(json.dumps(given, indent=1).encode())
        return True
    except ValueError as error:
        raise RecordCorrupt(f"{path}: not JSON: {error}; export into another --out") from error
    lines = [
        f"  {key}: {there.get(key)!r} there, {given.get(key)!r} asked for"
        for key in sorted(there.keys() | given.keys())
        if there.get(key) != given.get(key)
    ]
    if lines:
        raise DatasetMismatch(
            f"{out} holds another export:\n" + "\n".join(lines) + "\nExport into another --out"
        )
    return False


def write_lists(out: Path, folder: str, beginning: str) -> None:
    """`BEGINNING_{train,val,test}.txt`: the folders of the heads of a split, relative to `out`."""
    with ExitStack() as stack:
        files = {
            split: stack.enter_context(atomic_write(out / f"{beginning}_{split}.txt"))
            for split in SPLITS
        }
        for line in read_lines(out):
            files[line.split].write(f"{folder}/{line.id}\n".encode())


def write_licences(dataset: Dataset, out: Path, assets: Iterable[AssetRef]) -> None:
    """`LICENCES.txt`: licence, source and attribution of everything the heads are made of.

    Raises:
        AssetError: an asset of a user that is not in the store any more.
    """
    known = {row.ref: row for row in dataset.licences}
    rows = [
        known.get(ref) or describe(ref, dataset.config.assets.store)
        for ref in sorted(assets, key=lambda ref: (ref.asset_id, ref.sha256))
    ]
    with atomic_write(out / LICENCES_NAME) as file:
        file.write("\n".join(_licence_text(row) for row in rows).encode())


def _licence_text(row: LicenceRow) -> str:
    fields = {
        "licence": row.licence,
        "source": row.source,
        "attribution": row.attribution,
        "sha256": row.sha256,
        "text": row.licence_text,
    }
    lines = [f"  {name}: {value}" for name, value in fields.items() if value]
    return "\n".join([row.asset_id, *lines]) + "\n"


def write_readme(
    dataset: Dataset, out: Path, request: ExportRequest, heads: int, conventions: str
) -> None:
    """`README.md`: where the heads come from and the conventions of the layout."""
    background = request.background or "none: RGBA, straight alpha"
    text = f"""\
# {heads} heads as {request.to}

Exported by Headloom {importlib.metadata.version("headloom")} from the dataset {dataset.dataset_id}
({request.selection}; views: {", ".join(request.views) or "all"}; background: {background}).

- `{HEADS_NAME}`: a line a head with its id (that of its folder or sample), identity and split.
- `{LICENCES_NAME}`: licences, sources and attributions of what the heads are made of. They apply to
  the pictures: keep the file with them.
- `{REQUEST_NAME}`: what was asked for; the same command finishes or extends this export.

## Conventions

{conventions}
Pictures are 8-bit, display-referred sRGB, row 0 at the top. The world is right-handed, +Z up.
{_IMPORTED_WORLD if dataset.is_imported else _WORLD}
"""
    with atomic_write(out / README_NAME) as file:
        file.write(text.encode())
