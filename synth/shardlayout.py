"""The tar layout of a shard, byte by byte: headers, closing members and their checks.

Headers carry no times or owners, members follow each other without a gap and the padding is zero,
so every byte of a shard has exactly one right value and any damage is found.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from synth.config import canonical_json, digest, to_dict
from synth.errors import RecordCorrupt, SchemaMismatch
from synth.splits import Split, split_of
from synth.storage import Place, read_end, read_ends, read_range

SCHEMA = 1
"""Version of the shard layout."""
MEMBERS_NAME = "__headloom__/members.json"
FOOTER_NAME = "__headloom__/shard.json"
BLOCK = tarfile.BLOCKSIZE
END_OF_ARCHIVE = b"\0" * (2 * BLOCK)
MAX_REASON = 500
"""Characters kept of the reason why a head is absent: the end of a file that planning reads."""

AbsentKind = Literal["failed", "rejected"]

_SIZE_FIELD = 124
"""Where a tar header says, in 11 octal digits, how many bytes follow it."""
_END_BYTES, _LONG_END_BYTES = 64 * 1024, 16 * 1024 * 1024
"""The first holds the footer of a thousand heads, and of a small shard the index too."""
_SHORT_END_BYTES = 8 * 1024
"""Holds the footer of a hundred heads, which is read of a hundred thousand shards."""


@dataclass(frozen=True)
class Member:
    """One file in a shard: where its bytes are and what they must hash to."""

    name: str
    offset: int
    size: int
    sha256: str


@dataclass(frozen=True)
class HeadEntry:
    """A head as the footer lists it: its spec id and its index in the dataset."""

    spec_id: str
    index: int


@dataclass(frozen=True)
class Person:
    """Whose head it is, and the split that all heads of that identity are in."""

    identity_id: str
    split: Split

    @classmethod
    def of(cls, identity_id: str, split: Split | None) -> Person:
        """The split of an imported head as it came, of any other by hash of its identity."""
        return cls(identity_id, split or split_of(identity_id))


@dataclass(frozen=True)
class AbsentHead:
    """A head of the shard's range that the shard does not hold, and why.

    Attributes:
        spec_id: id of its spec.
        index: its index in the dataset.
        kind: "failed", it could not be rendered; "rejected", it was, and is not worth keeping.
        reason: at most `MAX_REASON` characters; of a failed head the type and message of the error.
    """

    spec_id: str
    index: int
    kind: AbsentKind
    reason: str


@dataclass(frozen=True)
class Footer:
    """The closing member of a shard.

    Attributes:
        dataset_id: id of the dataset that the shard was rendered for, or "".
        heads: the heads in the order of the file.
        members_size: bytes of `__headloom__/members.json`.
        members_sha256: its SHA-256.
        absent: the heads of its range that are not in the file, in the order they were tried.
        people: of each of `heads` whose it is; empty in a shard that was written before footers
            said so.
    """

    dataset_id: str
    heads: tuple[HeadEntry, ...]
    members_size: int
    members_sha256: str
    absent: tuple[AbsentHead, ...] = ()
    people: tuple[Person, ...] = ()

    @property
    def spec_ids(self) -> tuple[str, ...]:
        return tuple(head.spec_id for head in self.heads)

    @property
    def indices(self) -> tuple[int, ...]:
        return tuple(head.index for head in self.heads)

    @property
    def present(self) -> dict[int, str]:
        """Spec id by index, in rising order, of the heads in the file."""
        return _by_index(self.heads)

    @property
    def settled(self) -> dict[int, str]:
        """Spec id by index, in rising order, of all heads there is nothing more to do for: those
        in the file and the absent ones."""
        return _by_index((*self.heads, *self.absent))

    @property
    def failed(self) -> tuple[AbsentHead, ...]:
        """The absent heads that could not be rendered; another try may be asked for."""
        return tuple(head for head in self.absent if head.kind == "failed")


def _by_index(heads: Iterable[HeadEntry | AbsentHead]) -> dict[int, str]:
    return {head.index: head.spec_id for head in sorted(heads, key=lambda head: head.index)}


@lru_cache(maxsize=256)
def tar_header(name: str, size: int) -> bytes:
    """The one header of a member: no times or owners, so equal content gives equal bytes."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def footer_bytes(
    dataset_id: str,
    heads: Sequence[HeadEntry],
    members: bytes,
    absent: Sequence[AbsentHead] = (),
    people: Sequence[Person] = (),
) -> bytes:
    """The text of the closing member; `members` is the text of `__headloom__/members.json`."""
    body = {
        "schema": SCHEMA,
        "dataset_id": dataset_id,
        "heads": [[head.spec_id, head.index] for head in heads],
        "absent": to_dict(absent),
        "people": [[person.identity_id, person.split] for person in people],
        "members_size": len(members),
        "members_sha256": hashlib.sha256(members).hexdigest(),
    }
    return canonical_json({**body, "footer_sha256": digest(body)}).encode()


