"""Objects from an untrusted .blend: data only, nothing of it runs, nothing else is opened.

A .blend may carry scripts that register at load, handlers, Python drivers and links to other
files. It is therefore never opened: its scene is appended, with automatic execution off, and what
could run is removed before anything is evaluated. Links are looked for in the file itself, before
Blender reads it, since Blender would follow them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import bpy
import zstandard

from synth.asset_files import MAX_FILE_BYTES
from synth.errors import AssetError

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_GZIP_MAGIC = b"\x1f\x8b"
_LINKED_LIBRARY = b"LI"
_END = b"ENDB"


def append_blend(path: Path) -> list[bpy.types.Object]:
    """Append the objects that the first scene of a .blend would render; they are in no scene yet.

    Raises:
        AssetError: not a .blend that this Blender reads, linked libraries, or nothing to render.
    """
    refuse_links(path)
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False
    try:
        with bpy.data.libraries.load(str(path), link=False) as (there, wanted):
            if there.scenes:
                wanted.scenes = there.scenes[:1]
            else:
                wanted.objects = there.objects
    except (OSError, RuntimeError) as error:
        raise AssetError(
            f"{path.name}: Blender {bpy.app.version_string} cannot read it: {error}"
        ) from error
    disarm()
    if not wanted.scenes:
        return [item for item in wanted.objects if item is not None]
    layer = wanted.scenes[0].view_layers[0].layer_collection
    return [item for item in dict.fromkeys(_shown(layer)) if not item.hide_render]


def _shown(layer: bpy.types.LayerCollection) -> Iterator[bpy.types.Object]:
    """Objects of a collection that is rendered, and of those below it."""
    if layer.exclude or layer.collection.hide_render:
        return
    yield from layer.collection.objects
    for child in layer.children:
        yield from _shown(child)


def disarm() -> None:
    """Remove from the open file whatever could run code: drivers, scripts, script nodes."""
    for name in dir(bpy.data):
        blocks = getattr(bpy.data, name)
        if not isinstance(blocks, bpy.types.bpy_prop_collection):
            continue
        for block in blocks:
            _disarm_block(block)
            for tree in (getattr(block, "node_tree", None), getattr(block, "shape_keys", None)):
                if tree is not None:  # embedded, in no list of its own
                    _disarm_block(tree)
    for text in list(bpy.data.texts):
        bpy.data.texts.remove(text)


def _disarm_block(block: bpy.types.ID) -> None:
    if getattr(block, "animation_data", None) is not None:
        block.animation_data_clear()  # drivers; with them goes the animation, which no still needs
    if isinstance(block, bpy.types.NodeTree):
        for node in [n for n in block.nodes if n.bl_idname == "ShaderNodeScript"]:
            block.nodes.remove(node)


# ---------------------------------------------------------------------------------- file format


def refuse_links(path: Path) -> None:
    """Raise `AssetError` if a .blend links to other .blend files."""
    for code, body in _blocks(path):
        if code.rstrip(b"\0") == _LINKED_LIBRARY:
            names = [part.decode("utf-8", "replace") for part in body.split(b"\0") if b"/" in part]
            shown = f" {names[0]!r}" if names else ""
            raise AssetError(
                f"{path.name} is linked to another file{shown}; make everything local "
                "(Object > Relations > Make Local > All) and save it again"
            )


def _blocks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Code and body of the blocks of a .blend (see Blender's blo_core_bhead.hh)."""
    data = _uncompressed(path)
    if data[:7] != b"BLENDER":
        raise AssetError(f"{path.name} is not a .blend file")
    if data[7:8] in b"_-":  # the layout of Blender 2.4 to 4.5
        order = "<" if data[8:9] == b"v" else ">"
        header = struct.Struct(f"{order}4si{'I' if data[7:8] == b'_' else 'Q'}ii")
        offset, length_field = 12, 1
    else:  # "BLENDER17-01v0500": its own length, pointers of 8 bytes, 64-bit lengths
        header = struct.Struct("<4siQqq")
        offset, length_field = int(data[7:9]), 3
    while offset + header.size <= len(data):
        fields = header.unpack_from(data, offset)
        code, length = fields[0], fields[length_field]
        offset += header.size
        if code == _END:
            return
        if length < 0:
            break
        yield code, data[offset : offset + length]
        offset += length
    raise AssetError(f"{path.name}: a truncated or damaged .blend file")


def _uncompressed(path: Path) -> bytes:
    raw = path.read_bytes()
    if raw.startswith(_GZIP_MAGIC):
        raise AssetError(f"{path.name}: written by a Blender before 3.0; save it with a newer one")
    if not raw.startswith(_ZSTD_MAGIC):
        return raw
    with zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as reader:
        data = reader.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:  # a few kilobytes may unpack to anything
        raise AssetError(f"{path.name} unpacks to more than {MAX_FILE_BYTES / 1e9:.1f} GB")
    return data
