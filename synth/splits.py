"""Splits: which heads are for training, which for validation and test."""

from __future__ import annotations

import hashlib
from typing import Literal, get_args

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
VAL_FRACTION = 0.05
TEST_FRACTION = 0.05


def split_of(identity_id: str) -> Split:
    """The split of an identity: 5 % val, 5 % test, by hash, so that it never changes.

    All heads of one identity are in one split, whatever the order or size of the dataset.
    """
    word = hashlib.sha256(f"split/{identity_id}".encode()).digest()[:8]
    position = int.from_bytes(word, "big") / 2**64
    if position < TEST_FRACTION:
        return "test"
    return "val" if position < TEST_FRACTION + VAL_FRACTION else "train"