def read_footer(path: Place) -> Footer:
    """The closing member of a shard: which heads it holds. Reads the end of the file only.

    Raises:
        RecordCorrupt: truncated or damaged.
        SchemaMismatch: written by an incompatible version.
    """
    end, size = _read_end(path)
    return footer_at_end(end, size, path)[0]


def read_footers(
    directory: Place, names: Sequence[str]
) -> Iterator[tuple[str, Footer | RecordCorrupt]]:
    """`read_footer` of many shards, several at a time, in their order; one that has been removed is
    left out, and in place of a damaged one is what is wrong with it.

    Raises:
        SchemaMismatch: one was written by an incompatible version.
    """
    for name, end, size in read_ends(directory, names, _SHORT_END_BYTES):
        path = directory / name
        try:
            try:
                yield name, footer_at_end(end, size, path)[0]
            except RecordCorrupt:  # or it is longer than what was read, or was replaced meanwhile
                yield name, read_footer(path)
        except FileNotFoundError:
            continue
        except RecordCorrupt as error:
            yield name, error


def read_index(path: Place) -> tuple[Footer, tuple[Member, ...]]:
    """The closing member of a shard, and the index of the others.

    Raises:
        RecordCorrupt: truncated, damaged, or the index does not describe the file without a gap.
        SchemaMismatch: written by an incompatible version.
    """
    end, size = _read_end(path)
    footer, footer_offset = footer_at_end(end, size, path)
    offset = footer_offset - footer.members_size - (-footer.members_size % BLOCK)
    if offset < BLOCK:
        raise RecordCorrupt(f"{path}: {MEMBERS_NAME} does not fit into the file; truncated?")
    index = Member(MEMBERS_NAME, offset, footer.members_size, footer.members_sha256)
    begin = offset - BLOCK - (size - len(end))  # in `end`, if it is long enough
    if begin >= 0:
        entry = end[begin : begin + footer_offset - offset + BLOCK]
    else:
        entry = read_range(path, offset - BLOCK, footer_offset)
    members = tuple(Member(**member) for member in json.loads(check_entry(entry, index, path)))
    expected = 0
    for member in (*members, index):
        expected += BLOCK
        if member.offset != expected:
            raise RecordCorrupt(
                f"{path}: member {member.name} starts at byte {member.offset}, "
                f"expected {expected}; truncated?"
            )
        expected += member.size + (-member.size % BLOCK)
    return footer, members


def _read_end(path: Place) -> tuple[bytes, int]:
    """The end of a shard, long enough for its footer; and the size of the file."""
    end, size = read_end(path, _END_BYTES)
    if len(end) < size and FOOTER_NAME.encode() + b"\0" not in end:
        return read_end(path, _LONG_END_BYTES)
    return end, size


