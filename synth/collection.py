"""A collection: rendered heads of one or more datasets, arranged anew: merged, sampled, split.

    dataset.yaml     how it was made, and of each source its id, configuration, versions; licences
    shards.jsonl     one line per shard: which heads it must hold, of which source, from which files
    shards/          as in a rendered dataset; whole shards are the very files of their source

Whatever reads a dataset reads a collection. What is rendered is decided by a configuration, and a
collection has one per source; so nothing can be rendered into it. Its shards keep the id of the
dataset that they were rendered for and the indices of their heads in it; the head with index i
of a source is number `offset + i` of the collection, so that numbers are unique. Splits are those
of the sources, as they hash the identity alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from synth.config import canonical_json, from_dict
from synth.dataset import Dataset
from synth.errors import DatasetMismatch, RecordCorrupt
from synth.imported import ImportConfig
from synth.record import HeadRecord, ShardReader
from synth.sample import DatasetConfig
from synth.shardlayout import HeadEntry, read_footers
from synth.spec import AssetRef
from synth.storage import Place, read
from synth.survey import list_shards

MANIFEST_NAME = "shards.jsonl"
KEY = "collection"
"""The section of `dataset.yaml` that a rendered dataset does not have."""

MadeBy = Literal["merge", "sample", "split", "duplicates"]


@dataclass(frozen=True)
class Source:
    """A rendered or imported dataset that heads were taken from.

    Attributes:
        dataset_id: as in the footers of its shards.
        first_spec_id: its head 0, which tells the version of the sampler; "" of an import.
        roots: where it lay; parts of one dataset may have lain in several places.
        offset: its head i has the number offset + i in the collection.
        config: its configuration; of several roots the one with most heads.
        versions: of the software that made it.
    """

    dataset_id: str
    first_spec_id: str
    roots: tuple[str, ...]
    offset: int
    config: DatasetConfig | ImportConfig
    versions: dict[str, str]


@dataclass(frozen=True)
class Collected:
    """The section `collection` of `dataset.yaml`.

    Attributes:
        made_by: the verb.
        choice: what was asked for, in words of that verb's flags.
        heads, shards: how many there are.
        duplicates: heads that were there before (by spec id) and were left out.
        sources: what they were taken from.
    """

    made_by: MadeBy
    choice: dict[str, str]
    heads: int
    shards: int
    duplicates: int
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class CollectedShard:
    """One line of `shards.jsonl`.

    Attributes:
        shard: file name.
        dataset_id: the source of its heads.
        heads: which they are, in the order of the file, with their index in the source.
        files: the shards that they were taken from.
    """

    shard: str
    dataset_id: str
    heads: tuple[HeadEntry, ...]
    files: tuple[str, ...]

    def to_json(self) -> str:
        """The line."""
        data = {
            "shard": self.shard,
            "dataset_id": self.dataset_id,
            "heads": [[head.spec_id, head.index] for head in self.heads],
            "files": self.files,
        }
        return json.dumps(data)

    @classmethod
    def from_json(cls, line: bytes) -> CollectedShard:
        """The inverse of `to_json`."""
        data = json.loads(line)
        heads = tuple(HeadEntry(spec_id, index) for spec_id, index in data["heads"])
        return cls(data["shard"], data["dataset_id"], heads, tuple(data["files"]))


def collection_id(shards: Iterable[CollectedShard]) -> str:
    """Id of a collection: of its heads in their order, wherever they were taken from.

    The digest of `[[dataset id, head, ...], ...]`, of which never more than a shard is in memory.
    """
    sha = hashlib.sha256(b"[")
    for number, shard in enumerate(shards):
        text = canonical_json([shard.dataset_id, *shard.heads])
        sha.update(f"{',' if number else ''}{text}".encode())
    sha.update(b"]")
    return sha.hexdigest()[:16]


class Manifest(Sequence[CollectedShard]):
    """The lines of `shards.jsonl`, each read when it is asked for."""

    def __init__(self, lines: Sequence[bytes]):
        self._lines = lines

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, shard: int) -> CollectedShard:
        return CollectedShard.from_json(self._lines[shard])


class Collection(Dataset):
    """A collection on disk. Get one from `Dataset.open`; `synth.collect` makes them."""

    def __init__(self, root: Place, collected: Collected, header: dict[str, Any]):
        self.root, self.collected, self._header = root, collected, header

    @classmethod
    def from_header(cls, root: Place, header: dict[str, Any]) -> Collection:
        """The collection that `dataset.yaml` describes."""
        where = f"{root / 'dataset.yaml'}: {KEY}"
        return cls(root, from_dict(Collected, header.pop(KEY), where), header)

    @property
    def config(self) -> DatasetConfig:
        """There is none.

        Raises:
            DatasetMismatch: always; each source has its own.
        """
        raise DatasetMismatch(
            f"{self.root} was made by `dataset {self.collected.made_by}` and has a configuration "
            f"for each of its {len(self.collected.sources)} sources, none of its own"
        )

    @property
    def is_imported(self) -> bool:
        """Not as a whole; some of its sources may be."""
        return False

    @property
    def sources(self) -> tuple[Source, ...]:
        return self.collected.sources

    @property
    def expected_heads(self) -> int:
        return self.collected.heads

    @property
    def recipe(self) -> Collected:
        return self.collected

    @property
    def maker(self) -> str:
        return f"headloom dataset {self.collected.made_by}"

    def check_sampler(self) -> None:
        """Nothing: no head is drawn again."""

    def manifest(self) -> Manifest:
        """What every shard must hold, by its number.

        Raises:
            RecordCorrupt: `shards.jsonl` is missing or not the one that the collection's id names.
        """
        path = self.root / MANIFEST_NAME
        try:
            manifest = Manifest(read(path).splitlines())
            found = collection_id(manifest)
        except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
            raise RecordCorrupt(f"{path}: cannot be read: {error!r}") from error
        if found != self.dataset_id:
            raise RecordCorrupt(
                f"{path} describes the collection {found}, and dataset.yaml says "
                f"{self.dataset_id}; make it again into another --out"
            )
        return manifest

    def heads_of(self, shard: Place) -> Iterator[HeadRecord]:
        """The heads of one of `shard_paths`, numbered within the collection.

        Raises:
            RecordCorrupt: it is damaged.
        """
        reader = ShardReader(shard)
        offset = self._offsets.get(reader.footer.dataset_id)
        if offset is None:
            raise RecordCorrupt(
                f"{shard}: rendered for dataset {reader.footer.dataset_id}, of which nothing was "
                f"collected; run headloom dataset repair {self.root}"
            )
        for head in reader.heads():
            yield dataclasses.replace(head, index=offset + head.index)

    def shards_with(self, indices: Sequence[range]) -> set[str]:
        """Names of the shards that hold heads with some of the indices, from the manifest."""
        return {
            shard.shard
            for shard in self.manifest()
            for head in shard.heads
            if any(self._offsets[shard.dataset_id] + head.index in span for span in indices)
        }

    @cached_property
    def _offsets(self) -> dict[str, int]:
        """Of the sources, by their ids."""
        return {source.dataset_id: source.offset for source in self.collected.sources}

    def record_assets(self, assets: Iterable[AssetRef]) -> None:
        """Nothing: their licences came with the sources."""

    def require_config(self, config: DatasetConfig) -> None:
        """Refuse to render.

        Raises:
            DatasetMismatch: always.
        """
        roots = ", ".join(root for source in self.collected.sources for root in source.roots)
        raise DatasetMismatch(
            f"{self.root} was made by `dataset {self.collected.made_by}` from {roots}; nothing is "
            "rendered into it. Render into a source, or into another --out, and merge again"
        )

    def head_count(self) -> int:
        """How many heads are there, read from the ends of the shards."""
        heads = 0
        for _, footer in read_footers(self.shard_directory, list_shards(self.root)):
            if isinstance(footer, RecordCorrupt):
                raise footer
            heads += len(footer.heads)
        return heads

    def save(self) -> None:
        """Write `dataset.yaml`."""
        self._write_header({**self._header, KEY: self.collected})


def union_of_licences(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Every asset once, by id and digest: two sources may use two versions of one."""
    known = {(row["asset_id"], row["sha256"]): row for row in rows}
    return [known[key] for key in sorted(known)]
