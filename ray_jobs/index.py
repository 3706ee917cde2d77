"""`index.parquet`: one row per head with its labels and every field of its spec, for queries.

The index is made from the shards and may be deleted at any time; opening a dataset never needs it.
Writing it again reads only the shards that it does not have yet.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
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
from synth import storage
from synth.dataset import Dataset
from synth.dataset_report import HeadCounts, Progress
from synth.errors import RecordCorrupt
from synth.in_order import in_order
from synth.record import ShardReader
from synth.shardlayout import Footer, read_footers
from synth.spec import AssetRef
from synth.splits import SPLITS
from synth.storage import Place
from synth.survey import SHARD_PATTERN

if TYPE_CHECKING:
    import pyarrow as pa

INDEX_NAME = "index.parquet"
LABELS_KEY = b"headloom.labels"
"""Metadata of the file: per column of numbers by label, the labels that occur, as JSON."""
_FEW_MOVED = 256
"""Shards that are opened every time, rather than to write all rows again with their new times."""
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

    path: Place
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

    def has_rows_of(self, file: _Shard, footer: Footer) -> bool:
        """Whether rows that were read from a shard are still those of the file in its place."""
        return (self.size, self.sha256) == (file.size, footer.members_sha256)


def write_index(dataset: Dataset, progress: Progress = lambda *_: None) -> IndexSummary:
    """Bring the index up to date, and note the assets of new heads in `dataset.yaml`.

    A shard whose file has the size and the time that the index noted is not opened; one whose size
    is the same is told by the digest in its footer. Rows are in the order of the shards' names;
    memory is bounded by a row group. The caller holds the lock of the dataset.

    Raises:
        RecordCorrupt: a shard that is new is damaged.
        DatasetMismatch: an asset changed while the dataset was rendered.
    """
    path, state = dataset.root / INDEX_NAME, _State.of(dataset)
    kept_heads = sum(shard.heads for shard in state.kept.values())
    if state.is_current:
        return IndexSummary(path, kept_heads, 0, kept_heads)
    source = _Source(dataset, state, progress)
    old = _OldRows(path, state)
    order = sorted({*state.kept, *state.new})
    heads = 0
    with storage.write(path) as file, closing(_writer(file)) as writer:
        for table in _row_groups(_in_order(order, state.kept, old, source)):
            writer.write_table(table)
            heads += table.num_rows
        labels = {name: sorted(found | old.labels(name)) for name, found in source.labels.items()}
        writer.add_key_value_metadata({LABELS_KEY: json.dumps(labels).encode()})
        dataset.record_assets(source.assets)  # first: of a shard in the index they are not read
    return IndexSummary(path, heads, len(state.new), kept_heads)


def is_current(dataset: Dataset) -> bool:
    """Whether the index has every shard as it is now, told from names, sizes and times.

    Raises:
        RecordCorrupt: a shard that is new is damaged.
    """
    return _State.of(dataset).is_current


def count_indexed(index: Place) -> HeadCounts:
    """What `synth.dataset_report.count_heads` counts, but bytes by kind, from the index."""
    import pyarrow.compute as compute
    import pyarrow.parquet as parquet

    names = ["identity.identity_id", "split", "view_count"]
    table = parquet.ParquetFile(**parquet_place(index)).read(columns=names)
    counted = table["split"].value_counts().to_pylist()
    return HeadCounts(
        heads=table.num_rows,
        identities=compute.count_distinct(table["identity.identity_id"]).as_py(),
        views_per_head=table["view_count"][-1].as_py(),
        splits=dict.fromkeys(SPLITS, 0) | {line["values"]: line["counts"] for line in counted},
    )


def parquet_place(path: Place) -> dict[str, Any]:
    """Where a Parquet file lies, as the keyword arguments of pyarrow's readers."""
    if storage.is_local(path):
        return {"source": str(path)}
    return {"source": path.location, "filesystem": path.filesystem}


