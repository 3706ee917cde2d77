"""`index.parquet`: one row per head with every attribute of its spec, for queries.

The index is made from the shards and may be deleted at any time; opening a dataset never needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synth.config import atomic_write
from synth.dataset import Dataset, split_of

INDEX_NAME = "index.parquet"


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

    rows, assets = [], set()
    for head in dataset.heads():
        assets.update(head.spec.assets)
        rows.append(
            {
                "spec_id": head.spec_id,
                "index": head.index,
                "shard": head.shard.name,
                "split": split_of(head.spec.identity.identity_id),
                "view_count": head.view_count,
                **dict(_scalars(head.spec.to_json_dict())),
            }
        )
    dataset.record_assets(assets)
    columns: dict[str, None] = {}
    for row in rows:
        columns |= dict.fromkeys(row)
    table = pa.table({name: [row.get(name) for row in rows] for name in columns})
    path = dataset.root / INDEX_NAME
    with atomic_write(path) as file:
        parquet.write_table(table, file)
    return path


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
