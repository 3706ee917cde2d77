"""Where a dataset lies: a directory (local disk, NFS) or a prefix of an object store.

A place is a `pathlib.Path`, or for a URL (`s3://bucket/heads`) an `ObjectPath`, which is joined and
named in the same way. Whatever differs between the two is here, and nowhere else:

                                a directory                       an object store
    a file appears              temporary file beside it,         one put, or one multipart upload,
                                fsync, rename                     which appears when completed
    a killed writer leaves      a temporary file that a           nothing, or parts of an upload
                                later run removes                 that nobody sees
    a file changed              its size or time of modification did
    rights that are needed      the usual ones                    list, get, put; delete for repairs

Stores are reached through `pyarrow.fs`: S3, Google (`gs://`), Azure (`abfss://`), HDFS, and as
`fsspec+PROTOCOL://` whatever fsspec has a package for. Credentials, region and endpoint are those
of the store's own client; docs/storage.md. pyarrow is imported by this module only, and only when
a URL is given.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

from synth.config import atomic_write, rename_into_place
from synth.errors import InputError
from synth.in_order import in_order
from synth.unfinished import scratch_directory

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import FileSystem

_URL = re.compile(r"([a-z][a-z0-9+.-]+:)//([^/?]*)/*([^?]*)(\?.*)?", re.IGNORECASE)
_WAS_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
THREADS = 16
"""Opening a file on NFS or an object store is waiting for a server: several at a time."""
_BATCH = 64
_S3_SILENCE_S, _S3_CONNECT_S, _S3_ATTEMPTS = 30.0, 10.0, 8
"""Of S3, how long a connection may be silent or take to be made, and how often a request is tried,
with growing pauses of up to 20 s: a store that refuses is given up after about a minute, one that
is silent after about five. Arrow's URLs give up after 6 s and 100 s, and take a store for silent
that needs more than 3 s to answer, which a busy one does after the last byte of a shard."""

T = TypeVar("T")


@dataclass(frozen=True, order=True)
class ObjectPath:
    """A file or prefix of an object store; like a `Path` it may be joined, compared and pickled.

    Attributes:
        root: scheme and bucket, for example `s3://bucket`.
        key: what follows, without slashes at its ends.
        query: options of the store's client as the URL gave them, for example
            `?endpoint_override=10.0.0.1:9000&scheme=http`.
    """

    root: str
    key: str
    query: str = ""

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> ObjectPath:
        return ObjectPath(self.root, self.key.rpartition("/")[0], self.query)

    def __truediv__(self, part: str | Path) -> ObjectPath:
        key = f"{self.key}/{part}" if self.key else f"{part}"
        return ObjectPath(self.root, key, self.query)

    def __str__(self) -> str:
        return f"{self.root}/{self.key}"

    def absolute(self) -> ObjectPath:
        """The same, as it does not depend on where the process runs."""
        return self

    @property
    def filesystem(self) -> FileSystem:
        """The client of the store, one per process."""
        return _connect(self.root, self.query)[0]

    @property
    def location(self) -> str:
        """What the client calls it."""
        base = _connect(self.root, self.query)[1].rstrip("/")
        return f"{base}/{self.key}" if self.key else base


Place = Path | ObjectPath
"""A directory or a file."""


@lru_cache
def _connect(root: str, query: str) -> tuple[FileSystem, str]:
    """The client of a store and what it calls the root; a bucket of S3 without a region in the
    query is asked for it.

    Raises:
        InputError: the store is not known, its package is not installed, or it does not answer.
    """
    from pyarrow.fs import FileSystem

    if root.startswith("s3:"):  # a small file is one put, not an upload of one part
        query = f"{query or '?'}{'&' if query else ''}allow_delayed_open=true"
    try:
        client, base = FileSystem.from_uri(root + query)
    except (ImportError, OSError, ValueError) as error:
        raise InputError(f"{root}: {error}; see docs/storage.md") from error
    return _patient(client) if client.type_name == "s3" else client, base


def _patient(client: FileSystem) -> FileSystem:
    """A client of S3 that differs in its patience alone, which a URL has no words for."""
    from pyarrow.fs import AwsStandardS3RetryStrategy

    make, (options,) = client.__reduce__()
    options["request_timeout"], options["connect_timeout"] = _S3_SILENCE_S, _S3_CONNECT_S
    options["retry_strategy"] = AwsStandardS3RetryStrategy(max_attempts=_S3_ATTEMPTS)
    return make(options)


def place(where: str | Place) -> Place:
    """A place from what a person typed: a path or a URL. No store is asked anything yet, so that
    a command may be sent from a machine that has no access to it.

    Raises:
        InputError: a URL that became a path.
    """
    if isinstance(where, ObjectPath):
        return where
    url = _URL.fullmatch(where) if isinstance(where, str) else None
    if url is None:
        if _WAS_URL.match(str(where)):
            raise InputError(f"{where}: a URL has two slashes (and stays text, a Path drops one)")
        return Path(where)
    scheme, bucket, key, query = url.groups()
    return ObjectPath(f"{scheme}//{bucket}", key.rstrip("/"), query or "")


def is_local(where: Place) -> bool:
    """Whether a place is on a file system of this machine, NFS included."""
    return isinstance(where, Path)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as a listing shows it.

    Attributes:
        name: without its directory.
        size: bytes.
        modified_ns: when it was written, in nanoseconds since 1970; stores know it to the second.
    """

    name: str
    size: int
    modified_ns: int


