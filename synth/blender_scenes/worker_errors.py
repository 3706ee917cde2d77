"""What went wrong in a worker, whose fault it is, and how the parent is told."""

from __future__ import annotations

import ctypes
import errno
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from synth.blender_scenes.log import raise_reported
from synth.errors import DeviceError, HeadloomError, RenderCrashed

_OF_THE_DISK = frozenset(
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EIO", "EROFS", "ESTALE", "EMFILE", "ENFILE", "ENOMEM")
)


class LogScanner:
    """Finds errors that Blender and Cycles print but do not raise.

    Args:
        path: the file that stdout and stderr of this process go to.
    """

    def __init__(self, path: Path):
        self._path = path
        self._offset = 0

    def raise_errors(self) -> None:
        """Look at what was printed since the last call.

        Raises:
            AssetError, RenderCrashed, RenderError: the first line that reports an error.
        """
        raise_reported(self._new_text())

    def raise_machine_error(self, cause: Exception) -> None:
        """After an error of a head, ask whether the machine was the reason.

        What was printed up to now will not be looked at again: it belongs to that head.

        Args:
            cause: the error.

        Raises:
            RenderCrashed: something that was printed speaks of memory or a device that failed.
        """
        try:
            raise_reported(self._new_text())
        except HeadloomError as error:  # otherwise the cause says it better
            if isinstance(error, RenderCrashed) and not is_of_the_machine(cause):
                raise error from cause

    def _new_text(self) -> str:
        flush_output()
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
            self._offset = file.tell()
        return text.decode("utf-8", "replace")


def is_of_the_machine(error: Exception) -> bool:
    """Whether an error says nothing about the head that was rendered when it came: memory, disk,
    device. It ends the shard; any other costs only the head."""
    retryable = isinstance(error, HeadloomError) and error.retryable
    return retryable or isinstance(error, MemoryError | OSError | DeviceError)


def describe_error(error: Exception, spec_id: str | None) -> dict[str, Any]:
    """`error.json`: the type if it is one of ours, whether a retry may help, and the message.

    An error that is not ours is either the machine's (memory, disk: worth a retry) or a bug, which
    repeats itself. A disk that is full or fails is not the head's doing, so none is blamed for it;
    a file that cannot be opened may be.
    """
    where = f"head {spec_id}: " if spec_id else ""
    if isinstance(error, HeadloomError):
        kind, message = type(error).__name__, str(error)
    elif isinstance(error, MemoryError):
        kind, message = "RenderCrashed", f"out of memory: {error}"
    elif isinstance(error, OSError):
        place = tempfile.gettempdir()
        kind = "RenderCrashed"
        message = f"{type(error).__name__}: {error}; check that {place} has space left"
    else:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        kind, message = "RenderError", f"{type(error).__name__} at {place}: {error}"
    if spec_id and spec_id in message:
        where = ""
    blamed = None if isinstance(error, OSError) and error.errno in _OF_THE_DISK else spec_id
    return {"type": kind, "message": f"{where}{message}", "spec_id": blamed}


def flush_output() -> None:
    """Flush what Python and C hold back, so that the log is complete up to now."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)
