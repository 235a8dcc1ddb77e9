"""The page of a record under load, and when its processes are killed.

Everything happens on the loopback interface of this machine, and every loop is bounded. 200 clients ask for pages
while `obliq record run` trains in a process that the page started. Then the server and the process of the work are
killed (SIGKILL) at random moments, and started again; in the end every acknowledged request must be in the record
once, every step must be noted once, and the record must verify.

    python benchmarks/serve_load.py [--clients 200] [--kills 20]
"""

import argparse
import asyncio
import contextlib
import os
import platform
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from killed_servers import Kills, killed_servers, killed_workers
from served_record import HOST, LONGEST_WAIT, Login, Server, prepared, submit, worker_of

TABLE = Path(__file__).parent / "results" / "serve_load.md"
ADDRESSES = ("/", "/case?number=C-1", "/devices", "/work", "/work.json", "/record", "/style.css")
REQUESTS_EACH = 8
TRAINING = "unlearning"
"""How the stage of the work begins while a network trains."""


@dataclass
class Answers:
    """What clients got.

    Attributes:
        seconds: of each answer.
        lasted: seconds of all together.
        work: seconds of processor that the work used meanwhile; None where there was none.
        wrong: answers that were not as expected, by what they were.
    """

    seconds: list[float] = field(default_factory=list)
    lasted: float = 0.0
    work: float | None = None
    wrong: Counter[str] = field(default_factory=Counter)

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the answers came."""
        return float(np.quantile(self.seconds, share)) if self.seconds else float("nan")


async def one_client(server: Server, cookie: str, number: int, pause: float, found: Answers) -> None:
    """Ask for pages one after the other on one connection, with a pause as somebody who reads."""
    draw = np.random.default_rng(number)  # the same pages and pauses, with work and without
    await asyncio.sleep(draw.uniform(0, pause))
    reader, writer = await asyncio.open_connection(HOST, server.port)
    try:
        for _ in range(REQUESTS_EACH):
            address = ADDRESSES[draw.integers(len(ADDRESSES))]
            head = f"GET {address} HTTP/1.1\r\nHost: {HOST}:{server.port}\r\nCookie: {cookie}\r\n\r\n"
            started = time.perf_counter()
            writer.write(head.encode())
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LONGEST_WAIT)
            length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await asyncio.wait_for(reader.readexactly(length), LONGEST_WAIT)
            found.seconds.append(time.perf_counter() - started)
            if not answer.startswith(b"HTTP/1.1 200"):
                found.wrong[answer.split(b"\r\n")[0].decode()] += 1
            await asyncio.sleep(draw.uniform(0, 2 * pause))
    except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
        found.wrong[type(error).__name__] += 1
    finally:
        writer.close()


def many_clients(server: Server, login: Login, clients: int, pause: float) -> Answers:
    """All clients at once."""
    found = Answers()

    async def everybody() -> None:
        cookie = login.headers["cookie"]
        await asyncio.gather(*(one_client(server, cookie, number, pause, found) for number in range(clients)))

    started = time.perf_counter()
    asyncio.run(everybody())
    found.lasted = time.perf_counter() - started
    return found


def under_load(folder: Path, clients: int, epochs: int = 100_000) -> dict[str, Answers]:
    """Clients at once: without work, while a process trains, and all without pauses."""
    record, people, token = prepared(folder, epochs)
    server = Server(record)
    server.start()
    try:
        assert submit(server, token, "C-1", people[0]) == 200
        assert server.log_in("officer").post("/case/approve", case="C-1") == 303
        engineer = server.log_in("engineer")
        found = {"idle": many_clients(server, engineer, clients, 1.0)}
        if engineer.is_running():
            found["idle"].wrong["work that nobody started"] += 1
        assert engineer.post("/work") == 303
        deadline = time.monotonic() + 3 * LONGEST_WAIT
        while not trains(engineer):  # until the process has imported everything
            if time.monotonic() > deadline:
                raise RuntimeError(f"the work does not train: {engineer.progress()}")
            time.sleep(0.2)
        worker = worker_of(record)
        for name, pause in (("working", 1.0), ("working, no pauses", 0.0)):
            before = processor_seconds(worker)
            found[name] = many_clients(server, engineer, clients, pause)
            found[name].work = processor_seconds(worker) - before
            if not trains(engineer):
                found[name].wrong["the training ended before the measurement"] += 1
        os.kill(worker, signal.SIGKILL)
        return found
    finally:
        server.kill()


def trains(login: Login) -> bool:
    """Whether the work is training a network, as the page states it."""
    progress = login.progress()
    return bool(progress["running"]) and str(progress["stage"]).startswith(TRAINING)


def processor_seconds(process: int) -> float:
    """What a process has used of the processors; see proc(5)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def circumstances() -> str:
    """What else the machine does, and whether these processes come first (Linux schedules by session)."""
    words = f"load average {os.getloadavg()[0]:.1f} before the start"
    with contextlib.suppress(OSError):
        words += f", nice {Path('/proc/self/autogroup').read_text().split()[-1]} of the session"
    return words


