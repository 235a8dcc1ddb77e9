"""A network with its record, its requests and its devices, for two simulated years; see `fleet_years.py`."""

import sys
from collections import Counter
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from obliq.exporting import read_exported
from obliq.patch import encryption, to_device_image
from obliq.patch.device.flash import Flash
from obliq.patch.device.store import NO_CLOCK, DeviceStore
from obliq.record.cases import Batch
from obliq.record.folder import Record
from played_time import Steps, clock, obliq

DEVICES, REAL, REQUESTS, MONTHS = 200, 5, 12, 24
BUSY = (7, 4, 4, 4, 4)
"""In how many months requests come, for each network."""
LONG_OFF = 0.1
"""Share of the devices that are off for 3 to 14 months."""
USUALLY = 0.9
"""How likely another device is on in a month."""
PLUGGED_IN = (0, 1)
"""Networks whose devices are on in every month."""
START = 2024
OFFICERS, ENGINEER = ("A. Officer", "B. Officer"), "C. Engineer"


def day_of(month: int, day: int) -> date:
    """A day of the two years and the months after them."""
    return date(START + month // 12, month % 12 + 1, day)


@dataclass(frozen=True)
class Coming:
    """A request that will come.

    Attributes:
        case: its number.
        month: from 0.
        day: of the month.
        selector: what it names; empty for somebody who is not in the data.
    """

    case: str
    month: int
    day: int
    selector: str


class Fleet:
    """One network with its record and its devices.

    Args:
        folder: of everything that is kept.
        number: of the network, from 0; also the seed of everything that is drawn.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder / f"network-{number}", number
        self.folder.mkdir(parents=True, exist_ok=True)
        self.steps = Steps(self.folder / "steps.jsonl")
        self.place = self.folder / "record"
        self.key = folder / "private.pem"
        drawn = np.random.default_rng(number)
        self.coming_months = sorted(drawn.choice(MONTHS, BUSY[number], replace=False).tolist())
        self.on = drawn.random((MONTHS + 2, DEVICES)) < (1 if number in PLUGGED_IN else USUALLY)
        for device in range(0 if number in PLUGGED_IN else int(LONG_OFF * DEVICES)):
            length = int(drawn.integers(3, 15))
            begin = int(drawn.integers(0, MONTHS - length + 1))
            self.on[begin : begin + length, device] = False
        self.on[MONTHS + 1] = True  # at the end each device is on once
        self.floors = np.zeros(DEVICES, dtype=int)
        self.counts: Counter[str] = Counter()
        self.drawn = drawn

    def prepare(self) -> None:
        """Train the network and create its record."""

        def train() -> dict[str, Any]:
            network = self.folder / "network"
            words = ("train", "digits", "--epochs", 8, "--seed", self.number, "--out", network)
            return {"accuracy": obliq(*words, "--overwrite")[1].get("test_accuracy")}

        def create() -> str:
            if (self.place / "log.jsonl").is_file():
                return Record(self.place).state().head
            words = ("record", "init", self.folder / "network", "--out", self.place, "--by", OFFICERS[0])
            rules = ("--approvals", 2, "--devices", DEVICES, "--references", 2, "--certificate-key", self.key)
            return str(obliq(*words, *rules)[1]["head"])

        self.steps.once("trained", train)
        with clock(day_of(0, 1)):
            self.steps.once("created", create)

    @property
    def record(self) -> Record:
        """The record as it is now."""
        return Record(self.place)

    @cached_property
    def requests(self) -> list[Coming]:
        """All requests: two people, one who is not in the data, and nine lists of 1 to 12 samples, none named twice."""
        parts = self.record.partition(None)
        subjects = parts.collection.subjects
        assert subjects is not None
        train = parts.train.indices
        people = self.drawn.permutation(subjects[train].unique().numpy())[:2].tolist()
        free = [index for index in train.tolist() if int(subjects[index]) not in people]
        ids = iter(self.drawn.permutation(free).tolist())
        selectors = [f"subject={one}" for one in people] + [""]
        while len(selectors) < REQUESTS:
            file = self.folder / f"ids-{len(selectors)}.txt"
            chosen = [next(ids) for _ in range(int(self.drawn.integers(1, 13)))]
            file.write_text("\n".join(map(str, chosen)) + "\n")
            selectors.append(f"ids={file}")
        order = self.drawn.permutation(REQUESTS)
        more = self.drawn.choice(self.coming_months, REQUESTS - len(self.coming_months)).tolist()
        months = [*self.coming_months, *more]
        days = self.drawn.integers(3, 25, REQUESTS).tolist()
        return [
            Coming(f"N{self.number}-{place + 1:02}", months[place], days[place], selectors[order[place]])
            for place in range(REQUESTS)
        ]

    def play(self, month: int) -> None:
        """One month: devices and officers first, then what comes, then what is due."""
        with clock(day_of(month, 2)):
            self._update_devices(month)
        with clock(day_of(month, 3)):
            self.steps.once(f"{month} close", lambda: self._close(day_of(month + 1, 3)))
        for one in (one for one in self.requests if one.month == month):
            self._receive(one)
        with clock(day_of(month, 28)):
            self.steps.once(f"{month} run", self._run)
        print(f"network {self.number}, month {month + 1}: {dict(self.counts)}", file=sys.stderr, flush=True)

    def _receive(self, one: Coming) -> None:
        head = ("record", "add", self.place, one.case, "--by", OFFICERS[0])
        if not one.selector:
            with clock(day_of(one.month, one.day)):
                reason = "no sample of this person was used for training"
                self.steps.once(f"{one.case} add", lambda: obliq(*head, "--reject", reason)[0])
            return
        with clock(day_of(one.month, one.day)):
            self.steps.once(f"{one.case} add", lambda: obliq(*head, "--forget", one.selector)[0])
        for place, officer in enumerate(OFFICERS):
            words = ("record", "approve", self.place, one.case, "--by", officer)
            with clock(day_of(one.month, one.day + place + 1)):
                self.steps.once(f"{one.case} approve {place}", lambda words=words: obliq(*words)[0])

    def _run(self) -> dict[str, Any]:
        """Run what is due, decide about what is refused, and verify the certificates."""
        run = ("record", "run", self.place, "--by", ENGINEER, "--threads", 1)
        status, found = obliq(*run, allowed=(0, 3))
        if found["batch"] is None:
            return {}
        if status == 3:
            again = ("--again", "the audit refused it", "--method", "calibrated")
            state = self.record.state()
            was_tried = any(batch.abandoned for batch in state.batches[-2:-1])
            status, found = obliq(*run, *(() if was_tried else again), allowed=(0, 3))
        if status == 3:
            accepted = "two methods were refused; the network is a simulation"
            status, found = obliq(*run, "--accept", accepted)
        batch = self.record.state().batch(found["batch"])
        return {"batch": batch.number, "verified": self.verify_certificates(batch)}

    def verify_certificates(self, batch: Batch) -> dict[str, int]:
        """Every certificate of a batch against the file and all patches: how many passed, and how many are valid."""
        folder = self.place / "batches" / str(batch.number)
        assert batch.patched is not None
        files = [self.record.released(batch.number)]
        files += [folder / "patches" / f"from-{made.base}.patch" for made in batch.patched.patches]
        status: Counter[str] = Counter()
        for case in batch.planned.cases:
            certificate = self.record.certificate(batch, case)
            head = (
                "certificate",
                "verify",
                certificate,
                "--key",
                self.key.with_suffix(".pub"),
                "--file",
                *files,
            )
            found, _ = obliq(*head, allowed=(0, 3))
            status["passing" if found == 0 else "valid"] += 1
        return dict(status)

    def _update_devices(self, month: int) -> None:
        """Each device that is on takes one patch to the newest network; real ones install it."""
        state = self.record.state()
        newest = self.steps.once(f"{month} newest", lambda: state.released[-1])
        behind = self.on[month] & (self.floors < newest)
        patches = self.place / "batches" / str(newest) / "patches"
        for device in np.flatnonzero(behind).tolist():
            base = int(self.floors[device])
            patch = patches / f"from-{base}.patch"
            self.counts["patches"] += 1
            self.counts["patch bytes"] += patch.stat().st_size
            self.counts["releases skipped"] += newest - base - 1
            if device % (DEVICES // REAL) == 0:
                installed = self.steps.once(
                    f"device {device} to {newest}",
                    lambda device=device, base=base, patch=patch: self._install(device, base, newest, patch),
                )
                self.counts.update(installed)
        self.floors[behind] = newest
        for floor in (floor for floor in state.released[1:] if floor <= newest):
            at_least = int((self.floors >= floor).sum())
            if any(
                not case.closed and case.batch and case.batch.number == floor for case in state.cases.values()
            ):
                words = (
                    "record",
                    "confirm",
                    self.place,
                    "--floor",
                    floor,
                    "--devices",
                    at_least,
                    "--by",
                    "fleet",
                )
                self.steps.once(f"{month} confirm {floor}", lambda words=words: obliq(*words)[0])

    def _install(self, device: int, base: int, newest: int, patch: Path) -> dict[str, int]:
        """Install a patch on a real device, confirm it, and try to install it once more."""
        file = self.folder / f"device-{device}-at-{base}.flash"
        key = self.record.keys.read("fleet")
        if base == 0:
            image = to_device_image(read_exported(self.record.released(0)).content)
            flash = Flash.empty(8 + 2 * (-(-len(image) // 256) + 1))
            store = DeviceStore.create(flash, image)
        else:
            flash = Flash(page=64, block=256, data=bytearray(file.read_bytes()))
            store = DeviceStore(flash)
        opened = encryption.unseal(patch.read_bytes(), key)
        store.install(opened, now=NO_CLOCK)
        store.boot()
        wanted = read_exported(self.record.released(newest)).content_digest
        assert store.entry.digest.hex() == wanted, "the device runs another network"
        store.confirm()
        assert store.entry.floor == newest
        refused = 0
        try:
            store.install(opened, now=NO_CLOCK)
        except Exception:  # any refusal will do
            refused = 1
        (self.folder / f"device-{device}-at-{newest}.flash").write_bytes(bytes(flash.data))
        return {"installed": 1, "replays refused": refused}

    def _close(self, next_closing: date) -> dict[str, int]:
        """Close what every device confirmed, what was rejected, and what falls due before the next closing."""
        closed: Counter[str] = Counter()
        state = self.record.state()
        for case in [case for case in state.cases.values() if not case.closed]:
            words = ("record", "close", self.place, case.number, "--by", OFFICERS[0])
            if case.rejected:
                obliq(*words)
                closed["rejected"] += 1
            elif case.batch and case.batch.patched:
                missing = DEVICES - state.confirmed(case.batch.number)
                if missing == 0:
                    obliq(*words)
                    closed["confirmed by all"] += 1
                elif case.due < next_closing:
                    obliq(
                        *words,
                        "--reason",
                        f"{missing} devices are switched off and take the patch when they are on",
                    )
                    closed["before all confirmed"] += 1
        return dict(closed)
