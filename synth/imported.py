"""Heads that Headloom did not make: what is known of them, and how their dataset is described.

A rendered head has a `HeadSpec`, which decides its pictures. An imported one has an `ImportedSpec`
in the same place, `spec.json`: who it is, where it came from and the digest of what was read. All
that needs pictures, cameras, identity and split works on both; what needs to know how a head was
made says that an imported one does not tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from synth.config import from_dict, to_dict
from synth.errors import ConfigError, SchemaMismatch, SpecError
from synth.spec import AssetRef, spec_id_of
from synth.splits import Split

SCHEMA = 1
"""Version of the JSON layout of an imported head."""
KIND: Literal["imported"] = "imported"


@dataclass(frozen=True)
class ImportedIdentity:
    """Who an imported head is."""

    identity_id: str


@dataclass(frozen=True)
class ImportedSpec:
    """What is known of an imported head.

    Attributes:
        index: its number in the dataset.
        identity: who it is.
        split: of a list that came with the heads, or by hash of the identity.
        layout: what it was read from, of `synth.import_layouts.LAYOUTS`.
        source: its folder, relative to what was imported.
        content_sha256: digest of the pixels and the cameras.
        assets: the import itself, as the one asset with its licence.
    """

    index: int
    identity: ImportedIdentity
    split: Split
    layout: str
    source: str
    content_sha256: str
    assets: tuple[AssetRef, ...]
    kind: Literal["imported"] = KIND
    schema: int = SCHEMA

    @property
    def spec_id(self) -> str:
        """Id of the head, as that of a rendered one."""
        return spec_id_of(self)

    def to_json_dict(self) -> dict[str, Any]:
        """Plain data for `spec.json`."""
        return to_dict(self)

    @classmethod
    def from_json_dict(cls, data: dict[str, Any]) -> ImportedSpec:
        """The inverse of `to_json_dict`.

        Raises:
            SchemaMismatch: written by another version of the layout.
            SpecError: a key or a value does not fit.
        """
        if data.get("schema") != SCHEMA:
            raise SchemaMismatch(
                f"imported head has schema {data.get('schema')!r}, this version reads {SCHEMA}; "
                "import it again"
            )
        try:
            return from_dict(cls, data, "spec")
        except ConfigError as error:
            raise SpecError(str(error)) from error


@dataclass(frozen=True)
class ImportConfig:
    """How a dataset was imported; stands in `dataset.yaml` where a rendered one has its
    configuration.

    Attributes:
        layout: what was read, of `synth.import_layouts.LAYOUTS`.
        source: the folder, as it was typed.
        heads: how many there are.
        size: width and height of the pictures of the first head in pixels.
        heads_per_shard: as in a rendered dataset.
        opaque: whether pictures without alpha were taken as opaque.
        heads_sha256: digest of the names, identities and splits of all heads.
    """

    layout: str
    source: str
    heads: int
    size: int
    heads_per_shard: int
    opaque: bool
    heads_sha256: str


def is_imported(data: Any) -> bool:
    """Whether plain data of a `spec.json` is that of an imported head."""
    return isinstance(data, dict) and data.get("kind") == KIND