def table(load: dict[str, Answers], killed: dict[str, Kills], clients: int, before: str) -> str:
    """The results as a page."""
    what = {
        "idle": "no work",
        "working": "while the work trains",
        "working, no pauses": "while the work trains, no pauses",
    }
    packages = ", ".join(f"{name} {version(name)}" for name in ("starlette", "uvicorn"))
    return "\n".join(
        [
            "# The page of a record under load",
            "",
            "Made by `benchmarks/serve_load.py`, on the loopback interface of one machine.",
            f"Python {platform.python_version()}, {packages}, {os.cpu_count()} cores;",
            f"{before}. Times depend on what else the machine does.",
            "",
            "## Load",
            "",
            f"{clients} clients at once, {REQUESTS_EACH} pages each, on {clients} connections of one login. Between",
            "two pages a client waits 1 s on average, as somebody who reads, or not at all. The work is",
            "`obliq record run` with one thread, which the page started. The last column is its processor time",
            "meanwhile, while the page stated that it trains. Each client draws its pages and pauses in every row",
            "alike, so the rows differ by the work alone.",
            "",
            "| | answers | errors | median, ms | 95 % within, ms | slowest, ms | answers a second | work, s |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *(
                f"| {what[name]} | {len(one.seconds):,} | {_listed(one.wrong)} | {1000 * one.quantile(0.5):.2f} | "
                f"{1000 * one.quantile(0.95):.2f} | {1000 * one.quantile(1):.1f} | {rate:.1f} | "
                f"{'-' if one.work is None else f'{one.work:.1f} of {one.lasted:.1f}'} |"
                for name, one in load.items()
                for rate in [len(one.seconds) / max(one.lasted, 1e-9)]
            ),
            "",
            "## Killed processes",
            "",
            "The server is killed (SIGKILL) at a random moment while a program submits requests. The process of the",
            "work is killed at a random moment, in half of the cases after the server was, and started again by",
            "its button. Afterwards every acknowledged request must be in the record once, every step must be noted",
            "once, and the record must verify.",
            "",
            "| killed | kills | acknowledged requests | wrong |",
            "| --- | ---: | ---: | --- |",
            *(
                f"| {name} | {one.kills} | {one.acknowledged or '-'} | {_listed(one.wrong)} |"
                for name, one in killed.items()
            ),
            "",
        ]
    )


def _listed(wrong: Counter[str]) -> str:
    return ", ".join(f"{what}: {count}" for what, count in wrong.items()) or "0"


def run() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--out", type=Path, default=TABLE, help="where the table goes")
    given = parser.parse_args()
    torch.set_num_threads(1)
    before = circumstances()
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / part for part in ("load", "servers", "workers")]
        for folder in folders:
            folder.mkdir()
        load = under_load(folders[0], min(given.clients, 1000))
        for name_, one in load.items():
            print(name_, len(one.seconds), dict(one.wrong), one.quantile(0.95), file=sys.stderr, flush=True)
        killed = {"server": killed_servers(folders[1], min(given.kills, 1000))}
        print(killed, file=sys.stderr, flush=True)
        killed["process of the work"] = killed_workers(folders[2], min(given.kills, 1000))
    given.out.write_text(table(load, killed, given.clients, before))
    print(given.out.read_text())


if __name__ == "__main__":
    run()