# ---------------------------------------------------------------------------------------- reading


def exists(path: Place) -> bool:
    """Whether a file is there; a store that does not answer raises instead of saying no."""
    if is_local(path):
        return path.exists()
    return path.filesystem.get_file_info(path.location).is_file


def list_files(directory: Place, pattern: str) -> Iterator[StoredFile]:
    """The files of a directory whose names match a regular expression, in any order; none if it
    is not there. One listing, and for a local one a look at each file's size and time.
    """
    wanted = re.compile(pattern).fullmatch
    files = _scan(directory) if is_local(directory) else _list_objects(directory)
    for name, look in files:
        if not wanted(name):
            continue
        try:
            size, modified_ns = look()
        except FileNotFoundError:  # removed since
            continue
        yield StoredFile(name, size, modified_ns)


def _scan(directory: Path) -> Iterator[tuple[str, Callable[[], tuple[int, int]]]]:
    def look(entry: os.DirEntry) -> tuple[int, int]:
        status = entry.stat()
        return status.st_size, status.st_mtime_ns

    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                yield entry.name, lambda entry=entry: look(entry)
    except FileNotFoundError:
        return


def _list_objects(directory: ObjectPath) -> Iterator[tuple[str, Callable[[], tuple[int, int]]]]:
    from pyarrow.fs import FileSelector

    selector = FileSelector(directory.location, allow_not_found=True)
    for info in directory.filesystem.get_file_info(selector):
        if info.is_file:
            yield info.base_name, lambda info=info: (info.size, info.mtime_ns or 0)


def read(path: Place) -> bytes:
    """A whole small file."""
    if is_local(path):
        return _again_if_stale(path.read_bytes)
    with _open(path) as file:
        return file.read()


def read_range(path: Place, start: int, stop: int) -> bytes:
    """The bytes [start, stop) of a file; fewer if it is shorter."""
    if not is_local(path):
        with _open(path) as file:
            return file.read_at(stop - start, start)

    def look() -> bytes:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    return _again_if_stale(look)


def read_end(path: Place, length: int) -> tuple[bytes, int]:
    """The last `length` bytes of a file (all of a shorter one), and its size."""
    if is_local(path):
        return _again_if_stale(lambda: _end_of_file(str(path), length))
    with _open(path) as file:
        size = file.size()
        start = max(0, size - length)
        return file.read_at(size - start, start), size


