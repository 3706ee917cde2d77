"""`index.parquet`: one row per head with its labels and every field of its spec, for queries.

The index is made from the shards and may be deleted at any time; opening a dataset never needs it.
Writing it again reads only the shards that it does not have yet.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_jobs.index_schema import (
    FILE_COLUMNS,
    VERSION,
    VERSION_KEY,
    arrow_schema,
    asset_refs,
    columns,
    row,
)
from synth.config import atomic_write
from synth.dataset import Dataset
from synth.dataset_report import Progress
from synth.record import ShardReader
from synth.shardlayout import read_footer
from synth.spec import AssetRef

if TYPE_CHECKING:
    import pyarrow as pa

INDEX_NAME = "index.parquet"
LABELS_KEY = b"headloom.labels"
"""Metadata of the file: per column of numbers by label, the labels that occur, as JSON."""
_ROW_GROUP = 16_384
_BATCH = 1000
"""Rows held as Python objects, which take ten times the memory of a column."""


@dataclass(frozen=True)
class IndexSummary:
    """What `write_index` did; `str` prints it for a person.

    Attributes:
        path: the index.
        heads: rows it has now.
        read_shards: shards that were read; those that it had already were not.
        kept_heads: rows taken over from the index that was there.
    """

    path: Path
    heads: int
    read_shards: int
    kept_heads: int

    def __str__(self) -> str:
        done = f"{self.heads - self.kept_heads} read from {self.read_shards} shards"
        return f"{self.path}: {self.heads} heads, {done}"


@dataclass(frozen=True)
class _Shard:
    """A shard as the index or the file system has it; `sha256` and `heads` of the index only."""

    size: int
    mtime_ns: int
    sha256: str = ""
    heads: int = 0

    def is_same_file(self, other: _Shard) -> bool:
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


def write_index(dataset: Dataset, progress: Progress = lambda *_: None) -> IndexSummary:
    """Bring the index up to date, and note the assets of new heads in `dataset.yaml`.

    A shard whose file has the size and the time that the index noted is not opened; one whose size
    is the same is told by the digest in its footer. Rows are in the order of the shards' names;
    memory is bounded by a row group. The caller holds the lock of the dataset.

    Raises:
        RecordCorrupt: a shard that is new is damaged.
        DatasetMismatch: an asset changed while the dataset was rendered.
    """
    path = dataset.root / INDEX_NAME
    files = _files(dataset)
    before = _indexed(path)
    kept = _kept(dataset, files, before)
    new = [name for name in files if name not in kept]
    if before:
        new = _with_heads(dataset, new)
    kept_heads = sum(shard.heads for shard in kept.values())
    if before and not new and kept == before and _same_times(kept, files):
        return IndexSummary(path, kept_heads, 0, kept_heads)
    source = _Source(dataset, files, set(new), progress)
    old = _OldRows(path, kept, files)
    order = sorted({*kept, *new})
    heads = 0
    with atomic_write(path) as file, closing(_writer(file)) as writer:
        for table in _row_groups(_in_order(order, kept, old, source)):
            writer.write_table(table)
            heads += table.num_rows
        labels = {name: sorted(found | old.labels(name)) for name, found in source.labels.items()}
        writer.add_key_value_metadata({LABELS_KEY: json.dumps(labels).encode()})
    dataset.record_assets(source.assets)
    return IndexSummary(path, heads, len(new), kept_heads)


def is_current(dataset: Dataset) -> bool:
    """Whether the index has every shard as it is now, told from names, sizes and times alone.

    Raises:
        RecordCorrupt: a shard that is new is damaged.
    """
    files, before = _files(dataset), _indexed(dataset.root / INDEX_NAME)
    if not before.keys() <= files.keys() or not _same_times(before, files):
        return False
    return not _with_heads(dataset, files.keys() - before.keys())


def _with_heads(dataset: Dataset, names: Iterable[str]) -> list[str]:
    """The shards that hold any head; the others are in no row and never stop being new."""
    return [name for name in names if read_footer(dataset.shard_directory / name).heads]


def _same_times(shards: Mapping[str, _Shard], files: Mapping[str, _Shard]) -> bool:
    return all(shard.is_same_file(files[name]) for name, shard in shards.items())


def _files(dataset: Dataset) -> dict[str, _Shard]:
    """The shards that are in place, by name, in order."""
    found = {}
    for path in dataset.shard_paths():
        stat = path.stat()
        found[path.name] = _Shard(stat.st_size, stat.st_mtime_ns)
    return found


def _indexed(path: Path) -> dict[str, _Shard]:
    """The shards that an index has; none if there is no index of this version's columns."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        schema = parquet.read_schema(path)
        if not schema.equals(arrow_schema()) or schema.metadata.get(VERSION_KEY) != VERSION:
            return {}
        table = parquet.read_table(path, columns=list(FILE_COLUMNS))
    except (FileNotFoundError, pa.ArrowInvalid):  # none, or no Parquet: it is made from the shards
        return {}
    counted = table.group_by(list(FILE_COLUMNS), use_threads=False).aggregate([([], "count_all")])
    values = (counted[name].to_pylist() for name in (*FILE_COLUMNS, "count_all"))
    return {
        name: _Shard(size, mtime_ns, sha256, heads)
        for name, size, mtime_ns, sha256, heads in zip(*values)
    }


