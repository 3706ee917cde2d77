"""Local copies of shards of an object store, for whoever reads heads in random order.

Reading pictures one by one over the network would cost a request each; a shard is fetched as a
whole when its first head is wanted and stays until the space is needed for others. Any number of
processes may share a cache: a copy appears in one step, and one that is deleted while it is open
can be read to its end.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from synth.storage import ObjectPath, StoredFile, download
from synth.unfinished import remove_stale_temporaries, temporary_name

DEFAULT_DIRECTORY = Path.home() / ".cache" / "headloom" / "shards"
DEFAULT_BYTES = 100 * 10**9


class ShardCache:
    """A directory of copies, the least recently used of which go when it is full.

    Args:
        directory: made when it is needed.
        max_bytes: bound on the size of all copies; one shard is always kept.
    """

    def __init__(self, directory: Path = DEFAULT_DIRECTORY, max_bytes: int = DEFAULT_BYTES):
        self.directory, self.max_bytes = directory, max_bytes

    def fetch(self, path: ObjectPath, file: StoredFile) -> Path:
        """The local copy of a shard.

        Args:
            path: of the shard.
            file: how it was listed; a shard that was replaced since has another copy.

        Raises:
            OSError: the store does not answer, or the disk is full.
        """
        word = f"{path} {path.query} {file.size} {file.modified_ns}"
        copy = self.directory / f"{hashlib.sha256(word.encode()).hexdigest()[:16]}-{path.name}"
        with suppress(FileNotFoundError):
            os.utime(copy)  # used now
            if copy.stat().st_size == file.size:  # a power cut may have left less
                return copy
        self.directory.mkdir(parents=True, exist_ok=True)
        remove_stale_temporaries(self.directory)
        self._make_room(file.size)
        temporary = self.directory / temporary_name(copy.name)
        try:
            download(path, temporary)
            temporary.replace(copy)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return copy

    def _make_room(self, size: int) -> None:
        copies = []
        for copy in self.directory.glob("*-shard-*.tar"):
            with suppress(FileNotFoundError):  # another process makes room, too
                status = copy.stat()
                copies.append((status.st_mtime_ns, status.st_size, copy))
        total = sum(used for _, used, _ in copies) + size
        for _, used, copy in sorted(copies):
            if total <= self.max_bytes:
                return
            copy.unlink(missing_ok=True)
            total -= used
