"""Choosing heads of a dataset by its index: with a condition, at random, balanced by a column.

The choice ranks heads by a hash of seed and spec id. It depends on nothing else: not on the order
of the shards, and a dataset that grows or is merged keeps the heads of a sample as far as no new
one ranks before them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_jobs.index import INDEX_NAME, LABELS_KEY, is_current, parquet_place, write_index
from ray_jobs.index_schema import column_named, columns
from ray_jobs.query import Condition, parse_condition
from synth.dataset import Dataset
from synth.dataset_report import Progress
from synth.errors import InputError, RecordError
from synth.lock import exclusive
from synth.record import HeadRecord, ShardReader
from synth.storage import Place

LISTED = ("index", "spec_id", "shard")
"""Columns of every listing."""
_MOST_VALUES = 12
"""Values of a column that an error lists."""


@dataclass(frozen=True)
class Selection:
    """Heads that were chosen, in the order of the index.

    Attributes:
        rows: one per head: `LISTED`, what the condition compares, and the column balanced by.
        matching: heads that met the condition.
        of: heads in the index.
    """

    rows: tuple[Mapping[str, Any], ...]
    matching: int
    of: int

    def records(
        self, dataset: Dataset, progress: Progress = lambda *_: None
    ) -> Iterator[HeadRecord]:
        """The heads in the same order."""
        heads: dict[str, HeadRecord] = {}
        opened = None
        for number, row in enumerate(self.rows, 1):
            if row["shard"] != opened:
                opened = row["shard"]
                reader = ShardReader(dataset.shard_directory / opened)
                heads = {head.spec_id: head for head in reader.heads()}
            yield heads[row["spec_id"]]
            progress("heads", number, len(self.rows))

    def by_shard(self) -> dict[str, set[str]]:
        """The spec ids by the names of their shards."""
        found: dict[str, set[str]] = {}
        for row in self.rows:
            found.setdefault(row["shard"], set()).add(row["spec_id"])
        return found


def listing(chosen: Selection, *, as_json: bool = False) -> str:
    """The rows of a selection, one line each: a table, or JSON."""
    if as_json:
        return "\n".join(json.dumps(row) for row in chosen.rows)
    which = f"{chosen.matching} of {chosen.of} heads meet the condition"
    last = which if chosen.matching < chosen.of else f"{chosen.of} heads in all"
    return "\n".join([*table(chosen.rows), last])


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines of a table of at least one row, under the names of its columns."""
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "-" if value is None else str(value)


def ready_index(dataset: Dataset, progress: Progress = lambda *_: None) -> Place:
    """The index of a dataset, brought up to date if it is not.

    Raises:
        RecordError: there are no heads; or it is not up to date, and another process is writing to
            the dataset, or this one may not.
    """
    if not dataset.shard_paths():
        raise RecordError(f"{dataset.root}: no heads are rendered yet")
    path = dataset.root / INDEX_NAME
    if not is_current(dataset):
        try:
            with exclusive(dataset.root):
                write_index(dataset, progress)
        except OSError as error:  # a dataset that others share may only be read
            raise RecordError(
                f"{path} lacks heads and cannot be brought up to date: {error}; run `headloom "
                "dataset index` where the dataset may be written"
            ) from error
    return path


def select(
    index: Place,
    *,
    where: str | None = None,
    count: int | None = None,
    seed: int = 0,
    balance: str | None = None,
) -> Selection:
    """Choose heads.

    Args:
        index: `index.parquet`.
        where: a condition, see `ray_jobs.query`; None means all heads.
        count: how many; None means all that meet it.
        seed: another one chooses others.
        balance: a column of which each value is to be chosen equally often, as far as there are
            heads; "identity.identity_id" gives as many persons as possible.

    Raises:
        InputError: the condition or the column is none, no head meets it, or fewer than `count`;
            or all heads are to be balanced.
    """
    import pyarrow.compute as compute
    import pyarrow.dataset as arrow

    heads = arrow.dataset(**parquet_place(index))
    condition = _condition(index, where)
    shown = {name: compute.field(name) for name in LISTED}
    shown |= condition.values if condition else {}
    if balance is not None:
        if count is None:
            raise InputError(f"all heads cannot be balanced by {balance}; give their number")
        shown[balance] = compute.field(column_named(balance, columns()).name)
    found = heads.to_table(columns=shown, filter=condition.filter if condition else None)
    if not found.num_rows:
        raise InputError(_nothing(heads, condition))
    if count is not None and count > found.num_rows:
        raise InputError(
            f"{count} heads are wanted and {found.num_rows} "
            f"{'meet the condition' if condition else 'are there'}; ask for fewer, or for all"
        )
    places = range(found.num_rows)
    if count is not None:
        groups = found[balance].to_pylist() if balance is not None else None
        places = _chosen(found["spec_id"].to_pylist(), groups, count, seed)
    rows = found.take(list(places)).to_pylist()
    return Selection(tuple(rows), found.num_rows, heads.count_rows())


def _condition(index: Place, where: str | None) -> Condition | None:
    import pyarrow.parquet as parquet

    if where is None:
        return None
    metadata = parquet.ParquetFile(**parquet_place(index)).metadata.metadata or {}
    return parse_condition(where, columns(), json.loads(metadata.get(LABELS_KEY, b"{}")))


def _chosen(
    spec_ids: Sequence[str], groups: Sequence[Any] | None, count: int, seed: int
) -> list[int]:
    """Places of the heads that rank first, one group after the other if there are any."""
    ranks = [hashlib.sha256(f"{seed}/{spec_id}".encode()).digest() for spec_id in spec_ids]
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    if groups is not None:
        turn: Counter = Counter()
        turns = {}
        for place in order:
            key = repr(groups[place])  # colours are lists
            turns[place] = turn[key]
            turn[key] += 1
        order.sort(key=turns.__getitem__)  # stable: within a turn the ranks decide
    return sorted(order[:count])


def _nothing(heads, condition: Condition | None) -> str:
    """Why there is nothing: the values that the text columns of the condition have."""
    if condition is None:
        return "the index holds no heads"
    lines = [f"no head meets {condition.text!r}"]
    for name in condition.values:
        if name in columns() and columns()[name].kind == "text":
            values = Counter(heads.to_table(columns=[name])[name].to_pylist())
            shown = ", ".join(str(value) for value, _ in values.most_common(_MOST_VALUES))
            more = ", ..." if len(values) > _MOST_VALUES else ""
            lines.append(f"{name} is one of {shown}{more}")
    return "; ".join(lines)
