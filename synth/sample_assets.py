"""Which heads use a user's own assets, and which."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from synth.asset_store import DEFAULT_STORE, AssetRecord, AssetStore
from synth.assets import GEOMETRY_ID, asset_ref, is_users
from synth.config import did_you_mean
from synth.errors import AssetError
from synth.sample_draw import Draw, Weights, check_amounts, choose
from synth.spec import (
    Accessories,
    Expression,
    Gaze,
    HeadPose,
    HeadSpec,
    UserParts,
)
from synth.spec_assets import check_asset_id

OURS = "ours"
"""The weight of Headloom's own builders beside the assets of a user."""


def _ours() -> Weights:
    return {OURS: 1.0}


@dataclass(frozen=True)
class AssetsConfig:
    """A user's own assets, mixed with ours by weight.

    Keys of the weights are `ours`, asset ids (`studio:anna`), or several at once, which share the
    weight evenly: `studio:*` (all of that kind in a pack), `studio:#tag` (those with a tag).
    Environment maps are weighted in `light.hdris` and `light.dim_hdris`.

    Attributes:
        store: folder that `headloom assets add` wrote; on a cluster a path that all machines share.
            It does not belong to the identity of a dataset: a store may be moved.
        heads: whole heads, drawn per identity.
        skins: drawn per identity.
        hair, garments: drawn per look.
    """

    store: Path = DEFAULT_STORE
    heads: Weights = field(default_factory=_ours)
    hair: Weights = field(default_factory=_ours)
    garments: Weights = field(default_factory=_ours)
    skins: Weights = field(default_factory=_ours)

    def __post_init__(self) -> None:
        for name in _KINDS:
            check_asset_weights(f"assets.{name}", getattr(self, name), (OURS,))


_KINDS = {"heads": "head", "hair": "hair", "garments": "garment", "skins": "skin"}


def check_asset_weights(name: str, weights: Weights, known: Iterable[str]) -> None:
    """Raise `ValueError` unless keys are known names, asset ids or selectors, with usable weights.

    Args:
        known: names that are no assets of a user.
    """
    known = tuple(known)
    for key in weights:
        if key in known:
            continue
        if not is_users(key):
            raise ValueError(
                f"{name}: {key!r} is not one of {', '.join(known)}{did_you_mean(key, known)}, nor "
                "an asset of yours such as 'studio:anna'"
            )
        pack, _, item = key.partition(":")
        selector = item == "*" or item.startswith("#")
        check_asset_id(name, f"{pack}:{item[1:] or 'all'}" if selector else key)
    check_amounts(name, weights)


def expand_weights(weights: Weights, kind: str, store: AssetStore) -> Weights:
    """Replace the selectors by what they select, and check that every asset is there.

    Raises:
        AssetError: an asset that is missing or of another kind, or a selector of nothing.
    """
    expanded: Weights = {}
    for key, weight in weights.items():
        if not is_users(key):
            expanded[key] = weight
            continue
        chosen = _selected(key, kind, store)
        for asset_id in chosen:
            expanded[asset_id] = expanded.get(asset_id, 0.0) + weight / len(chosen)
    return expanded


def _selected(key: str, kind: str, store: AssetStore) -> list[str]:
    pack, _, item = key.partition(":")
    if item != "*" and not item.startswith("#"):
        record = store.get(key).record
        if record.kind != kind:
            raise AssetError(f"{key} is a {record.kind}, and a {kind} is wanted")
        return [key]
    records = [asset.record for asset in store.assets() if asset.record.kind == kind]
    chosen = [
        record.asset_id
        for record in records
        if record.asset_id.startswith(f"{pack}:") and (item == "*" or item[1:] in record.tags)
    ]
    if not chosen:
        there = ", ".join(record.asset_id for record in records) or "none"
        raise AssetError(f"{key} selects no {kind} in the store {store.root}; there: {there}")
    return chosen


def expand_assets(config: AssetsConfig) -> AssetsConfig:
    """The configuration with every selector replaced by the assets it selects now.

    Raises:
        AssetError: as `expand_weights`.
    """
    store = AssetStore(config.store)
    changes = {
        name: expand_weights(getattr(config, name), kind, store) for name, kind in _KINDS.items()
    }
    return dataclasses.replace(config, **changes)


def use_assets(spec: HeadSpec, person: Draw, look: Draw, config: AssetsConfig) -> HeadSpec:
    """Replace parts of a head by a user's assets, and name every asset that it is made of.

    Args:
        spec: the head as drawn without them.
        person: streams of the identity.
        look: streams of the look.

    Raises:
        AssetError: an asset is missing or of another kind.
    """
    head = _draw(person, "head", config.heads)
    others = {} if head else {
        "hair": _draw(look, "hair", config.hair),
        "garment": _draw(look, "garment", config.garments),
        "skin": _draw(person, "skin", config.skins),
    }  # fmt: skip
    parts = UserParts(head=head, **others)
    refs = [] if head else [asset_ref(GEOMETRY_ID)]
    refs += [asset_ref(spec.light.hdri, config.store)] if spec.light.hdri else []
    for kind, asset_id in parts.by_kind().items():
        if asset_id:
            record = AssetStore(config.store).get(asset_id).record
            if record.kind != kind:
                raise AssetError(f"{asset_id} is a {record.kind}, and a {kind} is wanted")
            refs.append(record.ref)
            spec = _suited(spec, record)
    return dataclasses.replace(spec, user_parts=parts, assets=tuple(refs))


def _draw(draw: Draw, name: str, weights: Weights) -> str | None:
    """An asset id, or None for ours."""
    choice = choose(draw(f"assets.{name}"), weights)
    if choice != OURS and (choice.endswith(":*") or ":#" in choice):
        raise ValueError(
            f"{choice!r} selects several assets and must be expanded before heads are drawn "
            "(synth.sample_assets.expand_assets)"
        )
    return None if choice == OURS else choice


def _suited(spec: HeadSpec, record: AssetRecord) -> HeadSpec:
    """The rest of the spec must not claim what the asset decides."""
    melanin = spec.skin.melanin if record.melanin is None else record.melanin
    skin = dataclasses.replace(spec.skin, melanin=melanin)
    if record.kind == "head":
        return dataclasses.replace(
            spec,
            # all looks of a head are one identity, on one side of the split
            identity=dataclasses.replace(spec.identity, identity_id=record.asset_id),
            expression=Expression(name="as_given"),
            gaze=Gaze(),
            pose=HeadPose(),
            skin=skin,
            facial_hair=dataclasses.replace(spec.facial_hair, beard="none"),
            accessories=Accessories(),
        )
    if record.kind == "skin":
        return dataclasses.replace(spec, skin=skin)
    if record.kind == "hair":  # what it covers is painted as bald skin, and no hat fits over it
        return dataclasses.replace(
            spec,
            hair=dataclasses.replace(spec.hair, style="bald"),
            accessories=dataclasses.replace(spec.accessories, headwear=None),
        )
    return spec
