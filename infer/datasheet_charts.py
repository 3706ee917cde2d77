"""Charts of the datasheet: HTML bars and inline SVG, in the colours of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from synth.color import srgb_from_linear

WIDTH, MEDIUM, WIDE, HEIGHT = 310, 500, 1080, 132
"""Widths in pixels of a chart in three columns, in two and in one; text keeps its size."""
_SPARKS = 20
_LEFT, _RIGHT, _TOP, _BOTTOM = 6, 6, 16, 20


def hex_colour(linear_rgb: Sequence[float]) -> str:
    """Linear RGB in [0, 1] as `#rrggbb`."""
    encoded = np.clip(srgb_from_linear(np.array(linear_rgb, float)), 0, 1)
    return "#" + "".join(f"{round(255 * float(v)):02x}" for v in encoded)


def label(name: str) -> str:
    """A name of the spec for people: `side_part` becomes `side part`."""
    return escape(name.replace("_", " "))


def bars(
    counts: Mapping[str, int],
    total: int,
    *,
    swatches: Mapping[str, str] | None = None,
    expected: Mapping[str, float] | None = None,
) -> str:
    """Horizontal bars, one per value.

    Args:
        counts: how often each value occurs.
        total: what 100 % is.
        swatches: colour `#rrggbb` to show beside a value.
        expected: how often each value should occur, marked on its bar.
    """
    longest = max([*counts.values(), *(expected or {}).values(), 1])
    rows = []
    for name, count in counts.items():
        swatch = mark = told = ""
        if swatches and name in swatches:
            swatch = f'<i class="swatch" style="background:{swatches[name]}"></i>'
        if expected is not None:
            wanted = expected.get(name, 0.0)
            mark = f'<b style="left:{100 * wanted / longest:.1f}%"></b>'
            told = f", configured {100 * wanted / max(total, 1):.1f} %"
        rows.append(
            f'<div class="bar" title="{count:,} of {total:,}{told}"><span class="name">{swatch}'
            f'{label(name)}</span><span class="track">'
            f'<i style="width:{100 * count / longest:.1f}%"></i>{mark}</span>'
            f'<span class="num">{_percent(count, total)}</span></div>'
        )
    return f'<div class="bars">{"".join(rows)}</div>'


def _percent(count: int, total: int) -> str:
    share = 100 * count / max(total, 1)
    return f"{share:.0f} %" if share >= 1 or count == 0 else "&lt;1 %"


def histogram(
    values: np.ndarray,
    *,
    low: float | None = None,
    high: float | None = None,
    bins: int = 24,
    unit: str = "",
    colours: Sequence[str] = (),
    limits: Sequence[float] = (),
    width: int = WIDTH,
) -> str:
    """How values are spread, with their median.

    Args:
        values: any number of finite floats; none gives an empty string.
        low, high: ends of the axis; None for those of the values.
        bins: number of bars.
        unit: follows the numbers.
        colours: `#rrggbb` along the axis, in place of the accent colour.
        limits: values to mark with a line, for example the ends of a usable range.
        width: of the chart, see `WIDTH`.
    """
    if len(values) == 0:
        return ""
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    if high <= low:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(np.clip(values, low, high), bins, (low, high))
    median = float(np.median(values))
    axis = _Axis(low, high, width)
    body = _columns(counts, axis, "column", colours)
    body += "".join(axis.line(limit, "limit") for limit in limits if low <= limit <= high)
    body += axis.line(median, "median") + axis.text(median, _TOP - 5, f"{_short(median)}{unit}")
    return _svg(body + axis.ticks(unit), "histogram", width)


def histogram_pair(
    first: np.ndarray,
    second: np.ndarray,
    names: tuple[str, str],
    *,
    low: float,
    high: float,
    limits: Sequence[float] = (),
) -> str:
    """Two distributions over one axis, each with an area of its own.

    Args:
        first, second: values; an empty one is left out.
        names: of both.
        low, high: ends of the axis; what lies beyond is counted at them.
        limits: values to mark with a line.
    """
    axis = _Axis(low, high, WIDE)
    body = ""
    for values, style in ((second, "column other"), (first, "column")):
        if len(values):
            counts, _ = np.histogram(np.clip(values, low, high), 48, (low, high))
            body += _columns(counts / counts.sum(), axis, style)
    body += "".join(axis.line(limit, "limit") for limit in limits)
    chart = _svg(body + axis.ticks(""), " and ".join(names), WIDE)
    return f"{legend(((names[0], ''), (names[1], 'other')))}{chart}"


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Names beside their colours; each entry is (name, `#rrggbb` or a CSS class of the page)."""
    items = []
    for name, colour in entries:
        style = f'key" style="background:{colour}' if colour.startswith("#") else f"key {colour}"
        items.append(f'<span><i class="{style}"></i>{label(name)}</span>')
    return f'<div class="legend">{"".join(items)}</div>'


