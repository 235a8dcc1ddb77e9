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
import http.client
import json
import os
import platform
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlencode

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from tests.cli.conftest import SHORT, pictures  # noqa: E402
from tests.record.server.browser import PASSWORD, person  # noqa: E402

from obliq.cli import main  # noqa: E402
from obliq.record.folder import Record  # noqa: E402
from obliq.record.server.accounts import (  # noqa: E402
    Account,
    Accounts,
    accounts_beside,
    new_token,
    token_digest,
)
from obliq.record.verification import verify_record  # noqa: E402

TABLE = HERE / "results" / "serve_load.md"
HOST = "127.0.0.1"
ADDRESSES = ("/", "/case?number=C-1", "/devices", "/work", "/work.json", "/record", "/style.css")
REQUESTS_EACH = 8
LONGEST_WAIT = 60.0
"""Seconds after which anything that is waited for counts as a failure."""


@dataclass
class Answers:
    """What clients got.

    Attributes:
        seconds: of each answer.
        lasted: seconds of all together.
        wrong: answers that were not as expected, by what they were.
    """

    seconds: list[float] = field(default_factory=list)
    lasted: float = 0.0
    wrong: Counter[str] = field(default_factory=Counter)

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the answers came."""
        return float(np.quantile(self.seconds, share)) if self.seconds else float("nan")


@dataclass
class Kills:
    """What came out of killing a process again and again.

    Attributes:
        kills: processes that were killed.
        acknowledged: requests that the server acknowledged before it was killed.
        wrong: what was not as it must be, by what it was.
    """

    kills: int = 0
    acknowledged: int = 0
    wrong: Counter[str] = field(default_factory=Counter)


class Server:
    """`obliq serve` in a copy of this process, which saves the seconds of importing everything."""

    def __init__(self, record: Path) -> None:
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.port = int(free.getsockname()[1])
        self.record, self.process = record, 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = os.fork()
        if self.process == 0:
            status = 70
            with contextlib.suppress(BaseException):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 1)
                os.dup2(null, 2)
                status = main(["serve", str(self.record), "--port", str(self.port), "--threads", "1", "-q"])
            os._exit(status)
        deadline = time.monotonic() + LONGEST_WAIT
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.ask("GET", "/login")[0] == 200:
                    return
            time.sleep(0.05)
        raise RuntimeError("the server does not answer")

    def kill(self) -> None:
        """Kill it at once."""
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)

    def ask(
        self, method: str, address: str, body: str = "", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=LONGEST_WAIT)
        try:
            connection.request(method, address, body or None, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def log_in(self, name: str) -> "Login":
        """A session of an account."""
        form = {"content-type": "application/x-www-form-urlencoded"}
        words = urlencode({"name": name, "password": PASSWORD})
        status, headers, _ = self.ask("POST", "/login", words, form)
        if status != 303:
            raise RuntimeError(f"the login of {name} gave {status}")
        cookie = {"cookie": headers["set-cookie"].partition(";")[0]}
        page = self.ask("GET", "/work", headers=cookie)[2].decode()
        return Login(self, {**form, **cookie}, page.split('name="csrf" value="')[1].split('"')[0])


@dataclass(frozen=True)
class Login:
    """A session in a browser."""

    server: Server
    headers: dict[str, str]
    csrf: str

    def post(self, address: str, **form: str) -> int:
        """Send a form; the status."""
        words = urlencode({"csrf": self.csrf, **form})
        return self.server.ask("POST", address, words, self.headers)[0]

    def is_running(self) -> bool:
        """Whether the work runs."""
        return bool(json.loads(self.server.ask("GET", "/work.json", headers=self.headers)[2])["running"])


async def one_client(server: Server, cookie: str, number: int, pause: float, found: Answers) -> None:
    """Ask for pages one after the other on one connection, with a pause as somebody who reads."""
    draw = np.random.default_rng(number)
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


def obliq(*words: object) -> None:
    """Run a command, which must succeed."""
    with contextlib.redirect_stdout(None):
        status = main([*map(str, words), "-q"])
    if status != 0:
        raise RuntimeError(f"{words} gave {status}")


def prepared(folder: Path, epochs: int) -> tuple[Path, list[int], str]:
    """A record with accounts; the people who may ask, and the token of a program that submits requests.

    The rules accept every result: no reference is retrained, so an audit reaches no verdict that refuses.
    """
    np.savez(folder / "people.npz", **pictures())  # type: ignore[arg-type]
    obliq("train", f"npz:{folder / 'people.npz'}", "--out", folder / "original", *SHORT)
    record = folder / "record"
    rules = ["--references", "0", "--method", "oeu", "--settings", f"epochs={epochs}", "--devices", "2"]
    obliq("record", "init", folder / "original", "--out", record, "--by", "A", *rules)
    parts = Record(record).partition(None)
    assert parts.collection.subjects is not None
    people = parts.collection.subjects[parts.train.indices].unique().tolist()
    accounts, token = Accounts(accounts_beside(record)), new_token()
    accounts.put(person("officer", "officer"))
    accounts.put(person("engineer", "engineer"))
    accounts.put(Account(name="office", role="officer", password=None, token=token_digest(token)))
    return record, people, token


def submit(server: Server, token: str, case: str, who: int) -> int:
    """Submit a request by the API; the status."""
    body = json.dumps({"case": case, "kind": "subject", "value": str(who)})
    return server.ask("POST", "/api/requests", body, {"authorization": f"Bearer {token}"})[0]


def under_load(folder: Path, clients: int) -> dict[str, Answers]:
    """Clients at once: without work, while a process works, and all without pauses."""
    record, people, token = prepared(folder, epochs=4000)
    server = Server(record)
    server.start()
    try:
        assert submit(server, token, "C-1", people[0]) == 200
        assert server.log_in("officer").post("/case/approve", case="C-1") == 303
        engineer = server.log_in("engineer")
        found = {"idle": many_clients(server, engineer, clients, 1.0)}
        assert engineer.post("/work") == 303
        deadline = time.monotonic() + LONGEST_WAIT
        while time.monotonic() < deadline and not any(record.glob("batches/1/.*")):
            time.sleep(0.1)  # until the process has imported everything and trains
        found["working"] = many_clients(server, engineer, clients, 1.0)
        found["working, no pauses"] = many_clients(server, engineer, clients, 0.0)
        if not engineer.is_running():
            found["working"].wrong["the work ended before the measurement"] += 1
        os.kill(worker_of(record), signal.SIGKILL)
        return found
    finally:
        server.kill()


def worker_of(record: Path) -> int:
    """The process that holds the lock of `obliq record run`."""
    return int((record / ".lock-holder").read_text().split()[1])


def killed_servers(folder: Path, kills: int) -> Kills:
    """Kill the server while a program submits requests and an officer approves them."""
    record, people, token = prepared(folder, epochs=1)
    found, draw, acknowledged = Kills(), np.random.default_rng(0), set[str]()
    server = Server(record)
    for round_ in range(kills):
        server.start()
        until = draw.uniform(0, 1.5)
        child = os.fork()
        if child == 0:
            time.sleep(until)
            os.kill(server.process, signal.SIGKILL)
            os._exit(0)
        for number in range(1000):
            case = f"C-{round_}-{number}"
            try:
                status = submit(server, token, case, people[number % len(people)])
            except (OSError, http.client.HTTPException):
                break
            if status != 200:
                found.wrong[f"status {status}"] += 1
            acknowledged.add(case)
        os.waitpid(server.process, 0)
        os.waitpid(child, 0)
        found.kills += 1
        cases = Record(record).state().cases
        if not acknowledged <= set(cases):
            found.wrong["an acknowledged request is gone"] += 1
        if [one for one in verify_record(Record(record)).problems if "no case" not in one]:
            found.wrong["does not verify after the kill"] += 1
    found.acknowledged = len(acknowledged)
    server.start()
    if submit(server, token, next(iter(acknowledged)), people[0]) not in (200, 400):
        found.wrong["does not go on"] += 1
    server.kill()
    received = Counter(
        entry.event.case for entry in Record(record).entries() if entry.event.kind == "received"
    )
    if any(count > 1 for count in received.values()):
        found.wrong["a request was noted twice"] += 1
    return found


def killed_workers(folder: Path, kills: int) -> Kills:
    """Kill the process of the work, or the server and then it, at random moments; the button starts it again."""
    record, people, token = prepared(folder, epochs=200)
    found, draw = Kills(), np.random.default_rng(1)
    server = Server(record)
    server.start()
    number = 0
    for _ in range(kills):
        if not Record(record).state().is_due:
            number += 1
            if number > len(people) - 2:
                break
            assert submit(server, token, f"C-{number}", people[number]) == 200
            assert server.log_in("officer").post("/case/approve", case=f"C-{number}") == 303
        engineer = server.log_in("engineer")
        if engineer.post("/work") != 303:
            found.wrong["the button does not start it"] += 1
            continue
        worker = started_worker(record)
        time.sleep(draw.uniform(0, 6))
        if draw.random() < 0.5:
            server.kill()
            server.start()
            engineer = server.log_in("engineer")
            if worker and is_alive(worker) and not engineer.is_running():
                found.wrong["the next server does not know that it runs"] += 1
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
            found.kills += 1
        deadline = time.monotonic() + LONGEST_WAIT
        while engineer.is_running():
            if time.monotonic() > deadline:
                found.wrong["still said to run after the kill"] += 1
                break
            time.sleep(0.05)
    for _ in range(3):  # to the end, without kills
        if Record(record).state().is_due:
            engineer = server.log_in("engineer")
            engineer.post("/work")
            deadline = time.monotonic() + 5 * LONGEST_WAIT
            while engineer.is_running() and time.monotonic() < deadline:
                time.sleep(0.5)
    server.kill()
    state = Record(record).state()
    if state.is_due:
        found.wrong["does not come to its end"] += 1
    done = Counter(
        (entry.event.kind, entry.event.batch)
        for entry in Record(record).entries()
        if hasattr(entry.event, "batch")
    )
    if any(count > 1 for count in done.values()):
        found.wrong["a step was noted twice"] += 1
    if verify_record(Record(record)).problems:
        found.wrong["does not verify at the end"] += 1
    return found


def started_worker(record: Path) -> int:
    """The process that was started last, once it holds its lock; 0 where it has ended before."""
    deadline = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, IndexError):
            process = worker_of(record)
            if is_alive(process):
                return process
        time.sleep(0.02)
    return 0


def is_alive(process: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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
            "`obliq record run` with one thread, which the page started.",
            "",
            "| | answers | errors | median, ms | 95 % within, ms | slowest, ms | answers a second |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
            *(
                f"| {what[name]} | {len(one.seconds):,} | {_listed(one.wrong)} | {1000 * one.quantile(0.5):.0f} | "
                f"{1000 * one.quantile(0.95):.0f} | {1000 * one.quantile(1):.0f} | {rate:.0f} |"
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
    TABLE.write_text(table(load, killed, given.clients, before))
    print(TABLE.read_text())


if __name__ == "__main__":
    run()
