"""A dataset on disk: a configuration, the shards rendered from it, and what is still missing.

    dataset.yaml          configuration, id, versions, digests of the assets
    shards/shard-000000.tar ...   shard i holds the heads [i * heads_per_shard, (i + 1) * ...)
    failures.jsonl        one line per shard that could not be rendered, with the reason
    index.parquet         one row per head, for queries; never needed to open the dataset
    known_shards.bin      what planning learned of the shards; may be deleted (`synth.survey`)

The dataset lies in a directory or, given a URL, on an object store (`synth.storage`).

The shards themselves are the record of progress: a shard is committed when its file is in place and
its closing member lists exactly the heads of its range, and `plan` is what remains. What is in a
dataset, and whether it holds, is asked in `synth.dataset_report`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from synth import storage
from synth.assets import LicenceRow, describe
from synth.config import differences, digest, from_dict, to_dict, yaml_text
from synth.errors import DatasetMismatch, RecordCorrupt, RecordError, SchemaMismatch
from synth.imported import ImportConfig
from synth.record import HeadRecord, ShardReader
from synth.sample import DatasetConfig, sample_head
from synth.shardplan import Plan, ShardPlan, every_shard, missing_shards
from synth.spec import AssetRef
from synth.storage import Place, place
from synth.survey import REJECTS, SHARDS, ShardRange, Survey, list_shards, survey, write_known
from synth.unfinished import remove_stale_temporaries

if TYPE_CHECKING:
    from synth.collection import Source

SCHEMA = 1
"""Version of the dataset layout."""
HEADER_NAME = "dataset.yaml"
_GROWING = "heads"
"""A dataset can be extended; and the store of a user's assets may be moved."""
_MAY_CHANGE = (_GROWING, "assets.store")
_VERSIONED_PACKAGES = ("headloom", "bpy", "anny", "numpy", "imageio", "pillow")


def dataset_id(config: DatasetConfig) -> str:
    """Id of all datasets of a configuration, whatever their number of heads: 16 hex digits."""
    data = to_dict(config)
    del data[_GROWING]
    del data["assets"]["store"]  # a place, not a content
    return digest(data)[:16]


