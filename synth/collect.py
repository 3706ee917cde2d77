"""Making collections: choose heads of shards, link or copy them, write down where they came from.

A shard that is taken whole is hard-linked (or copied); the chosen heads of others are copied, byte
for byte, into new shards. Everything appears in one step and `dataset.yaml` comes last: a command
that was killed is run again and finishes what is missing.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from synth import storage
from synth.collection import (
    MANIFEST_NAME,
    Collected,
    CollectedShard,
    Collection,
    MadeBy,
    Source,
    collection_id,
    union_of_licences,
)
from synth.config import sync_directory, to_dict
from synth.dataset import HEADER_NAME, SCHEMA, Dataset
from synth.dataset_report import Progress
from synth.errors import DatasetMismatch, InputError
from synth.in_order import in_order
from synth.lock import exclusive
from synth.record import ShardReader, ShardWriter
from synth.shardlayout import Footer, HeadEntry, read_footer
from synth.storage import Place, is_local, place
from synth.survey import list_shards, shard_name
from synth.unfinished import scratch_directory

Keep = Callable[[Place, Footer], Iterable[HeadEntry]]
"""Which heads of a shard are taken."""


@dataclass(frozen=True)
class Piece:
    """One shard of a collection.

    Attributes:
        dataset_id: the source of its heads.
        parts: per file of a source the heads that are taken from it.
        whole: it is one file, all of whose heads are taken.
    """

    dataset_id: str
    parts: tuple[tuple[Place, tuple[HeadEntry, ...]], ...]
    whole: bool

    @property
    def heads(self) -> tuple[HeadEntry, ...]:
        return tuple(head for _, heads in self.parts for head in heads)


@dataclass(frozen=True)
class CollectionPlan:
    """What a collection will consist of; `str` prints it for a person.

    Attributes:
        collected: for its `dataset.yaml`.
        pieces: its shards, in order.
        licences: rows for its `dataset.yaml`.
    """

    collected: Collected
    pieces: tuple[Piece, ...]
    licences: tuple[dict, ...]

    @property
    def manifest(self) -> tuple[CollectedShard, ...]:
        return tuple(
            CollectedShard(
                shard_name(number),
                piece.dataset_id,
                piece.heads,
                tuple(str(path) for path, _ in piece.parts),
            )
            for number, piece in enumerate(self.pieces)
        )

    def __str__(self) -> str:
        made = self.collected
        whole = sum(piece.whole for piece in self.pieces)
        lines = [
            f"{made.heads} heads in {made.shards} shards ({whole} taken whole, "
            f"{made.shards - whole} put together) from {len(made.sources)} datasets"
        ]
        if made.duplicates:
            lines.append(f"{made.duplicates} heads were there twice and are left out")
        return "\n".join(lines)


def plan_collection(
    sources: Sequence[Dataset],
    made_by: MadeBy,
    choice: dict[str, str],
    keep: Keep = lambda _, footer: footer.heads,
    shards: Sequence[Place] | None = None,
    progress: Progress = lambda *_: None,
) -> CollectionPlan:
    """Decide what a collection consists of. Reads the ends of the shards, no pixels.

    Args:
        sources: rendered datasets or collections.
        made_by, choice: noted in it.
        keep: chooses heads of each shard; by default all.
        shards: the only ones to open, where the others are known to hold none.
        progress: told after each shard.

    Raises:
        DatasetMismatch: two sources have one id and other heads.
        InputError: no head is chosen.
        RecordCorrupt: a shard is damaged.
    """
    described = _describe(sources)
    if shards is None:
        shards = [path for dataset in sources for path in dataset.shard_paths()]
    chooser = _Chooser(keep)
    pieces = []
    footers = in_order(read_footer, shards, storage.THREADS)
    for number, (path, footer) in enumerate(zip(shards, footers), 1):
        pieces += chooser.add(path, footer)
        progress("shards", number, len(shards))
    pieces += chooser.rest()
    if not pieces:
        raise InputError("no head is chosen, so there is nothing to collect")
    collected = Collected(
        made_by=made_by,
        choice=choice,
        heads=sum(len(piece.heads) for piece in pieces),
        shards=len(pieces),
        duplicates=chooser.duplicates,
        sources=described,
    )
    rows = [to_dict(row) for dataset in sources for row in dataset.licences]
    return CollectionPlan(collected, tuple(pieces), tuple(union_of_licences(rows)))


class _Chooser:
    """Goes through shards, leaves out what was there before, puts remainders together."""

    def __init__(self, keep: Keep):
        self.duplicates = 0
        self._keep = keep
        self._taken: set[int] = set()
        self._places: dict[str, dict[int, int]] = defaultdict(dict)
        self._parts: dict[str, list[tuple[Place, tuple[HeadEntry, ...]]]] = defaultdict(list)
        self._largest = 1

    def add(self, path: Place, footer: Footer) -> Iterator[Piece]:
        """The shards that are complete with this one."""
        self._largest = max(self._largest, len(footer.heads))
        chosen = tuple(
            head for head in self._keep(path, footer) if self._is_new(head, path, footer)
        )
        if not chosen:
            return
        if len(chosen) == len(footer.heads):
            yield Piece(footer.dataset_id, ((path, chosen),), whole=True)
            return
        parts = self._parts[footer.dataset_id]
        parts.append((path, chosen))
        if sum(len(heads) for _, heads in parts) >= self._largest:
            yield Piece(footer.dataset_id, tuple(parts), whole=False)
            parts.clear()

    def rest(self) -> Iterator[Piece]:
        """What is left over, one shard for each source."""
        for dataset_id, parts in self._parts.items():
            if parts:
                yield Piece(dataset_id, tuple(parts), whole=False)

    def _is_new(self, head: HeadEntry, path: Place, footer: Footer) -> bool:
        spec = int(head.spec_id, 16)  # half the memory of its text
        before = self._places[footer.dataset_id].setdefault(head.index, spec)
        if before != spec:
            raise DatasetMismatch(
                f"{path}: head {head.index} of dataset {footer.dataset_id} is {head.spec_id} here "
                f"and {before:016x} in another source; their samplers or assets differ, so they "
                "cannot be parts of one collection"
            )
        if spec in self._taken:
            self.duplicates += 1
            return False
        self._taken.add(spec)
        return True


def _describe(datasets: Sequence[Dataset]) -> tuple[Source, ...]:
    """The rendered datasets behind some datasets and collections, each once, with its offset."""
    known: dict[str, Source] = {}
    for dataset in datasets:
        for source in dataset.sources:
            before = known.get(source.dataset_id)
            if before is None:
                known[source.dataset_id] = source
                continue
            if before.first_spec_id != source.first_spec_id:
                raise DatasetMismatch(
                    f"{', '.join(source.roots)} and {', '.join(before.roots)} have the same "
                    f"configuration (id {source.dataset_id}) and other heads: head 0 is "
                    f"{source.first_spec_id} and {before.first_spec_id}, made by {source.versions} "
                    f"and {before.versions}; they cannot be parts of one collection"
                )
            larger = max(before, source, key=lambda one: one.config.heads)
            roots = tuple(dict.fromkeys((*before.roots, *source.roots)))
            known[source.dataset_id] = dataclasses.replace(larger, roots=roots)
    offset, placed = 0, []
    for source in known.values():
        placed.append(dataclasses.replace(source, offset=offset))
        offset += source.config.heads
    return tuple(placed)


def make_collection(
    out: str | Place,
    plan: CollectionPlan,
    *,
    copy: bool = False,
    progress: Progress = lambda *_: None,
) -> Collection:
    """Make a collection, or finish one that was begun.

    Args:
        out: its directory, or a URL.
        plan: what it consists of.
        copy: copy whole shards instead of linking them; needed across file systems. From and to an
            object store they are always copied.
        progress: told after each shard.

    Raises:
        DatasetMismatch: something else is in the way.
        InputError: the file system cannot link, and `copy` is not given.
        RecordCorrupt: a head that is copied does not match its digest.
    """
    root = place(out)
    manifest = plan.manifest
    header = {
        "schema": SCHEMA,
        "dataset_id": collection_id(manifest),
        "assets": list(plan.licences),
    }
    with exclusive(root):
        collection = Collection(root, plan.collected, header)
        _require_room(collection, manifest)
        directory = collection.shard_directory
        storage.make_directory(directory)
        collection.clean()
        for number, (piece, shard) in enumerate(zip(plan.pieces, manifest), 1):
            if not _is_there(directory / shard.shard, shard):
                _write(piece, directory / shard.shard, copy)
            progress("shards written", number, len(manifest))
        with storage.write(root / MANIFEST_NAME) as file:
            file.writelines(f"{shard.to_json()}\n".encode() for shard in manifest)
        collection.save()
    return collection


def _require_room(collection: Collection, manifest: Sequence[CollectedShard]) -> None:
    """Nothing but the same collection, begun or finished, may be there."""
    root = collection.root
    if storage.exists(root / HEADER_NAME):
        there = Dataset.open(root)
        if not isinstance(there, Collection) or there.dataset_id != collection.dataset_id:
            kind = "another collection" if isinstance(there, Collection) else "a rendered dataset"
            raise DatasetMismatch(
                f"{root} holds {kind} (id {there.dataset_id}, this one is "
                f"{collection.dataset_id}); choose another --out"
            )
    if others := sorted(set(list_shards(root)) - {shard.shard for shard in manifest}):
        raise DatasetMismatch(
            f"{collection.shard_directory} holds {len(others)} shards that this collection does "
            f"not have ({others[0]} ...), begun by another command; remove them, or choose another "
            "--out"
        )


def _is_there(path: Place, shard: CollectedShard) -> bool:
    try:
        footer = read_footer(path)
    except FileNotFoundError:
        return False
    if (footer.dataset_id, footer.heads) != (shard.dataset_id, shard.heads):
        raise DatasetMismatch(
            f"{path} holds other heads than this collection has there; choose another --out"
        )
    return True


def _write(piece: Piece, path: Place, copy: bool) -> None:
    if not piece.whole:
        _put_together(piece, path)
        return
    ((source, _),) = piece.parts
    if copy or not (is_local(source) and is_local(path)):
        with (
            storage.local_copy(source) as local,
            local.open("rb") as read_from,
            storage.write(path) as file,
        ):
            shutil.copyfileobj(read_from, file, 4 << 20)
        return
    try:
        os.link(source, path)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise
        raise InputError(
            f"{source} cannot be linked to {path} ({error.strerror}); give --copy"
        ) from error
    sync_directory(path.parent)


def _put_together(piece: Piece, path: Place) -> None:
    """Copy chosen heads into a new shard, byte for byte."""
    with scratch_directory("shard") as scratch:
        with ShardWriter(scratch / path.name, dataset_id=piece.dataset_id) as writer:
            for source, chosen in piece.parts:
                records = {head.spec_id: head for head in ShardReader(source).heads()}
                for head in chosen:
                    writer.copy_head(records[head.spec_id])
        storage.put(writer.path, path)