def footer_at_end(end: bytes, size: int, path: Place) -> tuple[Footer, int]:
    """The footer and the offset of its tar header, from the last bytes of a file of `size` bytes.

    Raises:
        RecordCorrupt: not there, or damaged.
        SchemaMismatch: written by an incompatible version.
    """
    start = end.rfind(FOOTER_NAME.encode() + b"\0")
    remedy = "delete the shard and render again"
    if start < 0:
        raise RecordCorrupt(f"{path}: no {FOOTER_NAME} at the end; truncated? {remedy}")
    try:
        length = int(end[start + _SIZE_FIELD : start + _SIZE_FIELD + 11], 8)
    except ValueError as error:
        raise RecordCorrupt(f"{path}: header of {FOOTER_NAME} is damaged; {remedy}") from error
    body = end[start + BLOCK : start + BLOCK + length]
    closing = b"\0" * (-length % BLOCK) + END_OF_ARCHIVE
    if end[start:] != tar_header(FOOTER_NAME, length) + body + closing:
        raise RecordCorrupt(f"{path}: {FOOTER_NAME} is not the clean end of the file; {remedy}")
    return _parse_footer(body, path), size - len(end) + start


def _parse_footer(body: bytes, path: Place) -> Footer:
    try:
        data = json.loads(body)
        expected = data.pop("footer_sha256")
    except (ValueError, KeyError, AttributeError) as error:
        raise RecordCorrupt(f"{path}: {FOOTER_NAME} is damaged: {error}") from error
    # Of the text without this entry, which is what `footer_bytes` hashed: planning reads many.
    hashed = body.replace(f'"footer_sha256":"{expected}",'.encode(), b"", 1)
    if hashlib.sha256(hashed).hexdigest() != expected:
        raise RecordCorrupt(f"{path}: {FOOTER_NAME} does not match its own digest")
    if data["schema"] != SCHEMA:
        raise SchemaMismatch(
            f"{path}: shard schema {data['schema']}, this version of Headloom reads {SCHEMA}; "
            "read it with the version that wrote it"
        )
    heads = tuple(HeadEntry(spec_id, index) for spec_id, index in data["heads"])
    absent = tuple(AbsentHead(**head) for head in data.get("absent", ()))  # older shards have none
    people = tuple(Person(*person) for person in data.get("people", ()))  # nor these
    return Footer(
        data["dataset_id"], heads, data["members_size"], data["members_sha256"], absent, people
    )


def read_member(path: Place, member: Member) -> bytes:
    """The bytes of a member, checked against its digest.

    Raises:
        RecordCorrupt: they do not match.
    """
    return checked(read_range(path, member.offset, member.offset + member.size), member, path)


def verify_member(path: Place, member: Member) -> None:
    """Check a member with the tar header before it and the padding after it.

    Raises:
        RecordCorrupt: something is damaged.
    """
    stop = member.offset + member.size + (-member.size % BLOCK)
    check_entry(read_range(path, member.offset - BLOCK, stop), member, path)


def check_entry(entry: bytes, member: Member, path: Place) -> bytes:
    """The bytes of a member from its entry in the tar: header, bytes and padding, all checked."""
    data = checked(entry[BLOCK : BLOCK + member.size], member, path)
    padding = b"\0" * (-member.size % BLOCK)
    if (
        entry[:BLOCK] != tar_header(member.name, member.size)
        or entry[BLOCK + len(data) :] != padding
    ):
        raise RecordCorrupt(f"{path}: tar header or padding of member {member.name} is damaged")
    return data


def checked(data: bytes, member: Member, path: Place) -> bytes:
    """The bytes of a member.

    Raises:
        RecordCorrupt: they do not match its digest.
    """
    actual = hashlib.sha256(data).hexdigest()
    if actual != member.sha256:
        raise RecordCorrupt(
            f"{path}: member {member.name} has SHA-256 {actual[:16]}..., expected "
            f"{member.sha256[:16]}...; delete the shard and render again"
        )
    return data
