"""The results as a picture: SVG by a few lines of our own, readable on light and dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .catalogue import SERVICE
from .figures import Figure, Figures, Quantity
from .plan import Cell
from .record import Record
from .table import number

WIDTH, PANEL, NAMES, BAR, GAP = 940, 450, 132, 16, 7
TOP, TITLE, FOOT = 64, 30, 26

STYLE = """
  .page { fill: #ffffff; stroke: #d0d7de }
  text { fill: #1f2328; font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif }
  .title { font-size: 16px; font-weight: 600 }
  .panel { font-weight: 600 }
  .quiet { fill: #59636e }
  .bar { fill: #8c959f }
  .own { fill: #0969da }
  .spread { stroke: #1f2328; stroke-width: 1.5 }
  .own-name { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #3d444d }
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .bar { fill: #656c76 }
    .own { fill: #4493f8 }
    .spread { stroke: #f0f6fc }
  }
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One set of bars, on a scale of its own."""

    title: str
    bars: Sequence[tuple[str, Figure]]

    @property
    def height(self) -> int:
        """How much of the page it takes."""
        return TITLE + len(self.bars) * (BAR + GAP) + GAP


def chart(record: Record) -> str:
    """Four panels: fan-out one at a time and in bursts, memory, handshakes. Shorter is better."""
    figures, fan_out = Figures.of(record), Cell("fanout", record.main)
    to = f"1 → {record.main:,}"
    rows = [
        (
            _panel(record, figures, fan_out, "steady", f"{to}, one at a time: µs per delivery"),
            _panel(record, figures, fan_out, "bursts", f"{to}, bursts of 100: µs per delivery"),
        ),
        (
            _panel(record, figures, Cell("memory"), "memory", "An idle connection: KiB"),
            _panel(record, figures, Cell("handshake"), "alone", "A handshake: µs"),
        ),
    ]
    parts, top = [], TOP
    for row in rows:
        for column, panel in enumerate(row):
            parts += _drawn(panel, 20 + column * PANEL, top)
        top += max(panel.height for panel in row)
    quick = " A quick run: no figures." if record.quick else ""
    says = f"CPU time and memory of the server, shorter is better; median, lowest, highest.{quick}"
    height = top + FOOT
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
            f' width="{WIDTH}" height="{height}" role="img" aria-label="Fan-out, measured">',
            f"<style>{STYLE}</style>",
            f'<rect class="page" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
            _text(20, 28, "What a delivery and a connection cost", "title"),
            _text(20, 46, says, "quiet"),
            *parts,
            _text(20, height - 14, f"{record.machine.get('CPU', '')}, {record.started}", "quiet"),
            "</svg>\n",
        ]
    )


def _panel(record: Record, figures: Figures, cell: Cell, quantity: Quantity, title: str) -> Panel:
    seen = [(s.name, figures.get(s.name, cell, quantity)) for s in record.servers]
    bars = [(name, figure) for name, figure in seen if figure is not None]
    return Panel(title, sorted(bars, key=lambda bar: bar[1].median))


def _drawn(panel: Panel, left: int, top: int) -> list[str]:
    parts = [_text(left, top + 16, panel.title, "panel")]
    room = PANEL - NAMES - 90
    longest = max((figure.high for _, figure in panel.bars), default=1) or 1
    for place, (name, seen) in enumerate(panel.bars):
        y = top + TITLE + place * (BAR + GAP)
        x, own = left + NAMES, name == SERVICE
        width, low, high = (
            max(value, 0) / longest * room for value in (seen.median, seen.low, seen.high)
        )
        label = "this template" if own else name
        parts.append(_text(x - 8, y + 12, label, "own-name" if own else "", end=True))
        parts.append(
            f'<rect class="{"own" if own else "bar"}" x="{x}" y="{y}" rx="2"'
            f' width="{max(width, 1):.1f}" height="{BAR}"/>'
        )
        if high - low > 1:
            middle = y + BAR / 2
            parts.append(
                f'<path class="spread" d="M{x + low:.1f} {middle}H{x + high:.1f}"/>',
            )
        parts.append(_text(round(x + max(width, high) + 6), y + 12, number(seen.median)))
    return parts


def _text(x: int, y: int, text: str, kind: str = "", *, end: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ""
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}"{style}{anchor}>{escape(text)}</text>'