def read_ends(
    directory: Place, names: Sequence[str], length: int
) -> Iterator[tuple[str, bytes, int]]:
    """`read_end` of many files, several at a time: (name, bytes, size). One that has been removed
    is left out.
    """

    def read_batch(batch: Sequence[str]) -> list[tuple[str, bytes, int]]:
        ends = []
        for name in batch:
            try:
                ends.append((name, *read_end(directory / name, length)))
            except FileNotFoundError:
                continue
        return ends

    batches = (names[first : first + _BATCH] for first in range(0, len(names), _BATCH))
    for ends in in_order(read_batch, batches, THREADS):  # never all ends in memory
        yield from ends


def _end_of_file(path: str, length: int) -> tuple[bytes, int]:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(handle).st_size
        return os.pread(handle, length, max(0, size - length)), size
    finally:
        os.close(handle)


def _again_if_stale(look: Callable[[], T]) -> T:
    """NFS: the file was replaced on the server between opening and reading; the new one is fine."""
    try:
        return look()
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        return look()


def _open(path: ObjectPath) -> NativeFile:
    return path.filesystem.open_input_file(path.location)


@contextmanager
def local_copy(path: Place) -> Iterator[Path]:
    """The file itself if it is local, else a copy of it that is removed afterwards."""
    if is_local(path):
        yield path
        return
    with scratch_directory("copy") as scratch:
        copy = scratch / path.name
        download(path, copy)
        yield copy


def download(path: ObjectPath, copy: Path) -> None:
    """Fetch a file of an object store to a local path."""
    with path.filesystem.open_input_stream(path.location) as source, copy.open("wb") as file:
        shutil.copyfileobj(source, file, 4 << 20)


# ---------------------------------------------------------------------------------------- writing


def make_directory(directory: Place) -> None:
    """Make a directory and its parents; an object store has none and needs none."""
    if is_local(directory):
        directory.mkdir(parents=True, exist_ok=True)


def put(source: Path, target: Place) -> None:
    """Move a finished local file, flushed to its disk, to its place, where it appears in one step.

    Args:
        source: gone afterwards, unless this raises.
        target: replaced if it is there.

    Raises:
        OSError: no space, no permission, no answer; nothing appears, and what was there stays.
    """
    if not is_local(target):
        _upload(source, target)
        source.unlink()
        return
    try:
        try:
            rename_into_place(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with source.open("rb") as read_from, atomic_write(target) as written:
                shutil.copyfileobj(read_from, written, 4 << 20)
            source.unlink()
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error  # as a full disk is


def _upload(source: Path, target: ObjectPath) -> None:
    """In one write of a mapped file: an upload whose stream is closed is complete, whatever went
    wrong between two writes, and there is no way to give one up."""
    import pyarrow

    with pyarrow.memory_map(str(source)) as mapped:
        data = mapped.read_buffer()
        stream = target.filesystem.open_output_stream(target.location)
        stream.write(data)
        stream.close()


@contextmanager
def write(path: Place) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears, or replaces `path`, in one step when the block ends;
    an exception leaves what was there."""
    if is_local(path):
        with atomic_write(path) as file:
            yield file
        return
    with scratch_directory("put") as scratch:
        copy = scratch / path.name
        with copy.open("wb") as file:
            yield file
        put(copy, path)


def move(source: Place, target: Place) -> None:
    """Rename a file within one place; on an object store, copy and delete."""
    if is_local(source):
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
        return
    source.filesystem.copy_file(source.location, target.location)
    remove(source)


def remove(path: Place) -> None:
    """Delete a file if it is there."""
    if is_local(path):
        path.unlink(missing_ok=True)
        return
    try:
        path.filesystem.delete_file(path.location)
    except OSError:
        # Not there; or gone by now, and the store did not take the empty object that Arrow then
        # makes to stand for the directory.
        if exists(path):
            raise
