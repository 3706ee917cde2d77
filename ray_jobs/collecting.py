"""Datasets made of others: merged, sampled, split. What is chosen comes from the index.

The index of every source is brought up to date first: it finds the assets of the heads, whose
licences go into the new dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ray_jobs.index import parquet_place
from ray_jobs.sampling import Selection, ready_index
from synth.collect import CollectionPlan, make_collection, plan_collection
from synth.collection import MadeBy
from synth.dataset import Dataset
from synth.dataset_report import Progress
from synth.errors import ConfigError, DatasetMismatch
from synth.splits import SPLITS
from synth.storage import Place


def merge(
    sources: Sequence[Dataset],
    out: Place,
    *,
    copy: bool = False,
    dry_run: bool = False,
    progress: Progress = lambda *_: None,
) -> str:
    """Make one dataset of several; returns what was made, for a person.

    Raises:
        DatasetMismatch: an identity is in two splits; and as `plan_collection`, `make_collection`.
    """
    indices = [ready_index(source, progress) for source in sources]
    _require_one_split_each(indices)
    plan = plan_collection(sources, "merge", {}, progress=progress)
    if dry_run:
        return f"# plan: {plan}"
    return _make(out, plan, copy, progress)


def _require_one_split_each(indices: Sequence[Place]) -> None:
    """No identity may be trained on and tested with.

    Rendered heads go by the hash of their identity; imported ones may have come with lists.
    """
    import pyarrow.parquet as parquet

    splits: dict[str, tuple[str, Place]] = {}
    for index in indices:
        table = parquet.ParquetFile(**parquet_place(index)).read(
            columns=["identity.identity_id", "split"]
        )
        counted = table.group_by(table.column_names, use_threads=False).aggregate([])
        for identity, split in zip(*(counted[name].to_pylist() for name in table.column_names)):
            other_split, other = splits.setdefault(identity, (split, index))
            if other_split != split:
                raise DatasetMismatch(
                    f"identity {identity!r} is in {other_split} in {other.parent} and in {split} "
                    f"in {index.parent}; a test would see people that were trained on. Rename the "
                    "folders of the import, or its lists, and import again"
                )


def copy_selection(
    dataset: Dataset,
    chosen: Selection,
    choice: Mapping[str, object],
    out: Place,
    *,
    made_by: MadeBy = "sample",
    copy: bool = True,
    progress: Progress = lambda *_: None,
) -> str:
    """Make a dataset of chosen heads; returns what was made, for a person."""
    plan = _plan(dataset, chosen.by_shard(), made_by, choice, progress)
    return _make(out, plan, copy, progress)


def split_by_identity(
    dataset: Dataset, out: Place, *, copy: bool = False, progress: Progress = lambda *_: None
) -> list[str]:
    """Write train, val and test as datasets below `out`; returns what was made, for a person."""
    import pyarrow.parquet as parquet

    index = ready_index(dataset, progress)
    table = parquet.ParquetFile(**parquet_place(index)).read(columns=["split", "shard", "spec_id"])
    made = []
    columns = [table[name].to_pylist() for name in table.column_names]
    for split in SPLITS:
        chosen: dict[str, set[str]] = {}
        for its_split, shard, spec_id in zip(*columns):
            if its_split == split:
                chosen.setdefault(shard, set()).add(spec_id)
        if not chosen:
            made.append(f"{out / split}: no identity of the dataset is in this split, not written")
            continue
        plan = _plan(dataset, chosen, "split", {"split": split}, progress)
        made.append(_make(out / split, plan, copy, progress))
    return made


def split_into_parts(
    dataset: Dataset,
    out: Place,
    parts: int,
    *,
    copy: bool = False,
    progress: Progress = lambda *_: None,
) -> list[str]:
    """Share a dataset out in runs of whole shards; returns what was made, for a person.

    Raises:
        ConfigError: fewer parts than one, or more than there are shards.
    """
    ready_index(dataset, progress)
    paths = dataset.shard_paths()
    if not 1 <= parts <= len(paths):
        raise ConfigError(f"--parts {parts}: give 1 ... {len(paths)}, the number of shards")
    made = []
    for part in range(parts):
        plan = plan_collection(
            [dataset],
            "split",
            {"part": f"{part} of {parts}"},
            shards=paths[part * len(paths) // parts : (part + 1) * len(paths) // parts],
            progress=progress,
        )
        made.append(_make(out / f"part-{part}", plan, copy, progress))
    return made


def _plan(
    dataset: Dataset,
    chosen: Mapping[str, set[str]],
    made_by: MadeBy,
    choice: Mapping[str, object],
    progress: Progress,
) -> CollectionPlan:
    """Of chosen spec ids by the names of their shards."""
    return plan_collection(
        [dataset],
        made_by,
        {name: str(value) for name, value in choice.items() if value is not None},
        keep=lambda path, footer: [h for h in footer.heads if h.spec_id in chosen[path.name]],
        shards=[dataset.shard_directory / name for name in sorted(chosen)],
        progress=progress,
    )


def _make(out: Place, plan: CollectionPlan, copy: bool, progress: Progress) -> str:
    make_collection(out, plan, copy=copy, progress=progress)
    return f"{out}: {plan}"
