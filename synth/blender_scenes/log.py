"""What Blender prints from C, which Python's own redirection does not see."""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from synth.errors import AssetError, RenderCrashed, RenderError
from synth.worker_process import CAPTURED_PREFIX, OUT_OF_MEMORY

_API = r"\b(CUDA|HIP|HIPRT|OptiX|oneAPI|SYCL|Metal)\b"
_FAULT = r"(?i:fail|\berror\b|\bno\b)"
_REPORTS = (
    (OUT_OF_MEMORY, RenderCrashed),
    (
        re.compile(
            r"no space left on device|quota exceeded|(OpenEXR-writePixels|IMB_exr_begin_write): "
            r"|cannot save: ",
            re.IGNORECASE,
        ),
        partial(OSError, errno.EIO),
    ),
    (  # a device that fails takes every head with it; another try, or another machine, may do
        re.compile(
            rf"\bin {_API} queue\b|\bin (cu|hip|optix|ze)[A-Z]\w*\("
            rf"|{_FAULT}.*{_API}|{_API}.*{_FAULT}|Cycles GPU rendering documentation"
        ),
        RenderCrashed,
    ),
    (
        re.compile(
            r"(cannot|can't|could not|failed to|unable to) (read|find|open|load)\b"
            r"|(missing|file not found).*(image|texture|file)"
            r"|(image|texture|file).*(missing|not found)",
            re.IGNORECASE,
        ),
        AssetError,
    ),
    (
        re.compile(
            r"svm stack|shader graph: out of|failed to|^\s*(\S+ \| )?error\b", re.IGNORECASE
        ),
        RenderError,
    ),
)
"""What Cycles and Blender print, by weight; the texts are those in the binary of bpy 4.5."""


@dataclass
class CapturedOutput:
    """Text printed to stdout and stderr by the process; complete when the block has ended."""

    text: str = ""


@contextmanager
def captured_output() -> Iterator[CapturedOutput]:
    """Divert the file descriptors 1 and 2 while the block runs.

    Blender prints a line for every step of a render, and errors of Cycles only there. When the
    block raises, what was printed goes to the real stderr, and when the process dies in it, to the
    parent, so that no message is lost.
    """
    captured = CapturedOutput()
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with tempfile.NamedTemporaryFile(prefix=CAPTURED_PREFIX) as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
        failed = True
        try:
            yield captured
            failed = False
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, original in zip((1, 2), saved):
                os.dup2(original, number)
                os.close(original)
            sink.seek(0)
            captured.text = sink.read().decode("utf-8", "replace")
            if failed:
                sys.stderr.write(captured.text)


def raise_reported(text: str, where: str = "") -> None:
    """Raise for an error that Blender or Cycles printed; they go on, but not to anything of use.

    Args:
        text: what they printed.
        where: begins the message.

    Raises:
        RenderCrashed, OSError, AssetError, RenderError: what weighs most, in this order; OSError
            for a disk that is full or fails.
    """
    lines = text.splitlines()
    for pattern, kind in _REPORTS:
        for line in lines:
            if pattern.search(line):
                raise kind(f"{where}Blender reported: {line.strip()}")