@dataclass(frozen=True)
class _State:
    """What of an index holds, and what is missing.

    Attributes:
        files: the shards that are in place, by name.
        before: those that the index has.
        kept: of these, whose rows still hold.
        new: names of those to read.
    """

    files: Mapping[str, _Shard]
    before: Mapping[str, _Shard]
    kept: Mapping[str, _Shard]
    new: Sequence[str]

    @classmethod
    def of(cls, dataset: Dataset) -> _State:
        listed = storage.list_files(dataset.shard_directory, SHARD_PATTERN)
        files = {file.name: _Shard(file.size, file.modified_ns) for file in listed}
        before = _indexed(dataset.root / INDEX_NAME)
        if not before:
            return cls(files, {}, {}, sorted(files))
        kept = {
            name: shard
            for name, shard in before.items()
            if name in files and shard.is_same_file(files[name])
        }
        others = sorted(files.keys() - kept.keys())
        new = []
        for name, footer in read_footers(dataset.shard_directory, others):
            if isinstance(footer, RecordCorrupt):
                raise footer
            if name in before and before[name].has_rows_of(files[name], footer):
                kept[name] = before[name]
            elif footer.heads:  # one without is in no row and would never stop being new
                new.append(name)
        return cls(files, before, kept, new)

    @property
    def moved(self) -> int:
        """How many shards had to be opened to see that they are the same."""
        return sum(not shard.is_same_file(self.files[name]) for name, shard in self.kept.items())

    @property
    def is_current(self) -> bool:
        whole = bool(self.before) and not self.new and len(self.kept) == len(self.before)
        return whole and self.moved <= _FEW_MOVED


def _indexed(path: Place) -> dict[str, _Shard]:
    """The shards that an index has; none if there is no index of this version's columns."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    if not storage.exists(path):
        return {}
    try:
        file = parquet.ParquetFile(**parquet_place(path))
        schema = file.schema_arrow
        if not schema.equals(arrow_schema()) or schema.metadata.get(VERSION_KEY) != VERSION:
            return {}
        table = file.read(columns=list(FILE_COLUMNS))
    except pa.ArrowInvalid:  # no Parquet: it is made from the shards again
        return {}
    counted = table.group_by(list(FILE_COLUMNS), use_threads=False).aggregate([([], "count_all")])
    values = (counted[name].to_pylist() for name in (*FILE_COLUMNS, "count_all"))
    return {
        name: _Shard(size, mtime_ns, sha256, heads)
        for name, size, mtime_ns, sha256, heads in zip(*values)
    }


_Row = tuple[dict[str, Any], list[AssetRef]]
"""A row of the index and the assets of its head."""


class _Source:
    """Rows of new shards; collects the assets and labels that it meets."""

    def __init__(self, dataset: Dataset, state: _State, progress: Progress):
        self.assets: set[AssetRef] = set()
        self.labels: dict[str, set[str]] = {
            name: set() for name, column in columns().items() if column.kind == "numbers by label"
        }
        self._directory, self._files = dataset.shard_directory, state.files
        self._offsets = {source.dataset_id: source.offset for source in dataset.sources}
        self._progress, self._done, self._total = progress, 0, len(state.new)

    def tables(self, names: Iterable[str]) -> Iterator[pa.Table]:
        """The rows of some shards."""
        import pyarrow as pa

        shards = in_order(self._rows, names, storage.THREADS)
        rows = itertools.chain.from_iterable(map(self._noted, shards))
        while batch := list(itertools.islice(rows, _BATCH)):
            arrays = [pa.array([row.get(f.name) for row in batch], f.type) for f in arrow_schema()]
            yield pa.table(arrays, schema=arrow_schema())

    def _rows(self, name: str) -> list[_Row]:
        """Runs in a thread: on an object store a shard is a dozen requests."""
        reader, file = ShardReader(self._directory / name), self._files[name]
        where = {
            "shard": name,
            "shard_bytes": file.size,
            "shard_mtime_ns": file.mtime_ns,
            "shard_sha256": reader.footer.members_sha256,
        }
        offset = self._offsets.get(reader.footer.dataset_id, 0)
        rows = []
        for head in reader.heads():
            spec = head.spec_data
            values = row(head, reader.footer.dataset_id, spec, head.meta) | where
            values["index"] += offset
            rows.append((values, asset_refs(spec)))
        return rows

    def _noted(self, rows: list[_Row]) -> Iterator[dict[str, Any]]:
        """The rows of a shard, their assets and labels noted."""
        for values, assets in rows:
            self.assets.update(assets)
            for column, found in self.labels.items():
                found.update(label for label, _ in values.get(column, ()))
            yield values
        self._done += 1
        self._progress("shards", self._done, self._total)


class _OldRows:
    """The rows of an index that hold on, taken from it in their order."""

    def __init__(self, path: Place, state: _State):
        self._files, self._kept, self._moved = state.files, state.kept, state.moved
        self._metadata: Mapping[bytes, bytes] = {}
        self._tables: Iterator[pa.Table] = iter(())
        if state.kept:
            import pyarrow.parquet as parquet

            file = parquet.ParquetFile(**parquet_place(path))
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
