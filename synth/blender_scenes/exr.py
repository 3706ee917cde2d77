"""A reader of the one kind of OpenEXR file that `render.py` writes: one part, no compression.

Blender hands out pixels of a render only through a file, and loads no multilayer EXR back itself.
Without compression the format is a header and rows of planar samples, so reading it exactly needs
neither a dependency nor a colour conversion. Layout: openexr.com, "OpenEXR File Layout".
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from synth.errors import RenderError

_MAGIC = 20000630
_DTYPES = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}


def read_exr(path: Path) -> dict[str, np.ndarray]:
    """Read all channels of an uncompressed single-part scan-line EXR.

    Args:
        path: the file.

    Returns:
        Channel name (for example "ViewLayer.Combined.R") -> [H, W] read-only array of the stored
        type, the first row is the top of the picture.

    Raises:
        RenderError: another kind of EXR, or a truncated file.
    """
    data = Path(path).read_bytes()
    try:
        channels, window, position = _parse_header(data, path)
        return _read_rows(data, channels, window, position)
    except (struct.error, IndexError, ValueError) as error:
        raise RenderError(f"{path}: not a complete uncompressed EXR file ({error})") from error


def _parse_header(
    data: bytes, path: Path
) -> tuple[list[tuple[str, np.dtype]], tuple[int, int, int, int], int]:
    """Channels in file order, data window and the offset of the line table."""
    magic, version = struct.unpack_from("<II", data)
    if magic != _MAGIC or version & 0x1A00:  # tiled, deep or multi-part
        raise RenderError(f"{path}: not a single-part scan-line EXR file")
    position = 8
    channels: list[tuple[str, np.dtype]] = []
    window = (0, 0, -1, -1)
    while data[position] != 0:
        name, position = _text(data, position)
        _, position = _text(data, position)
        (size,) = struct.unpack_from("<i", data, position)
        position += 4
        if name == "channels":
            channels = _parse_channels(data, position)
        elif name == "dataWindow":
            window = struct.unpack_from("<iiii", data, position)
        elif name == "compression" and data[position] != 0:
            raise RenderError(f"{path}: compressed EXR (kind {data[position]}), expected none")
        position += size
    return channels, window, position + 1


def _parse_channels(data: bytes, position: int) -> list[tuple[str, np.dtype]]:
    channels = []
    while data[position] != 0:
        name, position = _text(data, position)
        (kind,) = struct.unpack_from("<i", data, position)
        channels.append((name, _DTYPES[kind]))
        position += 16
    return channels


def _text(data: bytes, position: int) -> tuple[str, int]:
    end = data.index(b"\0", position)
    return data[position:end].decode("utf-8"), end + 1


def _read_rows(
    data: bytes,
    channels: list[tuple[str, np.dtype]],
    window: tuple[int, int, int, int],
    position: int,
) -> dict[str, np.ndarray]:
    x_min, y_min, x_max, y_max = window
    width, height = x_max - x_min + 1, y_max - y_min + 1
    offsets = np.frombuffer(data, "<u8", height, position).astype(np.int64)
    stride = 8 + width * sum(dtype.itemsize for _, dtype in channels)
    # Blender writes the rows one after another, so every channel is a view with a row stride.
    if (np.diff(offsets) != stride).any() or offsets[-1] + stride > len(data):
        raise ValueError("rows are missing or out of order")
    images, start = {}, int(offsets[0]) + 8
    for name, dtype in channels:
        strides = (stride, dtype.itemsize)
        images[name] = np.ndarray((height, width), dtype, data, start, strides)
        start += width * dtype.itemsize
    return images