def _kept(
    dataset: Dataset, files: Mapping[str, _Shard], before: Mapping[str, _Shard]
) -> dict[str, _Shard]:
    """The shards of the index whose rows still hold."""
    kept = {}
    for name, shard in before.items():
        file = files.get(name)
        if file is None or file.size != shard.size:
            continue
        if file.mtime_ns != shard.mtime_ns:  # copied, or written anew?
            footer = read_footer(dataset.shard_directory / name)
            if footer.members_sha256 != shard.sha256:
                continue
        kept[name] = shard
    return kept


class _Source:
    """Rows of new shards; collects the assets and labels that it meets."""

    def __init__(
        self, dataset: Dataset, files: Mapping[str, _Shard], new: set[str], progress: Progress
    ):
        self.assets: set[AssetRef] = set()
        self.labels: dict[str, set[str]] = {
            name: set() for name, column in columns().items() if column.kind == "numbers by label"
        }
        self._directory, self._files = dataset.shard_directory, files
        self._progress, self._done, self._total = progress, 0, len(new)

    def tables(self, names: Iterable[str]) -> Iterator[pa.Table]:
        """The rows of some shards."""
        import pyarrow as pa

        rows = itertools.chain.from_iterable(map(self._rows, names))
        while batch := list(itertools.islice(rows, _BATCH)):
            arrays = [pa.array([row.get(f.name) for row in batch], f.type) for f in arrow_schema()]
            yield pa.table(arrays, schema=arrow_schema())

    def _rows(self, name: str) -> list[dict[str, Any]]:
        reader, file = ShardReader(self._directory / name), self._files[name]
        where = {
            "shard": name,
            "shard_bytes": file.size,
            "shard_mtime_ns": file.mtime_ns,
            "shard_sha256": reader.footer.members_sha256,
        }
        rows = []
        for head in reader.heads():
            spec = head.spec_data
            self.assets.update(asset_refs(spec))
            values = row(head, reader.footer.dataset_id, spec, head.meta) | where
            for column, found in self.labels.items():
                found.update(label for label, _ in values.get(column, ()))
            rows.append(values)
        self._done += 1
        self._progress("shards", self._done, self._total)
        return rows


class _OldRows:
    """The rows of an index that hold on, taken from it in their order."""

    def __init__(self, path: Path, kept: Mapping[str, _Shard], files: Mapping[str, _Shard]):
        self._files, self._kept = files, kept
        self._moved = not _same_times(kept, files)
        self._metadata: Mapping[bytes, bytes] = {}
        self._tables: Iterator[pa.Table] = iter(())
        if kept:
            import pyarrow.parquet as parquet

            file = parquet.ParquetFile(path)
            self._metadata = file.metadata.metadata or {}
            self._tables = self._read(file)

    def labels(self, column: str) -> set[str]:
        """The labels of a column of numbers by label that the index knew."""
        return set(json.loads(self._metadata.get(LABELS_KEY, b"{}")).get(column, ()))

    def take(self, count: int) -> Iterator[pa.Table]:
        """The next rows."""
        while count:
            table = next(self._tables)
            if table.num_rows > count:
                self._tables = itertools.chain([table.slice(count)], self._tables)
                table = table.slice(0, count)
            count -= table.num_rows
            yield table

    def _read(self, file) -> Iterator[pa.Table]:
        import pyarrow as pa
        import pyarrow.compute as compute

        names = pa.array(self._kept, pa.string())
        for batch in file.iter_batches(batch_size=_ROW_GROUP):
            table = pa.Table.from_batches([batch], arrow_schema())
            table = table.filter(compute.is_in(table["shard"], value_set=names))
            if self._moved:
                times = [self._files[name].mtime_ns for name in table["shard"].to_pylist()]
                place = table.schema.get_field_index("shard_mtime_ns")
                table = table.set_column(
                    place, table.schema.field(place), pa.chunked_array([times])
                )
            if table.num_rows:
                yield table


def _in_order(
    names: Iterable[str], kept: Mapping[str, _Shard], old: _OldRows, source: _Source
) -> Iterator[pa.Table]:
    """Rows of shards in the order of `names`, each from where it is."""
    for is_kept, group in itertools.groupby(names, kept.__contains__):
        if is_kept:
            yield from old.take(sum(kept[name].heads for name in group))
        else:
            yield from source.tables(group)


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables large enough for a row group."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(part.num_rows for part in waiting) >= _ROW_GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _writer(file):
    import pyarrow.parquet as parquet

    return parquet.ParquetWriter(file, arrow_schema(), compression="zstd")