class Dataset:
    """A dataset directory. Get one from `Dataset.create` or `Dataset.open`."""

    def __init__(self, root: Place, config: DatasetConfig | ImportConfig, header: dict[str, Any]):
        self.root = root
        self.config = config
        self._header = header

    # ------------------------------------------------------------------------------ life cycle

    @classmethod
    def create(cls, root: str | Place, config: DatasetConfig) -> Dataset:
        """Make a dataset, or open the one that is there, extended to `config.heads` heads.

        Raises:
            DatasetMismatch: the existing dataset was made with another configuration or by a
                sampler that draws other heads from it; lists every difference.
        """
        root = place(root)
        if not storage.exists(root / HEADER_NAME):
            header = {
                "schema": SCHEMA,
                "dataset_id": dataset_id(config),
                "first_spec_id": sample_head(config, 0).spec_id,
                "versions": _versions(),
                "assets": [],
            }
            dataset = cls(root, config, header)
            storage.make_directory(dataset.shard_directory)
            dataset._save()
            return dataset
        dataset = cls.open(root)
        dataset.require_config(config)
        changed = config != dataset.config
        dataset.config = config
        dataset.check_sampler()
        if changed:
            dataset._save()
        return dataset

    @classmethod
    def create_imported(
        cls, root: str | Place, config: ImportConfig, licences: Sequence[LicenceRow]
    ) -> Dataset:
        """Make the dataset of an import, or open the one that is there.

        Args:
            licences: of what is imported.

        Raises:
            DatasetMismatch: the existing dataset is another import, or none.
        """
        root = place(root)
        header = {
            "schema": SCHEMA,
            "dataset_id": digest({**to_dict(config), "source": None})[:16],
            "versions": _versions(),
            "assets": to_dict(licences),
        }
        dataset = cls(root, config, header)
        if not storage.exists(root / HEADER_NAME):
            storage.make_directory(dataset.shard_directory)
            dataset._save()
            return dataset
        there = cls.open(root)
        if not there.is_imported:
            raise DatasetMismatch(f"{root} holds rendered heads; choose another --out")
        lines = differences(there._import_terms(), dataset._import_terms())
        if lines:
            raise DatasetMismatch(
                f"{root} is another import, or what is imported has changed (heads_sha256 is of "
                "all names, identities and splits):\n" + "\n".join(lines) + "\n"
                "Give the same, or choose another --out"
            )
        return there

    def _import_terms(self) -> dict[str, Any]:
        """What must be the same when an import is run again; its folder may have been moved."""
        terms = {key: value for key, value in to_dict(self.config).items() if key != "source"}
        licences = [(row.licence, row.attribution) for row in self.licences]
        return terms | {"licence and attribution": licences}

    @classmethod
    def preview(cls, root: str | Place, config: DatasetConfig) -> Dataset:
        """What `create` would return, without writing anything.

        Raises:
            DatasetMismatch: as in `create`.
        """
        root = place(root)
        if not storage.exists(root / HEADER_NAME):
            return cls(root, config, {"dataset_id": dataset_id(config), "assets": []})
        dataset = cls.open(root)
        dataset.require_config(config)
        dataset.config = config
        dataset.check_sampler()
        return dataset

    @classmethod
    def open(cls, root: str | Place) -> Dataset:
        """Open a dataset.

        Raises:
            RecordError: there is none.
            RecordCorrupt: `dataset.yaml` cannot be read.
            SchemaMismatch: written by an incompatible version.
        """
        root = place(root)
        path = root / HEADER_NAME
        try:
            data = yaml.safe_load(storage.read(path).decode())
        except FileNotFoundError:
            raise RecordError(
                f"{root} is not a dataset (no dataset.yaml); make one with: "
                f"headloom render --out {root}"
            ) from None
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise RecordCorrupt(f"{path}: not readable as YAML: {error}") from error
        if not isinstance(data, dict):
            raise RecordCorrupt(f"{path}: no mapping; was it cut short?")
        if (schema := data.get("schema")) != SCHEMA:
            raise SchemaMismatch(
                f"{path}: dataset schema {schema!r}, this version of Headloom reads {SCHEMA}"
            )
        if "collection" in data:
            from synth.collection import Collection  # a kind of dataset itself

            return Collection.from_header(root, data)
        key = "imported" if "imported" in data else "config"
        kind = ImportConfig if key == "imported" else DatasetConfig
        return cls(root, from_dict(kind, data.pop(key, None), f"{path}: {key}"), data)

    @property
    def is_imported(self) -> bool:
        """Whether its heads were made elsewhere; then it cannot be rendered, extended or drawn."""
        return isinstance(self.config, ImportConfig)

    @property
    def shard_directory(self) -> Place:
        return self.root / SHARDS

    @property
    def dataset_id(self) -> str:
        """Id of the configuration that the dataset was created with."""
        return self._header["dataset_id"]

    @property
    def sources(self) -> tuple[Source, ...]:
        """The datasets that its heads were made for: this one, or several of a collection."""
        from synth.collection import Source

        return (
            Source(
                dataset_id=self.dataset_id,
                first_spec_id=self._header.get("first_spec_id", ""),
                roots=(str(self.root.absolute()),),
                offset=0,
                config=self.config,
                versions=self._header["versions"],
            ),
        )

    @property
    def expected_heads(self) -> int:
        """Heads that it is to have."""
        return self.config.heads

    @property
    def recipe(self) -> Any:
        """The dataclass that says how it was made: its configuration."""
        return self.config

    @property
    def maker(self) -> str:
        """The command that makes it, and makes again what is missing."""
        render = f"headloom render --out {self.root}"  # which finds the configuration there
        return "headloom dataset import" if self.is_imported else render

    @property
    def assets(self) -> tuple[AssetRef, ...]:
        """The assets that the rendered heads are made of."""
        return tuple(row.ref for row in self.licences)

    @property
    def licences(self) -> tuple[LicenceRow, ...]:
        """Licence, source and attribution of every asset that the rendered heads are made of."""
        return tuple(LicenceRow(**row) for row in self._header["assets"])

    def record_assets(self, assets: Iterable[AssetRef]) -> None:
        """Add assets to `dataset.yaml`, each with its licence and source.

        Raises:
            DatasetMismatch: one id, two digests: the asset changed between two runs.
            AssetError: an asset of a user that is not in the store any more.
        """
        known = {row.asset_id: row for row in self.licences}
        for asset in assets:
            before = known.get(asset.asset_id)
            if before is None:
                known[asset.asset_id] = describe(asset, self.config.assets.store)
            elif before.ref != asset:
                raise DatasetMismatch(
                    f"{self.root}: asset {asset.asset_id!r} changed from SHA-256 {before.sha256} "
                    f"to {asset.sha256} while the dataset was rendered; render into a new --out"
                )
        listed = [to_dict(known[key]) for key in sorted(known)]
        if listed != self._header["assets"]:
            self._header["assets"] = listed
            self._save()

    def record_devices(self, devices: Iterable[str], *, mix: bool = False) -> None:
        """Write down the kinds of device that the heads are rendered on, before they are.

        Their pixels differ a little (each head's `meta.json` says which it was), so a dataset has
        one kind unless that is asked for.

        Args:
            devices: Cycles devices of a run.
            mix: the dataset may have several.

        Raises:
            DatasetMismatch: the dataset was rendered on another kind.
        """
        known = self._header.get("devices", [])
        both = sorted({*known, *devices})
        if known and both != known and not mix:
            raise DatasetMismatch(
                f"{self.root} was rendered on {', '.join(known)}, whose pixels differ a little "
                f"from those of {', '.join(sorted(devices))}; render on {', '.join(known)}, or use "
                "another --out, or set mix_devices: true in the file of --cluster"
            )
        if both != known:
            self._header["devices"] = both
            self._save()

    def _save(self) -> None:
        key = "imported" if self.is_imported else "config"
        self._write_header({**self._header, key: self.config})

    def _write_header(self, header: dict[str, Any]) -> None:
        with storage.write(self.root / HEADER_NAME) as file:
            file.write(yaml_text(header).encode())

    def require_config(self, config: DatasetConfig) -> None:
        """Check that the dataset may be continued with a configuration.

        Raises:
            DatasetMismatch: they differ in more than a larger number of heads (and where the store
                of the user's assets lies).
        """
        if self.is_imported:
            raise DatasetMismatch(
                f"{self.root} holds imported heads, which cannot be rendered; choose another --out"
            )
        lines = differences(to_dict(self.config), to_dict(config), leave_out=_MAY_CHANGE)
        if lines:
            raise DatasetMismatch(
                f"{self.root} was made with another configuration (id {self.dataset_id}, given "
                f"{dataset_id(config)}):\n" + "\n".join(lines) + "\n"
                "Give the same configuration, or render into another --out"
            )
        if config.heads < self.config.heads:
            raise DatasetMismatch(
                f"{self.root} was made for {self.config.heads} heads and does not shrink to "
                f"{config.heads}; ask for at least {self.config.heads}, or use another --out"
            )

    def check_sampler(self) -> None:
        """Check that this version draws the same heads from the configuration.

        Raises:
            DatasetMismatch: it does not; the dataset cannot be continued with it.
        """
        if self.is_imported:
            return  # nothing was drawn
        now, then = sample_head(self.config, 0).spec_id, self._header["first_spec_id"]
        if now != then:
            raise DatasetMismatch(
                f"{self.root}: head 0 of the same configuration is {now} now and was {then} when "
                f"the dataset was made (versions then: {self._header['versions']}); the sampler or "
                "an asset changed. Render into another --out, or use the version that made it"
            )

    # ------------------------------------------------------------------------------------ plan

    def expected(self, heads: int | None = None) -> Plan:
        """All shards of the dataset, rendered or not; or of one extended to `heads` heads."""
        return every_shard(self.shard_directory, self._range(heads))

    def plan(
        self, heads: int | None = None, *, retry_failed: bool = False, remember: bool = False
    ) -> Plan:
        """The shards that are still to be rendered: expected minus committed.

        Lists the shards and reads the ends of those not known yet, no pixels; see `synth.survey`.
        A shard with fewer heads than its range (the last one, before the dataset was extended) is
        to be completed.

        Args:
            heads: plan for this number of heads; None for the dataset's own.
            retry_failed: also the shards with heads that could not be rendered, to be completed.
            remember: write down what was learned, so that the next plan need not open these shards
                again; for whoever writes the dataset.

        Raises:
            DatasetMismatch: a shard of another dataset is in the way.
        """
        wanted = self._range(heads)
        found = survey(self.root, wanted)
        if remember and found.opened:
            write_known(self.root, wanted, found)
        return missing_shards(self.shard_directory, wanted, found, retry_failed=retry_failed)

    def survey(self) -> Survey:
        """What is known of the shards that are in place; one listing, no pixels.

        Raises:
            DatasetMismatch: a shard of another dataset is in the way.
        """
        return survey(self.root, self._range())

    def quarantine(self, shard: ShardPlan | Place) -> Place:
        """Move a shard aside, never over an earlier one, so that it can be looked at; the plan then
        has it as missing. Returns where it is."""
        path = shard.path if isinstance(shard, ShardPlan) else shard
        target = self.root / "quarantine" / f"{path.name}.{time.time_ns()}"
        storage.move(path, target)
        return target

    def clean(self) -> list[Path]:
        """Remove what writers that are gone left unfinished; returns what it was. An object store
        shows nothing unfinished."""
        if not storage.is_local(self.root):
            return []
        directories = (self.root, self.shard_directory, self.root / REJECTS)
        return [path for where in directories for path in remove_stale_temporaries(where)]

    def _range(self, heads: int | None = None) -> ShardRange:
        return ShardRange(self.dataset_id, heads or self.config.heads, self.config.heads_per_shard)

    # ----------------------------------------------------------------------------------- reading

    def heads(self) -> Iterator[HeadRecord]:
        """All rendered heads, in the order of their index.

        Raises:
            RecordCorrupt: a shard is damaged.
        """
        for path in self.shard_paths():
            yield from self.heads_of(path)

    def heads_of(self, shard: Place) -> Iterator[HeadRecord]:
        """The heads of one of `shard_paths`.

        Raises:
            RecordCorrupt: it is damaged.
        """
        yield from ShardReader(shard).heads()

    def shards_with(self, indices: Sequence[range]) -> set[str]:
        """Names of the shards that may hold heads with some of the indices; no file is opened."""
        return self._range().holding(indices, list_shards(self.root))

    def head_count(self) -> int:
        """How many heads are rendered, as the ends of the shards say."""
        return self.survey().head_count

    def shard_paths(self) -> list[Place]:
        """The files of all shards that are in place, in order."""
        return [self.shard_directory / name for name in list_shards(self.root)]


def _versions() -> dict[str, str]:
    versions = {}
    for name in _VERSIONED_PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
