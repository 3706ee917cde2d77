"""`index.parquet`: one row per head with every attribute of its spec, for queries.

The index is made from the shards and may be deleted at any time; opening a dataset never needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from synth.config import atomic_write
from synth.dataset import Dataset, split_of
from synth.record import HeadRecord
from synth.spec import AssetRef

INDEX_NAME = "index.parquet"
_BATCH = 1000
"""Rows held as Python objects, which take ten times the memory of a column."""


def write_index(dataset: Dataset) -> Path:
    """Write the index of all committed heads, and note their assets in `dataset.yaml`.

    Columns: `spec_id`, `index`, `shard`, `split`, `view_count`, and the scalars of the spec under
    their dotted names (`identity.age_years`, `hair.style`, `accessories.glasses.shape`); null where
    a head has none.

    Raises:
        RecordCorrupt: a shard is damaged.
        DatasetMismatch: an asset changed while the dataset was rendered.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    assets: set[AssetRef] = set()
    tables = []
    heads = dataset.heads()
    while rows := [_row(head, assets) for head in islice(heads, _BATCH)]:
        columns = dict.fromkeys(name for row in rows for name in row)
        tables.append(pa.table({name: [row.get(name) for row in rows] for name in columns}))
    dataset.record_assets(assets)
    path = dataset.root / INDEX_NAME
    with atomic_write(path) as file:
        parquet.write_table(pa.concat_tables(tables, promote_options="permissive"), file)
    return path


def _row(head: HeadRecord, assets: set[AssetRef]) -> dict[str, Any]:
    """One line of the index; the head's assets are added to `assets`."""
    spec = head.spec_data
    assets.update(AssetRef(**asset) for asset in spec["assets"])
    return {
        "spec_id": head.spec_id,
        "index": head.index,
        "shard": head.shard.name,
        "split": split_of(head.identity_id),
        "view_count": head.view_count,
        **dict(_scalars(spec)),
    }


def _scalars(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers, strings and colours by dotted name; lists of sections (cameras, lights) are left."""
    if isinstance(value, dict):
        for key, item in value.items():
            if prefix or key != "index":
                yield from _scalars(item, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list):
        if value and all(isinstance(item, float) for item in value):
            yield prefix, value
    elif value is not None:
        yield prefix, value