class _Axis:
    """Maps values to places on the x axis."""

    def __init__(self, low: float, high: float, width: int):
        self.low, self.high, self.width = low, high, width

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _LEFT + share * (self.width - _LEFT - _RIGHT)

    def line(self, value: float, style: str) -> str:
        x = self.place(min(max(value, self.low), self.high))
        return (
            f'<line class="{style}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
        )

    def text(self, value: float, y: float, text: str) -> str:
        x = min(max(self.place(value), _LEFT + 18), self.width - _RIGHT - 18)
        return f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{escape(text)}</text>'

    def ticks(self, unit: str) -> str:
        baseline = HEIGHT - _BOTTOM
        parts = [
            f'<line class="axis" x1="{_LEFT}" x2="{self.width - _RIGHT}" y1="{baseline}" '
            f'y2="{baseline}"/>'
        ]
        for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
            value = self.low + share * (self.high - self.low)
            parts.append(
                f'<text x="{self.place(value):.1f}" y="{HEIGHT - 5}" text-anchor="{anchor}">'
                f"{_short(value)}{escape(unit)}</text>"
            )
        return "".join(parts)


def _columns(counts: np.ndarray, axis: _Axis, style: str, colours: Sequence[str] = ()) -> str:
    tallest = max(float(counts.max()), 1e-9)
    room = HEIGHT - _TOP - _BOTTOM
    step = (axis.width - _LEFT - _RIGHT) / len(counts)
    parts = []
    for place, count in enumerate(counts):
        if count == 0:
            continue
        height = max(room * float(count) / tallest, 1.0)
        fill = ""
        if colours:
            fill = f' style="fill:{colours[place * len(colours) // len(counts)]}"'
        parts.append(
            f'<rect class="{style}"{fill} x="{_LEFT + place * step + 0.5:.1f}" '
            f'y="{HEIGHT - _BOTTOM - height:.1f}" width="{max(step - 1, 1):.1f}" '
            f'height="{height:.1f}" rx="1.5"/>'
        )
    return "".join(parts)


def _svg(body: str, title: str, width: int, height: int = HEIGHT) -> str:
    """A chart; a wide one is scrolled on a phone, where its text would shrink to nothing."""
    style = ' class="wide"' if width == WIDE else ""
    return (
        f'<div class="scroll"><svg{style} viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}">{body}</svg></div>'
    )


def _short(value: float) -> str:
    if value == 0 or abs(value) < 5e-4:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if abs(value) < 100 else 0
    return f"{value:.{min(digits, 3)}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"


def camera_map(directions: Sequence[tuple[float, float]]) -> str:
    """Where the cameras stand: azimuth from the front over elevation, degrees, equal area."""
    width, height, left = WIDE, 300, 34

    def place(azimuth: float, elevation: float) -> tuple[float, float]:
        x = left + (azimuth + 180) / 360 * (width - left - 10)
        y = 10 + (1 - math.sin(math.radians(elevation))) / 2 * (height - 34)
        return x, y

    parts = []
    for elevation in (-60, -30, 0, 30, 60):
        x0, y = place(-180, elevation)
        x1, _ = place(180, elevation)
        parts.append(f'<line class="axis" x1="{x0:.0f}" x2="{x1:.0f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{elevation}°</text>')
    for azimuth, name in (
        (-180, "back"),
        (-90, "right"),
        (0, "front"),
        (90, "left"),
        (180, "back"),
    ):
        x, _ = place(azimuth, 0)
        anchor = {-180: "start", 180: "end"}.get(azimuth, "middle")
        parts.append(
            f'<line class="axis" x1="{x:.0f}" x2="{x:.0f}" y1="10" y2="{height - 24}"/>'
            f'<text x="{x:.0f}" y="{height - 6}" text-anchor="{anchor}">{name}</text>'
        )
    opacity = min(0.9, max(0.18, 60 / math.sqrt(len(directions) * 60 + 1)))
    dots = "".join(
        '<circle cx="{:.1f}" cy="{:.1f}" r="2.6"/>'.format(*place(*d)) for d in directions
    )
    parts.append(f'<g class="dots" style="opacity:{opacity:.2f}">{dots}</g>')
    return _svg("".join(parts), "camera directions", width, height)


def stacked(parts: Mapping[str, float], unit: str) -> str:
    """One bar divided into named parts, with a table of them below.

    Args:
        parts: amount of each, in the order of the bar.
        unit: of the amounts.
    """
    total = sum(parts.values()) or 1.0
    shades = [f"color-mix(in oklab, var(--accent) {100 - 62 * i / max(len(parts) - 1, 1):.0f}%, "
              "var(--card))" for i in range(len(parts))]  # fmt: skip
    bar = "".join(
        f'<i style="width:{100 * amount / total:.2f}%;background:{shade}" '
        f'title="{label(name)}"></i>'
        for (name, amount), shade in zip(parts.items(), shades)
    )
    keys = "".join(
        f'<span><i class="key" style="background:{shade}"></i>{label(name)} '
        f"<b>{_short(amount)} {escape(unit)}</b> {100 * amount / total:.0f} %</span>"
        for (name, amount), shade in zip(parts.items(), shades)
    )
    return f'<div class="stack">{bar}</div><div class="legend">{keys}</div>'


def sparkline(values: np.ndarray) -> str:
    """A histogram the size of a word."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return ""
    counts, _ = np.histogram(values, _SPARKS, (low, high))
    tallest = counts.max()
    rects = "".join(
        f'<rect class="column" x="{4 * i}" y="{18 - 18 * c / tallest:.1f}" width="3" '
        f'height="{max(18 * c / tallest, 0.5):.1f}"/>'
        for i, c in enumerate(counts)
        if c
    )
    return f'<svg class="spark" viewBox="0 0 {4 * _SPARKS} 18" aria-hidden="true">{rects}</svg>'
