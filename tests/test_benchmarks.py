"""The benchmark counts right, notices what is lost, and says what it saw."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import cast
from xml.etree import ElementTree

import pytest

from benchmarks import machine
from benchmarks.catalogue import PEERS, REDIS_PEERS, SERVICE, chosen
from benchmarks.chart import chart
from benchmarks.driver import meter
from benchmarks.driver.dialects import DIALECTS, text_of
from benchmarks.driver.frames import PING, FrameError, accepts, frame, scan, upgrade_request
from benchmarks.driver.job import Job
from benchmarks.driver.tally import MeasurementError
from benchmarks.driver.work import carry_out
from benchmarks.durable.publishes import WAYS
from benchmarks.figures import Figure, Figures
from benchmarks.installing import PROGRAMS, ROOT
from benchmarks.peers import bare_asyncio
from benchmarks.plan import FULL, QUICK, Cell, Plan
from benchmarks.progress import Progress
from benchmarks.readme import BEGIN, END, README, section
from benchmarks.record import Record, Sample, Server
from benchmarks.running import summary
from benchmarks.service import RAISED, raised_in
from benchmarks.table import figure, markdown, number, table
from benchmarks.targets import verdicts

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(),
    reason="the benchmark reads what Linux tells of processes: run it on Linux",
)


def from_server(payload: bytes, opcode: int = 1) -> bytes:
    """A frame as a server sends it: without a mask."""
    masked = frame(payload, opcode)
    head = masked[: len(masked) - len(payload) - 4]
    return bytes((head[0], head[1] & 0x7F)) + head[2:] + payload


# Frames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_of_every_size_are_counted(size: int) -> None:
    data = from_server(b"#" + b"x" * size) * 3
    assert scan(data, b"#") == (3, len(data), [])


def test_frames_are_counted_wherever_the_data_was_cut() -> None:
    data = b"".join(
        (from_server(b"#1"), from_server(b"", PING), from_server(b"#" * 300), from_server(b"other"))
    )
    for cut in range(len(data) + 1):
        first, used, others = scan(data[:cut], b"#")
        second, rest, more = scan(data[used:], b"#")
        assert (first + second, used + rest) == (2, len(data))
        assert others + more == [(PING, b""), (1, b"other")]


@pytest.mark.parametrize("first", [0x01, 0x00, 0xC1])
def test_fragments_and_compression_are_refused(first: int) -> None:
    with pytest.raises(FrameError):
        scan(bytes((first, 1)) + b"#", b"#")


def test_a_mask_is_refused() -> None:
    with pytest.raises(FrameError):
        scan(frame(b"#"), b"#")


def test_the_upgrade_is_proved() -> None:
    key, proof = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3
    answer = b"HTTP/1.1 101 Switching Protocols\r\nSEC-WebSocket-Accept:  %b\r\n\r\n"
    assert accepts(answer % proof, key)
    assert not accepts(answer % b"s3pPLMBiTxaQ9kYGzzhZRbK+xOO=", key)
    assert not accepts(b"HTTP/1.1 403 Forbidden\r\n\r\n", key)
    assert b"\r\nSec-WebSocket-Protocol: v1.json\r\n" in upgrade_request("h", "/ws", key, "v1.json")


def test_messages_say_which_they_are() -> None:
    texts = [text_of(number) for number in (0, 1, 99_999_999)]
    assert [len(text) for text in texts] == [150] * 3
    assert len(set(texts)) == 3
    for dialect in DIALECTS.values():
        assert text_of(7) in dialect.publish(7)


# The driver, against a server in the same process


def job(**wanted: object) -> Job:
    """A short job on this process."""
    usual = Job("fanout", "plain", 0, os.getpid(), recipients=5, messages=20, bursts=2, burst=10)
    return replace(usual, pace=0.001, rest=0.01, patience=0.5, **wanted)  # type: ignore[arg-type]


def drive(wanted: Job) -> Mapping[str, object]:
    """What the driver makes of a job on a bare server."""

    async def measured() -> Mapping[str, object]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(bare_asyncio.Chat, "127.0.0.1", 0)
        try:
            port = server.sockets[0].getsockname()[1]
            return await carry_out(replace(wanted, port=port))
        finally:
            server.close()
            await asyncio.sleep(0.01)  # connections that were cut take a turn of the loop to end

    return asyncio.run(measured())


Broadcast = Callable[[bytes], None]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Broadcast], None]:
    """Let message 15 be broadcast in another way; it comes after the warm-up."""
    usual = bare_asyncio.broadcast

    def replace_it(other: Broadcast) -> None:
        def broadcast(payload: bytes) -> None:
            (other if payload.startswith(b"#00000015") else usual)(payload)

        monkeypatch.setattr(bare_asyncio, "broadcast", broadcast)

    return replace_it


def test_a_sound_server_gives_figures() -> None:
    result = drive(job())
    steady, bursts = (cast(dict[str, float], result[name]) for name in ("steady", "bursts"))
    assert (steady["deliveries"], bursts["deliveries"]) == (100, 100)
    assert steady["cpu"] > 0
    assert bursts["cpu"] > 0
    assert result["bytes"] == len(from_server(text_of(0)))


def test_what_is_lost_is_noticed(broken: Callable[[Broadcast], None]) -> None:
    def lose(payload: bytes) -> None:
        for transport in list(bare_asyncio.transports)[1:]:
            transport.write(from_server(payload))

    broken(lose)
    with pytest.raises(MeasurementError, match="1 deliveries are missing"):
        drive(job())


def test_what_is_repeated_is_noticed(broken: Callable[[Broadcast], None]) -> None:
    def repeat(payload: bytes) -> None:
        for transport in list(bare_asyncio.transports):
            transport.write(from_server(payload) * 2)

    broken(repeat)
    with pytest.raises(MeasurementError, match=r"more than were published|not message"):
        drive(job())


def test_what_one_lost_another_cannot_make_up_for(broken: Callable[[Broadcast], None]) -> None:
    def give_away(payload: bytes) -> None:
        _, second, *others = bare_asyncio.transports
        second.write(from_server(payload) * 2)
        for transport in others:
            transport.write(from_server(payload))

    broken(give_away)
    with pytest.raises(MeasurementError, match=r"not message|deliveries of"):
        drive(job(recipients=40))


def test_what_is_changed_is_noticed(broken: Callable[[Broadcast], None]) -> None:
    def change(payload: bytes) -> None:
        for transport in list(bare_asyncio.transports):
            transport.write(from_server(payload[:-1] + b"!"))

    broken(change)
    with pytest.raises(MeasurementError, match="not message 15"):
        drive(job())


def test_an_end_is_noticed(broken: Callable[[Broadcast], None]) -> None:
    def end(payload: bytes) -> None:
        next(iter(bare_asyncio.transports)).close()

    broken(end)
    with pytest.raises(MeasurementError, match="a connection was lost"):
        drive(job())


def test_memory_and_handshakes_have_results() -> None:
    memory = drive(job(measure="memory", warm_up=2, connections=5))
    assert memory["connections"] == 5
    assert cast(int, memory["after"]) > 0
    opening = drive(job(measure="handshake", warm_up=2, connections=5, batches=2, batch=3))
    assert cast(dict[str, float], opening["in_batches"])["connections"] == 6


def test_cpu_time_is_what_the_kernel_says() -> None:
    begin = process_time()
    while process_time() - begin < 0.05:
        pass
    stat = Path("/proc/self/stat").read_text(encoding="utf-8")
    assert meter.cpu_seconds([os.getpid()]) == pytest.approx(meter.ticked_seconds(stat), abs=0.03)


def test_the_name_of_a_process_may_hold_anything() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    stat = f"7 (a) (b c) S 1 7 7 0 -1 0 0 0 0 0 {3 * ticks} {ticks} 9 9"
    assert meter.ticked_seconds(stat) == 4.0


# What is made of it


def sample(peer: str, cell: Cell, cpu: float, turn: int = 1, **other: object) -> Sample:
    """A result in which 1000 deliveries took `cpu` seconds within 2, and 0.1 per second idle."""
    window = {"deliveries": 1000, "seconds": 2.0, "cpu": cpu, "driver": 0.1}
    result = {"idle": 0.1, "bytes": 154.0, "steady": window, "bursts": window}
    return replace(Sample(peer, turn, cell, result), **other)  # type: ignore[arg-type]


FAN_OUT = Cell("fanout", 200)


def record_of(*samples: Sample) -> Record:
    """A run in which these were seen."""
    servers = [
        Server(SERVICE, "this template", "`welcome`", {"uvicorn": "1.0"}),
        Server("fastapi", "FastAPI | <tutorial>", "101", {"fastapi": "1.0"}),
        Server("bun", "Bun", "101", missing="`npm install` failed"),
    ]
    head = Record("2030-01-01", "abc", {"CPU": "one & only"}, 3, 200, raised={"APP_X": "1"})
    return replace(head, servers=servers, samples=list(samples))


def test_figures_are_medians_without_the_cost_of_rest() -> None:
    seen = [sample("fastapi", FAN_OUT, cpu, turn) for turn, cpu in enumerate((1.2, 9.2, 2.2))]
    figures = Figures.of(record_of(*seen))
    expected = Figure(pytest.approx(2000), pytest.approx(1000), pytest.approx(9000), 3)  # type: ignore[arg-type]
    assert figures.get("fastapi", FAN_OUT, "steady") == expected


def test_one_failure_leaves_no_figure() -> None:
    failed = sample("fastapi", FAN_OUT, 1.0, 2, result=None, failure="3 deliveries are missing")
    record = record_of(sample("fastapi", FAN_OUT, 1.0), failed)
    assert Figures.of(record).by_key == {}
    assert summary(failed) == "FAILED: 3 deliveries are missing"
    assert "- fastapi, 1 → 200, round 2: 3 deliveries are missing" in markdown(record)


def test_targets_are_met_or_not_or_not_measured() -> None:
    ten, one = sample("fastapi", FAN_OUT, 10.2), sample(SERVICE, FAN_OUT, 1.2)
    outcomes = {v.claim: v.outcome for v in verdicts(Figures.of(record_of(ten, one)), 200)}
    twentieth = "1 → 200, bursts: at most a twentieth of ConnectionManager"
    assert outcomes[twentieth] == "falls short by a factor of 2.00"
    assert outcomes["1 → 200, bursts: at or below Bun's publish"] == "not measured in this run"
    less = sample(SERVICE, FAN_OUT, 0.7)
    outcomes = {v.claim: v.outcome for v in verdicts(Figures.of(record_of(ten, less)), 200)}
    assert outcomes[twentieth] == "met"


def test_growth_is_judged_beside_the_usual_number() -> None:
    base = sample(SERVICE, FAN_OUT, 1.2)
    more = sample(SERVICE, Cell("fanout", 2000), 1.7)
    beside = sample(SERVICE, Cell("flatness", 200, 5000, 2000), 1.3)
    found = list(verdicts(Figures.of(record_of(base, more, beside)), 200))
    linear, flat = (
        [v for v in found if v.claim.startswith(f"{kind}, one at a time")]
        for kind in ("linear", "flat")
    )
    assert [v.outcome for v in linear] == ["falls short by a factor of 1.20"]
    assert [v.outcome for v in flat] == ["met"]


def test_tables_have_as_many_columns_as_their_heads() -> None:
    cells = [FAN_OUT, Cell("fanout", 2000), Cell("flatness", 200, 1000)]
    connections: dict[Cell, dict[str, object]] = {
        Cell("memory"): {"before": 1024, "after": 11264, "connections": 2},
        Cell("handshake"): {
            "idle": 0.0,
            "one_by_one": {"connections": 2, "seconds": 1.0, "cpu": 0.001},
            "in_batches": {"connections": 2, "seconds": 1.0, "cpu": 0.0005},
        },
    }
    samples = [sample(peer, cell, 1.2) for cell in cells for peer in (SERVICE, "fastapi")]
    samples += [Sample(SERVICE, 1, cell, each) for cell, each in connections.items()]
    text = markdown(record_of(*samples))
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1, block
    assert "| this template | 5.00 | 500 | 250 | `welcome` |" in text
    assert "- Bun: `npm install` failed" in text
    assert "`APP_X=1`" in text
    assert "FastAPI / <tutorial>" in text


def test_a_record_without_samples_has_a_table_and_a_chart() -> None:
    assert "not measured in this run" in markdown(record_of())
    ElementTree.fromstring(chart(record_of()))


def test_figures_have_the_digits_they_are_worth() -> None:
    assert [number(value) for value in (0.149, 9.99, 10.04, 1234.5)] == [
        *("0.15", "9.99", "10.0", "1,234"),
    ]
    assert figure(Figure(2, 1, 3, 3)) == "2.00 (1.00 to 3.00)"
    assert figure(None) == "-"
    assert table(["a", "b"], [["c", "d|e"]]) == "| a | b |\n| --- | --: |\n| c | d/e |"


def test_the_chart_is_a_picture_for_light_and_dark_pages() -> None:
    record = record_of(sample(SERVICE, FAN_OUT, 0.3), sample("fastapi", FAN_OUT, 9.2))
    text = chart(record)
    root = ElementTree.fromstring(text)
    names = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "this template" in names
    assert "fastapi" in names
    assert "prefers-color-scheme: dark" in text
    bars = [each for each in root.iter() if each.get("class") in ("own", "bar")]
    assert [each.get("class") for each in bars] == ["own", "bar"] * 2
    assert "http" not in text.replace("http://www.w3.org/2000/svg", ""), "it stands alone"


def test_a_record_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    record = record_of(sample(SERVICE, FAN_OUT, 1.0), sample("fastapi", Cell("flatness", 1), 2.0))
    record.save(tmp_path / "record.json")
    assert Record.load(tmp_path / "record.json") == record


def test_the_rest_is_estimated_from_what_is_done() -> None:
    said: list[str] = []
    progress = Progress([10, 10, 20], said.append)
    progress.begin("first")
    progress.end("done", 20)
    assert progress.rest == 60
    progress.begin("second")
    assert said == [
        "[  1/3] first; about 40 s left",
        "          done",
        "[  2/3] second; about 60 s left",
    ]


# What is asked for


@pytest.mark.parametrize("plan", [FULL, QUICK])
def test_the_load_is_bounded(plan: Plan) -> None:
    for peer in PEERS:
        for cell in plan.cells(peer):
            job = plan.job(cell, peer, 1, 1)
            connections = max(
                job.recipients + job.idle + job.channels,
                job.warm_up + job.connections + job.batches * job.batch,
            )
            assert connections < machine.DESCRIPTORS
            assert plan.seconds(cell) < 120
            assert job.recipients * max(job.messages, job.bursts * job.burst) <= 1_000_000
            assert Job.from_json(job.to_json()) == job


def test_the_quick_plan_is_quick() -> None:
    assert sum(QUICK.seconds(cell) for peer in PEERS for cell in QUICK.cells(peer)) < 400


def test_each_peer_has_a_program_and_stands_in_the_readme() -> None:
    readme = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    for peer in (*PEERS, *REDIS_PEERS):
        assert peer.dialect in DIALECTS
        assert peer.name == SERVICE or (PROGRAMS / peer.program).is_file()
        assert f"`{peer.name}`" in readme
    programs = {path.name for path in PROGRAMS.iterdir() if path.is_file()} - {"__init__.py"}
    assert programs == {*(peer.program for peer in (*PEERS, *REDIS_PEERS)), *WAYS} - {""}


def test_the_service_is_part_of_every_run() -> None:
    assert [peer.name for peer in chosen(["node-ws", "fastapi"])] == [SERVICE, "fastapi", "node-ws"]
    assert chosen([]) == PEERS
    with pytest.raises(KeyError):
        chosen(["fastapi", "unheard-of"])


def test_only_limits_that_are_there_are_raised(tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("#APP_COMMANDS_BURST=40\nAPP_OTHER=1\n# APP_PUBLISHES\n")
    assert raised_in(tmp_path / "settings") == {"APP_COMMANDS_BURST": RAISED["APP_COMMANDS_BURST"]}


@pytest.fixture
def one_core() -> Iterator[None]:
    """Nothing but one core for this process."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_core")
def test_one_core_is_said() -> None:
    assert "share all cores" in str(machine.cores())
    with machine.pinned(machine.cores().server):
        assert len(os.sched_getaffinity(0)) == 1


def test_the_readme_shows_the_figures_that_are_kept() -> None:
    kept = Record.load(ROOT / "benchmarks" / "results" / "fan-out.json")
    assert kept.partial is None
    assert not kept.quick
    shown = README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert shown.strip() == section(kept).strip()
    assert markdown(kept) == (ROOT / "benchmarks" / "results" / "fan-out.md").read_text("utf-8")
