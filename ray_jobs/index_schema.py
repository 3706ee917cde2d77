"""The columns of `index.parquet`: one schema for all datasets, derived from the types of a spec.

Columns do not depend on what the heads hold: every batch, every run and every configuration give
the same names and types, so that indices can be appended to and read together. A column without a
dot is a label to ask by; one with dots is the field of `HeadSpec` of that name.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union

from synth.config import did_you_mean
from synth.errors import InputError
from synth.imported import is_imported
from synth.record import HeadRecord
from synth.spec import AssetRef, HeadSpec

if typing.TYPE_CHECKING:
    import pyarrow as pa

VERSION_KEY, VERSION = b"headloom.index", b"1"
"""Metadata of the file. Raised when a column changes its meaning: another version is made anew."""
FILE_COLUMNS = ("shard", "shard_bytes", "shard_mtime_ns", "shard_sha256")
"""Where a head lies; tell whether the file is still the one that was read."""

Kind = Literal["text", "integer", "number", "yes/no", "numbers", "texts", "numbers by label"]


@dataclass(frozen=True)
class Column:
    """One column of the index.

    Attributes:
        name: as in the file.
        kind: of its values, in words that errors use.
        meaning: for people; empty where the field of the spec says it.
    """

    name: str
    kind: Kind
    meaning: str = ""


LABELS = (
    Column("spec_id", "text", "id of the head"),
    Column("index", "integer", "number of the head in its dataset"),
    Column("dataset_id", "text", "dataset that the shard was rendered for"),
    Column("shard", "text", "file name of the shard"),
    Column("shard_bytes", "integer", "size of that file"),
    Column("shard_mtime_ns", "integer", "when it was written, ns since 1970"),
    Column("shard_sha256", "text", "SHA-256 of its table of members, which has that of each file"),
    Column("split", "text", "train, val or test"),
    Column("age_years", "number", "apparent age"),
    Column("age_group", "text", "decade of the age: 20s, 30s ... 80s"),
    Column("sex", "text", "female or male"),
    Column("ancestry", "text", "group that was sampled"),
    Column("glasses", "yes/no", "wears glasses"),
    Column("headwear", "yes/no", "wears a hat or a headscarf"),
    Column("earrings", "yes/no", "wears earrings"),
    Column("beard", "yes/no", "has a beard or stubble"),
    Column("makeup", "yes/no", "wears lipstick, eyeshadow, eyeliner or mascara"),
    Column("hair_style", "text", "style; null for hair of a user's own"),
    Column("hair_colour", "text", "name of the colour; null for hair of a user's own"),
    Column("eye_colour", "text", "name of the colour"),
    Column("garment", "text", "what is worn; null for a garment of a user's own"),
    Column("expression", "text", "family of the expression"),
    Column("light", "text", "kind of the light"),
    Column("exposure_ev", "number", "stops in all, the spec's and those added for the face"),
    Column("view_count", "integer", "pictures"),
    Column("bytes", "integer", "size of all its files"),
    Column("device", "text", "what Cycles rendered on"),
    Column("node", "text", "machine that rendered it"),
    Column("render_s", "number", "seconds for the head in all"),
    Column("timings_s", "numbers by label", "seconds by step"),
    Column("assets", "texts", "ids of what it is made of"),
    Column("fingerprint", "text", "16 x 16 luminances of the front view; nearly the same if alike"),
)
"""What a head is asked for by. Those of the person are null for a whole head of a user's own, to
which the person of the spec does not apply, and for imported heads; these have no light either."""

_NOT_FROM_SPEC = ("index", "schema", "assets")
"""Fields that stand among the labels, or say nothing about the head."""
_MAKEUP = ("lipstick", "eyeshadow", "eyeliner", "mascara")

Data = Mapping[str, Any]


@functools.cache
def spec_columns() -> tuple[Column, ...]:
    """The columns of the spec's fields, in its order, by dotted name.

    Optional sections (glasses) have their columns in every index. A list of sections (cameras,
    area lights) is told by its length, `light.areas.count`; a mapping from labels (facial actions,
    sculpted controls) is one column, so that new labels change no schema.
    """
    return tuple(_columns(HeadSpec, ""))


def _columns(section: type, prefix: str) -> Iterator[Column]:
    hints = typing.get_type_hints(section)
    for field in dataclasses.fields(section):
        if not prefix and field.name in _NOT_FROM_SPEC:
            continue
        name, kind = prefix + field.name, _without_none(hints[field.name])
        items = typing.get_args(kind)
        if dataclasses.is_dataclass(kind):
            yield from _columns(kind, f"{name}.")
        elif typing.get_origin(kind) is tuple and dataclasses.is_dataclass(items[0]):
            yield Column(f"{name}.count", "integer")
        else:
            yield Column(name, _kind(kind))


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (Union, types.UnionType):
        (kind,) = (option for option in typing.get_args(kind) if option is not type(None))
    return kind


def _kind(kind: Any) -> Kind:
    origin, items = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict:
        return "numbers by label"
    if origin is tuple:
        return "texts" if items[0] is str else "numbers"
    if origin is Literal:
        return "text"
    return {str: "text", bool: "yes/no", int: "integer", float: "number"}[kind]


@functools.cache
def columns() -> dict[str, Column]:
    """All columns by name, in the order of the file."""
    return {column.name: column for column in (*LABELS, *spec_columns())}


def column_named(name: str, known: Mapping[str, Column]) -> Column:
    """A column by its name.

    Raises:
        InputError: there is none; names the nearest one, or the columns of a section.
    """
    if name in known:
        return known[name]
    inside = [other for other in known if other.startswith(f"{name}.")]
    if inside:
        raise InputError(f"{name} is a section, its columns are {', '.join(inside)}")
    last_words = {other.rpartition(".")[2]: other for other in reversed(known)}
    word = difflib.get_close_matches(name.rpartition(".")[2], last_words, n=1, cutoff=0.75)
    near = [other for other in known if other.startswith(f"{name}_")] or [
        last_words[one] for one in word
    ]
    hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else did_you_mean(name, known)
    raise InputError(
        f"no column {name!r}{hint}; `headloom dataset index DATASET --columns` lists all"
    )


@functools.cache
def arrow_schema() -> pa.Schema:
    """The schema of the file."""
    import pyarrow as pa

    arrow_types = {
        "text": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "yes/no": pa.bool_(),
        "numbers": pa.list_(pa.float64()),
        "texts": pa.list_(pa.string()),
        "numbers by label": pa.map_(pa.string(), pa.float64()),
    }
    fields = [pa.field(column.name, arrow_types[column.kind]) for column in columns().values()]
    return pa.schema(fields, {VERSION_KEY: VERSION})


def row(head: HeadRecord, dataset_id: str, spec: Data, meta: Data) -> dict[str, Any]:
    """One line of the index; a column that it lacks is null.

    Args:
        head: the record.
        dataset_id: of its shard.
        spec, meta: its `spec.json` and `meta.json`.
    """
    values: dict[str, Any] = {
        "spec_id": head.spec_id,
        "index": head.index,
        "dataset_id": dataset_id,
        "split": head.split,
        "view_count": head.view_count,
        "bytes": sum(member.size for member in head.members.values()),
        "device": meta.get("device"),
        "node": meta.get("node"),
        "render_s": meta.get("timings_s", {}).get("head_s"),
        "timings_s": list(meta.get("timings_s", {}).items()),
        "assets": [asset["asset_id"] for asset in spec["assets"]],
        "fingerprint": (meta.get("quality") or {}).get("fingerprint"),
    }
    if not is_imported(spec):
        stops = meta.get("exposure", {}).get("stops", 0.0)
        values["light"] = spec["light"]["kind"]
        values["exposure_ev"] = spec["light"]["exposure_ev"] + stops
        if not spec["user_parts"]["head"]:
            values |= _person(spec)
    return values | _fields(spec)


def _person(spec: Data) -> dict[str, Any]:
    """Labels of a person whom the spec describes."""
    person, hair, worn = spec["identity"], spec["hair"], spec["accessories"]
    parts, makeup = spec["user_parts"], spec["skin"]["makeup"]
    return {
        "age_years": person["age_years"],
        "age_group": f"{int(person['age_years'] // 10)}0s",
        "sex": person["sex"],
        "ancestry": person["ancestry"],
        "glasses": worn["glasses"] is not None,
        "headwear": worn["headwear"] is not None,
        "earrings": worn["earrings"] is not None,
        "beard": spec["facial_hair"]["beard"] != "none",
        "makeup": any(makeup[name] for name in _MAKEUP),
        "hair_style": None if parts["hair"] else hair["style"],
        "hair_colour": None if parts["hair"] else hair["colour"]["name"],
        "eye_colour": spec["eyes"]["iris_name"],
        "garment": None if parts["garment"] else spec["clothes"]["garment"],
        "expression": spec["expression"]["name"],
    }


@functools.cache
def _places() -> tuple[tuple[str, tuple[str, ...], Kind], ...]:
    """Of every column of the spec its name, the keys that lead to it, and its kind."""
    return tuple(
        (column.name, tuple(column.name.split(".")), column.kind) for column in spec_columns()
    )


def _fields(spec: Data) -> dict[str, Any]:
    """The fields of a spec by dotted name; what it lacks is left out."""
    values = {}
    for name, keys, kind in _places():
        value: Any = spec
        for key in keys:
            if value is None:
                break
            value = len(value) if key == "count" else value.get(key)
        if value is not None:
            values[name] = list(value.items()) if kind == "numbers by label" else value
    return values


def asset_refs(spec: Data) -> list[AssetRef]:
    """The assets that a head is made of."""
    return [AssetRef(**asset) for asset in spec["assets"]]
