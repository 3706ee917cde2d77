"""Named random streams: every attribute draws from its own generator.

Adding or removing one attribute therefore never shifts another, and head 7 is the same head whether
it is sampled alone, in a shard or on another machine.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, index: int, name: str) -> np.random.Generator:
    """A generator that depends on nothing but its three arguments.

    Args:
        seed: seed of the dataset; any integer, 0 is a seed like any other.
        index: index of the head (or of the identity) in the dataset.
        name: dotted name of the attribute, for example `"hair.colour"`.
    """
    key = hashlib.sha256(f"{int(seed)}/{int(index)}/{name}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))


def derive_seed(seed: int, index: int, name: str) -> int:
    """A 31-bit integer seed (for Cycles, torch or a builder's own noise) of a named stream."""
    key = hashlib.sha256(f"{int(seed)}/{int(index)}/{name}#seed".encode()).digest()
    return int.from_bytes(key[:4], "little") & 0x7FFFFFFF
