"""What the repository's README shows of a complete run."""

from pathlib import Path

from .figures import Figures
from .plan import Cell
from .record import Record, Server
from .table import number, table
from .targets import verdicts

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- figures: benchmarks/readme.py -->\n", "<!-- end of figures -->\n"


def section(record: Record) -> str:
    """The main figures of every server, and each target with what became of it."""
    figures = Figures.of(record)
    fan_out, memory, opening = Cell("fanout", record.main), Cell("memory"), Cell("handshake")

    def row(server: Server) -> list[str]:
        seen = [
            figures.get(server.name, fan_out, "steady"),
            figures.get(server.name, fan_out, "bursts"),
            figures.get(server.name, memory, "memory"),
            figures.get(server.name, opening, "alone"),
        ]
        return [server.title, *("-" if each is None else number(each.median) for each in seen)]

    def value(amount: float | None, unit: str) -> str:
        return "-" if amount is None else f"{number(amount)} {unit}"

    to = f"1 → {record.main:,}"
    head = ["server", f"{to}, one at a time, µs", f"{to}, bursts, µs", "idle, KiB", "handshake, µs"]
    there = [row(server) for server in record.servers if server.missing is None]
    targets = [
        [each.claim, value(each.measured, each.unit), value(each.limit, each.unit), each.outcome]
        for each in verdicts(figures, record.main)
    ]
    rounds = "one round" if record.rounds == 1 else f"{record.rounds} rounds"
    return "\n\n".join(
        (
            table(head, there),
            table(["target", "measured", "limit", "outcome"], targets),
            f"{record.started}, {rounds}, at `{record.commit[:12]}`, on {record.machine['CPU']}.\n",
        )
    )


def update(readme: Path, record: Record) -> None:
    """Put the figures of a record between the marks."""
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    text = f"{before}{BEGIN}\n{section(record)}\n{END}{after}"
    readme.write_text(text, encoding="utf-8")
