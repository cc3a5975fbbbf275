"""The results as Markdown."""

from collections.abc import Callable, Iterator, Sequence

from .figures import Figure, Figures, Quantity
from .plan import Cell
from .record import Record, Server
from .targets import verdicts

REFERENCE = "fastapi"
"""Whose figures the ratios are to."""


def number(value: float) -> str:
    """A figure with as many digits as it is worth."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def figure(seen: Figure | None) -> str:
    """A median with its spread; a dash where nothing was measured."""
    if seen is None:
        return "-"
    if seen.rounds == 1:
        return number(seen.median)
    return f"{number(seen.median)} ({number(seen.low)} to {number(seen.high)})"


def ratio(seen: Figure | None, reference: Figure | None) -> str:
    """How many times the reference."""
    if seen is None or reference is None or reference.median <= 0:
        return "-"
    return number(seen.median / reference.median)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def markdown(record: Record) -> str:
    """All results of a run, from the targets to the machine."""
    figures = Figures.of(record)
    sections = [*_head(record), *_targets(figures, record), *_main(figures, record)]
    sections += [*_growth(figures, record), *_beside(figures, record)]
    sections += [*_connections(figures, record), *_circumstances(record)]
    return "\n\n".join(sections) + "\n"


def _head(record: Record) -> Iterator[str]:
    yield "# Fan-out, measured"
    if record.quick:
        yield (
            "> **A quick run: these are no figures.** It is far too short for that, and shows only"
            " that everything works."
        )
    if record.partial:
        yield f"> **A run in part:** {record.partial}."
    rounds = "one round" if record.rounds == 1 else f"{record.rounds} rounds"
    yield (
        f"{record.started}, template at `{record.commit}`, {rounds} in"
        f" {record.minutes:.0f} minutes. Figures are medians over the rounds, with the lowest and"
        " the highest in brackets. A µs is one of CPU time of the server, user and system; what it"
        " takes at rest is subtracted."
    )


def _targets(figures: Figures, record: Record) -> Iterator[str]:
    yield "## Against the targets"
    yield table(
        ["target", "measured", "limit", "outcome"],
        [
            [v.claim, _value(v.measured, v.unit), _value(v.limit, v.unit), v.outcome]
            for v in verdicts(figures, record.main)
        ],
    )


def _main(figures: Figures, record: Record) -> Iterator[str]:
    cell = Cell("fanout", record.main)
    if cell not in figures.cells():
        return

    def row(server: Server) -> list[str]:
        columns = [server.title]
        for quantity in _MODES:
            seen = figures.get(server.name, cell, quantity)
            columns += [figure(seen), ratio(seen, figures.get(REFERENCE, cell, quantity))]
        size, idle = (figures.get(server.name, cell, quantity) for quantity in ("bytes", "idle"))
        return [*columns, "-" if size is None else number(size.median), figure(idle)]

    yield f"## Fan-out, 1 → {record.main:,}: CPU per delivery"
    yield table(
        [
            *("server", "one at a time, µs", f"times {REFERENCE}"),
            *("bursts of 100, µs", f"times {REFERENCE}"),
            *("bytes per delivery", "at rest, ms/s"),
        ],
        _rows(record, row, "fanout"),
    )


_MODES: dict[Quantity, str] = {"steady": "one at a time", "bursts": "in bursts of 100"}


def _growth(figures: Figures, record: Record) -> Iterator[str]:
    cells = [cell for cell in figures.cells() if cell.measure == "fanout"]
    if not cells:
        return
    yield "## The same by the number of recipients, µs per delivery"
    yield from _by_cell(figures, record, cells, [f"{cell.recipients:,}" for cell in cells])


def _beside(figures: Figures, record: Record) -> Iterator[str]:
    beside = [cell for cell in figures.cells() if cell.measure == "flatness"]
    if not beside:
        return
    alone = Cell("fanout", record.main)
    yield f"## The same, 1 → {record.main:,}, beside other channels and idle connections, µs"
    names = [str(cell).partition(" beside ")[2] for cell in beside]
    yield from _by_cell(figures, record, [alone, *beside], ["alone", *names])


def _by_cell(
    figures: Figures, record: Record, cells: Sequence[Cell], names: Sequence[str]
) -> Iterator[str]:
    for quantity, mode in _MODES.items():

        def row(server: Server, quantity: Quantity = quantity) -> list[str]:
            return [server.title, *(figure(figures.get(server.name, c, quantity)) for c in cells)]

        yield f"{mode.capitalize()}:"
        yield table(["server", *names], _rows(record, row, cells[-1].measure))


def _connections(figures: Figures, record: Record) -> Iterator[str]:
    memory, opening = Cell("memory"), Cell("handshake")

    def row(server: Server) -> list[str]:
        return [
            server.title,
            figure(figures.get(server.name, memory, "memory")),
            figure(figures.get(server.name, opening, "alone")),
            figure(figures.get(server.name, opening, "batches")),
            server.ready,
        ]

    rows = _rows(record, row, "memory", "handshake")
    if rows:
        yield "## Connections"
        head = ["server", "idle, KiB", "handshake, µs", "50 at once, µs", "handshake up to"]
        yield table(head, rows)


def _circumstances(record: Record) -> Iterator[str]:
    yield "## Circumstances"
    yield "\n".join(f"- {name}: {value}" for name, value in record.machine.items())
    raised = ", ".join(f"`{name}={value}`" for name, value in record.raised.items())
    yield (
        f"Limits of the service that were raised: {raised or 'none'}. Heartbeats were on, and so"
        " was everything else that it does by default in production."
    )
    there = [server for server in record.servers if server.missing is None]
    versions = [", ".join(f"{n} {v}" for n, v in server.versions.items()) for server in there]
    yield "\n".join(f"- {s.title}: {v}" for s, v in zip(there, versions, strict=True))
    missing = [f"- {s.title}: {s.missing}" for s in record.servers if s.missing is not None]
    if missing:
        yield "Not measured, since it could not be installed:"
        yield "\n".join(missing)
    failed = [f"- {s.peer}, {s.cell}, round {s.round}: {s.failure}" for s in record.failures]
    if failed:
        yield "Failed, so that there is no figure:"
        yield "\n".join(failed)


def _rows(record: Record, row: Callable[[Server], list[str]], *kinds: str) -> list[list[str]]:
    """A row for each server of which something of these kinds was measured or tried."""
    tried = {sample.peer for sample in record.samples if sample.cell.measure in kinds}
    return [row(server) for server in record.servers if server.name in tried]


def _value(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{number(value)} {unit}"
