"""What the shards of a dataset hold: one listing, and a look at the ends of those not yet known.

Planning must ask of a hundred thousand files which heads they hold. The answer is in the last few
kilobytes of each, and on NFS or an object store opening them one by one takes minutes to hours. So
what was found is kept in `known_shards.bin`, and of a shard whose name, size and time of
modification are still the same the answer is taken from there. That trusts what
rsync and make trust, and no more than planning ever did: it never read pixels. `verify` reads every
byte and does not look at that file, which may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from synth import storage
from synth.config import canonical_json
from synth.errors import DatasetMismatch, RecordCorrupt
from synth.shardlayout import Footer, read_footers
from synth.storage import Place

KNOWN_NAME = "known_shards.bin"
SHARDS = "shards"
"""Directory of the shards, below the dataset."""
REJECTS = "rejects"
"""Beside it: rejected heads, in shards of the same names."""
SHARD_PATTERN = r"shard-(\d{6}|[1-9]\d{6,})\.tar"

_SCHEMA = 1
_YOUNG_NS = 2_000_000_000
"""Stores keep times to the second: a file that young may yet be written again at the same time, so
it is looked at once more."""
_ROW = np.dtype(
    [
        ("shard", "<u4"),
        ("heads", "<u4"),
        ("failed", "<u4"),
        ("rejected", "<u4"),
        ("size", "<u8"),
        ("version", "<u8"),
    ]
)
NO_ROWS = np.zeros(0, _ROW)


def shard_name(shard: int) -> str:
    """File name of a shard, for example `shard-000123.tar`."""
    return f"shard-{shard:06d}.tar"


def shard_number(name: str) -> int:
    """The number in the file name of a shard."""
    return int(name[len("shard-") : -len(".tar")])


@dataclass(frozen=True)
class ShardRange:
    """Which heads belong where: shard i of a dataset holds [i * size, (i + 1) * size), up to
    `heads`."""

    dataset_id: str
    heads: int
    size: int

    @property
    def shard_count(self) -> int:
        return -(-self.heads // self.size)

    def of(self, shard: int) -> range:
        """The heads of a shard."""
        return range(shard * self.size, min((shard + 1) * self.size, self.heads))

    def holding(self, indices: Sequence[range], names: Iterable[str]) -> set[str]:
        """Those of the names of shards whose heads are among the indices."""

        def overlap(heads: range) -> bool:
            return any(heads.start < some.stop and some.start < heads.stop for some in indices)

        return {name for name in names if overlap(self.of(shard_number(name)))}


@dataclass
class Survey:
    """What is known of the shards that are in place.

    Attributes:
        rows: [N] one row for each shard whose heads (there, failed or rejected) are the first ones
            of its range, by rising number: `shard`, `heads`, `failed`, `rejected`, `size`,
            `version` (time of modification in nanoseconds, 0 for one that is too young).
        damaged: by number, what is wrong with the ends of others.
        gaps: by number, of others that miss heads in the middle, the indices they have.
        opened: how many files had to be opened.
    """

    rows: np.ndarray
    damaged: dict[int, str] = field(default_factory=dict)
    gaps: dict[int, tuple[int, ...]] = field(default_factory=dict)
    opened: int = 0

    @property
    def head_count(self) -> int:
        """Heads that can be read."""
        return int(self.rows["heads"].sum(dtype=np.int64))


def list_shards(root: Place) -> list[str]:
    """The names of all shards that are in place, in order."""
    files = storage.list_files(root / SHARDS, SHARD_PATTERN)
    return sorted((file.name for file in files), key=shard_number)


def survey(root: Place, wanted: ShardRange) -> Survey:
    """Look at the shards below `root` that `wanted` names; others are left alone.

    Raises:
        DatasetMismatch: a shard of another dataset, or with heads of another range.
    """
    directory = root / SHARDS
    files_at = storage.list_files(directory, SHARD_PATTERN)
    listed = {shard_number(file.name): file for file in files_at}
    numbers = sorted(shard for shard in listed if shard < wanted.shard_count)
    files = [listed[shard] for shard in numbers]
    del listed
    rows = np.zeros(len(files), _ROW)
    rows["shard"] = numbers
    rows["size"] = [file.size for file in files]
    modified_ns = np.array([file.modified_ns for file in files], np.uint64)
    young = modified_ns > max(0, time.time_ns() - _YOUNG_NS)
    rows["version"] = np.where(young, 0, modified_ns)
    settled = _take_known(rows, _read_known(root, wanted))

    unknown = np.flatnonzero(~settled)
    position = {files[i].name: i for i in unknown}
    found = Survey(rows, opened=len(unknown))
    for name, footer in read_footers(directory, [files[i].name for i in unknown]):
        i = position[name]
        shard = numbers[i]
        if isinstance(footer, RecordCorrupt):
            found.damaged[shard] = str(footer)
            continue
        indices = _own_indices(directory / name, footer, wanted, shard)
        start = wanted.of(shard).start
        if indices == tuple(range(start, start + len(indices))):
            failed = len(footer.failed)
            rows["heads"][i], rows["failed"][i] = len(footer.heads), failed
            rows["rejected"][i] = len(footer.absent) - failed
            settled[i] = True
        else:
            found.gaps[shard] = indices
    found.rows = rows[settled]
    return found


def _own_indices(path: Place, footer: Footer, wanted: ShardRange, shard: int) -> tuple[int, ...]:
    """The heads that a shard settles, checked to be of this dataset and of its range."""
    indices = tuple(footer.settled)
    start = wanted.of(shard).start
    inside = all(start <= index < start + wanted.size for index in indices)
    if footer.dataset_id != wanted.dataset_id or not inside:
        raise DatasetMismatch(
            f"{path} holds heads {span(indices)} of dataset {footer.dataset_id or 'unknown'}, "
            f"expected heads {span(wanted.of(shard))} of {wanted.dataset_id}; "
            "move the file away and run again"
        )
    return indices


def span(indices: Sequence[int]) -> str:
    """Indices for a message: `3-7`, `3, 5`, `none`."""
    if not indices:
        return "none"
    if len(indices) > 1 and indices[-1] - indices[0] == len(indices) - 1:
        return f"{indices[0]}-{indices[-1]}"
    return ", ".join(map(str, indices))


# ------------------------------------------------------------------------- what is known already


def _take_known(rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Copy what is known into the rows that have not changed; tells which these are."""
    if not len(known):
        return np.zeros(len(rows), bool)
    at = np.minimum(np.searchsorted(known["shard"], rows["shard"]), len(known) - 1)
    same = rows["version"] != 0
    for name in ("shard", "size", "version"):
        same &= known[name][at] == rows[name]
    for name in ("heads", "failed", "rejected"):
        rows[name][same] = known[name][at][same]
    return same


def write_known(root: Place, wanted: ShardRange, found: Survey) -> None:
    """Keep what was found for the next survey."""
    rows = found.rows[found.rows["version"] != 0]
    body = rows.tobytes()
    with storage.write(root / KNOWN_NAME) as file:
        file.write(canonical_json(_header(wanted, body)).encode() + b"\n" + body)


def _read_known(root: Place, wanted: ShardRange) -> np.ndarray:
    """What was remembered, or nothing: of another dataset, damaged, or not there."""
    try:
        header, _, body = storage.read(root / KNOWN_NAME).partition(b"\n")
    except FileNotFoundError:
        return NO_ROWS
    if header != canonical_json(_header(wanted, body)).encode():
        return NO_ROWS
    return np.frombuffer(body, _ROW)


def _header(wanted: ShardRange, body: bytes) -> dict[str, Any]:
    return {
        "schema": _SCHEMA,
        "dataset_id": wanted.dataset_id,
        "heads_per_shard": wanted.size,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
