"""What the pages of Headloom share: a style sheet, the numbers at the top, how they are written."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template

from synth.config import atomic_write

STYLE = Path(__file__).with_name("page.css")


def write_page(path: Path, template: Path, **parts: str) -> Path:
    """Fill a template and write it, atomically.

    Args:
        path: of the page.
        template: HTML with `$name` where a part goes; `$style` and `$version` are filled in here.
        parts: HTML by name.

    Returns:
        the path.
    """
    text = Template(template.read_text(encoding="utf-8")).substitute(
        style=STYLE.read_text(encoding="utf-8"),
        version=escape(importlib.metadata.version("headloom")),
        **parts,
    )
    with atomic_write(path) as file:
        file.write(text.encode())
    return path


def stats(pairs: Mapping[str, str]) -> str:
    """The numbers at the top of a page; nothing where there are none."""
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in pairs.items()
    )
    return f'<dl class="stats">{cells}</dl>' if cells else ""
